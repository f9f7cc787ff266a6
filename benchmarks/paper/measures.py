"""Numbers that say how good a flow is: distance to the manifold, density on it, representation, quality of images.

A measure is a function of a ``Result`` that gives numbers by name; an experiment lists those it wants.
"""

from __future__ import annotations

from dataclasses import asdict

from scipy.stats import spearmanr
from torch import Tensor

from nflows_spread.datasets import FadingSquare
from nflows_spread.linalg.distances import distances_between
from paper.results import Measure, Result

_COMPARED = 1000
_NEIGHBOURS = 10


def sample_distance(result: Result) -> dict[str, object]:
    """Distance of the samples to the manifold, or to the nearest training point, in data units.

    ``sample_distance`` is the mean, ``median_distance`` the median, which a few far samples do not move.
    """
    distances = result.data.distance(result.samples)
    return {"sample_distance": float(distances.mean()), "median_distance": float(distances.median())}


def density_on_manifold(result: Result) -> dict[str, object]:
    """``total_variation`` between the density of the samples' nearest points on the manifold and the true one."""
    grid, density = result.grid, result.density
    if grid is None or density is None:
        return {}
    return {"total_variation": total_variation(density, grid.truth, grid.cell)}


def kept_coordinates(result: Result) -> dict[str, object]:
    """How well the representation keeps the true coordinates, see ``representation_quality``."""
    return dict(representation_quality(result.representation, result.data.held_out.coordinates))


def energy_off_square(result: Result) -> dict[str, object]:
    """Share of the samples' energy, the sum of squares, that lies off the fading square's 36 pixels.

    ``energy_off_square`` is that of all samples together, ``median_energy_off_square`` the median of theirs one by one.
    """
    energy = result.samples.double().square()
    off = energy[:, ~FadingSquare().square].sum(1)
    return {
        "energy_off_square": float(off.sum() / energy.sum()),
        "median_energy_off_square": float((off / energy.sum(1)).median()),
    }


def sample_quality(result: Result) -> dict[str, object]:
    """The numbers of ``ImageQuality`` for the samples, and ``floor_…`` for other training data.

    ``classifier_accuracy`` is that of the classifier whose features they are taken in.
    """
    metric = result.data.quality_metric
    if metric is None:
        raise ValueError("the quality of samples needs a data set with a quality_metric, got none")
    floor = {f"floor_{name}": value for name, value in asdict(metric.floor).items()}
    return {**asdict(metric(result.samples)), **floor, "classifier_accuracy": metric.accuracy}


ON_MANIFOLD: tuple[Measure, ...] = (sample_distance, density_on_manifold, kept_coordinates)
"""For a synthetic manifold, which knows distances, densities and coordinates."""


def total_variation(density: Tensor, truth: Tensor, cell: float) -> float:
    """½ ∫ |p − q| over cells of equal volume, with what either puts outside them counted as apart."""
    outside = abs(float((density - truth).sum())) * cell
    return 0.5 * (float((density - truth).abs().sum()) * cell + outside)


def representation_quality(representation: Tensor, coordinates: Tensor) -> dict[str, float]:
    """How well a representation (n, 1 or 2) keeps the true coordinates (n, K), each number at best 1.

    For a curve the rank correlation with the coordinate (Spearman's), without its sign; for a surface
    the trustworthiness (do neighbours in the representation neighbour each other in truth?) and the
    distance correlation. Empty for other dimensions.
    """
    x, y = representation[:_COMPARED].double(), coordinates[:_COMPARED].double()
    if y.shape[1] == 1:
        return {"rank_correlation": abs(float(spearmanr(x[:, 0].numpy(), y[:, 0].numpy()).statistic))}
    if y.shape[1] == 2:
        from sklearn.manifold import trustworthiness

        x, y = x - x.mean(0), y - y.mean(0)  # scikit-learn's distances cancel far from the origin
        return {
            "trustworthiness": float(trustworthiness(y.numpy(), x.numpy(), n_neighbors=_NEIGHBOURS)),
            "distance_correlation": distance_correlation(x, y),
        }
    return {}


def distance_correlation(x: Tensor, y: Tensor) -> float:
    """Distance correlation of points (n, p) and (n, q), between 0 and 1.

    Reference: G. Székely et al., Measuring and testing dependence by correlation of distances, 2007.
    """
    a, b = (_doubly_centred(distances_between(points, points)) for points in (x, y))
    return float((a * b).mean() / ((a * a).mean() * (b * b).mean()).sqrt()) ** 0.5


def _doubly_centred(distances: Tensor) -> Tensor:
    rows, columns = distances.mean(1, keepdim=True), distances.mean(0, keepdim=True)
    return distances - rows - columns + distances.mean()
