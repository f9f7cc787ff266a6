"""Gaussian mixture of full covariance whose number of components is chosen by the Bayesian information criterion."""

from __future__ import annotations

from typing import Any

import numpy as np

from charts.data_set import Array

MOST_COMPONENTS = 20


def mixture_by_bic(x: Array, seed: int, *, most: int = MOST_COMPONENTS) -> Any:
    """scikit-learn's ``GaussianMixture`` of rows (n, D), by its defaults, with the best of 1 to ``most`` components."""
    from sklearn.mixture import GaussianMixture

    counts = range(1, min(most, len(x)) + 1)
    fitted = [GaussianMixture(count, random_state=seed).fit(x) for count in counts]
    return fitted[int(np.argmin([mixture.bic(x) for mixture in fitted]))]
