"""Deprecated: ``Units``, with which older estimators were pickled, is in ``nflows_spread.estimator.units``."""

from nflows_spread.deprecation import moved_names

__getattr__ = moved_names(__name__, {"Units": "nflows_spread.estimator.units.Units"})
