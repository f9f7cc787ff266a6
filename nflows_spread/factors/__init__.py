"""How the covariance AAᵀ of the degenerate prior is parametrised: the kinds of factor behind one interface."""

from __future__ import annotations

from collections.abc import Callable

from nflows_spread.deprecation import moved_module
from nflows_spread.factors.interface import Factor
from nflows_spread.factors.low_rank import LowRankFactor
from nflows_spread.factors.low_rank_plus_diagonal import LowRankPlusDiagonalFactor
from nflows_spread.factors.lower_triangular import LowerTriangularFactor
from nflows_spread.factors.running_average import RunningAverageFactor
from nflows_spread.factors.spread_cholesky import SpreadCholeskyFactor
from nflows_spread.registry import Registry

__all__ = [
    "KINDS",
    "Factor",
    "LowRankFactor",
    "LowRankPlusDiagonalFactor",
    "LowerTriangularFactor",
    "RunningAverageFactor",
    "SpreadCholeskyFactor",
]

KINDS: Registry[Callable[..., Factor]] = Registry(
    "a kind of factor",
    {
        kind.__name__: kind
        for kind in (
            LowerTriangularFactor,
            SpreadCholeskyFactor,
            LowRankFactor,
            LowRankPlusDiagonalFactor,
            RunningAverageFactor,
        )
    },
)
"""All kinds by name. ``KINDS[type(factor).__name__](features, **factor.options())`` is a new one of the same kind.

``KINDS.register(Kind.__name__, Kind)`` adds one, so that a model that is saved with it can be loaded again.
"""

moved_module(
    f"{__name__}.trained",
    {name: f"{__name__}.{name}" for name in ("LowRankFactor", "LowerTriangularFactor", "SpreadCholeskyFactor")},
)

moved_module(
    "nflows_spread.factors.memory",
    {"_LastDecomposition": "nflows_spread.factors.cache._LastDecomposition"},
)
