"""The two-stage VAE and the continuously indexed flow as methods: what they offer, and that it is right on a plane."""

from __future__ import annotations

import numpy as np
import pytest

from charts.latent_variable_methods import continuously_indexed, two_stage


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(400, 2)) @ np.linalg.qr(random.normal(size=(4, 2)))[0].T * np.sqrt(2.0)


def test_a_two_stage_vae_has_coordinates_points_and_samples(plane: np.ndarray) -> None:
    model = two_stage(plane, 2, 0, epochs=(100, 2))
    assert model.notes["active"] == 2
    coordinates = model.encode(plane)
    assert coordinates.shape == (400, 2)
    assert np.square(model.decode(coordinates) - plane).mean() < 0.1 * plane.var()
    assert model.sample(50).shape == (50, 4)
    assert np.array_equal(model.sample(5), model.sample(5))
    assert model.log_prob is None


def test_a_continuously_indexed_flow_has_a_density_and_samples(plane: np.ndarray) -> None:
    model = continuously_indexed(plane[:, :2], 2, 0, steps=5)
    assert model.encode is None
    assert model.sample(50).shape == (50, 2)
    assert np.isfinite(model.log_prob(plane[:20, :2])).all()
