"""From an array of data to its dimension, a representation, a density and samples, with no settings.

Run it: ``python examples/array_to_dimension.py``; ``--steps`` sets how long it trains.
"""

from __future__ import annotations

import argparse

import numpy as np

from nflows_spread.estimator import Recipe, SpreadFlowEstimator


def main(steps: int = 2000) -> int:
    """Fit a torus in ten dimensions and read it out; returns the dimension found."""
    rng = np.random.default_rng(0)
    u, v = rng.uniform(0.0, 2.0 * np.pi, (2, 2000))
    torus = np.stack([(2.0 + np.cos(v)) * np.cos(u), (2.0 + np.cos(v)) * np.sin(u), np.sin(v)], axis=1)
    x = torus @ rng.normal(size=(3, 10))

    estimator = SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=steps)).fit(x)
    dimension = estimator.intrinsic_dimension_
    print(f"dimension {int(dimension)}, between {dimension.interval[0]} and {dimension.interval[1]}")
    for name, estimate in estimator.estimates_.by_name.items():
        print(f"  {name:16} {estimate:.2f}")
    print(f"coordinates {estimator.transform(x).shape}, log-densities {estimator.score_samples(x).shape}")
    print(f"samples {estimator.sample(1000).shape}")
    return int(dimension)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="training steps (default 2000)")
    main(parser.parse_args().steps)
