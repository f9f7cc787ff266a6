"""Numbers that say how good a flow is: likelihood, density on the manifold, representation."""

from __future__ import annotations

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

_COMPARED = 1000
_NEIGHBOURS = 10


@torch.no_grad()
def negative_log_likelihood(flow: nn.Module, x: Tensor, data_noise: float, generator: torch.Generator) -> float:
    """−E log p(x + σ_x ε) in nats on held-out points; comparable between flows at the same σ_x."""
    noisy = x + data_noise * torch.empty_like(x).normal_(generator=generator)
    return -float(flow.log_prob(noisy).mean())


def total_variation(density: Tensor, truth: Tensor, cell: float) -> float:
    """½ ∫ |p − q| over cells of equal volume, with what either puts outside them counted as apart."""
    outside = abs(float((density - truth).sum())) * cell
    return 0.5 * (float((density - truth).abs().sum()) * cell + outside)


def representation_quality(representation: Tensor, coordinates: Tensor) -> dict[str, float]:
    """How well a representation (n, 1 or 2) keeps the true coordinates (n, K), each number at best 1.

    For a curve the rank correlation with the coordinate, without its sign; for a surface the
    trustworthiness (do neighbours in the representation neighbour each other in truth?) and the
    distance correlation. Empty for other dimensions.
    """
    x, y = representation[:_COMPARED].double(), coordinates[:_COMPARED].double()
    if y.shape[1] == 1:
        return {"rank_correlation": abs(float(spearmanr(x[:, 0].numpy(), y[:, 0].numpy()).statistic))}
    if y.shape[1] == 2:
        from sklearn.manifold import trustworthiness

        return {
            "trustworthiness": float(trustworthiness(y.numpy(), x.numpy(), n_neighbors=_NEIGHBOURS)),
            "distance_correlation": distance_correlation(x, y),
        }
    return {}


def distance_correlation(x: Tensor, y: Tensor) -> float:
    """Distance correlation of points (n, p) and (n, q), between 0 and 1.

    Reference: G. Székely et al., Measuring and testing dependence by correlation of distances, 2007.
    """
    a, b = (_doubly_centred(torch.cdist(points, points)) for points in (x, y))
    return float((a * b).mean() / ((a * a).mean() * (b * b).mean()).sqrt()) ** 0.5


def _doubly_centred(distances: Tensor) -> Tensor:
    rows, columns = distances.mean(1, keepdim=True), distances.mean(0, keepdim=True)
    return distances - rows - columns + distances.mean()
