"""LIDL: the local dimension from how the density of the noisy data falls with the noise (Tempczyk et al., ICML 2022).

Near a K-manifold the density of x + σ ε at a point of the data is σ^(K − D) times a constant, for σ
below the scale at which the manifold bends and above that at which it is sampled. So the slope of
log p_σ(x) in log σ is K − D. One flow for each σ estimates p_σ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from nflows.distributions import StandardNormal
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from baselines.fixed_prior import NegativeLogLikelihood
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit

NOISE_LEVELS = (0.04, 0.06, 0.09, 0.135, 0.2)
"""σ in units of the data's scale, the root of the mean variance of a feature."""

_LAYERS = 6
_HIDDEN_FEATURES = (64, 64)
_BATCH = 200
_LEARNING_RATE = 2e-3
_FINAL_RATE = 0.02
_GRADIENT_CLIP = 5.0
_STEPS = 2000


def local_dimensions(
    x: NDArray[np.float64], *, seed: int, noise_levels: Sequence[float] = NOISE_LEVELS, steps: int = _STEPS
) -> NDArray[np.float64]:
    """The estimate at each of the points (n, D), (n,).

    Args:
        x: points, D at least 2.
        seed: of the flows' weights, the order of the data and the noise.
        noise_levels: σ, in units of the data's scale, at least two.
        steps: training steps of each flow.
    """
    data = torch.as_tensor(x, dtype=torch.float32)
    data = (data - data.mean(dim=0)) / data.var(dim=0).mean().sqrt()
    densities = torch.stack([_log_density(data, noise, seed, steps) for noise in noise_levels])
    levels = torch.tensor(noise_levels, dtype=torch.float64).log()
    found: NDArray[np.float64] = (data.shape[1] + slopes(levels, densities.double())).numpy()
    return found


def slopes(inputs: Tensor, values: Tensor) -> Tensor:
    """Least-squares slope of each column of values (levels, n) over the inputs (levels,), (n,)."""
    centred = inputs - inputs.mean()
    return centred @ values / centred.square().sum()


def _log_density(data: Tensor, noise: float, seed: int, steps: int) -> Tensor:
    """log p_σ at the points, from a flow of its own, (n,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = coupling_flow(
            data.shape[1],
            layers=_LAYERS,
            hidden_features=_HIDDEN_FEATURES,
            permute=data.shape[1] > 2,
            volume_preserving=False,
            bounded_scale=True,
            base=StandardNormal([data.shape[1]]),
            generator=torch.Generator().manual_seed(seed),
        )
    objective = NegativeLogLikelihood(flow, data_noise=noise, generator=torch.Generator().manual_seed(seed))
    fit(
        objective,
        data,
        steps=steps,
        batch_size=min(_BATCH, len(data)),
        learning_rate=_LEARNING_RATE,
        learning_rate_schedule=lambda optimizer: CosineAnnealingLR(
            optimizer, steps, eta_min=_FINAL_RATE * _LEARNING_RATE
        ),
        gradient_clip=_GRADIENT_CLIP,
        generator=torch.Generator().manual_seed(seed),
        progress=False,
    )
    with torch.no_grad():
        density: Tensor = flow.eval().log_prob(data)
    return density
