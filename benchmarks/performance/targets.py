"""All targets of the performance benchmark: the largest ratios, exponents, seconds and errors that are good.

Each is a choice, and ``docs/performance.md`` says what was found. The sections take theirs from here; contenders have
the names that they have there, and a target of one that sits a race out is not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from performance.races import GrowthTarget, Target

_FACTORS = ("LowerTriangularFactor", "SpreadCholeskyFactor", "LowRankFactor, 64 columns", "RunningAverageFactor")
_DENSE, _SPREAD_CHOLESKY, _LOW_RANK, _ = _FACTORS
_NORMAL, _NORMAL_FLOAT32 = "MultivariateNormal float64", "MultivariateNormal float32"
_PEERS_OF_COUPLINGS = ("nflows", "normflows", "FrEIA, GINCouplingBlock", "FrEIA, AllInOneBlock(gin_block=True)")

_TRIED_TINY_PRIOR = (
    "up to 32 features one product with the inverse of the Cholesky factor in the place of each substitution, σ_Z² and "
    "the constants folded into products, numbers instead of tensors of one entry; what is left are some thirty calls"
)
_TRIED_LOW_RANK = (
    "the points are passed over once less, C⁻¹ is formed once, and the gradient's last product is in the factor's own "
    "precision; what is left is float64 for all that cancels, twice the work"
)
_TRIED_TINY_COUPLING = (
    "where one feature is centred alone it is only shifted, by one product that leaves out the scale, and another "
    "one selects what the net sees, in the place of two splits, a sum and a join. The same products written out by "
    "hand, without modules around them, take 1.10"
)
_TRIED_COUPLING = (
    "one gradient for split, scale and join together: 1 to 4 % by the processor, and none on images; one for the scale "
    "alone less than 1 %; powers of two in the place of exponentials 1 %. What a split and a join cost alone is in the "
    "table"
)
_TRIED_RUNNING_AVERAGE = (
    "at 784 features 4 ms of Cholesky decomposition, made in place, 2 of the product and "
    "2.5 of two substitutions, beside the network's 41; float32 loses the flat directions, and an update of the old "
    "factor costs as much as a new one. A lag spares the decomposition"
)

PRIOR: Mapping[int, Sequence[Target]] = {
    2: [Target(name, _NORMAL, 1 / 2, _TRIED_TINY_PRIOR) for name in _FACTORS],
    784: [Target(_DENSE, _NORMAL, 1 / 2.3), Target(_DENSE, _NORMAL_FLOAT32, 1 / 1.5)],
    3072: [
        Target(_DENSE, _NORMAL, 1 / 2.3),
        Target(_DENSE, _NORMAL_FLOAT32, 1 / 2),
        Target(_SPREAD_CHOLESKY, _NORMAL, 1 / 15),
        Target(_LOW_RANK, _NORMAL, 1 / 60),
        Target(_LOW_RANK, "LowRankMultivariateNormal float64", 1.0),
        Target(_LOW_RANK, "LowRankMultivariateNormal float32", 1.0, _TRIED_LOW_RANK),
    ],
}
"""Of the prior's time, by the number of features."""

PRIOR_GROWTH = GrowthTarget("prior", "D", _SPREAD_CHOLESKY, 2.2)
"""Of the exponent of D with which the time of a prior by its Cholesky factor grows."""

PRIOR_ERROR = 1e-4
"""Of the prior in float32 on a degenerate covariance, relative to float64: values and gradients."""

PRIOR_PRECISION_SECONDS = 60.0
"""So long may it take to measure one such error."""


def _coupling(over_nets: float, tried: str) -> list[Target]:
    """A bound over the nets alone, and no peer is faster."""
    peers = [Target("ours", peer, 1.0) for peer in _PEERS_OF_COUPLINGS]
    return [Target("ours", "the nets alone", over_nets, tried), *peers]


COUPLINGS: Mapping[str, Sequence[Target]] = {
    "two features": _coupling(1.1, _TRIED_TINY_COUPLING),
    "vectors": _coupling(1.1, _TRIED_COUPLING),
    "images": _coupling(1.2, _TRIED_COUPLING),
}
"""Of a coupling's forward and backward pass."""

GLOW: Mapping[str, Sequence[Target]] = {
    "contiguous": [Target("ours", "the net alone", 1.3), Target("ours", "normflows' GlowBlock", 1.0)],
    "channels_last": [Target("ours", "the net alone", 1.3)],
}
"""Of a Glow step, by its layout."""

TRAINING: Sequence[Target] = [
    Target("RunningAverageFactor", "fixed prior", 1.25, _TRIED_RUNNING_AVERAGE),
    Target("RunningAverageFactor, lag 0.05", "fixed prior", 1.25),
    Target("SpreadCholeskyFactor", "fixed prior", 1.25),
]
"""Of a whole training step of MNIST's network."""

_TRIED_PIECES = (
    "polynomials of (AᵀA)⁻¹, with corrections in float32: of degree 3, which this A needs, they take two products of "
    "matrices more than at the start, and of degree 2 one; a Cholesky decomposition for each piece, an update of the "
    "last eigenvectors, and AAᵀ in tridiagonal form cost more by their arithmetic alone"
)

PIECES: Mapping[str, Sequence[Target]] = {
    "start": [Target("8 tied", "one", 1.15)],
    "noise": [Target("8 tied", "one", 1.15, _TRIED_PIECES)],
    "cholesky": [Target("8 tied", "one", 1.15)],
    "low rank": [Target("8 separate", "one", 2.0)],
}
"""Of a training step of MNIST's network with eight pieces, over that with one."""

TOY_LOOP: Sequence[Target] = [Target("fit", "the plain loop", 0.5)]
"""Of the sine's training loop."""

S_CURVE_SECONDS = 90.0
"""From the S-curve's data to its dimension."""

FIT_SECONDS = 30.0
"""Of the processor, for a whole fit of 2 000 rows in 20 features, chart included."""

FIT_OVER_OTHER = 0.8
"""Such a fit's time over that of another checkout, beside which it runs."""
