"""Covariance of a flow's latents under data noise, and their response to it (Jacobians by finite differences)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.dimension.encoder import Encoder
from nflows_spread.hosts.remedies import remedy_of_infinity
from nflows_spread.linalg.moments import root_mean_variance, second_moment_of

_LARGE = 128
"""The number of features beyond which few pairs do: a choice, as there many cost more than a training step."""

_ROWS_PER_FEATURE, _PAIRS_PER_FEATURE_OF_LARGE = 32, 2
"""Noisy rows for each feature, at the least, and pairs beyond ``_LARGE``: a choice. Covariances of Gaussian rows are
off by about one over the root of the first, 18 %."""

_ERROR_ROWS = 2048
"""Rows that tell the errors of μ, at most: a choice, for time."""

_CHUNK_ENTRIES = 2**20
"""Numbers that are encoded together, rows times features: a choice, for memory."""

STEP_OF_NOISE = 0.1
"""The step of differences over σ_x, a ratio: a choice, small beside what the flow resolves; tests hold it to 1 %."""

_STEP_OF_SCALE = 1e-4
"""The step, at the least, over the data's standard deviation, a ratio: a choice, for σ_x near 0."""


class Latents:
    """The latents of noisy data, and how they respond to further noise; all results in float64."""

    def __init__(
        self,
        flow: nn.Module,
        base: nn.Module,
        x: Tensor,
        context: Tensor | None,
        noise: float,
        generator: torch.Generator | None,
    ) -> None:
        context = validation.context_of(len(x), context)
        self.x, self.noise, self.generator = x, noise, generator
        self._flow, self._encode = flow, Encoder(flow, base, x, context)
        self._chosen = self._stretched = False
        self.features = x.shape[1:].numel()
        self.rows = max(len(x), _ROWS_PER_FEATURE * self.features)
        # of pairs S and σ_x² N have the same sampling error, so that few do where many cost more than a training step
        few = self.features > _LARGE
        self.pairs = max(len(x), _PAIRS_PER_FEATURE_OF_LARGE * self.features) if few else self.rows
        scale = float(root_mean_variance(x))
        self.step = max(STEP_OF_NOISE * noise, _STEP_OF_SCALE * scale) or _STEP_OF_SCALE

    def covariance(self) -> tuple[Tensor, Tensor]:
        """S = Cov(g(x̃)), (D, D), from as many noisy copies of the data as it takes to fill all directions, and latents.

        The latents are those of the first rows, one for each and at most 2048, less the mean: (n, D).

        Raises:
            ValueError: latents are not finite.
        """
        origin = self._origin()
        first, second = self._zeros(self.features), self._zeros(self.features, self.features)
        limit, kept = min(_ERROR_ROWS, len(self.x)), self._zeros(0, self.features)
        for noisy, index in self._noisy(self.rows):
            z = self._encode(noisy, index) - origin  # so that a large offset costs no digits
            first += z.sum(0) / self.rows
            second += second_moment_of(z) * (len(z) / self.rows)
            if len(kept) < limit:
                kept = torch.cat([kept, z])[:limit]
        _check_finite(self._flow, origin, first, second)
        return second - torch.outer(first, first), kept - first

    def without_noise(self) -> Tensor:
        """g(x) of all points less their mean, (n, D)."""
        z = torch.cat([self._encode(points, index) for points, index in self._copies(len(self.x))])
        z = z - z[:1]  # so that a large offset costs no digits
        return z - z.mean(0)

    def with_noise(self) -> Tensor:
        """g(x̃) of all points, each with noise once, (n, D)."""
        z = torch.cat([self._encode(points, index) for points, index in self._noisy(len(self.x))])
        _check_finite(self._flow, z)
        return z

    def response(self) -> Tensor:
        """N = E[J Jᵀ], (D, D), as in ``moments_and_response``."""
        response = self._zeros(self.features, self.features)
        for upper, lower in self._pairs(self.pairs):
            half = 0.5 * (upper - lower) / self._pair_step
            response += second_moment_of(half) * (len(half) / self.pairs)
        return response

    def jacobians(self, points: int) -> Tensor:
        """The Jacobian of g at noisy points by central differences, shape (points, D, D), every direction at once."""
        parts = []
        for noisy, index in self._noisy(min(points, len(self.x)), copies=self.features):
            shifts = self.step * torch.eye(self.features, dtype=noisy.dtype, device=noisy.device)
            shifted = noisy.repeat_interleave(self.features, 0), shifts.view(-1, *noisy.shape[1:])
            rows = self._difference(
                shifted[0],
                shifted[1].repeat(len(noisy), *[1] * (noisy.dim() - 1)),
                index.repeat_interleave(self.features),
            )
            parts.append(rows.view(len(noisy), self.features, -1).mT)
        return torch.cat(parts)

    def moments_and_response(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (D,) and covariance S (D, D) of g(x̃), and N = E[J Jᵀ] (D, D), all from the same draws of the noise.

        With r = (g(x + σ ε) − g(x − σ ε)) / 2σ for each row, N is the mean of r rᵀ, and S that of the covariance
        without noise plus σ_x² r rᵀ. So in directions that hold noise alone S and σ_x² N have the same
        sampling error, and μ = σ_x² there however few the rows.

        Raises:
            ValueError: latents are not finite.
        """
        origin = self._origin()
        first = self._zeros(self.features)
        second, response = self._zeros(self.features, self.features), self._zeros(self.features, self.features)
        for upper, lower in self._pairs(self.pairs):
            middle, half = 0.5 * (upper + lower) - origin, 0.5 * (upper - lower)
            first += middle.sum(0) / self.pairs
            second += second_moment_of(middle) * (len(middle) / self.pairs)
            response += second_moment_of(half / self._pair_step) * (len(half) / self.pairs)
        _check_finite(self._flow, origin, first, second, response)
        covariance = second - torch.outer(first, first) + self.noise**2 * response
        return origin[0] + first, covariance, response

    def powers(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(vᵀ(z − m))² and (vᵀ r)² for some of the rows of ``moments_and_response``, each (n, D).

        Args:
            vectors: v in columns, (D, D).
        """
        middles, halves = [], []
        for upper, lower in self._pairs(min(self.pairs, _ERROR_ROWS)):
            middles.append(0.5 * (upper + lower) @ vectors)
            halves.append(0.5 * (upper - lower) @ vectors)
        middle, half = torch.cat(middles), torch.cat(halves)
        return (middle - middle.mean(0)).square(), (half / self._pair_step).square()

    @property
    def _pair_step(self) -> float:
        return max(self.noise, self.step) if self._stretched else self.noise or self.step

    def _pairs(self, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        """g(x + σ ε) and g(x − σ ε), a bounded number at a time; σ a small step where there is no noise."""
        for points, index in self._copies(rows):
            shift = self._pair_step * self._normal_like(points)
            yield self._encode(points + shift, index), self._encode(points - shift, index)

    def _noisy(self, rows: int, copies: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Noisy points and their indices in the data, a bounded number at a time."""
        for points, index in self._copies(rows, copies):
            yield points + self.noise * self._normal_like(points), index

    def _copies(self, rows: int, copies: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Points, over and over until there are enough, and their indices in the data."""
        indices = torch.arange(rows, device=self.x.device) % len(self.x)
        self._choose_precision()
        for index in indices.split(max(1, _CHUNK_ENTRIES // (self.features * copies))):
            yield self.x[index].to(self._encode.dtype), index

    def _choose_precision(self) -> None:
        """Lets the encoder see, once, over which step it is asked for differences."""
        if self._chosen:
            return
        step = self._encode.choose_precision(self.step)
        self._stretched = step > self.step
        self.step, self._chosen = step, True

    def _difference(self, noisy: Tensor, shift: Tensor, index: Tensor) -> Tensor:
        """(g(x̃ + δ) − g(x̃ − δ)) / 2|step|, rows of shape (n, D)."""
        return (self._encode(noisy + shift, index) - self._encode(noisy - shift, index)) / (2.0 * self.step)

    def _origin(self) -> Tensor:
        """The latent of the first point, (1, D)."""
        self._choose_precision()
        return self._encode(self.x[:1].to(self._encode.dtype), torch.zeros(1, dtype=torch.long, device=self.x.device))

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.x.device)

    def _normal_like(self, x: Tensor) -> Tensor:
        """Drawn in the dtype of the data, so that the same noise is met in either precision."""
        return torch.empty_like(x, dtype=self.x.dtype).normal_(generator=self.generator).to(x.dtype)


def _check_finite(flow: nn.Module, *moments: Tensor) -> None:
    if not all(map(validation.all_finite, moments)):
        raise ValueError(
            f"latents of the data must be finite, got moments with NaN or infinity; {remedy_of_infinity(flow)}"
        )


def without_wishart_bias(signal_to_noise: Tensor, *, noise_variance: float, rows: int) -> Tensor:
    """μ as a known N would give it, from those that ``moments_and_response`` gives.

    ``noise_variance`` is σ_x².

    An N that is the mean of r rᵀ over so many Gaussian r has the inverse N⁻¹ rows / (rows − D − 1) in the mean. What
    noise contributes to μ is σ_x² whatever N is, because S has it from the same draws.
    """
    share = (rows - len(signal_to_noise) - 1) / rows
    return noise_variance + share * (signal_to_noise - noise_variance)
