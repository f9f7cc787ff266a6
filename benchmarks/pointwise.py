"""The signal-to-noise spectrum of images from Jacobians at a few points, where the package averages over all of them.

Beyond 128 features ``nflows_spread.spectrum`` takes N = E[J Jᵀ] over all points, and a Jacobian that varies strongly
lets a few points depress the large μ. With a Jacobian a point, and the geometric mean over the points, the steps of
the spectrum show where they are; a dozen or two are enough, because each of them has the whole spectrum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nflows_spread import DegenerateGaussian, IntrinsicDimension, base_of, encode, linalg
from nflows_spread.hosts import variances_of_base
from nflows_spread.rules import Spectrum

if TYPE_CHECKING:
    from outcomes import Outcome

_POINTS = 16
_ROWS = 20_000
_CHUNK = 1_000
_STEP_OF_NOISE = 0.1


def widest_step(outcome: Outcome) -> dict[str, object]:
    """A measure: after which μ the widest step of the spectrum is, and how wide it is, in nats.

    The default rule takes it for the dimension where it is wider than ``CLEAR_GAP``; this says where it is
    while training has not come so far. Everything below σ_x² counts as σ_x².
    """
    values = outcome.spectrum.signal_to_noise.clamp_min(outcome.trained.data_noise**2)
    steps = values.log().diff().neg()
    return {"widest_step_after": int(steps.argmax()) + 1, "widest_step": float(steps.max())}


def above_noise(dimension: IntrinsicDimension) -> int:
    """In how many directions the data varies more than twice the noise: where to take samples of images.

    At the dimension itself samples miss what a flow has not flattened: on synthetic MNIST of dimension 5, after 1200
    steps, recall was 0.26 at rank 5 and 0.73 at the 55 directions above the noise; with all 784 it was 0.60.
    A rule that counts all directions, as the paper's does with data noise, keeps them all.
    """
    spectrum = dimension.spectrum
    count = int((spectrum.signal_to_noise > 2.0 * spectrum.data_noise**2).sum())
    return max(count, dimension)


@torch.no_grad()
def pointwise_spectrum(
    flow: nn.Module, x: Tensor, *, data_noise: float, generator: torch.Generator | None = None
) -> Spectrum:
    """What ``nflows_spread.spectrum`` gives, with μ_k the geometric mean of the k-th largest at 16 noisy points.

    Args:
        flow: with a ``DegenerateGaussian`` or its host's own Gaussian as base.
        x: data, (n, ...); the first 16 are those of the Jacobians, and all go into the latents' covariance.
        data_noise: σ_x, above 0.
        generator: source of the noise.
    """
    base = base_of(flow)
    degenerate = isinstance(base, DegenerateGaussian)
    copies = x.repeat(-(-_ROWS // len(x)), *[1] * (x.dim() - 1))
    noisy = copies + data_noise * torch.empty_like(copies).normal_(generator=generator)
    latents = torch.cat([encode(flow, part).flatten(1) for part in noisy.split(_CHUNK)])
    jacobians = torch.stack([_jacobian(flow, point, _STEP_OF_NOISE * data_noise) for point in noisy[:_POINTS]])
    variances = base.eigenvalues if degenerate else variances_of_base(flow)
    return Spectrum(
        eigenvalues=variances.sort(descending=True).values,
        signal_to_noise=linalg.log_pointwise_signal_to_noise(linalg.covariance_of(latents), jacobians).mean(0).exp(),
        spread_variance=float(base.spread_variance) if degenerate else 0.0,
        data_noise=data_noise,
    )


def _jacobian(flow: nn.Module, point: Tensor, step: float) -> Tensor:
    """∂g/∂x at one point by central differences, (D, D), float64, all directions in a few batches."""
    shifts = step * torch.eye(point.numel(), dtype=point.dtype).view(-1, *point.shape)
    rows = [(encode(flow, point + s) - encode(flow, point - s)).flatten(1) for s in shifts.split(_CHUNK)]
    return torch.cat(rows).double().mT / (2.0 * step)
