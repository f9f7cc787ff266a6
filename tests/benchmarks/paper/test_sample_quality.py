"""Fréchet distance, precision and recall against closed forms and known sets."""

from __future__ import annotations

import math

import pytest
import torch

from paper.sample_quality.quality import SampleQualityMetric, frechet_distance, precision_and_recall

pytest.importorskip("torchmetrics")


def points_with_moments(mean: torch.Tensor, variances: torch.Tensor, n: int = 500) -> torch.Tensor:
    """Points whose sample mean and covariance are exactly these, the covariance being diagonal."""
    x = torch.randn(n, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x - x.mean(0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T
    return mean + whitened * variances.sqrt()


def test_the_frechet_distance_of_two_gaussians_is_the_closed_form() -> None:
    first = torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64), torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64)
    second = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64), torch.tensor([9.0, 1.0, 0.25], dtype=torch.float64)
    means = float((first[0] - second[0]).square().sum())
    deviations = float((first[1].sqrt() - second[1].sqrt()).square().sum())
    found = frechet_distance(points_with_moments(*first), points_with_moments(*second))
    assert found == pytest.approx(means + deviations, rel=1e-8)


def test_the_frechet_distance_of_a_set_to_itself_is_0() -> None:
    x = points_with_moments(torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64))
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-8)


def test_precision_and_recall_of_a_set_and_itself_are_1() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert precision_and_recall(x, x) == (1.0, 1.0)


def test_samples_of_one_of_two_clusters_are_precise_and_miss_half() -> None:
    generator = torch.Generator().manual_seed(0)
    near, far = (torch.rand(40, 2, generator=generator) + offset for offset in (0.0, 100.0))
    assert precision_and_recall(near, torch.cat([near, far])) == (1.0, 0.5)
    assert precision_and_recall(torch.cat([near, far]), near) == (0.5, 1.0)


def test_points_on_a_line_have_balls_up_to_their_kth_neighbour() -> None:
    data = torch.arange(5.0).unsqueeze(1)  # the ball of an end reaches 3, that of the others 2 or 3
    samples = torch.tensor([[-3.0], [-3.01], [7.0], [7.01], [2.5]])
    precision, _ = precision_and_recall(samples, data, neighbour=3)
    assert precision == pytest.approx(3 / 5)


def test_precision_and_recall_refuse_fewer_points_than_neighbours() -> None:
    few, many = torch.zeros(3, 2), torch.zeros(9, 2)
    with pytest.raises(ValueError, match="samples must have more than 3 points, got 3"):
        precision_and_recall(few, many)
    with pytest.raises(ValueError, match="data must have more than 3 points, got 3"):
        precision_and_recall(many, few)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4)], ids=["grey", "colour"])
def test_images_are_compared_in_the_space_of_features(shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    samples, data = (0.5 * torch.rand(n, *shape, generator=generator) for n in (60, 120))
    metric = SampleQualityMetric(lambda x: x.flatten(1)[:, :2], data, accuracy=1.0, compared=60)
    same, shifted = metric(samples), metric(samples + 0.5)
    assert 0.0 <= same.frechet_distance < 0.025
    assert shifted.frechet_distance == pytest.approx(0.5, abs=0.125)
    assert same.precision > 0.8 > shifted.precision
    assert same.recall > 0.8 > shifted.recall


def metric_of(generator: torch.Generator) -> SampleQualityMetric:
    return SampleQualityMetric(
        lambda x: x.flatten(1)[:, :3], torch.rand(200, 1, 4, 4, generator=generator), accuracy=0.9, compared=90
    )


def test_the_metric_finds_other_data_as_good_as_its_floor() -> None:
    generator = torch.Generator().manual_seed(0)
    metric = metric_of(generator)
    good = metric(torch.rand(100, 16, generator=generator))
    assert good.frechet_distance < 0.1 > metric.floor.frechet_distance
    assert min(good.precision, good.recall, metric.floor.precision, metric.floor.recall) > 0.8


def test_the_metric_sees_what_a_picture_shows() -> None:
    metric = metric_of(torch.Generator().manual_seed(0))
    black_and_white = torch.tensor([0.0, 1.0]).repeat_interleave(45).view(-1, 1, 1, 1).expand(90, 1, 4, 4)
    beyond = torch.where(black_and_white > 0.5, math.inf, -math.inf)
    beyond[0, 0, 0, 0] = math.nan
    assert metric(beyond.flatten(1)) == metric(black_and_white)


def test_the_metric_refuses_too_few_images() -> None:
    with pytest.raises(ValueError, match="data must be at least 10 images, got 9"):
        SampleQualityMetric(lambda x: x, torch.zeros(9, 1, 4, 4), accuracy=1.0, compared=5)
    with pytest.raises(ValueError, match="samples must be at least 90, got 89"):
        metric_of(torch.Generator().manual_seed(0))(torch.zeros(89, 16))


@pytest.mark.parametrize("offset", [1e4, -1e5])
@pytest.mark.parametrize("features", [2, 64])
def test_features_far_from_the_origin_are_compared_as_those_near_it(offset: float, features: int) -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(200, features, generator=generator) + offset
    near, far = data[torch.randperm(200, generator=generator)[:100]], data[:100] + 100.0
    assert precision_and_recall(far, data) == (0.0, 0.0)
    assert precision_and_recall(near, data)[0] == 1.0
    assert precision_and_recall(near, data) == precision_and_recall(near - offset, data - offset)
    here = frechet_distance(far.double() - offset, data.double() - offset)
    assert frechet_distance(far, data) == pytest.approx(here, rel=1e-9)
