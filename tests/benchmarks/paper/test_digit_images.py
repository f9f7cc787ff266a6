"""MNIST and synthetic MNIST as data sets: from small files in its format, and from the real ones where they are."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from nflows_spread.datasets import DATA_VARIABLE
from nflows_spread.datasets.digits import MNIST_FILES
from paper import experiments
from paper.data_sets import Folders
from paper.experiment import PROFILES
from paper.images import digits
from paper.sample_quality.classifier import SmallClassifier
from run import main

pytest.importorskip("torchmetrics")
IMAGES = {"train": 10_000, "test": 20}
SYNTHETIC = ("synthetic_mnist_5", "synthetic_mnist_10")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """A folder with random images in the format of MNIST, and a classifier that need not be trained."""
    generator = torch.Generator().manual_seed(0)
    for split, n in IMAGES.items():
        images, labels = MNIST_FILES[split]
        pixels = torch.randint(256, (n, 28, 28), generator=generator, dtype=torch.uint8)
        (tmp_path / images).write_bytes(struct.pack(">4I", 0x0803, n, 28, 28) + pixels.numpy().tobytes())
        classes = (torch.arange(n) * 10 // n).to(torch.uint8)  # sorted by class, as some copies are
        (tmp_path / labels).write_bytes(struct.pack(">2I", 0x0801, n) + classes.numpy().tobytes())
    monkeypatch.setattr(digits, "trained_classifier", lambda x, labels, folder: SmallClassifier(x.shape[1:]))
    return Folders(data=tmp_path, cache=tmp_path / "cache")


def test_mnist_is_shuffled_images_with_their_classes_and_a_quality_metric(folders: Folders) -> None:
    data_set = digits.mnist(0, folders)
    assert data_set.train.x.shape == (10_000, 1, 28, 28)
    assert data_set.held_out.x.shape == (20, 1, 28, 28)
    assert data_set.image_shape == (28, 28)
    assert data_set.intrinsic_dimension is None
    assert len(data_set.train.coordinates[:100].unique()) == 10
    other = digits.mnist(1, folders)
    assert not torch.equal(data_set.train.x, other.train.x)
    assert torch.equal(data_set.train.x.flatten().sort().values, other.train.x.flatten().sort().values)
    assert data_set.quality_metric is not None
    assert data_set.quality_metric(data_set.train.x[:5000].flatten(1)).frechet_distance == pytest.approx(0.0, abs=1e-6)


def test_the_quality_metric_of_the_digits_has_its_accuracy_on_the_test_images(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmallClassifier, "accuracy", lambda self, x, labels: len(x) + float(labels.sum()))
    metric = digits.mnist(0, folders).quality_metric
    assert metric is not None
    assert metric.accuracy == IMAGES["test"] + 2 * sum(range(10))


def test_the_distance_of_an_image_is_that_to_the_nearest_training_image(folders: Folders) -> None:
    data_set = digits.mnist(0, folders)
    known = data_set.train.x.flatten(1)
    new = torch.rand(3, 784, generator=torch.Generator().manual_seed(0))
    found = data_set.distance(torch.cat([new, known[:2]]))
    expected = torch.stack([(known.double() - x.double()).norm(dim=1).min() for x in new])
    torch.testing.assert_close(found, torch.cat([expected, torch.zeros(2, dtype=torch.float64)]), rtol=1e-8, atol=0)


def test_synthetic_mnist_has_the_latents_as_its_coordinates(folders: Folders) -> None:
    make = partial(digits.synthetic_mnist_5, steps=3, learning_rate=1e-3)
    data_set = make(0, folders)
    assert data_set.intrinsic_dimension == 5
    assert data_set.train.x.shape == (60_000, 1, 28, 28)
    assert data_set.train.coordinates.shape == (60_000, 5)
    assert data_set.held_out.x.shape == (5_000, 1, 28, 28)
    again, other = make(0, folders), make(1, folders)
    assert torch.equal(data_set.train.x, again.train.x)
    assert not torch.equal(data_set.train.x, other.train.x)
    assert len(list(folders.cache.glob("*.pt"))) == 1, "the autoencoder does not depend on the seed of the run"


@pytest.mark.parametrize("name", ["mnist", *SYNTHETIC])
def test_missing_files_are_named_with_where_they_are_published(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--data-dir", str(tmp_path), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert all(f"{file}.gz" in message for files in MNIST_FILES.values() for file in files)
    assert "github.com/cvdfoundation/mnist" in message


@pytest.mark.parametrize("name", ["mnist", *SYNTHETIC])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_flows_of_every_profile_take_the_images(name: str, profile: str) -> None:
    declared = experiments.load(name).at(profile)
    assert [variant.name for variant in declared.variants][:1] == ["paper's setting"]
    for variant in declared.variants:
        settings = declared.of(variant)
        flow = settings.flow(volume_preserving=not settings.fixed_prior)
        assert flow.transform_to_noise(torch.rand(2, 1, 28, 28)).shape == (2, 784)


def test_the_paper_profile_is_the_papers_schedule() -> None:
    for name in ("mnist", *SYNTHETIC):
        settings = experiments.load(name).at("paper")
        paper = settings.of(settings.variants[0])
        rate, noise = paper.learning_rate.over(paper.steps), paper.data_noise.over(paper.steps)
        assert (paper.steps, paper.batch_size) == (300_000, 100)
        assert [rate(step) for step in (0, 99_999)] == [5e-4, 5e-4]
        assert rate(110_000) == pytest.approx(5e-4 * 0.9 ** round((110_000 - 100_000) / 10_000), rel=0.12)
        assert noise(0) == 0.05
        assert noise(299_999) == 0.01


@pytest.mark.slow
@pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"needs the real files; {DATA_VARIABLE} names their folder")
def test_a_few_steps_on_the_real_digits_leave_a_picture_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist = experiments.load("mnist").at("quick")
    few = replace(mnist, steps=3, variants=mnist.variants[-1:])
    monkeypatch.setattr(experiments, "load", lambda name: few)
    assert main(["mnist", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "mnist-quick-seed-0.png").exists()
    assert (tmp_path / "mnist-quick-seed-0.json").exists()
