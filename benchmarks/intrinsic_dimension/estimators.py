"""Estimators of the benchmark by name: the spread flow, scikit-dimension's, local spectra, LIDL, FLIPD and ABIDE."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping

import numpy as np

from intrinsic_dimension.answer import Answer, Estimator
from intrinsic_dimension.classical import CLASSICAL, NEWER
from intrinsic_dimension.kept_estimates import as_plain
from intrinsic_dimension.local_spectra import curvature_adjusted, largest_gap
from intrinsic_dimension.manifold_sets import Array
from nflows_spread.dimension.consensus import Estimates, consensus_dimension
from nflows_spread.dimension.rules import IntrinsicDimension


def spread_flow(x: Array, seed: int) -> Answer:
    """Ours, by its default recipe, and what each read-out of the same fit says, the paper's ``rank`` among them.

    With the estimates of ``lPCA``'s rules on the eigenvalues μ in the place of those of a covariance.
    """
    from nflows_spread.estimator import SpreadFlowEstimator

    fitted = SpreadFlowEstimator(random_state=seed).fit(x)
    return _answer(fitted.intrinsic_dimension_, fitted.estimates_, len(x))


def judged_again(estimates: Estimates, points: int) -> Answer:
    """What today's consensus and rules say of the estimates of an earlier fit to so many points."""
    return _answer(consensus_dimension(estimates), estimates, points)


def _answer(dimension: IntrinsicDimension, estimates: Estimates, points: int) -> Answer:
    rules = rank_rules(estimates.spectrum.signal_to_noise.numpy(), points)
    return Answer(float(dimension), estimates.by_name | rules, dimension.interval, as_plain(estimates))


def without_flow(x: Array, seed: int) -> Answer:
    """``dimension_of``, the same whatever the seed, with its interval and the unrounded estimate by neighbours."""
    from nflows_spread import dimension_of

    found = dimension_of(x)
    others = {"neighbours": found.value}
    if found.estimates.tangents is not None:
        others["tangent_spaces"] = float(found.estimates.tangents.dimension)
    return Answer(float(found), others, found.interval)


def rank_rules(eigenvalues: Array, points: int) -> dict[str, float]:
    """What scikit-dimension's rank rules say of eigenvalues (D,) in descending order, of so many points."""
    from skdim.id import lPCA

    return {
        f"lPCA {rule}": float(
            lPCA(ver=rule, fit_explained_variance=True, n_samples=points, verbose=False).fit(eigenvalues).dimension_
        )
        for rule in RANK_RULES
    }


def lidl(x: Array, seed: int) -> Answer:
    """LIDL with coupling flows, one for each noise level: the mean over the points."""
    from baselines.lidl import local_dimensions

    return Answer(float(local_dimensions(x, seed=seed).mean()))


def noise_conditional(x: Array, seed: int) -> Answer:
    """One flow for all noise levels: the slope of its log-likelihood, the mean over the points, and its denoiser."""
    import torch

    from baselines.noise_conditional import dimensions

    found = dimensions(torch.as_tensor(x), seed=seed)
    return Answer(found.pop("slope"), found)


def adaptive_binomial(x: Array, seed: int) -> Answer:
    """ABIDE of DADApy, which needs NumPy 1: each point's neighbourhood is as large as the density is even in it."""
    from dadapy import Data

    with contextlib.redirect_stdout(io.StringIO()):
        estimates, *_ = Data(x).return_ids_kstar_binomial()
    return Answer(float(estimates[-1]))


OURS, WITHOUT_FLOW = "spread flow", "dimension_of"
RANK_RULES = ("FO", "Fan", "maxgap", "ratio", "participation_ratio", "Kaiser", "broken_stick", "Minka", "KN")
NOISE_CONDITIONAL = "noise-conditional"
ESTIMATORS: Mapping[str, Estimator] = {
    OURS: spread_flow,
    WITHOUT_FLOW: without_flow,
    **CLASSICAL,
    **NEWER,
    "largest gap": largest_gap,
    "CA-PCA": curvature_adjusted,
    "ABIDE": adaptive_binomial,
    "LIDL": lidl,
    NOISE_CONDITIONAL: noise_conditional,
}
WITH_NUMPY_1 = ("ABIDE",)
"""What has an environment of its own: ``pip install dadapy`` takes NumPy back to 1."""


def estimate(name: str, x: Array, *, seed: int) -> Answer:
    """The answer of an estimator of ``ESTIMATORS``, without its warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return ESTIMATORS[name](x, seed)
