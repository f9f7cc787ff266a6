"""Whole grey levels and continuous values: dequantisation, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nflows.flows import Flow

from nflows_spread import DegenerateGaussian, SpreadKLLoss, initialize
from nflows_spread.datasets import DequantisedImages, dequantise, quantise
from nflows_spread.models import volume_preserving_glow
from support import random_pixels, refused


@pytest.mark.parametrize("levels", [256, 32])
def test_quantise_gives_back_every_level_whatever_the_noise(levels):
    images = torch.arange(levels).repeat(2000).view(2, -1, levels)
    x = dequantise(images, levels=levels, generator=torch.Generator().manual_seed(0))
    assert x.dtype == torch.float32
    assert x.min() >= 0.0
    assert x.max() < 1.0
    assert torch.equal(quantise(x, levels=levels, clip=False), images.to(torch.uint8))


def test_the_noise_never_reaches_the_next_level(monkeypatch):
    """A u close to 1 would be rounded up to it in float32."""
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, generator=None: self.fill_(1.0 - 2.0**-24))
    images = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise(dequantise(images)), images)


def test_dequantisation_is_uniform_within_a_level_and_follows_its_generator():
    images = torch.full((100_000,), 7, dtype=torch.uint8)
    first, same = (dequantise(images, generator=torch.Generator().manual_seed(2)) for _ in range(2))
    u = first * 256 - 7
    assert torch.equal(first, same)
    assert float(u.mean()) == pytest.approx(0.5, abs=5e-3)
    assert float(u.std()) == pytest.approx(12**-0.5, abs=5e-3)


def test_samples_outside_the_unit_interval_are_brought_to_the_nearest_level():
    x = torch.tensor([-0.3, 0.0, 0.5, 1.0, 2.0])
    assert quantise(x).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: dequantise(torch.rand(3)), TypeError, ("integer dtype", "torch.float32", "quantise")),
        (lambda: dequantise(np.zeros(3, np.uint8)), TypeError, ("must be a torch.Tensor", "got ndarray")),
        (lambda: dequantise(torch.tensor([True])), TypeError, ("integer dtype", "torch.bool")),
        (lambda: dequantise(torch.tensor([0, 256])), ValueError, ("from 0 to 255", "got 0 to 256")),
        (lambda: dequantise(torch.tensor([-1, 4])), ValueError, ("from 0 to 255", "got -1 to 4")),
        (lambda: dequantise(torch.tensor([40]), levels=32), ValueError, ("from 0 to 31", "got 40 to 40")),
        (lambda: quantise(torch.tensor([1, 2])), TypeError, ("floating dtype",)),
        (lambda: quantise(torch.tensor([0.5, float("nan")])), ValueError, ("finite",)),
        (lambda: quantise(torch.tensor([-0.1, 0.5]), clip=False), ValueError, ("from 0 to 1", "-0.1 to 0.5", "clip")),
        (lambda: quantise(torch.rand(2), levels=300), ValueError, ("between 1 and 256", "got 300")),
        (lambda: DequantisedImages(torch.zeros(0, 3, 4, 4, dtype=torch.uint8)), ValueError, ("at least one", "none")),
        (lambda: DequantisedImages(torch.rand(2, 3, 4, 4)), TypeError, ("integer dtype",)),
        (lambda: DequantisedImages(torch.full((2, 3, 4, 4), 256)), ValueError, ("from 0 to 255", "got 256 to 256")),
        (
            lambda: DequantisedImages(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), context=torch.zeros(3, 1)),
            ValueError,
            ("each of the 2 images", "got 3"),
        ),
    ],
)
def test_values_outside_the_declared_range_are_refused(call, error, words):
    with refused(error, *words):
        call()


def test_dequantised_images_have_new_noise_each_time_and_their_context():
    images = torch.from_numpy(random_pixels(5, 3, 4, 4))
    dataset = DequantisedImages(images, context=torch.eye(5))
    (x, context), (again, _) = dataset[2], dataset[2]
    assert len(dataset) == 5
    assert torch.equal(context, torch.eye(5)[2])
    assert not torch.equal(x, again)
    assert torch.equal(quantise(x), images[2])
    loader = torch.utils.data.DataLoader(DequantisedImages(images), batch_size=5)
    assert next(iter(loader)).shape == (5, 3, 4, 4)


def test_a_glow_is_fitted_to_dequantised_images_with_the_papers_annealing(tmp_path):
    pytest.importorskip("lightning_fabric")
    from nflows_spread.training import NoiseSchedule, Staircase, fit

    images = torch.from_numpy(random_pixels(12, 3, 4, 4))
    flow = Flow(volume_preserving_glow((3, 4, 4), blocks=1, layers=2, hidden_channels=4), DegenerateGaussian([48]))
    initialize(flow, dequantise(images))
    objective = SpreadKLLoss(flow)
    noise = NoiseSchedule(objective, Staircase.by_epoch(3, hold=1, decay=1))
    fit(objective, DequantisedImages(images), steps=5, batch_size=4, noise_schedule=noise, progress=False)
    assert objective.data_noise == pytest.approx(0.009)
    assert quantise(flow.sample(2)).shape == (2, 3, 4, 4)
