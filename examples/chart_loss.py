"""First the dimension, then a chart of so many coordinates: two lines more than a likelihood.

Run it: ``python examples/chart_loss.py``; ``--steps`` sets how long each of the two trains.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from nflows_spread import ChartLoss, SpreadKLLoss, chart_of, intrinsic_dimension
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit


def main(steps: int = 2000) -> list[float]:
    """Fit a curve in the plane and ask for its chart; returns the error on new points before and after, a share."""
    torch.manual_seed(0)
    t = torch.randn(5000)
    x, new = torch.stack([t, torch.sin(2 * t)], dim=1).split([4000, 1000])
    scale = float((new - new.mean(0)).square().sum(1).mean().sqrt())
    flow = coupling_flow(2, layers=4)
    falling = partial(CosineAnnealingLR, T_max=steps, eta_min=2e-4)
    train = partial(
        fit, steps=steps, batch_size=200, learning_rate=2e-3, gradient_clip=5.0, learning_rate_schedule=falling
    )

    train(SpreadKLLoss(flow, data_noise=0.1), x)
    flow.eval()
    dimension = intrinsic_dimension(flow, x[:1000])
    chart = chart_of(flow, x, rank=dimension)  # 1. of what has been found
    errors = [float(chart.reconstruction_error(new)[-1]) / scale]

    train(ChartLoss(flow, chart), x)  # 2. in the place of SpreadKLLoss(flow)
    flow.eval()
    errors.append(float(chart_of(flow, x, rank=dimension).reconstruction_error(new)[-1]) / scale)

    print(f"dimension {int(dimension)}")
    print(f"error of new points from as many coordinates: {errors[0]:.3f}, then {errors[1]:.3f} of their deviation")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    main(parser.parse_args().steps)
