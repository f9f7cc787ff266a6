"""How a trained flow's spectrum is estimated, and the intrinsic dimension that a rule reads off it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nflows_spread import linalg, validation
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.hosts import base_of, encode, variances_of_base
from nflows_spread.rules import IntrinsicDimension, Spectrum, decide

_JACOBIAN_FEATURES = 128
_JACOBIAN_ROWS = 2**16
_ROWS_PER_FEATURE = 32
_CHUNK_ENTRIES = 2**22
_STEP_OF_NOISE = 0.1
_STEP_OF_SCALE = 1e-4


@torch.no_grad()
def spectrum(
    flow: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> Spectrum:
    """The eigenvalues of AAᵀ, and those that do not depend on the gauge of the latent space.

    The second kind are generalised eigenvalues μ, S v = μ N v, of the latents' covariance
    S = Cov(g(x̃)) over the noisy data x̃ = x + σ_x ε against their response N = J Jᵀ to isotropic
    noise on the data, J the Jacobian of g. Any invertible linear map M after g turns both into
    M · Mᵀ and leaves μ alone, so that neither a volume-preserving flow nor a learned prior is needed.
    Without data noise S may be singular and σ_Z² I is added to it, which no longer is free of the
    gauge. Up to 128 features J is taken at each of many points, and μ_k is the geometric mean over
    the points of the k-th largest there: the variance of the data along its k-th direction. Beyond,
    where a Jacobian a point costs too much, N = E[J Jᵀ] over all points from random directions; it is
    as blind to the gauge, but lets a strongly varying J depress the large μ.

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``, or its host's own Gaussian with independent entries.
        x: data that the flow was trained on or data like it, shape (n, ...); about a thousand points.
        context: conditioning inputs, one row for each row of ``x``.
        data_noise: σ_x, in data units; by default what the base was last trained with, or 0.
        generator: source of the noise and the directions.

    Raises:
        TypeError: ``x`` is not of a floating dtype, or the base is of another kind.
        ValueError: ``x`` is empty or not finite, ``data_noise`` is negative, or the latents' covariance
            is singular.
    """
    validation.points("x", x)
    base = base_of(flow)
    eigenvalues = base.eigenvalues if isinstance(base, DegenerateGaussian) else variances_of_base(flow)
    if eigenvalues is None:
        raise TypeError(
            f"the base of the flow must be a DegenerateGaussian or StandardNormal (in normflows: DiagGaussian), "
            f"got {type(base).__name__}"
        )
    noise = _data_noise(base, data_noise)
    latents = _Latents(flow, base, x, context, noise, generator)
    spread_variance = float(base.spread_variance) if isinstance(base, DegenerateGaussian) else 0.0
    # σ_Z² is in latent units: it would tie μ to the gauge, and data noise fills the flat directions without it
    signal = linalg.add_to_diagonal(latents.covariance(), 0.0 if noise > 0.0 else spread_variance)
    if latents.features <= _JACOBIAN_FEATURES:
        signal_to_noise = linalg.pointwise_signal_to_noise(signal, latents.jacobians())
    else:
        signal_to_noise = linalg.generalised_eigenvalues(signal, latents.mean_response())
    return Spectrum(
        eigenvalues=eigenvalues.sort(descending=True).values.cpu(),
        signal_to_noise=signal_to_noise.cpu(),
        spread_variance=spread_variance,
        data_noise=noise,
    )


def intrinsic_dimension(
    flow: nn.Module,
    x: Tensor,
    *,
    rule: str = "signal_to_noise",
    context: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> IntrinsicDimension:
    """The intrinsic dimension of the data, by one of the rules of ``nflows_spread.rules``.

    The result is an ``int`` with ``rule``, ``gap`` and ``spectrum`` to show how sure it is; its
    spectrum's ``verdicts`` hold what the other rules say. Arguments and errors are those of
    ``spectrum``; an unknown rule is a ``ValueError``.
    """
    return decide(spectrum(flow, x, context=context, data_noise=data_noise, generator=generator), rule)


class _Latents:
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
        self.rows = max(len(x), _ROWS_PER_FEATURE * self.features)
        scale = float(x.flatten(1).var(0, unbiased=False).mean().sqrt())
        self.step = max(_STEP_OF_NOISE * noise, _STEP_OF_SCALE * scale) or _STEP_OF_SCALE

    def covariance(self) -> Tensor:
        """Cov(g(x̃)), shape (D, D), from as many noisy copies of the data as it takes to fill all directions."""
        origin = self._encode(self.x[:1], torch.zeros(1, dtype=torch.long, device=self.x.device))
        first, second = self._zeros(self.features), self._zeros(self.features, self.features)
        for noisy, index in self._noisy(self.rows):
            z = self._encode(noisy, index) - origin  # so that a large offset costs no digits
            first += z.sum(0) / self.rows
            second += linalg.second_moment_of(z) * (len(z) / self.rows)
        return second - torch.outer(first, first)

    def jacobians(self) -> Tensor:
        """The Jacobian of g at noisy points by central differences, shape (points, D, D)."""
        points = min(len(self.x), max(self.features, _JACOBIAN_ROWS // self.features))
        parts = []
        for noisy, index in self._noisy(points, copies=2 * self.features):
            columns = []
            for feature in range(self.features):
                shift = torch.zeros_like(noisy[0]).flatten()
                shift[feature] = self.step
                columns.append(self._difference(noisy, shift.view_as(noisy[0]), index))
            parts.append(torch.stack(columns, dim=2))
        return torch.cat(parts)

    def mean_response(self) -> Tensor:
        """E[J Jᵀ], shape (D, D), from one random direction for each of many noisy points."""
        total = self._zeros(self.features, self.features)
        for noisy, index in self._noisy(self.rows):
            responses = self._difference(noisy, self.step * self._normal_like(noisy), index)
            total += linalg.second_moment_of(responses) * (len(noisy) / self.rows)
        return total

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


def _data_noise(base: nn.Module, given: float | None) -> float:
    if given is not None:
        return validation.non_negative("data_noise", given)
    return (base.data_noise or 0.0) if isinstance(base, DegenerateGaussian) else 0.0
