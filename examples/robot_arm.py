"""A robot arm's joints from camera positions: how many joints move, and where each stands, without knowing the arm.

Two cameras see three markers on an arm with three joints: 12 columns of positions on their sensors, in pixels, with a
little noise. The estimator is told neither the arm nor the cameras. It finds that three numbers are behind the twelve;
its three coordinates then stand for the joints: neighbours among them give the angles of poses it never saw.

Run it: ``python examples/robot_arm.py``; it prints the dimension, how far new poses are from their reconstructions, and
how well the coordinates tell each angle, and draws them into ``--out``. ``--steps`` sets how long it trains.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from nflows_spread import plots
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.plots.colours import CATEGORY_COLOURS

LINKS = (0.4, 0.35, 0.25)
"""Lengths of the arm's parts, in metres."""
JOINTS = ("turn", "shoulder", "elbow")
RANGES = ((-1.2, 1.2), (0.2, 1.4), (-1.6, -0.2))
"""Of the joints, in radians."""
FOCAL, NOISE = 800.0, 0.5
"""Of the cameras and of the detected positions, in pixels."""


def markers(angles: Any) -> Any:
    """Positions in space of elbow, wrist and a tool that is bent sideways, (n, 3, 3), in metres."""
    turn, shoulder, elbow = angles.T
    reach, height, points = 0.0, 0.2, []
    for length, pitch in zip(LINKS, (shoulder, shoulder + elbow, shoulder + elbow - 0.5)):
        reach, height = reach + length * np.cos(pitch), height + length * np.sin(pitch)
        points.append(np.stack([reach * np.cos(turn), reach * np.sin(turn), height], axis=1))
    return np.stack(points, axis=1)


def seen_by_cameras(points: Any) -> Any:
    """Positions on the sensors of two cameras, one in front of the arm and one beside it, (n, 12), in pixels."""
    sensors = []
    for across, depth, place in ((1, 0, 2.5), (0, 1, -2.5)):
        distance = np.abs(place - points[..., depth])
        sensors += [FOCAL * points[..., across] / distance, FOCAL * (points[..., 2] - 0.4) / distance]
    return np.concatenate(sensors, axis=1)


def main(steps: int = 500, poses: int = 2000, out: Path | None = None) -> int:
    """Fit all but a quarter of the poses, print what the coordinates tell of the rest, and return the dimension."""
    rng = np.random.default_rng(0)
    low, high = np.array(RANGES).T
    angles = rng.uniform(low, high, (poses, 3))
    x = seen_by_cameras(markers(angles))
    x += NOISE * rng.normal(size=x.shape)
    fitted = 3 * poses // 4

    estimator = SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=steps)).fit(x[:fitted])
    found = estimator.intrinsic_dimension_
    print(f"dimension {int(found)} of {x.shape[1]} columns, plausible {found.interval[0]} to {found.interval[1]}")

    known, new = estimator.transform(x[:fitted]), estimator.transform(x[fitted:])
    off = np.sqrt(np.square(estimator.inverse_transform(new) - x[fitted:]).mean())
    print(f"new poses are {off:.2f} pixels from their reconstructions a column (noise {NOISE})")
    told = KNeighborsRegressor(5, weights="distance").fit(known, angles[:fitted]).predict(new)
    errors = np.degrees(np.sqrt(np.square(told - angles[fitted:]).mean(0)))
    spans = np.degrees(high - low)
    for name, error, span in zip(JOINTS, errors, spans):
        print(f"  {name:9} told to {error:.1f} degrees of {span:.0f}")
    share = float((errors / spans).max())
    print(
        f"the coordinates {'tell' if share < 0.1 else 'do not tell'} every joint to a tenth of its range ({share:.1%})"
    )
    if out is not None:
        draw(out, estimator, x[fitted:], np.degrees(angles[fitted:]), np.degrees(told))
    return int(found)


def draw(out: Path, estimator: SpreadFlowEstimator, x: Any, angles: Any, told: Any) -> None:
    """The estimates of the dimension, the chart, and the angles that it tells."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    plots.dimension(estimator, ax=left)
    left.set_title(f"12 columns, dimension {int(estimator.intrinsic_dimension_)}")
    plots.chart(estimator, x, colour=angles[:, 0], label="turn of the base (degrees)", ax=middle)
    middle.set(title="new poses in the chart", xlabel="coordinate 1 (pixels)", ylabel="coordinate 2 (pixels)")
    for joint, (name, colour) in enumerate(zip(JOINTS, CATEGORY_COLOURS)):
        right.scatter(angles[:, joint], told[:, joint], s=6, c=colour, linewidths=0, label=name)
    right.set(xlabel="angle (degrees)", ylabel="told by the chart (degrees)", title="joints of new poses")
    right.legend(markerscale=2)
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="training steps (default 500)")
    parser.add_argument("--out", type=Path, default=Path("robot_arm.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.steps, out=arguments.out)
