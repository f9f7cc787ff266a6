"""Signal-to-noise spectrum of a trained flow (generalised eigenvalues), and the intrinsic dimension by a rule."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.data_noise import data_noise_of
from nflows_spread.dimension.distinct_points import FEWEST_POINTS
from nflows_spread.dimension.latents import STEP_OF_NOISE, Latents, without_wishart_bias
from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum, decide
from nflows_spread.dimension.standard_errors import relative_errors
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, variances_of_base
from nflows_spread.linalg.moments import add_to_diagonal, second_moment_of
from nflows_spread.linalg.signal_to_noise import generalised_eigh, log_pointwise_signal_to_noise

_MANY_JACOBIANS, MOST_FEATURES_OF_JACOBIANS = 128, 1024
"""The numbers of features up to which there are many Jacobians, and any: a choice, for time; see ``spectrum``."""

_JACOBIAN_ROWS, _FEWEST_JACOBIANS = 2**16, 16
"""Features times Jacobians where these are many, and Jacobians where features are: a choice, for time."""


@torch.no_grad()
@typed
def spectrum(
    flow: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    data_noise: float | None = None,
    jacobians: int | None = None,
    generator: torch.Generator | None = None,
) -> Spectrum:
    """The eigenvalues of AAᵀ, and those that do not depend on the gauge of the latent space.

    The second kind are generalised eigenvalues μ, S v = μ N v, of the latents' covariance
    S = Cov(g(x̃)) over the noisy data x̃ = x + σ_x ε against their response N = J Jᵀ to isotropic
    noise on the data, J the Jacobian of g. Any invertible linear map M after g turns both into
    M · Mᵀ and leaves μ alone, so that neither a volume-preserving flow nor a learned prior is needed.
    Without data noise S may be singular and σ_Z² I is added to it, which no longer is free of the
    gauge. J is taken at each of many points, beyond 128 features at 16, and μ_k is the geometric mean
    over the points of the k-th largest there: the variance of the data along its k-th direction. Beyond
    1024 features, where a Jacobian costs too much, N = E[J Jᵀ] over all points from random directions; it
    is as blind to the gauge, but lets a strongly varying J depress the large μ. Where the flow's own dtype does
    not resolve the differences that J is made of, a copy of the flow in float64 does.

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``, or its host's own Gaussian with independent entries.
        x: data that the flow was trained on or data like it, shape (n, ...); about a thousand points.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        data_noise: σ_x, in data units; by default what the base is trained with.
        jacobians: at how many points to take J, up to 1024 features; fewer for a quick check, or 0 for N from random
            directions, as beyond 1024 features, at a tenth of the cost at a thousand.
        generator: source of the noise and the directions.

    Raises:
        TypeError: ``x`` is not of a floating dtype, or the base is of another kind.
        ValueError: ``x`` has fewer than two rows or is not finite, ``data_noise`` is negative, or the latents'
            covariance is singular.

    Warns:
        UserWarning: ``data_noise`` is not given and the base does not know it; 0 is taken.
    """
    validation.two_points("x", x)
    base = base_of(flow)
    eigenvalues = base.eigenvalues if isinstance(base, DegeneratePrior) else variances_of_base(flow)
    if eigenvalues is None:
        raise TypeError(
            f"the base of the flow must be a DegenerateGaussian or StandardNormal (in normflows: DiagGaussian), "
            f"got {type(base).__name__}"
        )
    noise = data_noise_of(base, data_noise)
    latents = Latents(flow, base, x, context, noise, generator)
    spread_variance = float(base.spread_variance) if isinstance(base, DegeneratePrior) else 0.0
    # σ_Z² is in latent units: it would tie μ to the gauge, and data noise fills the flat directions without it
    added = 0.0 if noise > 0.0 else spread_variance
    points = _JACOBIAN_ROWS // latents.features if latents.features <= _MANY_JACOBIANS else _FEWEST_JACOBIANS
    points = points if jacobians is None else validation.non_negative_int("jacobians", jacobians)
    if latents.features <= MOST_FEATURES_OF_JACOBIANS and points > 0:
        covariance, centred = latents.covariance()
        signal, responses = add_to_diagonal(covariance, added), latents.jacobians(points)
        logs = log_pointwise_signal_to_noise(signal, responses)
        signal_to_noise = logs.mean(0).exp()
        # S varies with the points, and J from point to point
        response = second_moment_of(responses.mT.flatten(0, 1))
        _, vectors = generalised_eigh(response, signal)  # vᵀSv = 1: S is known to have a root
        of_signal = relative_errors((centred @ vectors.flip(1)).square(), points=len(x))
        errors = (logs.var(0, correction=min(1, len(logs) - 1)) / len(logs) + of_signal.square()).sqrt()
    else:
        _, covariance, response = latents.moments_and_response()
        signal_to_noise, vectors = generalised_eigh(add_to_diagonal(covariance, added), response)
        powers, responses = latents.powers(vectors)  # vᵀNv = 1, so that vᵀSv = μ
        scale = signal_to_noise.clamp_min(torch.finfo(torch.float64).tiny)
        errors = relative_errors(
            powers / scale,
            points=min(latents.pairs, len(x)),
            response=responses,
            pairs=latents.pairs,
            noise_share=noise**2 / scale,
        )
        signal_to_noise = without_wishart_bias(signal_to_noise, noise_variance=noise**2, rows=latents.pairs)
    return Spectrum(
        eigenvalues=eigenvalues.sort(descending=True).values.cpu(),
        signal_to_noise=signal_to_noise.cpu(),
        spread_variance=spread_variance,
        data_noise=noise,
        errors=errors.cpu(),
    )


@torch.no_grad()
@typed
def pointwise_spectrum(
    flow: nn.Module,
    x: Tensor,
    *,
    data: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The signal-to-noise eigenvalues μ at each point: those of J⁻¹ S J⁻ᵀ, J the Jacobian of g at x.

    The variances of the data's density as the flow sees it from this point. Where the dimension varies,
    so does the number of those that are far above σ_x²; ``nflows_spread.dimension.pointwise_dimension`` decides
    more surely at low dimensions.

    Args:
        flow: a flow whose base is Gaussian, as for ``spectrum``.
        x: points, shape (n, ...); all Jacobians are held at once.
        data: data that the flow was trained on, for S, the covariance of the noisy latents; by default ``x``.
        data_noise: σ_x, in data units; by default what the base is trained with.
        generator: source of the noise behind S.

    Returns:
        Shape (n, D), in descending order, float64.

    Raises:
        TypeError, ValueError: as for ``spectrum``.

    Warns:
        UserWarning: as for ``spectrum``.
    """
    base = base_of(flow)
    noise = data_noise_of(base, data_noise)
    all_of_it = validation.points("x", x) if data is None else validation.points("data", data)
    signal = Latents(flow, base, all_of_it, None, noise, generator).covariance()[0]
    here = Latents(flow, base, x, None, 0.0, generator)
    here.step = max(STEP_OF_NOISE * noise, here.step)
    return log_pointwise_signal_to_noise(signal, here.jacobians(len(x))).exp()


@typed
def intrinsic_dimension(
    flow: nn.Module,
    x: Tensor,
    *,
    rule: str = "signal_to_noise",
    context: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> IntrinsicDimension:
    """The intrinsic dimension of the data, by one of the rules of ``nflows_spread.dimension.rules``.

    The result is an ``int`` with ``rule``, ``gap`` and ``spectrum`` to show how sure it is; its
    spectrum's ``estimates`` hold what the other rules say, of ``register_rule`` too. Arguments and errors are those of
    ``spectrum``; an unknown rule is a ``ValueError``. Of a ``DegenerateGaussianMixture`` it is that of the data as a
    whole; ``nflows_spread.atlas_of`` has the dimension of each piece, and of each set of pieces that overlap.

    Warns:
        UserWarning: ``x`` has fewer than 50 rows, the fewest that ``dimension_of`` takes: its interval then says too
            little, and n of them span n - 1 dimensions at most.
    """
    of = spectrum(flow, x, context=context, data_noise=data_noise, generator=generator)
    if len(x) < FEWEST_POINTS:
        validation.warn(
            f"x must have at least {FEWEST_POINTS} rows for a dimension to rely on, got {len(x)}, which span "
            f"{len(x) - 1} dimensions at most; pass more rows: they need not be those of one batch"
        )
    return decide(of, rule)
