"""Deprecated: ``Recipe`` is in ``nflows_spread.estimator``."""

from nflows_spread.deprecation import moved_names

__getattr__ = moved_names(__name__, {"Recipe": "nflows_spread.estimator.Recipe"})
