"""A trained flow as a chart of its manifold: coordinates, reconstructions, samples, density, latent directions.

- ``readouts``: ``project``, ``reconstruct``, ``sample`` and ``manifold_log_prob`` at a rank, along the eigenvectors of
  AAᵀ, for a flow whose base is a ``DegenerateGaussian``;
- ``chart``: coordinates by signal-to-noise, which do not depend on the gauge of the latent space, for any flow;
- ``directions``: directions of the latent space by eigenvalue, by energy in data space or by principal energy, and
  reconstructions from the first of them, for any flow. ``nflows_spread.fitted_chart`` fits them to the error.
"""

from nflows_spread.chart.chart import Chart, chart_of
from nflows_spread.chart.directions import Directions, LatentMaps, directions_of
from nflows_spread.chart.readouts import manifold_log_prob, project, reconstruct, sample

__all__ = [
    "Chart",
    "Directions",
    "LatentMaps",
    "chart_of",
    "directions_of",
    "manifold_log_prob",
    "project",
    "reconstruct",
    "sample",
]
