"""A prior in pieces that is one Gaussian for the first part of a training, and then parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions import DegenerateGaussianMixture
from nflows_spread.hosts import base_of, encode
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.prior_initialization import initialize_prior
from nflows_spread.training.callbacks import TrainingState


class LatePieces:
    """A callback of ``fit``: the pieces of the prior are the same until a step, then they are fitted to the latents.

    Pieces that part at once take the curvature of a manifold on themselves, and the flow leaves it bent: its dimension
    is then read off too high. As one Gaussian they make the flow straighten it first, and then give the density that
    one Gaussian cannot. Equal pieces have equal gradients and stay equal, and so the prior that a callback finds is
    made one, of the same mean and covariance: after ``initialize_prior``, and before ``fit``, which goes on where a
    checkpoint says.

    Args:
        flow: the flow that is trained, whose base is a ``DegenerateGaussianMixture``.
        x: data, shape (n, ...), as ``initialize_prior`` takes it; the same in every process.
        step: after which the pieces part, such as half of all.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        generator: source of the noise on ``x`` and of the starts of the pieces.

    Raises:
        TypeError: the base is another, or ``step`` is no integer.
        ValueError: ``step`` is below 1, or ``x`` has fewer rows than there are pieces.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> flow = coupling_flow(2, layers=2, base=DegenerateGaussianMixture([2], 3))
        >>> part = LatePieces(flow, torch.randn(50, 2), step=10)
        >>> base_of(flow).weights.tolist() == [1 / 3] * 3
        True
    """

    in_every_process = True

    @typed
    def __init__(
        self,
        flow: nn.Module,
        x: Tensor,
        *,
        step: int,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        base = mixture_of(flow, x, context)
        if len(x) < base.pieces:
            raise ValueError(f"x must have at least {base.pieces} rows, one for each piece, got {len(x)}")
        self.step = validation.positive_int("step", step)
        self.flow, self.x, self.context, self.generator = flow, x, context, generator
        _unite(base)

    def __call__(self, state: TrainingState) -> None:
        """Part the pieces if this is the step."""
        if state.step == self.step:
            noise = state.data_noise or 0.0
            initialize_prior(self.flow, self.x, context=self.context, data_noise=noise, generator=self.generator)


@torch.no_grad()
def mixture_of(flow: nn.Module, x: Tensor, context: Tensor | None) -> DegenerateGaussianMixture:
    """The prior in pieces of a flow, if the flow takes the data that its pieces will be fitted to.

    Raises:
        TypeError: the base is no ``DegenerateGaussianMixture``.
        TypeError, ValueError: ``x`` or ``context`` is not what the flow takes.
    """
    base = base_of(flow)
    if not isinstance(base, DegenerateGaussianMixture):
        raise TypeError(f"the base of the flow must be a DegenerateGaussianMixture, got {type(base).__name__}")
    validation.two_points("x", x)
    validation.context_of(len(x), context)
    with evaluating(flow):
        z = encode(flow, x[:1], None if context is None else context[:1])
    if z[0].numel() != base.features:
        raise ValueError(f"x must have {base.features} features, got shape {tuple(x.shape)}")
    return base


@torch.no_grad()
def _unite(base: DegenerateGaussianMixture) -> None:
    """Give all pieces the mean and the covariance of the whole."""
    values, vectors = eigh_descending(base.covariance.double())
    root = vectors * values.clamp_min(0.0).sqrt()
    mean = base.mean() if base.locs is not None else base.logits.new_zeros(base.shape)
    base.assign(torch.ones(base.pieces), mean.expand(base.pieces, *base.shape), [root] * base.pieces)
