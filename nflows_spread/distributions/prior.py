"""What all degenerate priors share: shape, spread variance σ_Z², the spread itself, and how samples are asked for.

``DegenerateGaussian`` and ``DegenerateGaussianMixture`` add the density, the draws and the moments.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.data_noise import DataNoiseOwner
from nflows_spread.distributions.torch_distribution import PriorDistribution

_SPREAD_VARIANCE = 1e-4
"""σ_Z² by default, in latent units squared: that of the paper's tables, σ_Z = 0.01 (appendix B)."""


class DegeneratePrior(DataNoiseOwner):
    """A prior of latents that may lie on a manifold, and that has a density after noise of variance σ_Z² is added.

    Args:
        shape: shape of one latent, without the batch dimension; a number for one feature axis, as in normflows.
        spread_variance: σ_Z², in latent units squared.
        spread_std: σ_Z itself, in its place.

    Raises:
        TypeError: ``shape`` is neither a size nor a sequence of sizes.
        ValueError: ``shape`` is empty or has an entry below 1, ``spread_variance`` or ``spread_std`` is not positive,
            or both are given.
    """

    def __init__(self, shape: int | Sequence[int], spread_variance: float | None, spread_std: float | None) -> None:
        super().__init__()
        self.shape = validation.shape("shape", shape)
        variance = _variance_of(spread_variance, spread_std)
        self.features = math.prod(self.shape)
        # float64, so that a later .double() finds the value that was set and not its float32 rounding
        self.register_buffer("_spread_variance", torch.tensor(variance, dtype=torch.float64))

    @property
    def has_rsample(self) -> bool:
        """Whether samples pass gradients to all parameters, as ``torch.distributions`` calls it."""
        return False

    @property
    def spread_variance(self) -> Tensor:
        """σ_Z², a scalar tensor in latent units squared. Assign a positive number to change it."""
        return cast(Tensor, self._spread_variance)

    @spread_variance.setter
    def spread_variance(self, value: float) -> None:
        cast(Tensor, self._spread_variance).fill_(validation.positive("spread_variance", value))

    @property
    def spread_std(self) -> Tensor:
        """σ_Z, the square root of ``spread_variance``, a scalar tensor in latent units. Assign to change both."""
        return self.spread_variance.sqrt()

    @spread_std.setter
    def spread_std(self, value: float) -> None:
        self.spread_variance = validation.positive("spread_std", value) ** 2

    def observe(self, z: Tensor) -> None:
        """Show the latents of a training step, before the spread noise, to a factor that learns from them directly.

        ``SpreadKLLoss`` calls it in training; a loop of one's own around a ``RunningAverageFactor`` must too. Of no
        latents, and of a step that has one which is not finite, nothing is taken.
        """

    @property
    @abstractmethod
    def _offset(self) -> Tensor | None:
        """The mean m of the prior, of its shape, or None for 0."""

    def flatten(self, z: Tensor) -> Tensor:
        """z − m as rows, shape (n, D), in which the covariance, Λ and E live; m is the mean of the prior as a whole.

        Raises:
            ValueError: the latents are not of this distribution's shape.
        """
        self._check_shape(z)
        offset = self._offset
        return (z if offset is None else z - offset).flatten(1)

    def unflatten(self, rows: Tensor) -> Tensor:
        """The latents m + rows, of this distribution's shape, from rows of shape (n, D)."""
        z, offset = rows.unflatten(1, self.shape), self._offset
        return z if offset is None else z + offset

    @staticmethod
    def _observed(rows: Tensor) -> Tensor:
        """Rows as a factor sees them: where there are none, one that is not finite, of which it takes nothing.

        So a process without rows of a step takes part in what all sum up.
        """
        return rows if len(rows) else rows.new_full((1, rows.shape[1]), math.nan)

    def _check_shape(self, z: Tensor) -> None:
        if z.shape[1:] != self.shape:
            raise ValueError(
                f"latents must have shape (n, {', '.join(map(str, self.shape))}), got {tuple(z.shape)}; "
                f"build {type(self).__name__} with the shape of the flow's latents"
            )

    def forward(
        self, num_samples: int | Tensor | None = 1, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | PriorDistribution:
        """What normflows and zuko call a base for; nflows leaves it without a meaning, so one class serves all three.

        normflows asks for so many samples of the degenerate prior and the log-densities of the spread prior there, zuko
        for the distribution of torch given a context, which may be None.

        Args:
            num_samples: samples to draw. As in normflows they are paired with the rows of the context
                and not drawn for each of them. In the place of it a context, or None, as zuko's flows pass it: it is
                ignored.
            context: ignored.

        Returns:
            Shapes (num_samples, *shape) and (num_samples,); for zuko this prior as a ``PriorDistribution``.
        """
        if num_samples is None or (isinstance(num_samples, Tensor) and num_samples.dim() > 0):
            return PriorDistribution(self)
        samples = self.sample(num_samples)
        return samples, self.log_prob(samples)

    def spread(self, z: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """z̃ = z + σ_Z ε, ε ~ N(0, I), of the shape of ``z``: a sample of p(z̃ | z) (Algorithm 1)."""
        noise = torch.empty_like(validation.floating("z", z)).normal_(generator=generator)
        return torch.addcmul(z, noise, self.spread_std.to(z.dtype))

    def _drawn(
        self, num_samples: int, context: Tensor | None, batch_size: int | None, draw: Callable[[int], Tensor]
    ) -> Tensor:
        """So many samples for each row of the context, by calls of ``draw`` for a part of them each."""
        total = validation.positive_int("num_samples", num_samples) * (1 if context is None else len(context))
        chunk = total if batch_size is None else validation.positive_int("batch_size", batch_size)
        sizes = [chunk] * (total // chunk) + [total % chunk] * (total % chunk > 0)
        samples = torch.cat([draw(size) for size in sizes])
        return samples if context is None else samples.unflatten(0, (len(context), num_samples))

    def _sample(self, num_samples: int, context: Tensor | None) -> Tensor:
        samples: Tensor = self.sample(num_samples, context)
        return samples

    @property
    @abstractmethod
    def covariance(self) -> Tensor:
        """The covariance of the degenerate prior, shape (D, D), of the flattened latent."""

    @abstractmethod
    def eigh(self) -> tuple[Tensor, Tensor]:
        """Λ (D,) and E (D, D, in columns) of the covariance in descending order, float64, at one decomposition's cost.

        The last decomposition is kept until the covariance changes. Where E is not needed, ``eigenvalues`` costs a
        fraction of it.
        """

    @property
    @abstractmethod
    def eigenvalues(self) -> Tensor:
        """Λ, the eigenvalues of the covariance in descending order, shape (D,), float64, in latent units squared."""

    @property
    def eigenvectors(self) -> Tensor:
        """E, its eigenvectors as columns in the order of ``eigenvalues``, shape (D, D), float64."""
        return self.eigh()[1]


def _variance_of(variance: float | None, std: float | None) -> float:
    """σ_Z² from whichever of the two is given."""
    if variance is not None and std is not None:
        raise ValueError(
            f"either spread_variance or its root spread_std must be given, got both, {variance} and {std}; pass one"
        )
    if std is not None:
        return validation.positive("spread_std", std) ** 2
    return _SPREAD_VARIANCE if variance is None else validation.positive("spread_variance", variance)
