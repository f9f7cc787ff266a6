"""The learnable degenerate prior in pieces, Σ_m w_m N(m_m, A_m A_mᵀ), and its spread version: a Gaussian mixture.

A volume-preserving flow keeps density values, so that with one Gaussian as prior the log-density of its own samples is
always a constant less half a chi-square. Pieces lift that, and a manifold may have several.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal, cast

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions.gaussian import DegenerateGaussian
from nflows_spread.distributions.latent_pieces import Blocks, blocks_of
from nflows_spread.distributions.mixture_fitting import fit_mixture
from nflows_spread.distributions.prior import DegeneratePrior
from nflows_spread.factors import Factor, LowerTriangularFactor
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.factors.of_pieces import factors_of_pieces, tie_of
from nflows_spread.factors.pieces import PieceFactors
from nflows_spread.linalg.autocast import full_precision
from nflows_spread.linalg.eigen import eigenvalues_descending, eigh_descending


class DegenerateGaussianMixture(DegeneratePrior):
    """A mixture Σ_m w_m N(m_m, A_m A_mᵀ), each piece of its own rank; density Σ_m w_m N(m_m, A_m A_mᵀ + σ_Z² I).

    Takes the place of ``DegenerateGaussian`` in flows of every library, ``SpreadKLLoss``, ``fit`` and read-outs, which
    see its mean and covariance as a whole; ``atlas_of`` reads each piece. At the start they are standard Gaussians of
    equal weight at slightly different scales, as equal ones would stay so; ``initialize_prior`` fits them to latents.

    Args:
        shape: shape of one latent, without the batch dimension; a number for one feature axis, as in normflows.
        pieces: M.
        factor: builds the parametrisation of A_m A_mᵀ from the number of latent features D. With a
            ``RunningAverageFactor`` weights, means and scales are running averages too.
        tied: True for one A at learned scales, A_m = s_m A, at the cost of one decomposition; "semi", with a
            ``RunningAverageFactor``, for semi-tied covariances T diag(v_m) Tᵀ (Gales, 1999) of one unit triangle T.
        learn_mean: whether the pieces have means m_m, 0 at the start; without them they are concentric.
        spread_variance: σ_Z², as for ``DegenerateGaussian``.
        spread_std: σ_Z, in its place.

    Attributes:
        logits: log w up to a constant, (M,); −∞ for a piece without weight.
        locs: the means, (M, *shape), or None.
        factors: of the pieces.

    Raises:
        TypeError: ``shape``, ``pieces`` or ``factor`` is of another type, or a kind of factor that pieces cannot have.
        ValueError: one of the numbers is out of range.

    Example:
        >>> base = DegenerateGaussianMixture([3], 4)
        >>> base.log_prob(torch.zeros(5, 3)).shape, base.responsibilities(torch.zeros(5, 3)).shape
        (torch.Size([5]), torch.Size([5, 4]))
        >>> base.sample(2, rank=1, piece=0).shape
        torch.Size([2, 3])
    """

    factors: PieceFactors

    @typed
    def __init__(
        self,
        shape: int | Sequence[int],
        pieces: int,
        *,
        factor: Callable[[int], Factor] = LowerTriangularFactor,
        tied: bool | Literal["semi"] = False,
        learn_mean: bool = True,
        spread_variance: float | None = None,
        spread_std: float | None = None,
    ) -> None:
        super().__init__(shape, spread_variance, spread_std)
        if isinstance(factor, nn.Module):
            raise TypeError(f"factor must build a factor from D, got a {type(factor).__name__} itself; pass its class")
        self.pieces, self.tied = validation.positive_int("pieces", pieces), tie_of(tied)
        self.logits = nn.Parameter(torch.zeros(self.pieces))
        self.locs = nn.Parameter(torch.zeros(self.pieces, *self.shape)) if learn_mean else None
        self.factors = self._factors_of(factor)

    def _factors_of(self, factor: Callable[[int], Factor]) -> PieceFactors:
        """New ones of this kind; weights and means are trained if they are."""
        factors = factors_of_pieces(factor, self.features, self.pieces, tied=self.tied)
        for parameter in (self.logits, self.locs):
            if parameter is not None and parameter.requires_grad != factors.trained:
                parameter.requires_grad_(factors.trained)
        return factors

    @property
    def weights(self) -> Tensor:
        """w, (M,), float64, which sum to 1; differentiable."""
        return self.logits.double().softmax(0)

    @torch.no_grad()
    def observe(self, z: Tensor) -> None:
        if self.factors.trained:
            return
        self._check_shape(validation.floating("inputs", z))
        given = self.logits.double().log_softmax(0), self._rows_of_means(), self.spread_variance
        found = self.factors.observe(self._observed(z.flatten(1)), *given, learn_mean=self.locs is not None)
        if found is not None:
            self.logits.copy_(found[0].log())
        if found is not None and self.locs is not None:
            self.locs.copy_(found[1].view_as(self.locs))

    def piece(self, piece: int) -> DegenerateGaussian:
        """A piece as a prior of its own, of the same mean, covariance and spread density; a copy, not to be trained.

        Raises:
            ValueError: there is no such piece.
        """
        number = self._piece(piece)
        factor = copy.deepcopy(self.factors.factor_of(number, self.spread_variance))
        view = DegenerateGaussian(
            self.shape,
            factor=lambda features: factor,
            learn_mean=self.locs is not None,
            spread_variance=float(self.spread_variance),
        ).to(self._like().device)
        if self.locs is not None:
            view.loc = nn.Parameter(self.locs[number].detach().clone())
        if self.data_noise is not None:
            view.data_noise = self.data_noise
        return view.train(self.training).requires_grad_(False)

    def with_factor(self, factor: Callable[[int], Factor]) -> DegenerateGaussianMixture:
        """A mixture of the same pieces and another kind of factor, as ``with_factor`` of ``DegenerateGaussian``.

        Of tied pieces A is converted and the scales are kept. This one stays as it is.
        """
        converted = copy.deepcopy(self)
        converted.factors = converted._factors_of(factor).to(self._like()).train(self.training)
        converted.factors.take_over(self.factors, self.spread_variance)
        return converted

    @torch.no_grad()
    def assign(self, weights: Tensor, means: Tensor, roots: Sequence[Tensor] | Tensor) -> None:
        """Take on pieces of these weights, means and covariances R_m R_mᵀ, or the nearest that can be represented.

        Tied pieces take the likeliest common shape of the covariances and its scales; pieces without means take the
        second moments about 0.

        Args:
            weights: w, shape (M,), not negative, of a sum above 0.
            means: m, shape (M, *shape), or (M, D).
            roots: R, M matrices of shape (D, r).

        Raises:
            ValueError: there are not M of each, finite and of its shape, or the weights are none; nothing has changed.
        """
        counts = len(weights), len(means), len(roots)
        if any(count != self.pieces for count in counts):
            raise ValueError(f"weights, means and roots must be {self.pieces} each, got {counts}")
        if not bool((weights >= 0.0).all()) or not 0.0 < float(weights.sum()) < float("inf"):
            raise ValueError(f"weights must be at least 0 with a finite sum above 0, got {weights.tolist()}")
        rows = validation.matrix("means", means.reshape(len(means), -1), columns=self.features).double().unsqueeze(2)
        given = [validation.matrix("roots", root, rows=self.features).double() for root in roots]
        if self.locs is None:
            given = [torch.cat([root, mean], 1) for root, mean in zip(given, rows, strict=True)]
        else:
            self.locs.copy_(means.view_as(self.locs))
        self.logits.copy_((shares := weights.double() / weights.double().sum()).log())
        self.factors.assign(shares, given, self.spread_variance)

    @torch.no_grad()
    def fit_pieces(
        self, z: Tensor | Blocks, warm_start: bool = False, generator: torch.Generator | None = None
    ) -> None:
        """Fit the pieces to latents by expectation maximisation, see ``fit_mixture``: a start, or a last step.

        Args:
            z: latents, shape (n, *shape), at least as many as there are pieces; or a function that gives them anew, in
                blocks, where all together take too much memory.
            warm_start: go on from the pieces as they are, ten iterations at most, and not from new ones.
            generator: source of its starts.

        Raises:
            ValueError: there are fewer latents than pieces, they are all equal, or not of this distribution's shape.
        """
        if isinstance(z, Tensor):
            self._check_shape(validation.points("z", z))
        warm = validation.switch("warm_start", warm_start)
        fit_mixture(self, blocks_of(z) if isinstance(z, Tensor) else z, warm_start=warm, generator=generator)

    def _piece(self, piece: int) -> int:
        number = validation.non_negative_int("piece", piece)
        if number >= self.pieces:
            raise ValueError(f"piece must be between 0 and {self.pieces - 1}, got {number}")
        return number

    @property
    def _offset(self) -> Tensor | None:
        return None if self.locs is None else self._mean(None)

    def _rows_of_means(self) -> Tensor:
        """The means in rows, (M, D)."""
        return self._like().new_zeros(self.pieces, self.features) if self.locs is None else self.locs.flatten(1)

    def _log_joint(self, inputs: Tensor) -> Tensor:
        """log w_m N(z; m_m, A_m A_mᵀ + σ_Z² I), (n, M), float64."""
        self._check_shape(validation.floating("inputs", inputs))
        log_probs = self.factors.log_probs(inputs.flatten(1), self._rows_of_means(), self.spread_variance)
        return self.logits.double().log_softmax(0) + log_probs

    def _log_prob(self, inputs: Tensor, context: Tensor | None) -> Tensor:
        if self.pieces > 1:
            return self._log_joint(inputs).logsumexp(1).to(inputs.dtype)
        self._check_shape(validation.floating("inputs", inputs))
        rows = (inputs if self.locs is None else inputs - self.locs[0]).flatten(1)
        return self.factors.kind.log_prob(rows, self.spread_variance)

    def responsibilities(self, z: Tensor) -> Tensor:
        """The probability of each piece given latents z (n, *shape) of the spread prior, (n, M), float64."""
        return self._log_joint(z).softmax(1)

    def sample(
        self,
        num_samples: int,
        context: Tensor | None = None,
        batch_size: int | None = None,
        *,
        rank: int | None = None,
        piece: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Exact samples of all pieces, or of one, or of their projections on their leading eigenvectors.

        Args:
            num_samples: samples to draw, for each row of the context if there is one, which says no more.
            context: as in nflows' ``StandardNormal``.
            batch_size: draw so many at a time; the result is the same in law.
            rank: K for samples m_m + E_K √Λ_K ε of each piece; None for the full m_m + A_m ε.
            piece: draw from this one alone.
            generator: source of the randomness.

        Returns as ``DegenerateGaussian.sample``.

        Raises:
            TypeError: ``num_samples``, ``batch_size``, ``rank`` or ``piece`` is no integer.
            ValueError: one of them is out of range.
        """
        validation.positive_int("num_samples", num_samples)
        if rank is not None:
            validation.rank_within(rank, self.features)
        one, roots, like, means = None if piece is None else self._piece(piece), {}, self._like(), self._rows_of_means()

        def draw(size: int) -> Tensor:
            if one is None:
                chosen = torch.multinomial(self.weights.detach(), size, replacement=True, generator=generator)
            else:
                chosen = torch.full((size,), one, device=like.device)
            rows = means[chosen]
            for m in chosen.unique().tolist():
                if m not in roots:
                    roots[m] = self.factors.root_of(m, rank, self.spread_variance)
                of_piece = chosen == m
                noise = like.new_empty(int(of_piece.sum()), roots[m].shape[1]).normal_(generator=generator)
                with full_precision(noise):
                    rows = rows.index_add(0, of_piece.nonzero().flatten(), noise @ roots[m].mT)
            return rows.unflatten(1, self.shape)

        return self._drawn(num_samples, context, batch_size, draw)

    def _like(self) -> Tensor:
        """A tensor of the dtype and on the device of A."""
        kind = cast(nn.Module, self.factors.kind)
        return next(chain(kind.parameters(), kind.buffers()))

    def _mean(self, context: Tensor | None) -> Tensor:
        mean = self._like().new_zeros(self.shape)
        if self.locs is not None:
            mean = torch.tensordot(self.weights, self.locs.double(), dims=1).to(self.locs.dtype)
        return mean if context is None else mean.repeat(len(context), *[1] * len(self.shape))

    @property
    def covariance(self) -> Tensor:
        """Σ_m w_m A_m A_mᵀ + Σ_m w_m (m_m − m̄)(m_m − m̄)ᵀ, the covariance of the mixture as a whole, shape (D, D)."""
        return self._covariance().to(self._like().dtype)

    def _covariance(self) -> Tensor:
        weights, means = self.weights, self._rows_of_means().double()
        between = (means - weights @ means) * weights.sqrt().unsqueeze(1)
        return between.mT @ between + self.factors.mean_covariance(weights, self.spread_variance)

    @torch.no_grad()
    def eigh(self) -> tuple[Tensor, Tensor]:
        inputs = *self.parameters(), *self.factors.buffers(), self.spread_variance
        return cached_eigh(self, lambda: eigh_descending(self._covariance()), *inputs)

    @property
    @torch.no_grad()
    def eigenvalues(self) -> Tensor:
        return eigenvalues_descending(self._covariance())
