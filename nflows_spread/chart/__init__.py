"""A trained flow as a chart of its manifold: coordinates, reconstructions, samples, density, latent directions.

- ``chart``: the ``Chart``, one object behind every read-out; ``making`` has ``chart_of``, which makes it of a flow, by
  signal-to-noise (``prior_moments``, ``prior_decomposition``), eigenvalue or energy; ``inverse`` sees that the flow
  has one on the data;
- ``readouts``: ``project``, ``reconstruct``, ``sample`` and ``manifold_log_prob``, each a chart in one call;
- ``loss``: ``ChartLoss``, which trains a flow until K coordinates of it reconstruct the data;
- ``directions``: directions of the latent space by eigenvalue, by energy in data space or by principal energy;
  ``latent_maps``: linear maps to K coordinates and back. ``nflows_spread.fitted_chart`` fits them to the error.
"""

from nflows_spread.chart.chart import Chart
from nflows_spread.chart.directions import Directions, directions_of
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.loss import ChartLoss
from nflows_spread.chart.making import chart_of
from nflows_spread.chart.readouts import manifold_log_prob, project, reconstruct, sample

__all__ = [
    "Chart",
    "ChartLoss",
    "Directions",
    "LatentMaps",
    "chart_of",
    "directions_of",
    "manifold_log_prob",
    "project",
    "reconstruct",
    "sample",
]
