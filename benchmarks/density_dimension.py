"""The dimension of data as its denoiser sees it, from the density of a flow and with no chart and no eigenvalues.

The best estimate of x from x̃ = x + σ ε is x̃ + σ² ∇log p(x̃). At a small σ it takes away the noise across a
K-dimensional manifold and none of the noise along it, so that its squared error is K σ². A model's own estimate can
only be worse: its error over σ² is an upper bound, on average over the data, and falls to the dimension at the scale of
σ as the model gets better. By de Bruijn's identity D − σ² E‖∇log p‖² is the same number for the true density; for a
model it is no bound, and the distance of the two says how far the model is from what it was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from outcomes import Outcome

_POINTS = 2_000
_CHUNK = 500


def denoising_dimension(outcome: Outcome) -> dict[str, object]:
    """A measure: ``denoising_dimension``, the error over σ_x² on held-out points, and ``score_dimension``, de Bruijn's.

    Both at the σ_x that training ended with; empty where that is 0.
    """
    if outcome.trained.data_noise == 0.0:
        return {}
    x = outcome.task.held_out.x[:_POINTS]
    error, score = dimensions_of_density(outcome.trained.flow, x, outcome.trained.data_noise, outcome.generator())
    return {"denoising_dimension": error, "score_dimension": score}


def dimensions_of_density(
    flow: nn.Module, x: Tensor, data_noise: float, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """E‖ε + σ ∇log p(x̃)‖² and E[‖ε‖² − σ² ‖∇log p(x̃)‖²] over points x (n, ...) with x̃ = x + σ ε.

    E‖ε‖² stands for its value D because it varies together with the other term, which leaves a variance of
    the order of K / n in place of D / n.

    Args:
        flow: with ``log_prob``.
        x: points that the flow was not trained on.
        data_noise: σ, above 0.
        generator: source of ε.
    """
    error, score = 0.0, 0.0
    for part in x.split(_CHUNK):
        noise = torch.empty_like(part).normal_(generator=generator)
        noisy = (part + data_noise * noise).requires_grad_()
        (gradient,) = torch.autograd.grad(flow.log_prob(noisy).sum(), noisy)
        scaled = data_noise * gradient
        error += float((noise + scaled).double().square().sum()) / len(x)
        score += float((noise.double().square() - scaled.double().square()).sum()) / len(x)
    return error, score
