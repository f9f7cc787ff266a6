"""Uniform balls: the formula of the least divergence against numbers and an integral, the data, the measure."""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.integrate import quad
from torch.distributions import Independent, Normal

from paper import balls
from paper.data_sets import Folders


@pytest.mark.parametrize(("dimension", "least"), [(1, 0.1765), (2, 0.3069), (3, 0.4102)])
def test_the_formula_is_the_divergence_from_the_gaussian_of_the_balls_covariance(dimension, least):
    assert balls.least_divergence(dimension) == pytest.approx(least, abs=1e-4)
    radius = math.sqrt(dimension + 2)
    square, _ = quad(lambda r: r**2 * dimension * r ** (dimension - 1) / radius**dimension, 0.0, radius)
    log_volume = 0.5 * dimension * math.log(math.pi) - math.lgamma(dimension / 2 + 1) + dimension * math.log(radius)
    expected = -log_volume + 0.5 * dimension * math.log(2.0 * math.pi) + 0.5 * square
    assert balls.least_divergence(dimension) == pytest.approx(expected, rel=1e-10)


def test_for_many_dimensions_it_is_half_a_logarithm():
    assert balls.least_divergence(4000) == pytest.approx(0.5 * math.log(math.pi * 4000) - 1.0, abs=1e-3)


def test_the_points_have_unit_covariance_and_none_is_outside(tmp_path):
    data = balls.ball(3, 0, Folders(None, tmp_path))
    torch.testing.assert_close(data.train.x.mT.cov(), torch.eye(3), atol=0.02, rtol=0)
    assert float(data.distance(data.train.x).max()) <= 1e-6
    assert float(data.distance(torch.tensor([[math.sqrt(5.0) + 1.0, 0.0, 0.0]]))) == pytest.approx(1.0)


def test_the_measure_of_the_gaussian_itself_is_the_formula(tmp_path):
    data = balls.ball(4, 0, Folders(None, tmp_path))
    gaussian = Independent(Normal(torch.zeros(4), torch.ones(4)), 1)
    found = balls.divergence(SimpleNamespace(data=data, trained=SimpleNamespace(flow=gaussian)))
    assert found["divergence"] == pytest.approx(found["least"], abs=0.03)
