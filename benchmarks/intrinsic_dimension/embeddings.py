"""Random smooth embeddings: maps drawn from a seed, of declared smoothness, with standardised images."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from intrinsic_dimension.embedded_manifold import Draw, EmbeddedManifold, uniform
from nflows_spread.linalg.moments import root_mean_variance

Map = Callable[[Tensor], Tensor]

_REFERENCE_POINTS = 4096
_FOURIER_FEATURES = 256
_HIDDEN_FEATURES_A_DIMENSION = 16
_SMALLEST_HIDDEN_LAYER = 64


def fourier(
    dimension: int, features: int, *, seed: int, length_scale: float = 1.0, parameters: Draw | None = None
) -> EmbeddedManifold:
    """D draws of a smooth Gaussian process over [−1, 1]^K, by random Fourier features.

    The covariance of each coordinate of x between parameters u and v is exp(−‖u − v‖² / 2ℓ²K), so
    that x bends at distances of about ℓ√K, in comparison with a typical distance of 0.8 √K between
    two parameters. An immersion almost surely for D ≥ 2K.

    Args:
        dimension: K.
        features: D.
        seed: of the map.
        length_scale: ℓ; the larger, the flatter.
        parameters: distribution over [−1, 1]^K; uniform if None.
    """
    generator = torch.Generator().manual_seed(seed)
    embed = _fourier_map(dimension, features, length_scale, generator)
    drawn = parameters or uniform(dimension)
    return EmbeddedManifold(
        f"fourier {dimension} in {features}", features, dimension, drawn, standardised(embed, drawn)
    )


def layered(
    dimension: int, features: int, *, seed: int, gain: float = 1.0, parameters: Draw | None = None
) -> EmbeddedManifold:
    """The image of [−1, 1]^K under a random network with two hidden layers of tanh.

    Args:
        dimension: K.
        features: D.
        seed: of the map.
        gain: standard deviation of what enters the units of a hidden layer; the larger, the more curved.
        parameters: distribution over [−1, 1]^K; uniform if None.
    """
    generator = torch.Generator().manual_seed(seed)
    width = max(_SMALLEST_HIDDEN_LAYER, _HIDDEN_FEATURES_A_DIMENSION * dimension)
    first = _normal(dimension, width, generator) * gain * math.sqrt(3.0 / dimension)
    second = _normal(width, width, generator) * gain * math.sqrt(3.0 / width)
    last = _normal(width, features, generator) / math.sqrt(width)
    first_bias, second_bias = 0.5 * _normal(1, width, generator), 0.5 * _normal(1, width, generator)

    def embed(u: Tensor) -> Tensor:
        return torch.tanh(torch.tanh(u @ first + first_bias) @ second + second_bias) @ last

    drawn = parameters or uniform(dimension)
    return EmbeddedManifold(
        f"layered {dimension} in {features}", features, dimension, drawn, standardised(embed, drawn)
    )


def hills(dimension: int, *, seed: int, height: float = 0.5, length_scale: float = 0.6) -> EmbeddedManifold:
    """The graph of a smooth random function over [−1, 1]^K, turned at random in D = K + 1 dimensions.

    Args:
        dimension: K.
        seed: of the function and the turn.
        height: standard deviation of the function, beside 0.58 of the parameters.
        length_scale: of the function, as in ``fourier``.
    """
    generator = torch.Generator().manual_seed(seed)
    heights = _fourier_map(dimension, 1, length_scale, generator)
    turn = orthonormal(dimension + 1, dimension + 1, generator)
    return EmbeddedManifold(
        f"hills {dimension} in {dimension + 1}",
        dimension + 1,
        dimension,
        uniform(dimension),
        lambda u: torch.cat([u, height * heights(u)], dim=1) @ turn,
    )


def orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix with orthonormal rows, (rows, columns), rows ≤ columns."""
    q, _ = torch.linalg.qr(_normal(columns, rows, generator))
    return q.T


def standardised(embed: Map, parameters: Draw) -> Map:
    """The map, moved and scaled as a whole so that its image has mean 0 and a mean variance of 1 a feature."""
    x = embed(parameters(_REFERENCE_POINTS, torch.Generator().manual_seed(0)))
    mean, scale = x.mean(dim=0), root_mean_variance(x, correction=1)
    return lambda u: (embed(u) - mean) / scale


def _fourier_map(dimension: int, features: int, length_scale: float, generator: torch.Generator) -> Map:
    frequencies = _normal(dimension, _FOURIER_FEATURES, generator) / (length_scale * math.sqrt(dimension))
    phases = 2.0 * math.pi * torch.rand(_FOURIER_FEATURES, generator=generator, dtype=torch.float64)
    weights = _normal(_FOURIER_FEATURES, features, generator) * math.sqrt(2.0 / _FOURIER_FEATURES)
    return lambda u: torch.cos(u @ frequencies + phases) @ weights


def _normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)
