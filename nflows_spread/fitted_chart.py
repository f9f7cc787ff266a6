"""Directions of a flow's latent space that are fitted to the error of reconstructions: an autoencoder's bottleneck.

Principal energy, see ``nflows_spread.chart.directions``, is right as far as the decoder is linear. Between an image and
what a few of its latents leave of it no decoder is, so the maps to K coordinates and back go on from there by gradient
descent on the error itself. Needs the extra ``train``.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR

from nflows_spread import validation
from nflows_spread.chart import Directions, LatentMaps, directions_of
from nflows_spread.hosts import decode, encode
from nflows_spread.training import NotFiniteError, fit

_COMPARED = 500  # rows of the data, or half of it, that the result is checked on and not fitted to


class LatentBottleneck(nn.Module):
    """Error of the reconstructions of data x (n, ...) from K coordinates of its latents, the mean square: for ``fit``.

    The maps are W P and Qᵀ Rᵀ, with W and R to and from coordinates of variance 1; P and Q, (D, K), are learned.

    Args:
        flow: left as it is; a frozen copy of it is used, in evaluation mode.
        directions: where P and Q start, at the principal energy.
        rank: K.
    """

    def __init__(self, flow: nn.Module, directions: Directions, rank: int) -> None:
        super().__init__()
        self._directions = directions
        frozen = deepcopy(flow).eval().requires_grad_(False)
        self._encode, self._decode = partial(encode, frozen), partial(decode, frozen)  # no submodule: not trained
        self.p = nn.Parameter(directions.principal[:, :rank].clone())
        self.q = nn.Parameter(directions.principal[:, :rank].clone())

    def forward(self, x: Tensor) -> Tensor:
        return (self._decode(self._maps().kept(self._encode(x))) - x).square().mean()

    @torch.no_grad()
    def maps(self) -> LatentMaps:
        """To the K coordinates and back."""
        return self._maps()

    def _maps(self) -> LatentMaps:
        directions = self._directions
        return LatentMaps(directions.mean, directions.whitening @ self.p, (directions.colouring @ self.q).mT)


@torch.enable_grad()
def fitted_maps(
    flow: nn.Module,
    x: Tensor,
    rank: int,
    *,
    directions: Directions | None = None,
    steps: int = 300,
    batch_size: int = 50,
    learning_rate: float = 5e-4,
    generator: torch.Generator | None = None,
) -> LatentMaps:
    """Latents to K coordinates and back, fitted to E‖f(m + (g(x) − m) P Q) − x‖² of the data by Adam.

    The steps of Adam are in proportion to the root of the error that there is to start with: their noise, which
    reaches all coordinates, stays below it. The defaults are those of the experiment ``cifar10``, where the fit took
    about half off the error of the first 64 of 3072 directions by eigenvalue.

    Args:
        flow: a trained flow of any host; it is left as it is.
        x: data like that it was trained on, shape (n, ...), at least two rows. The first 500 rows, or half of them
            where there are fewer than 1000, are kept aside to compare.
        rank: K, between 1 and D.
        directions: where to start, at their principal energy; by default ``directions_of(flow, x)``.
        steps: of training; the learning rate falls to 0 over them.
        batch_size: rows of a step.
        learning_rate: of Adam, where the error to start with is the whole variance of the data; below that less.
        generator: source of the order of the data, on the CPU, and of ``directions_of``.

    Returns:
        The fitted maps, or those of principal energy where fitting made the error on the compared rows no smaller.

    Raises:
        TypeError: ``flow`` is no flow, or ``x`` is no floating-point tensor.
        ValueError: ``x`` has fewer than two rows or is not finite, or K is out of range.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> flow, x = coupling_flow(3, layers=2), torch.randn(100, 3)
        >>> fitted_maps(flow, x, 2, steps=5).reconstruct(flow, x).shape
        torch.Size([100, 3])
    """
    validation.two_points("x", x)
    if directions is None:
        directions = directions_of(flow, x, generator=generator)
    start = directions.maps(rank)
    bottleneck = LatentBottleneck(flow, directions, rank)
    compared, rest = x.tensor_split([min(_COMPARED, len(x) // 2)])
    with torch.no_grad():
        before, whole = float(bottleneck(compared)), float((compared - compared.mean(0)).square().mean())
    if before == 0.0:
        return start
    try:
        fit(
            bottleneck,
            rest,
            steps=steps,
            batch_size=min(validation.positive_int("batch_size", batch_size), len(rest)),
            learning_rate=learning_rate * (min(1.0, (before / whole) ** 0.5) if whole > 0.0 else 1.0),
            learning_rate_schedule=partial(LinearLR, start_factor=1.0, end_factor=0.0, total_iters=steps),
            progress=False,
            generator=generator,
            processes=1,
        )
    except NotFiniteError:
        return start
    with torch.no_grad():
        after = float(bottleneck(compared))
    return bottleneck.maps() if after < before else start
