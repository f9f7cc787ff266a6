"""The latents of noisy data, and how they respond to further noise: what every gauge-free read-out starts from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nflows_spread import linalg
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.hosts import encode

_LARGE = 1024
_ROWS_PER_FEATURE, _ROWS_PER_FEATURE_OF_LARGE = 32, 8
_ERROR_ROWS = 2048
_CHUNK_ENTRIES = 2**20
_STEP_OF_NOISE = 0.1
_STEP_OF_SCALE = 1e-4


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
        self.flow, self.base, self.x, self.context = flow, base, x, context
        self.noise, self.generator = noise, generator
        self.features = x[0].numel()
        per_feature = _ROWS_PER_FEATURE if self.features <= _LARGE else _ROWS_PER_FEATURE_OF_LARGE
        self.rows = max(len(x), per_feature * self.features)
        scale = float(x.flatten(1).var(0, unbiased=False).mean().sqrt())
        self.step = max(_STEP_OF_NOISE * noise, _STEP_OF_SCALE * scale) or _STEP_OF_SCALE

    def covariance(self) -> Tensor:
        """Cov(g(x̃)), shape (D, D)."""
        return self.moments()[1]

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of g(x̃), from as many noisy copies of the data as fill all directions."""
        origin = self._encode(self.x[:1], torch.zeros(1, dtype=torch.long, device=self.x.device))
        first, second = self._zeros(self.features), self._zeros(self.features, self.features)
        for noisy, index in self._noisy(self.rows):
            z = self._encode(noisy, index) - origin  # so that a large offset costs no digits
            first += z.sum(0) / self.rows
            second += linalg.second_moment_of(z) * (len(z) / self.rows)
        return origin[0] + first, second - torch.outer(first, first)

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

    def mean_response(self) -> Tensor:
        """E[J Jᵀ], shape (D, D), from one random direction for each of many noisy points."""
        total = self._zeros(self.features, self.features)
        for noisy, index in self._noisy(self.rows):
            responses = self._difference(noisy, self.step * self._normal_like(noisy), index)
            total += linalg.second_moment_of(responses) * (len(noisy) / self.rows)
        return total

    def relative_errors(self, vectors: Tensor, signal_to_noise: Tensor) -> Tensor:
        """Relative standard error of each μ from the finite number of rows, shape (D,).

        To first order μ_k varies as the means over rows of (v_kᵀ(z − m))² and of (v_kᵀ J u)² that it is the
        ratio of, so that what these vary by on a part of the rows tells, without another decomposition.

        Args:
            vectors: v in columns, (D, D), with VᵀNV = I.
            signal_to_noise: μ, (D,).
        """
        rows = min(self.rows, _ERROR_ROWS)
        latents, responses = [], []
        for noisy, index in self._noisy(rows):
            latents.append(self._encode(noisy, index) @ vectors)
            responses.append(self._difference(noisy, self.step * self._normal_like(noisy), index) @ vectors)
        z, response = torch.cat(latents), torch.cat(responses).square()
        power = (z - z.mean(0)).square() / signal_to_noise.clamp_min(torch.finfo(torch.float64).tiny)
        # noisy copies of a point are new noise, but no new point
        return (power.var(0) / min(self.rows, len(self.x)) + response.var(0) / self.rows).sqrt()

    def _noisy(self, rows: int, copies: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Noisy points and their indices in the data, a bounded number at a time."""
        indices = torch.arange(rows, device=self.x.device) % len(self.x)
        for index in indices.split(max(1, _CHUNK_ENTRIES // (self.features * copies))):
            yield self.x[index] + self.noise * self._normal_like(self.x[index]), index

    def _difference(self, noisy: Tensor, shift: Tensor, index: Tensor) -> Tensor:
        """(g(x̃ + δ) − g(x̃ − δ)) / 2|step|, rows of shape (n, D)."""
        return (self._encode(noisy + shift, index) - self._encode(noisy - shift, index)) / (2.0 * self.step)

    def _encode(self, x: Tensor, index: Tensor) -> Tensor:
        z = encode(self.flow, x, None if self.context is None else self.context[index])
        return (self.base.flatten(z) if isinstance(self.base, DegenerateGaussian) else z.flatten(1)).double()

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.x.device)

    def _normal_like(self, x: Tensor) -> Tensor:
        return torch.empty_like(x).normal_(generator=self.generator)
