"""Gaussian algebra as pure tensor functions.

The spread prior N(0, AAᵀ + σ_Z² I) of equation 12 and the degenerate prior N(0, AAᵀ), for each way
to give AAᵀ. Inputs may be of any floating dtype; the arithmetic is done in float64, because forming
AAᵀ + σ_Z² I in float32 loses exactly the flat directions that the method is about, and densities are
returned in the dtype of the points. Distances between points, for the same reason, are here too.
"""

from nflows_spread.linalg.autocast import full_precision, under_autocast
from nflows_spread.linalg.cholesky import (
    cholesky_entries_of,
    cholesky_log_prob,
    covariance_from_cholesky,
    spread_cholesky_of,
)
from nflows_spread.linalg.dense import (
    covariance_cholesky,
    covariance_log_prob,
    log_prob_from_cholesky,
    spread_log_prob,
)
from nflows_spread.linalg.distances import Neighbours, distances_between, nearest_neighbours
from nflows_spread.linalg.low_rank import low_rank_eigenvalues, low_rank_eigh, low_rank_log_prob, low_rank_of
from nflows_spread.linalg.spectra import (
    add_to_diagonal,
    average_in,
    covariance_of,
    diagonal_log_prob,
    eigenvalues_descending,
    eigh_descending,
    factor_eigh,
    generalised_eigh,
    kernel_negative_entropy,
    log_pointwise_signal_to_noise,
    low_rank_generalised_eigenvalues,
    positive_root,
    second_moment_of,
    with_fixed_signs,
)
from nflows_spread.linalg.spread import lower_factor_of, spread_cholesky, spread_covariance
from nflows_spread.linalg.transformed import under_transforms

__all__ = [
    "Neighbours",
    "add_to_diagonal",
    "average_in",
    "cholesky_entries_of",
    "cholesky_log_prob",
    "covariance_cholesky",
    "covariance_from_cholesky",
    "covariance_log_prob",
    "covariance_of",
    "diagonal_log_prob",
    "distances_between",
    "eigenvalues_descending",
    "eigh_descending",
    "factor_eigh",
    "full_precision",
    "generalised_eigh",
    "kernel_negative_entropy",
    "log_pointwise_signal_to_noise",
    "log_prob_from_cholesky",
    "low_rank_eigenvalues",
    "low_rank_eigh",
    "low_rank_generalised_eigenvalues",
    "low_rank_log_prob",
    "low_rank_of",
    "lower_factor_of",
    "nearest_neighbours",
    "positive_root",
    "second_moment_of",
    "spread_cholesky",
    "spread_cholesky_of",
    "spread_covariance",
    "spread_log_prob",
    "under_autocast",
    "under_transforms",
    "with_fixed_signs",
]
