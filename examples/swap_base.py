"""Three nflows models, each with the three lines that make it a spread flow: RealNVP, MAF and a neural spline flow.

Run it: ``python examples/swap_base.py``; ``--steps`` sets how long each trains.
"""

from __future__ import annotations

import argparse

import torch
from nflows.flows import Flow, MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform

from nflows_spread import DegenerateGaussian, SpreadKLLoss, intrinsic_dimension, swap_base
from nflows_spread.datasets import Sine


def real_nvp() -> Flow:
    """nflows' RealNVP; its base, a StandardNormal, is swapped."""
    flow = SimpleRealNVP(features=2, hidden_features=32, num_layers=6, num_blocks_per_layer=1)
    return swap_base(flow, DegenerateGaussian([2]))  # was: return flow


def masked_autoregressive() -> Flow:
    """nflows' MAF; its base is swapped."""
    flow = MaskedAutoregressiveFlow(features=2, hidden_features=32, num_layers=4, num_blocks_per_layer=2)
    return swap_base(flow, DegenerateGaussian([2]))  # was: return flow


def neural_spline() -> Flow:
    """A neural spline flow put together from nflows' couplings."""

    def net(inputs: int, outputs: int) -> ResidualNet:
        return ResidualNet(inputs, outputs, hidden_features=32, num_blocks=1)

    couplings = [
        PiecewiseRationalQuadraticCouplingTransform(mask, net, tails="linear", tail_bound=4.0)
        for mask in ([0, 1], [1, 0], [0, 1], [1, 0])
    ]
    return Flow(CompositeTransform(couplings), DegenerateGaussian([2]))  # was: StandardNormal([2])


MODELS = {"RealNVP": real_nvp, "MAF": masked_autoregressive, "neural spline": neural_spline}


def train(flow: Flow, x: torch.Tensor, steps: int) -> float:
    """A plain training loop, as the model had before; only the loss is another one. Returns the last loss."""
    objective = SpreadKLLoss(flow, data_noise=0.05)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    loss = torch.tensor(0.0)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (200,))]
        loss = objective(batch)  # was: -flow.log_prob(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 5.0)
        optimizer.step()
    return loss.item()


def main(steps: int = 1000) -> dict[str, int]:
    """Train each model on the sine curve; returns the dimensions that they find."""
    torch.manual_seed(0)
    x = Sine().sample(5000).x
    dimensions = {}
    for name, build in MODELS.items():
        flow = build()
        loss = train(flow, x, steps)
        dimension = intrinsic_dimension(flow.eval(), x[:1000])
        dimensions[name] = int(dimension)
        print(f"{name:14} loss {loss:7.3f}   intrinsic dimension {int(dimension)} (gap {dimension.gap:.1f} nats)")
    return dimensions


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    main(parser.parse_args().steps)
