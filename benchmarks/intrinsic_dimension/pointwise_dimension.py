"""Pointwise dimension, which varies from place to place: ``python benchmarks/run.py pointwise-dimension``.

A segment joined to a disc, and a helix joined to a hemisphere. For each point away from the joint, the dimension by
the neighbours, by the flow's spectrum at the point, as the widest gap in it and as the number of μ above
30 σ_x², and by the slope of the log-likelihood in the log of the noise, of one noise-conditional flow. The share of
the points that are right, and a map of three of them.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from baselines import noise_conditional
from nflows_spread import plots
from nflows_spread.datasets import PointsOfUnion, curve_and_surface, lollipop
from nflows_spread.dimension import pointwise_spectrum
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.units import Units
from shared import records
from shared.command import Command, Work
from shared.options import add_seeds, positive_int

NAME = "pointwise-dimension"
UNIONS = {"lollipop": lollipop, "curve and surface": curve_and_surface}
AWAY = 0.15
_ABOVE_NOISE = 30.0
_SHOWN = ("neighbours", "gap", "slope")
_COLOURED = 4


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    def work() -> None:
        for seed in options.seed:
            _run(options, seed, command_line)

    return work


def _run(options: argparse.Namespace, seed: int, command_line: str) -> None:
    """Both unions with the points of one seed: a line each, the record and the map."""
    results: dict[str, Any] = {}
    figure = plt.figure(figsize=(14, 7), layout="constrained")
    for row, (name, union) in enumerate(UNIONS.items()):
        points = union(options.points, generator=torch.Generator().manual_seed(seed))
        began = time.perf_counter()
        # all steps: the estimate of the whole is stable long before the map is
        found = _dimensions(points, seed, replace(Recipe(), steps=options.steps, patience=options.steps))
        away = points.to_joint > AWAY
        right = {who: float((k == points.dimension)[away].float().mean()) for who, k in found.items()}
        results[name] = {"share_right": right, "points": int(away.sum()), "seconds": time.perf_counter() - began}
        for column, who in enumerate(_SHOWN):
            space = points.x.shape[1]
            axes = figure.add_subplot(2, 3, 3 * row + column + 1, projection="3d" if space == 3 else None)
            plots.dimension(found[who].clamp(0, _COLOURED), points.x, ax=axes)
            axes.set_title(f"{name}, {who}: {right[who]:.1%} right", fontsize=9)
        print(f"{name:18}" + "".join(f"  {who} {share:.1%}" for who, share in right.items()))
    path = options.out / f"{NAME}-seed-{seed}.json"
    records.write(path, records.record(NAME, command_line, run={"seed": seed}, found={"results": results}))
    figure.savefig(path.with_suffix(".png"), dpi=110)
    plt.close(figure)
    print(f"the results are in {path} and the picture beside it")


def _dimensions(points: PointsOfUnion, seed: int, recipe: Recipe) -> dict[str, Tensor]:
    """The dimension of each point by each estimate."""
    estimator = SpreadFlowEstimator(random_state=seed, recipe=recipe).fit(points.x)
    unit = Units.of(points.x, standardize=False).to_flow(points.x)
    noise = estimator.data_noise_ / estimator.scale_
    spectra = pointwise_spectrum(estimator.flow_, unit, data_noise=noise)
    logs = torch.cat([spectra.clamp_min(noise**2).log(), spectra.new_full((len(spectra), 1), 2.0 * math.log(noise))], 1)
    conditional = noise_conditional.trained(unit, seed=seed, steps=recipe.steps)
    return {
        "neighbours": estimator.pointwise_dimension(points.x),
        "gap": logs.diff().neg().argmax(1) + 1,
        "above noise": (spectra > _ABOVE_NOISE * noise**2).sum(1),
        "slope": noise_conditional.slope_dimensions(conditional, unit).round().long(),
    }


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--points", type=positive_int, default=2000, help="of each union (default 2000)")
    parser.add_argument("--steps", type=positive_int, default=Recipe().steps, help="of training (default the recipe's)")
    add_seeds(parser, default=[0], of="of the points and the training, one or more (default 0)")


COMMAND = Command(NAME, __doc__, _add_options, _prepare)
