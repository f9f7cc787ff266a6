"""Dead components of a Gaussian mixture prior, started again in training: each takes half of the largest one."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions import DegenerateGaussianMixture
from nflows_spread.distributions.latent_pieces import blocks_of, pieces_of_latents
from nflows_spread.linalg.eigen import principal_axes
from nflows_spread.prior_initialization import noisy_latents
from nflows_spread.training.callbacks import TrainingState
from nflows_spread.training.late_pieces import mixture_of

_ROWS = 4000
"""Rows that are asked whose they are: a choice, for time; half of them fit, and half decide."""

_FEWEST_ROWS = 10
"""Rows of a piece, in the half that fits, from which on it is parted: a choice."""

_STEP = 0.5
"""Standard deviations by which two parts of one covariance are apart from its mean: a choice, at which two Gaussians of
half the weight are nearly the one."""


class RestartedPieces:
    """A callback of ``fit``: a piece that hardly any data belongs to is started again with half of the largest one.

    At every so many steps the responsibilities of all pieces are averaged over the same rows of data, with fresh noise
    at the present σ_x. A piece whose share is below a floor is dead: the largest piece is parted along its longest
    axis, or where pieces have no means into an inner and an outer part, expectation maximisation goes on from there on
    the rows of that piece, and the two parts take the places of both; or, if that is likelier on other rows, two parts
    that together have its mean and covariance. It stays so if the likelihood of other rows does not fall. Between
    checks it knows nothing, so that a resumed run goes on with the same bits.

    Args:
        flow: the flow that is trained, whose base is a ``DegenerateGaussianMixture``.
        x: data, shape (n, ...), of which at most the first 4 000 rows are used; the same in every process.
        every: steps between checks.
        floor: the share below which a piece is dead, over that of pieces that are all of one weight, 1 / M.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        seed: of the noise on ``x``; each check has its own.

    Attributes:
        restarted: steps and numbers of the pieces that were, in this run, as pairs.

    Raises:
        TypeError: the base is another, or ``every`` or ``seed`` is no integer.
        ValueError: a number is out of range, or ``x`` has fewer than two rows.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> flow = coupling_flow(2, layers=2, base=DegenerateGaussianMixture([2], 3))
        >>> RestartedPieces(flow, torch.randn(50, 2), every=100).restarted
        []
    """

    in_every_process = True

    @typed
    def __init__(
        self,
        flow: nn.Module,
        x: Tensor,
        *,
        every: int = 500,
        floor: float = 0.05,
        context: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        base = mixture_of(flow, x, context)
        self.every, self.floor = validation.positive_int("every", every), validation.positive("floor", floor)
        if self.floor >= 1.0:
            raise ValueError(f"floor must be below 1, the share of pieces of one weight, got {floor}")
        self.seed = validation.seed("seed", seed)
        self.flow, self.base = flow, base
        self.x, self.context = x[:_ROWS], None if context is None else context[:_ROWS]
        self.restarted: list[tuple[int, int]] = []

    def __call__(self, state: TrainingState) -> None:
        """Start the dead pieces again if this is the step of a check."""
        if self.base.pieces == 1 or state.step % self.every:
            return
        generator = torch.Generator(self.x.device).manual_seed((self.seed + state.step) % 2**64)
        latents = noisy_latents(self.flow, self.x, self.context, state.data_noise or 0.0, generator)
        z = torch.cat(list(latents())).to(self.base.logits.dtype).unflatten(1, self.base.shape)
        self.restarted += [(state.step, piece) for piece in restart_dead_pieces(self.base, z, self.floor)]


@torch.no_grad()
def restart_dead_pieces(base: DegenerateGaussianMixture, z: Tensor, floor: float) -> list[int]:
    """Give each dead piece half of the largest one, as far as the likelihood does not fall; the numbers of those.

    Args:
        base: the prior.
        z: latents, shape (n, *shape), of which every other one decides.
        floor: as ``RestartedPieces`` has it.
    """
    fitted, held_out = z[::2], z[1::2]
    shares = base.responsibilities(z).mean(0)
    dead, alive = (shares < floor / base.pieces).nonzero().flatten().tolist(), []
    for piece in dead:
        given = base.responsibilities(fitted)
        largest = int(given.sum(0).argmax())
        rows = fitted[given[:, largest] > 0.5]
        if len(rows) < _FEWEST_ROWS or largest in dead:
            break
        likelihood, before = _likelihood(base, held_out), _state_of(base)
        found = []
        one_point = bool((rows == rows[0]).all())  # which has no two parts
        for part in (partial(_part, rows=rows), _part_by_its_own_covariance)[one_point:]:
            part(base, largest=largest, dead=piece)
            found.append((_likelihood(base, held_out), _state_of(base)))
            base.load_state_dict(before, strict=False)
        best, parted = max(found, key=lambda each: each[0])
        if not best >= likelihood:
            break  # what is left of the largest one is what the next would be offered too
        base.load_state_dict(parted, strict=False)
        alive.append(piece)
    return alive


def _likelihood(base: DegenerateGaussianMixture, z: Tensor) -> float:
    return float(base.log_prob(z).double().mean())


def _state_of(base: DegenerateGaussianMixture) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in base.state_dict().items() if torch.is_tensor(value)}


def _part(base: DegenerateGaussianMixture, *, rows: Tensor, largest: int, dead: int) -> None:
    """The two parts of the rows of the largest piece, in its place and in that of the dead one."""
    sides = torch.nn.functional.one_hot(_one_side(base, rows, largest).long(), 2).double()
    noise = base.spread_variance
    weights, means, roots = pieces_of_latents(blocks_of(rows), 2, float(noise), begun=sides)
    whole = base.logits[largest].double().clone()
    for piece, weight, mean, root in zip((largest, dead), weights, means, roots, strict=True):
        base.logits[piece] = whole + weight.log()
        if base.locs is None:
            root = torch.cat([root, mean.unsqueeze(1)], 1)
        else:
            base.locs[piece] = mean.view(base.shape)
        base.factors.assign_piece(piece, root, noise)


def _part_by_its_own_covariance(base: DegenerateGaussianMixture, *, largest: int, dead: int) -> None:
    """Both at half a standard deviation along the longest axis, or at other scales, together with about its moments.

    Where the rows of a piece are few for a covariance of their own in many features.
    """
    noise = base.spread_variance
    values, vectors = base.factors.factor_of(largest, noise).eigh(noise)
    narrowed = values.clone()
    narrowed[0] *= 1.0 - _STEP**2
    step = (_STEP * values[0].sqrt() * vectors[:, 0]).view(base.shape)
    whole, mean = base.logits[largest].double().clone(), None if base.locs is None else base.locs[largest].clone()
    for piece, side in ((largest, -1.0), (dead, 1.0)):
        base.logits[piece] = whole - math.log(2.0)
        if mean is None or base.locs is None:
            root = vectors * (values * math.exp(side * _STEP)).sqrt()
        else:
            base.locs[piece] = mean + side * step
            root = vectors * narrowed.sqrt()
        base.factors.assign_piece(piece, root, noise)


def _one_side(base: DegenerateGaussianMixture, rows: Tensor, piece: int) -> Tensor:
    """Whether a row is on one side of the longest axis, or, where pieces have no means, in the outer half, (n,)."""
    if base.locs is None:
        log_prob = base.piece(piece).log_prob(rows)
        return log_prob < log_prob.median()
    centred = (rows - rows.mean(0)).flatten(1).double()
    return (centred @ principal_axes(centred, 1)[0])[:, 0] > 0.0
