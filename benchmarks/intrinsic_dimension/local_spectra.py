"""Local PCA with the largest-gap rule, and curvature-adjusted PCA (CA-PCA)."""

from __future__ import annotations

import numpy as np

from intrinsic_dimension.answer import Answer, neighbourhoods
from intrinsic_dimension.manifold_sets import Array

_POINTS = 200
_NEIGHBOURS = 60
"""Of the largest-gap rule; a choice, which the comparison with it asks for."""

_CURVED_NEIGHBOURS = 20
"""Of CA-PCA: of 10, 14, 20, 25, 30, 40, 60 and 100 the best on the random set, with noise and without."""

_NOTHING = 1e-12
"""Share of the largest eigenvalue at which another counts as none, in float64."""


def largest_gap(x: Array, seed: int) -> Answer:
    """The largest ratio of an eigenvalue of a neighbourhood's covariance to the next; the median over the points.

    So it never says D. Eigenvalues that are none, by rounding or by too few neighbours, make no gap but the first.
    """
    eigenvalues = local_eigenvalues(neighbourhoods(x, seed, _POINTS, _NEIGHBOURS))
    return Answer(float(np.median(widest_gaps(eigenvalues))))


def curvature_adjusted(x: Array, seed: int) -> Answer:
    """CA-PCA: the mean over the points."""
    patches = neighbourhoods(x, seed, _POINTS, _CURVED_NEIGHBOURS + 1)
    radii = np.linalg.norm(patches - _centres(x, seed)[:, None], axis=2)[:, -2:].mean(axis=1)
    return Answer(float(np.mean(adjusted_dimensions(local_eigenvalues(patches[:, :-1]), radii))))


def _centres(x: Array, seed: int) -> Array:
    """The points whose neighbourhoods these are."""
    return x[np.random.default_rng(seed).permutation(len(x))[:_POINTS]]


def local_eigenvalues(patches: Array) -> Array:
    """Those of the covariance of each patch (points, neighbours, D), descending, (points, min(neighbours − 1, D))."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    values: Array = np.linalg.svd(centred, compute_uv=False) ** 2 / (patches.shape[1] - 1)
    return values[:, : min(patches.shape[1] - 1, patches.shape[2])]


def widest_gaps(eigenvalues: Array) -> Array:
    """Where the ratio of each eigenvalue to the next is largest, (points,), of (points, m) in descending order."""
    floor = _NOTHING * eigenvalues[:, :1]
    logs = np.log(np.maximum(eigenvalues, floor))
    return 1 + np.argmax(logs[:, :-1] - logs[:, 1:], axis=1)


def adjusted_dimensions(eigenvalues: Array, radii: Array) -> Array:
    """Those of patches whose eigenvalues (points, m) and radii r (points,) are known, by CA-PCA, (points,).

    Gilbert and O'Neill, "CA-PCA: Manifold Dimension Estimation, Adapted for Curvature", 2023. Over a flat ball the
    first d eigenvalues over r² are 1 / (d + 2) and the others 0. Curvature takes from the former and makes the
    latter, and is mended by (3d + 4) / d (d + 4) of the latter's sum. So d is where the first eigenvalues, with that
    added, are nearest to 1 / (d + 2), and twice the sum of the others is small.
    """
    shares = eigenvalues / radii[:, None] ** 2
    scores = []
    for d in range(1, shares.shape[1] + 1):
        rest = shares[:, d:].sum(axis=1)
        mended = shares[:, :d] + (3 * d + 4) / (d * (d + 4)) * rest[:, None]
        scores.append(np.linalg.norm(mended - 1.0 / (d + 2), axis=1) + 2.0 * rest)
    return 1 + np.argmin(np.stack(scores, axis=1), axis=1)
