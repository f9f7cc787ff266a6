"""A likelihood that explodes on repeated features, and its cure: the question of issue 22 of nflows.

Points about four circles in the plane, repeated twelve times side by side, lie on a plane in 24 columns. A flow with a
standard normal base has no best fit to them: the thinner it makes the other 22 directions, the higher its likelihood,
without end. With three lines changed, a degenerate base, the spread loss, and noise of a size that one chooses, the
likelihood levels off, and the spectrum says how many dimensions there are.

Run it: ``python examples/exploding_likelihood.py``; it prints both log-likelihoods on their way and the dimension, and
draws them into ``--out``. ``--steps`` sets how long it trains; 1 500 take a minute of one core for each flow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import (
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    ReversePermutation,
    Transform,
)
from torch import Tensor, nn

from nflows_spread import DegenerateGaussian, IntrinsicDimension, SpreadKLLoss, intrinsic_dimension, plots

COPIES = 12
D = 2 * COPIES
NOISE = 0.05
"""σ_x, the length below which we do not care, in units of the data."""


def repeated_circles(rows: int) -> Tensor:
    """Points about circles of radius 0.5 to 2 in the plane, and the same again and again: (rows, 24)."""
    radius = torch.tensor([0.5, 1.0, 1.5, 2.0])[torch.arange(rows) % 4]
    angle = 2.0 * torch.pi * torch.rand(rows)
    plane = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1) + 0.04 * torch.randn(rows, 2)
    return plane.repeat(1, COPIES)


def masked_autoregressive() -> Transform:
    """Four layers of nflows."""
    layers: list[Transform] = []
    for _ in range(4):
        layers += [MaskedAffineAutoregressiveTransform(features=D, hidden_features=64), ReversePermutation(D)]
    return CompositeTransform(layers)


def train(flow: nn.Module, loss_of: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> list[tuple[int, float]]:
    """Adam on batches of 256; the step and the mean log-likelihood of a batch, every hundredth of the way."""
    optimizer = torch.optim.Adam(flow.parameters(), lr=2e-3)
    seen = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_of(x[torch.randint(len(x), (256,))])
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimizer.step()
        if step % max(1, steps // 100) == 0:
            seen.append((step, -loss.item()))
    return seen


def main(steps: int = 1500, rows: int = 5000, out: Path | None = None) -> IntrinsicDimension:
    """Train both, print the verdict, draw, and return the dimension."""
    torch.manual_seed(0)
    x = repeated_circles(rows)

    plain = Flow(masked_autoregressive(), StandardNormal([D]))
    of_plain = train(plain, lambda batch: -plain.log_prob(batch).mean(), x, steps)

    flow = Flow(masked_autoregressive(), DegenerateGaussian([D]))  # was: StandardNormal([D])
    objective = SpreadKLLoss(flow, data_noise=NOISE)  # was: nothing
    of_spread = train(flow, objective, x, steps)  # was: -flow.log_prob(batch).mean()

    found = intrinsic_dimension(flow.eval(), x[:1000])
    for name, seen in (("plain flow", of_plain), ("spread flow", of_spread)):
        parts = [seen[int(share * (len(seen) - 1))][1] for share in (0.25, 0.5, 1.0)]
        print(f"{name:12} log-likelihood after a quarter, half and all steps: " + ", ".join(f"{p:.1f}" for p in parts))
    print(
        f"dimension {int(found)} of {D}, by a gap of {found.gap:.1f} nats: the columns are {COPIES} copies of a plane"
    )
    if out is not None:
        draw(out, of_plain, of_spread, found)
    return found


def draw(
    out: Path, of_plain: list[tuple[int, float]], of_spread: list[tuple[int, float]], found: IntrinsicDimension
) -> None:
    """Log-likelihoods on their way, and the spectrum of the spread flow."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.plot(*zip(*of_plain), c=plots.MODEL_COLOUR, label="plain flow: still rising")
    left.plot(*zip(*of_spread), c=plots.DATA_COLOUR, label="spread flow: it levels off")
    left.set(xlabel="training step", ylabel="mean log-likelihood (nats)", title=f"2 columns, repeated {COPIES} times")
    left.legend()
    plots.spectrum(found, first=D, ax=right)
    right.set_title(f"spread flow: dimension {int(found)} of {D}")
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each flow (default 1500)")
    parser.add_argument("--out", type=Path, default=Path("exploding_likelihood.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.steps, out=arguments.out)
