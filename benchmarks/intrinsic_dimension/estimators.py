"""Estimators of the benchmark: the spread flow, LIDL, and scikit-dimension's as their documentation uses them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from intrinsic_dimension.manifold_sets import Array
from nflows_spread.linalg.distances import nearest_neighbours

_NEIGHBOURS = 100
_LPCA_POINTS = 200
_ESS_POINTS = 50


@dataclass(frozen=True)
class Answer:
    """What an estimator says of one data set.

    Attributes:
        estimate: of the intrinsic dimension; NaN for none.
        others: further estimates of the same fit, by the name of the rule or read-out.
    """

    estimate: float
    others: Mapping[str, float] = field(default_factory=dict)


Estimator = Callable[[Array, int], Answer]
"""Points (n, D) and a seed to an answer."""


def spread_flow(x: Array, seed: int) -> Answer:
    """Ours, by its default recipe, and what each read-out of the same fit says, the paper's ``rank`` among them.

    With the estimates of ``lPCA``'s rules on the eigenvalues μ in the place of those of a covariance.
    """
    from nflows_spread.estimator import SpreadFlowEstimator

    fitted = SpreadFlowEstimator(random_state=seed).fit(x)
    others = dict(fitted.estimates_.by_name)
    return Answer(
        float(fitted.intrinsic_dimension_), others | rank_rules(fitted.spectrum_.signal_to_noise.numpy(), len(x))
    )


def without_flow(x: Array, seed: int) -> Answer:
    """``dimension_of``, the same whatever the seed, with its interval and the unrounded estimate by neighbours."""
    from nflows_spread import dimension_of

    found = dimension_of(x)
    lowest, highest = map(float, found.interval)
    return Answer(float(found), {"neighbours": found.value, "lowest": lowest, "highest": highest})


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


def principal_components(x: Array, seed: int) -> Answer:
    """``lPCA().fit``: principal components of all points at once, counted by the rule of Fukunaga and Olsen."""
    from skdim.id import lPCA

    return Answer(float(lPCA().fit(x).dimension_))


def local_principal_components(x: Array, seed: int) -> Answer:
    """``lPCA`` on the 100 nearest neighbours of a point: the median over 200 of the points."""
    from skdim.id import lPCA

    patches = _patches(x, seed, _LPCA_POINTS)
    return Answer(float(np.median([lPCA().fit(patch).dimension_ for patch in patches])))


def maximum_likelihood(x: Array, seed: int) -> Answer:
    """``MLE``: Levina and Bickel's, with Haro's correction, from 20 neighbours."""
    from skdim.id import MLE

    return Answer(float(MLE().fit(x).dimension_))


def two_nearest_neighbours(x: Array, seed: int) -> Answer:
    """``TwoNN``."""
    from skdim.id import TwoNN

    return Answer(float(TwoNN().fit(x).dimension_))


def danco(x: Array, seed: int) -> Answer:
    """``DANCo``; its calibration depends on the number of points alone, and is kept for the next data set of a process.

    So its time is that of the calibration only on the first sets of a size.
    """
    from skdim.id import DANCo

    fitted = DANCo(calibration_data=_CALIBRATIONS.get(len(x)), random_state=0).fit(x)
    _CALIBRATIONS[len(x)] = fitted.calibration_data_
    return Answer(float(fitted.dimension_))


def simplex_skewness(x: Array, seed: int) -> Answer:
    """``ESS`` on the 100 nearest neighbours of a point: the mean over 50 of the points, as all take minutes a set."""
    from skdim.id import ESS

    patches = _patches(x, seed, _ESS_POINTS)
    return Answer(float(np.nanmean([ESS(random_state=seed).fit_once(patch).dimension_ for patch in patches])))


def fisher_separability(x: Array, seed: int) -> Answer:
    """``FisherS``."""
    from skdim.id import FisherS

    return Answer(float(FisherS().fit(x).dimension_))


def moments(x: Array, seed: int) -> Answer:
    """``MOM``, from 100 neighbours."""
    from skdim.id import MOM

    return Answer(float(MOM().fit(x).dimension_))


def correlation_integral(x: Array, seed: int) -> Answer:
    """``CorrInt``."""
    from skdim.id import CorrInt

    return Answer(float(CorrInt().fit(x).dimension_))


def neighbour_graph(x: Array, seed: int) -> Answer:
    """``KNN``: growth of the length of the nearest-neighbour graph."""
    from skdim.id import KNN

    return Answer(float(KNN(random_state=seed).fit(x).dimension_))


OURS, WITHOUT_FLOW = "spread flow", "dimension_of"
RANK_RULES = ("FO", "Fan", "maxgap", "ratio", "participation_ratio", "Kaiser", "broken_stick", "Minka", "KN")
NOISE_CONDITIONAL = "noise-conditional"
CLASSICAL: Mapping[str, Estimator] = {
    "TwoNN": two_nearest_neighbours,
    "MLE": maximum_likelihood,
    "lPCA": principal_components,
    "local lPCA": local_principal_components,
    "DANCo": danco,
    "ESS": simplex_skewness,
    "FisherS": fisher_separability,
    "MOM": moments,
    "CorrInt": correlation_integral,
    "KNN": neighbour_graph,
}
ESTIMATORS: Mapping[str, Estimator] = {
    OURS: spread_flow,
    WITHOUT_FLOW: without_flow,
    **CLASSICAL,
    "LIDL": lidl,
    NOISE_CONDITIONAL: noise_conditional,
}


def estimate(name: str, x: Array, *, seed: int) -> Answer:
    """The answer of an estimator of ``ESTIMATORS``, without its warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return ESTIMATORS[name](x, seed)


_CALIBRATIONS: dict[int, object] = {}


def _patches(x: Array, seed: int, number: int) -> Array:
    """The nearest neighbours of so many of the points, (points, neighbours, D)."""
    points = np.random.default_rng(seed).permutation(len(x))[:number]
    neighbours = min(_NEIGHBOURS, len(x) - 1)
    nearest = nearest_neighbours(torch.from_numpy(x[points]), torch.from_numpy(x), neighbours + 1)
    patches: Array = x[nearest.indices[:, 1:].numpy()]
    return patches
