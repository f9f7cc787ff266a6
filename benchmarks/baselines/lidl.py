"""LIDL: the local dimension from how the density of the noisy data falls with the noise (Tempczyk et al., ICML 2022).

Near a K-manifold the density of x + σ ε at a point of the data is σ^(K − D) times a constant, for σ
below the scale at which the manifold bends and above that at which it is sampled. So the slope of
log p_σ(x) in log σ is K − D. One flow for each σ estimates p_σ. As in the paper, each is trained
apart from the others until the likelihood of held-out points no longer rises.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from numpy.typing import NDArray
from torch import Tensor

from baselines.density_training import HIDDEN_FEATURES, LAYERS, STEPS, held_out_and_kept, slopes, train
from baselines.fixed_prior import NegativeLogLikelihood
from nflows_spread.linalg.moments import root_mean_variance
from nflows_spread.models import coupling_flow
from nflows_spread.training import StopOnHeldOutLoss

NOISE_LEVELS = (0.05, 0.08, 0.126, 0.2)
"""σ in units of the data's scale, the root of the mean variance of a feature."""

_EVALUATE_EVERY = 200
_PATIENCE = 3
_HELD_OUT_COPIES = 4
"""Each held-out point with so many draws of the noise, so that chance decides less on when to stop."""


def local_dimensions(
    x: NDArray[np.float64],
    *,
    seed: int,
    noise_levels: Sequence[float] = NOISE_LEVELS,
    steps: int = STEPS,
) -> NDArray[np.float64]:
    """The estimate at each of the points (n, D), (n,).

    Args:
        x: points, D at least 2.
        seed: of the flows' weights, the held-out points, the order of the data and the noise.
        noise_levels: σ, in units of the data's scale, at least two.
        steps: most training steps of each flow.
    """
    data = torch.as_tensor(x, dtype=torch.float32)
    data = (data - data.mean(dim=0)) / root_mean_variance(data, correction=1)
    densities = log_densities(data, noise_levels, seed=seed, steps=steps)
    levels = torch.tensor(noise_levels, dtype=torch.float64).log()
    found: NDArray[np.float64] = (data.shape[1] + slopes(levels, densities)).numpy()
    return found


def log_densities(data: Tensor, noise_levels: Sequence[float], *, seed: int, steps: int) -> Tensor:
    """log p_σ at the points for each σ, (levels, n), in float64."""
    densities = []
    for noise in noise_levels:
        flow = _new_flow(data.shape[1], seed)
        _train(flow, data, noise, steps=steps, seed=seed)
        with torch.no_grad():
            densities.append(flow.eval().log_prob(data).double())
    return torch.stack(densities)


def _new_flow(features: int, seed: int) -> Flow:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return coupling_flow(
            features,
            layers=LAYERS,
            hidden_features=HIDDEN_FEATURES,
            permute=features > 2,
            volume_preserving=False,
            bounded_scale=True,
            base=StandardNormal([features]),
            generator=torch.Generator().manual_seed(seed),
        )


def _train(flow: Flow, data: Tensor, noise: float, *, steps: int, seed: int) -> None:
    held_out, kept = held_out_and_kept(data, seed=seed)
    train(
        NegativeLogLikelihood(flow, data_noise=noise, generator=torch.Generator().manual_seed(seed)),
        kept,
        steps=steps,
        generator=torch.Generator().manual_seed(seed),
        held_out=held_out.repeat(_HELD_OUT_COPIES, 1),
        evaluate_every=_EVALUATE_EVERY,
        early_stop=StopOnHeldOutLoss(patience=_PATIENCE),
    )
