"""Read-outs of a trained flow: spectrum, dimension, coordinates, reconstruction, samples, density on the manifold."""

from __future__ import annotations

import torch
from nflows.distributions import StandardNormal
from torch import Tensor, nn

from nflows_spread import linalg, validation
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.hosts import base_of, decode, encode
from nflows_spread.rules import IntrinsicDimension, Spectrum, decide

_ROWS_PER_FEATURE = 32
_CHUNK = 4096
_RELATIVE_STEP = 1e-2


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

    The second kind are the solutions μ of S v = μ N v, with S = Cov(g(x̃)) + σ_Z² I over the noisy
    data x̃ = x + σ_x ε, and N = E[J Jᵀ] the latent's response to isotropic noise on the data, from
    central differences along random directions. Any invertible linear map M after g turns both into
    M · Mᵀ and leaves μ alone. It needs neither a volume-preserving flow nor a learned prior.

    Args:
        flow: a flow whose base is a ``DegenerateGaussian`` or a standard Gaussian.
        x: data that the flow was trained on or data like it, shape (n, ...); a few thousand points are
            enough. They are visited several times until there are 32 rows a feature.
        context: conditioning inputs, one row for each row of ``x``.
        data_noise: σ_x, in data units; by default what the base was last trained with, or 0.
        generator: source of the noise and the directions.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch, or ``data_noise`` is negative.
    """
    validation.points("x", x)
    base = base_of(flow)
    variance = float(base.spread_variance) if isinstance(base, DegenerateGaussian) else 0.0
    noise = _data_noise(base, data_noise)
    rows = max(len(x), _ROWS_PER_FEATURE * x[0].numel())
    step = _RELATIVE_STEP * max(noise, float(x.flatten(1).var(0).sum().sqrt()) / 10.0)
    latents, responses = [], []
    for start in range(0, rows, _CHUNK):
        index = torch.arange(start, min(start + _CHUNK, rows), device=x.device) % len(x)
        part = None if context is None else context[index]
        noisy = x[index] + noise * torch.empty_like(x[index]).normal_(generator=generator)
        shift = step * torch.empty_like(noisy).normal_(generator=generator)
        latents.append(_rows(base, encode(flow, noisy, part)).double())
        ahead, behind = encode(flow, noisy + shift, part), encode(flow, noisy - shift, part)
        responses.append((ahead.double() - behind.double()).flatten(1) / (2.0 * step))
    latent = torch.cat(latents)
    signal = linalg.covariance_of(latent) + variance * torch.eye(latent.shape[1], dtype=latent.dtype, device=x.device)
    response = linalg.second_moment_of(torch.cat(responses))
    return Spectrum(
        eigenvalues=_eigh_of(base, latent.shape[1])[0].cpu(),
        signal_to_noise=linalg.generalised_eigenvalues(signal, response).cpu(),
        spread_variance=variance,
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


def project(flow: nn.Module, x: Tensor, *, rank: int, context: Tensor | None = None) -> Tensor:
    """Coordinates on the manifold, (z − m) E_K with z = g(x) (section 3).

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``.
        x: data, shape (n, ...).
        rank: K, the number of coordinates.
        context: conditioning inputs, one row for each row of ``x``.

    Returns:
        Shape (n, K), in the dtype of ``x``.
    """
    validation.points("x", x)
    base = _degenerate_base_of(flow)
    directions = base.eigh()[1][:, : validation.rank_within(rank, base.features)].to(x.dtype)
    return base.flatten(encode(flow, x, context)) @ directions


def reconstruct(flow: nn.Module, x: Tensor, *, rank: int, context: Tensor | None = None) -> Tensor:
    """f(m + (g(x) − m) E_K E_Kᵀ): the data with all but its leading K latent coordinates removed.

    Args as for ``project``. Returns the shape of ``x``.
    """
    base = _degenerate_base_of(flow)
    coordinates = project(flow, x, rank=rank, context=context)
    latent = coordinates @ base.eigh()[1][:, :rank].to(x.dtype).mT
    return decode(flow, base.unflatten(latent), context)


def sample(
    flow: nn.Module,
    num_samples: int,
    *,
    rank: int,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Samples on the manifold, f(m + E_K √Λ_K ε) with ε ~ N(0, I_K) (section 3).

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``.
        num_samples: number of samples; with a context it must be the number of its rows.
        rank: K, the dimension of the manifold.
        context: conditioning inputs, one row for each sample.
        generator: source of the randomness.

    Returns:
        Shape (num_samples, ...).
    """
    latent = _degenerate_base_of(flow).sample(num_samples, rank=rank, generator=generator)
    return decode(flow, latent, context)


def manifold_log_prob(flow: nn.Module, x: Tensor, *, rank: int, context: Tensor | None = None) -> Tensor:
    """The density allocation of appendix C.2: log N(z^proj; 0, Λ_K) at z^proj = (g(x) − m) E_K.

    A density in the coordinates of ``project``, not with respect to the area of the manifold.

    Args as for ``project``. Returns shape (n,).

    Raises:
        ValueError: the K-th eigenvalue of AAᵀ is 0, so that there is no K-dimensional density.
    """
    base = _degenerate_base_of(flow)
    variances = base.eigenvalues[: validation.rank_within(rank, base.features)]
    if float(variances[-1]) <= 0.0:
        raise ValueError(f"rank must be at most the rank of AAᵀ, {int((base.eigenvalues > 0).sum())}, got {rank}")
    return linalg.diagonal_log_prob(project(flow, x, rank=rank, context=context), variances)


def _rows(base: nn.Module, z: Tensor) -> Tensor:
    """Latents as rows, checked against the base where it declares its shape."""
    return base.flatten(z) if isinstance(base, DegenerateGaussian) else z.flatten(1)


def _data_noise(base: nn.Module, given: float | None) -> float:
    if given is not None:
        return validation.non_negative("data_noise", given)
    return (base.data_noise or 0.0) if isinstance(base, DegenerateGaussian) else 0.0


def _eigh_of(base: nn.Module, features: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of the base's covariance, AAᵀ or the identity."""
    if isinstance(base, DegenerateGaussian):
        return base.eigh()
    if isinstance(base, StandardNormal):
        return torch.ones(features, dtype=torch.float64), torch.eye(features, dtype=torch.float64)
    raise TypeError(f"the base of the flow must be a DegenerateGaussian or StandardNormal, got {type(base).__name__}")


def _degenerate_base_of(flow: nn.Module) -> DegenerateGaussian:
    base = base_of(flow)
    if not isinstance(base, DegenerateGaussian):
        raise TypeError(
            f"the base of the flow must be a DegenerateGaussian, got {type(base).__name__}; "
            "a standard Gaussian has no leading directions"
        )
    return base
