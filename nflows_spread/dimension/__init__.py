"""Intrinsic dimension: estimates by a flow, by distances and by density, their consensus, and local dimensions.

- of a flow: ``latents`` (moments of the encoded data), ``spectra`` (μ and Λ), ``standard_errors`` (of μ),
  ``quick_spectrum`` (a fast μ), ``rules`` (what a spectrum says), ``density`` (its score and denoiser),
  ``ambient_noise`` (noise in the data), ``encoder`` (float32 or float64), ``informative`` (dimensions that labels
  differ in);
- of distances between points, without a flow: ``without_flow`` (of an array), ``neighbours``, ``scales`` (dimension
  against scale) and ``pointwise``, by ``maximum_likelihood`` and ``calibration_curve``; ``distinct_points``,
  ``even_spacing``, ``time_order``, ``variation``, ``shells``, ``unfilled_spans``, ``polynomial_equations``,
  ``independent_columns`` and ``column_scales`` say what points they are;
  ``neighbour_search``, ``precomputed`` and ``row_sample`` bring them;
- of principal axes, without a flow: ``tangent_spaces``, local ones, and ``noise_floor``, of noise in every column;
- of all: ``consensus``.
"""

from nflows_spread.dimension.consensus import consensus_dimension, estimates_of
from nflows_spread.dimension.density import DensityDimension, denoise, density_dimension, posterior_mean
from nflows_spread.dimension.estimates import VOTES, Estimates, register_vote
from nflows_spread.dimension.informative import InformativeDimensions, informative_dimensions
from nflows_spread.dimension.neighbours import NeighbourDimension, neighbour_dimension
from nflows_spread.dimension.point_dimension import PointDimension
from nflows_spread.dimension.pointwise import LocalDimensions, local_dimensions, pointwise_dimension
from nflows_spread.dimension.rules import RULES, IntrinsicDimension, Spectrum, decide, register_rule
from nflows_spread.dimension.scales import DimensionAgainstScale
from nflows_spread.dimension.spectra import intrinsic_dimension, pointwise_spectrum, spectrum
from nflows_spread.dimension.stable_subspaces import StableSubspace
from nflows_spread.dimension.tangent_spaces import TangentSpaces, tangent_spaces
from nflows_spread.dimension.without_flow import dimension_of

__all__ = [
    "RULES",
    "VOTES",
    "DensityDimension",
    "DimensionAgainstScale",
    "Estimates",
    "InformativeDimensions",
    "IntrinsicDimension",
    "LocalDimensions",
    "NeighbourDimension",
    "PointDimension",
    "Spectrum",
    "StableSubspace",
    "TangentSpaces",
    "consensus_dimension",
    "decide",
    "denoise",
    "density_dimension",
    "dimension_of",
    "estimates_of",
    "informative_dimensions",
    "intrinsic_dimension",
    "local_dimensions",
    "neighbour_dimension",
    "pointwise_dimension",
    "pointwise_spectrum",
    "posterior_mean",
    "register_rule",
    "register_vote",
    "spectrum",
    "tangent_spaces",
]
