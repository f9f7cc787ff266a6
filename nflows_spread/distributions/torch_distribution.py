"""Degenerate priors as ``torch.distributions.Distribution``, which zuko asks a base for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

if TYPE_CHECKING:
    from nflows_spread.distributions.prior import DegeneratePrior


class PriorDistribution(Distribution):
    """A prior in torch's interface: ``log_prob`` is the spread density, samples are those of the degenerate prior.

    It holds the prior and no copy, so it follows the prior's parameters and passes gradients to them.

    Args:
        prior: the prior.
        batch_shape: the same prior so many times, as ``expand`` makes it.

    Shapes:
        points (..., *shape), where the leading dimensions follow torch's rules for ``batch_shape``.
    """

    arg_constraints = {}  # noqa: RUF012, as torch declares it

    def __init__(self, prior: DegeneratePrior, batch_shape: Sequence[int] = ()) -> None:
        self.prior = prior
        self.has_rsample = prior.has_rsample  # not where a piece is drawn, or A is read off its spread covariance
        super().__init__(torch.Size(batch_shape), prior.shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """All points of the prior's shape."""
        return constraints.independent(constraints.real, len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        """m, shape (*batch_shape, *shape)."""
        mean: Tensor = self.prior.mean()
        return mean.expand(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        """The diagonal of AAᵀ, shape (*batch_shape, *shape)."""
        variance = self.prior.covariance.diagonal().view(self.event_shape)
        return variance.expand(self.batch_shape + self.event_shape)

    def expand(self, batch_shape: Sequence[int], _instance: PriorDistribution | None = None) -> PriorDistribution:
        """The same prior with another ``batch_shape``."""
        return PriorDistribution(self.prior, batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(z; m, AAᵀ + σ_Z² I), of the leading shape of ``value`` and ``batch_shape`` together.

        Raises:
            ValueError: the last dimensions of ``value`` are not those of the prior.
        """
        leading = value.shape[: value.dim() - len(self.event_shape)]
        rows = value.reshape(-1, *value.shape[len(leading) :])
        log_prob: Tensor = self.prior.log_prob(rows)
        return log_prob.view(leading).expand(torch.broadcast_shapes(leading, self.batch_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples m + A ε, shape (*sample_shape, *batch_shape, *shape)."""
        shape = torch.Size(sample_shape) + self.batch_shape
        if shape.numel() == 0:
            return self.mean.new_empty(shape + self.event_shape)
        samples: Tensor = self.prior.sample(shape.numel())
        return samples.view(shape + self.event_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """As ``rsample``, without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)
