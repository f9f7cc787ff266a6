"""Three normflows models, each with the lines that make it a spread flow: Real NVP, a neural spline flow and Glow.

Needs the extra ``normflows``. Run it: ``python examples/normflows_swap.py``; ``--steps`` sets how long each trains.
"""

from __future__ import annotations

import argparse

import normflows as nf
import torch

from nflows_spread import (
    DegenerateGaussian,
    IntrinsicDimension,
    SpreadKLLoss,
    initialize,
    intrinsic_dimension,
    swap_base,
    to_volume_preserving,
)
from nflows_spread.datasets import Sine


def real_nvp() -> nf.NormalizingFlow:
    """normflows' introductory example."""
    flows = []
    for _ in range(6):
        net = nf.nets.MLP([1, 32, 32, 2], init_zeros=True)
        flows += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(2, mode="swap")]
    return nf.NormalizingFlow(DegenerateGaussian([2]), flows)  # was: nf.distributions.base.DiagGaussian(2)


def neural_spline() -> nf.NormalizingFlow:
    """normflows' neural spline flow."""
    flows = []
    for _ in range(3):
        flows += [nf.flows.AutoregressiveRationalQuadraticSpline(2, 1, 32), nf.flows.LULinearPermute(2)]
    return nf.NormalizingFlow(DegenerateGaussian([2]), flows)  # was: nf.distributions.DiagGaussian(2)


def glow() -> nf.NormalizingFlow:
    """normflows' Glow for 4×4 images, made volume-preserving, with one base over all of its levels."""
    bases, merges, flows = [], [], []
    for level, (channels, shape) in enumerate([(8, (8, 1, 1)), (4, (2, 2, 2))]):
        flows.append([nf.flows.GlowBlock(channels, 16) for _ in range(3)] + [nf.flows.Squeeze()])
        merges += [nf.flows.Merge()] if level > 0 else []
        bases.append(nf.distributions.DiagGaussian(shape))
    flow = nf.MultiscaleFlow(bases, flows, merges, class_cond=False)
    return swap_base(to_volume_preserving(flow), DegenerateGaussian([16]))  # was: return flow


def bars(number: int) -> torch.Tensor:
    """Images of a soft bar at a position and with a brightness of its own: two dimensions in 16."""
    position, brightness = 1.0 + torch.rand(number, 1, 1, 1), 0.5 + torch.rand(number, 1, 1, 1)
    columns = torch.arange(4.0).view(1, 1, 1, 4)
    return (brightness * torch.exp(-((columns - position) ** 2))).expand(-1, 1, 4, 4)


def train(flow: nf.NormalizingFlow, x: torch.Tensor, steps: int) -> float:
    """A plain training loop; only the loss is another one. Returns the last loss."""
    initialize(flow, x[:200])  # the actnorms of the converted Glow, which no longer set themselves
    objective = SpreadKLLoss(flow, data_noise=0.05)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    loss = torch.tensor(0.0)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (200,))]
        loss = objective(batch)  # was: flow.forward_kld(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 5.0)
        optimizer.step()
    return loss.item()


def main(steps: int = 1000) -> dict[str, IntrinsicDimension]:
    """Train two models on the sine curve and one on the bars; returns the dimensions that they find."""
    torch.manual_seed(0)
    models = {"Real NVP": real_nvp, "neural spline": neural_spline, "Glow": glow}
    dimensions = {}
    for name, build in models.items():
        x = bars(5000) if name == "Glow" else Sine().sample(5000).x
        flow = build()
        loss = train(flow, x, steps)
        dimensions[name] = intrinsic_dimension(flow.eval(), x[:1000])
        found = dimensions[name]
        print(f"{name:14} loss {loss:7.3f}   intrinsic dimension {int(found)} (gap {found.gap:.1f} nats)")
    return dimensions


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    main(parser.parse_args().steps)
