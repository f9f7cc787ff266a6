"""From an array to its intrinsic dimension, coordinates, samples and density: the scikit-learn estimator and its parts.

In the order in which they are used: ``recipe`` (all numbers), ``preprocessing`` with ``units`` and ``outliers`` (what
the rows are), ``annealing`` (training) with ``stable_dimension`` (when it ends), ``chart_fitting`` (coordinates) and
``local_atlas`` (where one chart is not enough), ``sampling``, ``fitting`` (from rows to all of these), ``estimator``
(the class).
"""

from nflows_spread.estimator.estimator import SpreadFlowEstimator
from nflows_spread.estimator.recipe import Recipe

__all__ = ["Recipe", "SpreadFlowEstimator"]
