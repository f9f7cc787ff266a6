"""Estimators of scikit-dimension, as its documentation uses them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intrinsic_dimension.answer import Answer, Estimator, neighbourhoods
from intrinsic_dimension.manifold_sets import Array

_NEIGHBOURS = 100
_LPCA_POINTS = 200
_ESS_POINTS = 50

_PH_SIZES, _PH_SUBSAMPLES = 10, 2
"""Sizes between half and all of the points, and subsamples of each, for 20 trees of the 1 000 by default; for time."""


def principal_components(x: Array, seed: int) -> Answer:
    """``lPCA().fit``: principal components of all points at once, counted by the rule of Fukunaga and Olsen."""
    from skdim.id import lPCA

    return Answer(float(lPCA().fit(x).dimension_))


def local_principal_components(x: Array, seed: int) -> Answer:
    """``lPCA`` on the 100 nearest neighbours of a point: the median over 200 of the points."""
    from skdim.id import lPCA

    patches = neighbourhoods(x, seed, _LPCA_POINTS, _NEIGHBOURS)
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

    patches = neighbourhoods(x, seed, _ESS_POINTS, _NEIGHBOURS)
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


def two_nearest_neighbours_by_likelihood(x: Array, seed: int) -> Answer:
    """``TwoNN(method="mle")``, whose tenth of largest ratios is censored, where the regression leaves it out."""
    from skdim.id import TwoNN

    return Answer(float(TwoNN(method="mle").fit(x).dimension_))


def neighbour_ratios(x: Array, seed: int) -> Answer:
    """``GRIDE`` at its default, the nearest two neighbours, and what it says at larger scales, up to the 64th."""
    from skdim.id import GRIDE

    found = GRIDE(multiscale=True).fit(x)
    scales = zip(found.scales_[1:], found.dimension_scales_[1:])
    return Answer(float(found.dimension_), {f"neighbours {n} and {2 * n}": float(value) for n, value in scales})


def minimum_neighbour_distance(x: Array, seed: int) -> Answer:
    """``MiND_ML``: likelihood of the ratio of the nearest to the 21st neighbour's distance, up to D."""
    from skdim.id import MiND_ML

    return Answer(float(MiND_ML(D=x.shape[1]).fit(x).dimension_))


def persistent_homology(x: Array, seed: int) -> Answer:
    """``PH``: growth of the length of the minimum spanning tree, from fewer subsamples than its default."""
    from skdim.id import PH

    return Answer(float(PH(nsteps=_PH_SIZES, subsamples=_PH_SUBSAMPLES, random_state=seed).fit(x).dimension_))


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
NEWER: Mapping[str, Estimator] = {
    "TwoNN by likelihood": two_nearest_neighbours_by_likelihood,
    "GRIDE": neighbour_ratios,
    "MiND_ML": minimum_neighbour_distance,
    "PH": persistent_homology,
}
"""Those that came with its releases from 0.4 on, and MiND_ML."""

_CALIBRATIONS: dict[int, object] = {}
