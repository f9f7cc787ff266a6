"""From an array on a manifold to its dimension, coordinates, reconstruction, samples and density.

Run it: ``python examples/manifold_readouts.py``; ``--steps`` sets how long it trains.
"""

from __future__ import annotations

import argparse

import torch

from nflows_spread import (
    SpreadKLLoss,
    intrinsic_dimension,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
)
from nflows_spread.datasets import SCurve
from nflows_spread.models import TABLE_2, coupling_flow
from nflows_spread.training import Geometric, fit


def main(steps: int = 5000) -> int:
    """Fit the S-curve and read it out; returns the dimension found."""
    torch.manual_seed(0)
    data = SCurve()
    x = data.sample(5000).x

    flow = coupling_flow(**TABLE_2)
    objective = SpreadKLLoss(flow, data_noise=0.3)
    noise = Geometric(0.3, 0.05, steps=0.5)  # of the run
    fit(objective, x, steps=steps, batch_size=200, learning_rate=2e-3, noise_schedule=noise, gradient_clip=5.0)
    flow.eval()

    dimension = intrinsic_dimension(flow, x[:1000])
    print(dimension)
    for rule, estimate in dimension.spectrum.estimates.items():
        print(f"  {rule:16} {int(estimate)}")
    with torch.no_grad():
        coordinates = project(flow, x, rank=dimension)
        error = (reconstruct(flow, x, rank=dimension) - x).norm(dim=1).mean()
        samples = sample(flow, 1000, rank=dimension)
        density = manifold_log_prob(flow, x, rank=dimension)
    print(f"coordinates {tuple(coordinates.shape)}, standard deviations {coordinates.std(0).tolist()}")
    print(f"mean reconstruction error {error:.3f}")
    print(f"mean distance of samples to the surface {data.distance(samples).mean():.3f}")
    print(f"mean log-density of the coordinates {density.mean():.3f}")
    return int(dimension)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5000)
    main(parser.parse_args().steps)
