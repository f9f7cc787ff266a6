"""Deprecated: where pickles of older priors look for what is in ``nflows_spread.factors.cache``."""

from nflows_spread.factors.cache import _LastDecomposition as _LastDecomposition
