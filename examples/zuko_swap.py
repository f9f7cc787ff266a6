"""Three zuko models, each with the lines that make it a spread flow: MAF, a conditional neural spline flow, RealNVP.

Needs the extra ``zuko``. Run it: ``python examples/zuko_swap.py``; ``--steps`` sets how long each trains.
"""

from __future__ import annotations

import argparse

import torch
import zuko

from nflows_spread import (
    DegenerateGaussian,
    IntrinsicDimension,
    SpreadKLLoss,
    intrinsic_dimension,
    swap_base,
    to_volume_preserving,
)


def masked_autoregressive() -> zuko.flows.Flow:
    """zuko's MAF; its base is swapped."""
    flow = zuko.flows.MAF(features=2, transforms=4, hidden_features=(32, 32))
    return swap_base(flow, DegenerateGaussian([2]))  # was: return flow


def conditional_neural_spline() -> zuko.flows.Flow:
    """zuko's neural spline flow given one number, as in its introduction."""
    flow = zuko.flows.NSF(features=2, context=1, transforms=3, hidden_features=(32, 32))
    return swap_base(flow, DegenerateGaussian([2]))  # was: return flow


def real_nvp() -> zuko.flows.Flow:
    """zuko's RealNVP, made volume-preserving."""
    flow = zuko.flows.RealNVP(features=2, transforms=6, hidden_features=(32, 32))
    return swap_base(to_volume_preserving(flow), DegenerateGaussian([2]))  # was: return flow


MODELS = {"MAF": masked_autoregressive, "conditional spline": conditional_neural_spline, "RealNVP": real_nvp}


def sines(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (a sin t, t) of sine curves, and the amplitude a of each point's curve: one dimension for each a."""
    t, amplitude = 2.0 * torch.randn(number, 1), 0.5 + torch.rand(number, 1)
    return torch.cat([amplitude * torch.sin(t), t], dim=1), amplitude


def train(flow: zuko.flows.Flow, x: torch.Tensor, context: torch.Tensor | None, steps: int) -> float:
    """A plain training loop; only the loss is another one. Returns the last loss."""
    objective = SpreadKLLoss(flow, data_noise=0.05)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    loss = torch.tensor(0.0)
    for _ in range(steps):
        index = torch.randint(len(x), (200,))
        loss = objective(x[index], None if context is None else context[index])  # was: -flow(c).log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 5.0)
        optimizer.step()
    return loss.item()


def main(steps: int = 1000) -> dict[str, IntrinsicDimension]:
    """Train three models, two on one sine curve and one on many; returns the dimensions that they find."""
    torch.manual_seed(0)
    dimensions = {}
    for name, build in MODELS.items():
        x, amplitude = sines(5000)
        context = amplitude if name == "conditional spline" else None
        if context is None:
            x[:, :1] /= amplitude
        flow = build()
        loss = train(flow, x, context, steps)
        some = None if context is None else context[:1000]
        dimensions[name] = intrinsic_dimension(flow.eval(), x[:1000], context=some)
        found = dimensions[name]
        print(f"{name:18} loss {loss:7.3f}   intrinsic dimension {int(found)} (gap {found.gap:.1f} nats)")
    return dimensions


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    main(parser.parse_args().steps)
