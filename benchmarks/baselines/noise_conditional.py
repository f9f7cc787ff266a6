"""LIDL's slope from one flow that knows the noise level, in the place of one flow for each level.

log p(x | σ) is trained for all σ of a range at once, log σ being the context of every coupling. So the slope of the
log-likelihood in log σ, K − D at points of a K-manifold, can be had at any σ and without the error
that two flows trained apart do not share. The same flow's denoiser gives E‖ε + σ ∇log p(x̃ | σ)‖², which is K
for the true density, and its score and Hessian give FLIPD, which is the slope by the heat equation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform
from torch import Tensor, nn

from baselines.density_training import HIDDEN_FEATURES, LAYERS, STEPS, held_out_and_kept, slopes, train
from baselines.lidl import NOISE_LEVELS
from nflows_spread.dimension import density_dimension
from nflows_spread.estimator.units import Units
from nflows_spread.models.coupling import coupling_layers
from nflows_spread.models.density import marginal_layers

DENOISER_NOISE = 0.05
FLIPD_NOISE = 0.17
"""σ of the variance-preserving diffusion with β from 0.1 to 20, over its factor, at FLIPD's t = 0.05."""

_LEAST_NOISE, _MOST_NOISE = 0.02, 0.5
_FLIPD_POINTS, _FLIPD_PROBES = 500, 8


class NoiseConditionalLikelihood(nn.Module):
    """−E log p(x + σ ε | σ) with σ drawn anew for each row, log-uniformly, in nats.

    Args:
        flow: an nflows ``Flow`` with a context of one feature.
        noises: the smallest and the largest σ, in units of the data.
        generator: source of σ and of the noise.
    """

    def __init__(self, flow: nn.Module, noises: tuple[float, float], generator: torch.Generator) -> None:
        super().__init__()
        self.flow, self.generator = flow, generator
        self._low, self._high = (math.log(noise) for noise in noises)

    def forward(self, x: Tensor) -> Tensor:
        """The loss on a batch (n, D), a scalar."""
        shares = torch.empty(len(x), 1).uniform_(generator=self.generator)
        noise = torch.exp(self._low + (self._high - self._low) * shares)
        noisy = x + noise * torch.empty_like(x).normal_(generator=self.generator)
        loss: Tensor = -self.flow.log_prob(noisy, context_of(noise)).mean()
        return loss


def context_of(noise: Tensor) -> Tensor:
    """What the flow is told of σ, (n, 1): log σ, moved and scaled to [−1, 1] over the range that is trained."""
    low, high = math.log(_LEAST_NOISE), math.log(_MOST_NOISE)
    return (2.0 * noise.log() - low - high) / (high - low)


def trained(x: Tensor, *, seed: int, steps: int = STEPS) -> Flow:
    """A noise-conditional flow of data (n, D) of unit scale."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = _new_flow(x, generator)
    objective = NoiseConditionalLikelihood(flow, (_LEAST_NOISE, _MOST_NOISE), generator)
    train(objective, x, steps=steps, generator=generator)
    return flow.eval()


@torch.no_grad()
def slope_dimensions(flow: Flow, x: Tensor, noise_levels: Sequence[float] = NOISE_LEVELS) -> Tensor:
    """D + the least-squares slope of log p(x | σ) over log σ at each of the points (n, D), (n,)."""
    levels = torch.tensor(noise_levels, dtype=torch.float64)
    densities = [flow.log_prob(x, context_of(torch.full((len(x), 1), level))).double() for level in noise_levels]
    return x.shape[1] + slopes(levels.log(), torch.stack(densities))


def flipd_dimensions(flow: nn.Module, x: Tensor, noise: float, *, probes: int, generator: torch.Generator) -> Tensor:
    """D + σ² (tr ∇² log p(x | σ) + ‖∇ log p(x | σ)‖²) at each of the points (n, D), (n,).

    Kamkari et al., "A Geometric View of Data Complexity: Efficient Local Intrinsic Dimension Estimation with Diffusion
    Models", 2024, for noise that is added: by the heat equation it is D + ∂ log p(x | σ) / ∂ log σ. The trace is
    Hutchinson's, from random signs.
    """
    points = x.detach().requires_grad_()
    density = flow.log_prob(points, context_of(torch.full((len(x), 1), noise, dtype=x.dtype)))
    (score,) = torch.autograd.grad(density.sum(), points, create_graph=True)
    trace = torch.zeros(len(x), dtype=x.dtype)
    for _ in range(probes):
        signs = torch.randint(2, x.shape, generator=generator).to(x.dtype) * 2.0 - 1.0
        (product,) = torch.autograd.grad((score * signs).sum(), points, retain_graph=True)
        trace += (product * signs).sum(1) / probes
    return (x.shape[1] + noise**2 * (trace + score.square().sum(1))).detach().double()


def dimensions(x: Tensor, *, seed: int, steps: int = STEPS) -> dict[str, float]:
    """The mean slope over the points, of data (n, D), and what the denoiser and FLIPD say of held-out points."""
    unit = Units.of(x, standardize=False).to_flow(x)
    held_out, kept = held_out_and_kept(unit, seed=seed)
    flow = trained(kept, seed=seed, steps=steps)
    density = density_dimension(
        flow,
        held_out,
        data_noise=DENOISER_NOISE,
        context=context_of(torch.full((len(held_out), 1), DENOISER_NOISE)),
        generator=torch.Generator().manual_seed(seed),
    )
    flipd = flipd_dimensions(
        flow,
        held_out[:_FLIPD_POINTS],
        FLIPD_NOISE,
        probes=_FLIPD_PROBES,
        generator=torch.Generator().manual_seed(seed),
    )
    slope = float(slope_dimensions(flow, unit).mean())
    return {"slope": slope, "denoising": density.denoising, "FLIPD": float(flipd.mean())}


def _new_flow(x: Tensor, generator: torch.Generator) -> Flow:
    couplings = coupling_layers(
        x.shape[1],
        layers=LAYERS,
        hidden_features=HIDDEN_FEATURES,
        context_features=1,
        permute=True,
        volume_preserving=False,
        bounded_scale=True,
        generator=generator,
    )
    return Flow(CompositeTransform([*marginal_layers(x), *couplings]), StandardNormal([x.shape[1]]))
