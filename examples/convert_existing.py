"""A RealNVP that was trained by maximum likelihood, made volume-preserving, fine-tuned, and read out.

Run it: ``python examples/convert_existing.py``; ``--steps`` sets how long the original trains, and half of it the copy.
"""

from __future__ import annotations

import argparse

import torch
from nflows.flows import Flow, SimpleRealNVP

from nflows_spread import (
    DegenerateGaussian,
    IntrinsicDimension,
    SpreadKLLoss,
    intrinsic_dimension,
    swap_base,
    to_volume_preserving,
    volume_error,
)
from nflows_spread.datasets import SCurve

NOISE = 0.2
"""In data units: the surface below is four times that of scikit-learn, as data in units of its own might be."""


def batches(x: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """Random batches of the data."""
    return [x[torch.randint(len(x), (200,))] for _ in range(steps)]


def train_as_before(x: torch.Tensor, steps: int) -> Flow:
    """What the user already has: nflows' RealNVP, maximum likelihood, data with a little noise."""
    flow = SimpleRealNVP(features=3, hidden_features=32, num_layers=8, num_blocks_per_layer=1)
    optimizer = torch.optim.Adam(flow.parameters(), lr=2e-3)
    for batch in batches(x, steps):
        loss = -flow.log_prob(batch + NOISE * torch.randn_like(batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return flow.eval()


def fine_tune(flow: Flow, x: torch.Tensor, steps: int) -> Flow:
    """The same loop with the spread loss, on the converted flow."""
    objective = SpreadKLLoss(flow.train(), data_noise=NOISE)
    optimizer = torch.optim.Adam(objective.parameters(), lr=2e-3)
    for batch in batches(x, steps):
        loss = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 5.0)
        optimizer.step()
    return flow.eval()


def read_out(stage: str, flow: Flow, x: torch.Tensor) -> IntrinsicDimension:
    """Print and return the dimension that a flow sees."""
    dimension = intrinsic_dimension(flow, x, data_noise=NOISE)
    error = volume_error(flow, x)
    print(
        f"{stage:12} intrinsic dimension {int(dimension)} (gap {dimension.gap:.1f} nats), |log det| up to {error:.1g}"
    )
    return dimension


def main(steps: int = 3000) -> dict[str, IntrinsicDimension]:
    """Train, convert, fine-tune; returns the dimension at each stage."""
    torch.manual_seed(0)
    x = 4.0 * SCurve().sample(5000).x

    flow = train_as_before(x, steps)
    before = read_out("as it was", flow, x[:1000])
    flow = swap_base(to_volume_preserving(flow), DegenerateGaussian([3]))
    converted = read_out("converted", flow, x[:1000])  # the couplings have lost their volumes: it has to be trained on
    flow = fine_tune(flow, x, steps // 2)
    after = read_out("fine-tuned", flow, x[:1000])
    return {"before": before, "converted": converted, "after": after}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    main(parser.parse_args().steps)
