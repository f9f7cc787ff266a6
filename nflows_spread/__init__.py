"""Normalizing flows for data that lies on a manifold: an add-on to nflows, normflows and zuko.

Swap the base of a flow for a ``DegenerateGaussian``, train with ``SpreadKLLoss``, then read off the
intrinsic dimension, a representation, and samples on the manifold.
"""

from nflows_spread.atlas import Atlas, atlas_of
from nflows_spread.chart import Chart, ChartLoss, chart_of, manifold_log_prob, project, reconstruct, sample
from nflows_spread.conversion import to_volume_preserving, volume_error
from nflows_spread.dimension.informative import InformativeDimensions, informative_dimensions
from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum
from nflows_spread.dimension.spectra import intrinsic_dimension, spectrum
from nflows_spread.dimension.without_flow import dimension_of
from nflows_spread.distributions import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.hosts import base_of, decode, encode, swap_base
from nflows_spread.initialization import initialize, initialize_prior
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.piece_number import choose_pieces

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "Chart",
    "ChartLoss",
    "DegenerateGaussian",
    "DegenerateGaussianMixture",
    "InformativeDimensions",
    "IntrinsicDimension",
    "Spectrum",
    "SpreadKLLoss",
    "atlas_of",
    "base_of",
    "chart_of",
    "choose_pieces",
    "decode",
    "dimension_of",
    "encode",
    "informative_dimensions",
    "initialize",
    "initialize_prior",
    "intrinsic_dimension",
    "manifold_log_prob",
    "project",
    "reconstruct",
    "sample",
    "spectrum",
    "swap_base",
    "to_volume_preserving",
    "volume_error",
]
