"""The learnable degenerate prior N(0, AAᵀ), and with the spread variance σ_Z² its spread version N(0, AAᵀ + σ_Z² I)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions.prior import DegeneratePrior
from nflows_spread.factors import Factor, LowerTriangularFactor
from nflows_spread.linalg.autocast import full_precision


class DegenerateGaussian(DegeneratePrior):
    """A Gaussian N(m, AAᵀ) of learnable rank, with the spread prior N(m, AAᵀ + σ_Z² I) as its density.

    Put it in the place of ``StandardNormal`` as the base of an nflows ``Flow``, of ``DiagGaussian`` as the
    ``q0`` of a normflows ``NormalizingFlow``, or of ``DiagNormal`` as the ``base`` of a zuko ``Flow``. At
    the start A is the identity, so the flow starts from the standard Gaussian it had. ``log_prob`` is the
    density of the spread prior (equation 12), which exists whatever the rank of A; ``sample`` draws from the
    degenerate prior itself, whose samples the flow maps onto the manifold (section 3).

    Args:
        shape: shape of one latent, without the batch dimension; a number for one feature axis, as in normflows.
        spread_variance: σ_Z², the variance of the noise that spreads the latent, in latent units squared; 1e-4 where
            neither it nor ``spread_std`` is given. Never trained.
        spread_std: σ_Z itself, in latent units, in place of its square.
        factor: builds the parametrisation of AAᵀ from the number of latent features D; one of the
            kinds of ``nflows_spread.factors``, by default the paper's.
        learn_mean: whether the prior has a mean m, 0 at the start. The paper's has none; then an
            offset that the flow does not remove shows up as one spurious large eigenvalue.

    Raises:
        TypeError: ``shape`` is neither a size nor a sequence of sizes, or ``factor`` is built already.
        ValueError: ``shape`` is empty or has an entry below 1, ``spread_variance`` or ``spread_std`` is not positive,
            or both are given.

    Example:
        >>> base = DegenerateGaussian([3])
        >>> base.log_prob(torch.zeros(5, 3)).shape
        torch.Size([5])
        >>> base.sample(4, rank=2).shape
        torch.Size([4, 3])
    """

    @typed
    def __init__(
        self,
        shape: int | Sequence[int],
        *,
        spread_variance: float | None = None,
        spread_std: float | None = None,
        factor: Callable[[int], Factor] = LowerTriangularFactor,
        learn_mean: bool = False,
    ) -> None:
        super().__init__(shape, spread_variance, spread_std)
        if isinstance(factor, nn.Module):
            raise TypeError(f"factor must build a factor from D, got a {type(factor).__name__} itself; pass its class")
        self.factor = factor(self.features)
        self.loc = nn.Parameter(torch.zeros(self.shape)) if learn_mean else None

    @property
    def has_rsample(self) -> bool:
        """Whether samples pass gradients to all parameters: not those of a ``SpreadCholeskyFactor``."""
        return getattr(self.factor, "matrix_has_gradient", True)

    def observe(self, z: Tensor) -> None:
        with torch.no_grad():
            self.factor.observe(self._observed(self.flatten(z)), self.spread_variance)

    def with_factor(self, factor: Callable[[int], Factor]) -> DegenerateGaussian:
        """A prior with the same mean, covariance and spread variance, and another kind of factor.

        A kind that cannot represent AAᵀ takes its best approximation: ``LowRankFactor.of_rank(r)``, if the
        rank of AAᵀ is above r, takes E_r √Λ_r, which is the closest both in the norm of AAᵀ and in the
        Kullback-Leibler divergence of the spread prior. All other kinds represent every AAᵀ exactly.
        The spread density is the same too, unless this prior has a ``SpreadCholeskyFactor`` of which
        eigenvalues below 0 were clipped. Costs O(D³) once, or O(D r²) where this prior's factor has r columns.

        Args:
            factor: builds the new factor from the number of latent features D.

        Returns:
            A new distribution of the same dtype, on the same device; this one stays as it is.

        Example:
            >>> from nflows_spread.factors import LowRankFactor
            >>> DegenerateGaussian([8]).with_factor(LowRankFactor.of_rank(2)).eigenvalues.sum()
            tensor(2., dtype=torch.float64)
        """
        converted = copy.deepcopy(self)
        like = self._like()
        converted.factor = factor(self.features)
        cast(nn.Module, converted.factor).to(like).train(self.training)
        converted.factor.assign(self.factor.matrix(self.spread_variance), self.spread_variance)
        return converted

    @property
    def _offset(self) -> Tensor | None:
        return self.loc

    def _log_prob(self, inputs: Tensor, context: Tensor | None) -> Tensor:
        return self.factor.log_prob(self.flatten(validation.floating("inputs", inputs)), self.spread_variance)

    def sample(
        self,
        num_samples: int,
        context: Tensor | None = None,
        batch_size: int | None = None,
        *,
        rank: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Exact samples of N(m, AAᵀ), or of its projection on the leading eigenvectors.

        Args:
            num_samples: samples to draw, for each row of the context if there is one.
            context: ignored but for its number of rows, as in nflows' ``StandardNormal``.
            batch_size: draw so many at a time; the result is the same in law.
            rank: K for samples m + E_K √Λ_K ε (section 3); None for the full m + A ε.
            generator: source of the randomness.

        Returns:
            Shape (num_samples, *shape), or (len(context), num_samples, *shape) with a context, in
            the dtype and on the device of the parameters.

        Raises:
            TypeError: ``num_samples``, ``batch_size`` or ``rank`` is no integer.
            ValueError: one of them is out of range.
        """
        validation.positive_int("num_samples", num_samples)
        root = self._root(rank)

        def draw(size: int) -> Tensor:
            noise = torch.empty(size, root.shape[1], dtype=root.dtype, device=root.device).normal_(generator=generator)
            with full_precision(noise):
                return self.unflatten(noise @ root.mT)

        return self._drawn(num_samples, context, batch_size, draw)

    def _root(self, rank: int | None) -> Tensor:
        """A matrix R, (D, r), with RRᵀ = AAᵀ, or its best approximation of the given rank, E_K √Λ_K."""
        if rank is None:
            return self.factor.matrix(self.spread_variance)
        rank = validation.rank_within(rank, self.features)
        values, vectors = self.eigh()
        return (vectors[:, :rank] * values[:rank].sqrt()).to(self._like().dtype)

    def _like(self) -> Tensor:
        """A tensor of the dtype and on the device of A."""
        factor = cast(nn.Module, self.factor)
        return next(chain(factor.parameters(), factor.buffers()))

    def _mean(self, context: Tensor | None) -> Tensor:
        # a copy: what a caller does with it must not move the prior
        loc = self.loc.clone() if self.loc is not None else self._like().new_zeros(self.shape)
        return loc if context is None else loc.repeat(len(context), *[1] * len(self.shape))

    @property
    def covariance(self) -> Tensor:
        """AAᵀ, shape (D, D), of the flattened latent; differentiable for factors that parametrise A itself."""
        factor = self.factor.matrix(self.spread_variance)
        with full_precision(factor):
            return factor @ factor.mT

    def eigh(self) -> tuple[Tensor, Tensor]:
        """Λ (D,) and E (D, D, in columns) of AAᵀ in descending order, float64, at one decomposition's cost.

        The last decomposition is kept until AAᵀ changes. Where E is not needed, ``eigenvalues`` costs a fraction of it.
        """
        return self.factor.eigh(self.spread_variance)

    @property
    def eigenvalues(self) -> Tensor:
        """Λ, the eigenvalues of AAᵀ in descending order, shape (D,), float64, in latent units squared."""
        return self.factor.eigenvalues(self.spread_variance)
