"""Plots: dimension, dimension against scale, spectrum, chart, samples, reconstructions, density, pieces, by matplotlib.

Each takes what this package returns, a fitted ``SpreadFlowEstimator`` or what is read off a flow; each draws into
``ax``, or a new figure, and returns the axes.
"""

from nflows_spread.plots.against_scale import scale
from nflows_spread.plots.atlas_pieces import pieces
from nflows_spread.plots.colours import DATA_COLOUR, MODEL_COLOUR, REFERENCE_COLOUR
from nflows_spread.plots.coordinates import chart
from nflows_spread.plots.deprecated import (
    plot_density,
    plot_dimension_against_scale,
    plot_dimensions,
    plot_images,
    plot_points,
    plot_representation,
    plot_spectrum,
)
from nflows_spread.plots.dimension_estimates import dimension
from nflows_spread.plots.eigenvalues import spectrum
from nflows_spread.plots.image_grid import images
from nflows_spread.plots.log_densities import density
from nflows_spread.plots.reconstruction_errors import reconstructions
from nflows_spread.plots.sample_clouds import samples

__all__ = [
    "DATA_COLOUR",
    "MODEL_COLOUR",
    "REFERENCE_COLOUR",
    "chart",
    "density",
    "dimension",
    "images",
    "pieces",
    "plot_density",
    "plot_dimension_against_scale",
    "plot_dimensions",
    "plot_images",
    "plot_points",
    "plot_representation",
    "plot_spectrum",
    "reconstructions",
    "samples",
    "scale",
    "spectrum",
]
