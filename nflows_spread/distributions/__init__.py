"""Learnable degenerate priors: a Gaussian N(m, AAᵀ), or a mixture of them; the density is that of the spread prior."""

from nflows_spread.distributions.gaussian import DegenerateGaussian
from nflows_spread.distributions.mixture import DegenerateGaussianMixture
from nflows_spread.distributions.prior import DegeneratePrior

__all__ = ["DegenerateGaussian", "DegenerateGaussianMixture", "DegeneratePrior"]
