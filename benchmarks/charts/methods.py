"""Methods of the chart benchmark: the spread flow, PCA, Isomap, UMAP, FloDR, an autoencoder and a Gaussian mixture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch

from baselines.autoencoder import autoencoder
from charts.data_set import Array
from charts.mixture import mixture_by_bic
from charts.model import Method, MixtureOfCoordinates, Model, NoAnswerError
from nflows_spread.estimator import SpreadFlowEstimator

NEIGHBOURS = 10
"""Of Isomap's graph, as many as the chart of the spread flow starts from."""

_LARGEST_INVERSE = 3
"""K up to which UMAP is asked for points at coordinates, for which it needs two: 300 of them took 1 s at K = 2
and 33 s at K = 5, where a fit took 1.6 s."""


def spread_flow(x: Array, rank: int, seed: int) -> Model:
    """Ours by its default recipe, which finds K itself."""
    fitted = SpreadFlowEstimator(random_state=seed).fit(x)
    notes = {
        "chart": fitted.chart_kind_,
        "own_error": round(fitted.reconstruction_error_, 4),
        "unreconstructed": round(fitted.unreconstructed_, 4),
    }
    return Model(
        int(fitted.intrinsic_dimension_),
        encode=lambda rows: np.asarray(fitted.transform(rows)),
        decode=lambda coordinates: np.asarray(fitted.inverse_transform(coordinates)),
        sample=lambda count: np.asarray(fitted.sample(count)),
        log_prob=lambda rows: np.asarray(fitted.score_samples(rows)),
        notes=notes,
    )


def principal_components(x: Array, rank: int, seed: int) -> Model:
    """scikit-learn's ``PCA``, with its probabilistic density (Tipping and Bishop 1999)."""
    from sklearn.decomposition import PCA

    fitted = PCA(n_components=rank).fit(x)
    decode = fitted.inverse_transform
    return Model(
        rank,
        encode=fitted.transform,
        decode=decode,
        sample=MixtureOfCoordinates(fitted.transform(x), decode, seed),
        log_prob=fitted.score_samples,
    )


def isomap(x: Array, rank: int, seed: int) -> Model:
    """scikit-learn's ``Isomap``, which has no way back."""
    from sklearn.manifold import Isomap

    return Model(rank, encode=Isomap(n_neighbors=min(NEIGHBOURS, len(x) - 1), n_components=rank).fit(x).transform)


def umap(x: Array, rank: int, seed: int) -> Model:
    """umap-learn's ``UMAP`` by its defaults."""
    from umap import UMAP

    with _own_settings_of_torch():
        fitted = UMAP(n_components=rank, random_state=seed, n_jobs=1).fit(x)
    return Model(
        rank, encode=fitted.transform, decode=fitted.inverse_transform if 2 <= rank <= _LARGEST_INVERSE else None
    )


def flodr(x: Array, rank: int, seed: int) -> Model:
    """FloDR by its defaults, of 6 400 steps, on one core and in float32.

    Its coordinates are those of its flow, which sets all others to zero on the way back. What its ``score_samples``
    gives is no density of the data, see ``findings/flodr-score-samples.sh``.
    """
    if rank < 2:
        raise NoAnswerError("FloDR has at least 2 coordinates")
    from flodr import FloDR

    with _own_settings_of_torch():
        fitted = FloDR(
            n_components=rank,
            random_state=seed,
            device="cpu",
            verbose=False,
            advanced={"threads": 1, "bf16": False},
        ).fit(x.astype(np.float32))

    def encode(rows: Array) -> Array:
        return np.asarray(fitted.transform(rows.astype(np.float32)), dtype=np.float64)

    def decode(coordinates: Array) -> Array:
        return np.asarray(fitted.inverse_transform(coordinates.astype(np.float32)), dtype=np.float64)

    return Model(
        rank,
        encode=encode,
        decode=decode,
        sample=MixtureOfCoordinates(encode(x), decode, seed),
        notes={"steps": int(fitted.n_iter_), "roundtrip": float(fitted.roundtrip_)},
    )


def plain_autoencoder(x: Array, rank: int, seed: int) -> Model:
    """An autoencoder with the widths, steps, batches and held-out rows of the spread flow's chart."""
    fitted = autoencoder(torch.as_tensor(x, dtype=torch.float32), rank, seed=seed)

    def encode(rows: Array) -> Array:
        return fitted.coordinates(torch.as_tensor(rows, dtype=torch.float32)).double().numpy()

    def decode(coordinates: Array) -> Array:
        return fitted.points(torch.as_tensor(coordinates, dtype=torch.float32)).double().numpy()

    return Model(rank, encode, decode, MixtureOfCoordinates(encode(x), decode, seed))


def gaussian_mixture(x: Array, rank: int, seed: int) -> Model:
    """A Gaussian mixture of 1 to 20 components by BIC: a density and samples, and no coordinates."""
    fitted = mixture_by_bic(x, seed)
    return Model(
        rank,
        sample=lambda count: np.asarray(fitted.sample(count)[0]),
        log_prob=fitted.score_samples,
        notes={"components": int(fitted.n_components)},
    )


def _load_flodr() -> None:
    import flodr  # noqa: F401


@lru_cache(maxsize=1)
def _load_umap() -> None:
    """Compile: a first fit in a process takes 9 s and a second one 1.5 s."""
    points = np.random.default_rng(0).normal(size=(60, 3))
    model = umap(points, 2, 0)
    if model.encode is not None and model.decode is not None:
        model.decode(model.encode(points[:5] + 0.1))


OURS, PCA, FLODR, MIXTURE = "spread flow", "PCA", "FloDR", "Gaussian mixture"
METHODS: Mapping[str, Method] = {
    OURS: Method(spread_flow),
    PCA: Method(principal_components),
    "Isomap": Method(isomap),
    "UMAP": Method(umap, "umap-learn", _load_umap),
    FLODR: Method(flodr, "flodr", _load_flodr),
    "autoencoder": Method(plain_autoencoder),
    MIXTURE: Method(gaussian_mixture),
}
PACKAGES = ("scikit-learn", *(method.package for method in METHODS.values() if method.package))
"""Whose versions the record has."""


@contextmanager
def _own_settings_of_torch() -> Iterator[None]:
    """Settings of torch that hold for the whole process, put back.

    FloDR's training changes them, and numba, which compiles UMAP, sets the number of threads of torch too.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_rng_state(state)
