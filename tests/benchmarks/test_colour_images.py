"""The experiment on colour images on a few random ones, and what is left of images at each rank."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

import run
from nflows_spread import DegenerateGaussian, decode, encode
from nflows_spread.datasets import CIFAR10_CLASSES
from nflows_spread.factors import SpreadCholeskyFactor
from nflows_spread.fitted_chart import fitted_maps
from paper import experiments
from paper.data_sets import Folders
from paper.images import colour
from paper.reconstruction.quality import quality_by_rank
from paper.reconstruction.reconstructions import ranks_of
from paper.sample_quality.classifier import SmallClassifier
from paper.sample_quality.inception import INCEPTION_VARIABLE, inception_features
from paper.sample_quality.quality import SampleQualityMetric

pytest.importorskip("torchmetrics")
SIDE = 16
FEATURES = 3 * SIDE * SIDE
TRAINED, HELD_OUT = 60, 12


def smooth_pixels(count: int, seed: int) -> np.ndarray:
    """Images of smooth colours, (count, 32, 32, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


def write_cifar10(folder: Path) -> None:
    for name, count in {**{f"data_batch_{n}": 12 for n in range(1, 6)}, "test_batch": HELD_OUT}.items():
        pixels = smooth_pixels(count, len(name)).transpose(0, 3, 1, 2).reshape(count, -1)
        path = folder / "cifar-10-batches-py" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(count)]}))


def write_svhn(folder: Path) -> None:
    for split, count in {"train": TRAINED, "test": HELD_OUT}.items():
        labels = np.arange(count)[:, None] % 10 + 1  # as published, 10 is a zero
        scipy.io.savemat(
            folder / f"{split}_32x32.mat", {"X": smooth_pixels(count, 0).transpose(1, 2, 3, 0), "y": labels}
        )


def write_celeba(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.concatenate([smooth_pixels(TRAINED, 0), smooth_pixels(HELD_OUT, 1)])
    splits = [0] * TRAINED + [2] * HELD_OUT
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number, one in enumerate(pixels, 1):
            file = io.BytesIO()
            image.fromarray(one).resize((178, 218)).save(file, "PNG")
            archive.writestr(f"img_align_celeba/{number:06}.jpg", file.getvalue())
    names = "".join(f"{number:06}.jpg {split}\n" for number, split in enumerate(splits, 1))
    (folder / "list_eval_partition.txt").write_text(names)


WRITERS = {"cifar10": write_cifar10, "svhn": write_svhn, "celeba": write_celeba}
TASKS = {"cifar10": colour.cifar10, "svhn": colour.svhn_digits, "celeba": colour.celeba_faces}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All three sets, of 60 images to train on and 12 to hold out."""
    folder = tmp_path / "data"
    folder.mkdir()
    for write in WRITERS.values():
        write(folder)
    return folder


@pytest.fixture(autouse=True)
def _quick_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that need not be trained."""

    def untrained(x: torch.Tensor, labels: torch.Tensor, *, folder: Path, **options: object) -> SmallClassifier:
        torch.manual_seed(0)
        return SmallClassifier(tuple(x.shape[1:]), int(labels.max()) + 1, num_features=8)

    monkeypatch.setattr(colour, "trained_classifier", untrained)


def few_steps(name: str, monkeypatch: pytest.MonkeyPatch, *, flows: slice = slice(None)) -> None:
    """The experiment with small nets, a few steps, and those of its flows."""
    monkeypatch.setattr("paper.results.fitted_maps", partial(fitted_maps, steps=2))
    declared = experiments.load(name)
    small = {"layers": 1, "hidden_channels": 4}
    ours, fixed, cef = declared.variants
    monkeypatch.setattr(
        f"paper.experiments.{name}.EXPERIMENT",
        replace(
            declared,
            flow=partial(declared.flow, **small),
            variants=(ours, fixed, cef.also({"flow": partial(cef.changes["flow"], **small)}))[flows],
            steps=3,
            batch_size=20,
            samples=24,
        ),
    )


def results_of(name: str, data: Path, out: Path) -> dict[str, dict[str, object]]:
    """What one command leaves, its picture being there too."""
    pytest.importorskip("matplotlib")
    assert run.main([name, "--data-dir", str(data), "--out", str(out)]) == 0
    assert (out / f"{name}-quick-seed-0.png").stat().st_size > 10_000
    found: dict[str, dict[str, object]] = json.loads((out / f"{name}-quick-seed-0.json").read_text())["results"]
    return found


def test_one_command_leaves_pictures_and_table_5(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_steps("cifar10", monkeypatch)
    results = results_of("cifar10", data, tmp_path)
    table = capsys.readouterr().out
    assert all(f"mse {rank}" in table for rank in ranks_of(FEATURES))
    assert list(results) == ["our default", "fixed prior", "CEF"]
    reported = {
        flow: [int(key.removeprefix("frechet_")) for key in numbers if key.startswith("frechet_")]
        for flow, numbers in results.items()
    }
    assert reported == {"our default": [128, 500, 625, 750, 768], "fixed prior": [768], "CEF": [128]}
    assert len({numbers["floor_frechet"] for numbers in results.values()}) == 1
    assert results["CEF"]["dimension"] == {"given": 128}
    assert results["CEF"]["held_out_nll"] is None
    assert "mse_128" in results["CEF"]
    assert "mse_256" not in results["CEF"]


@pytest.mark.parametrize("name", ["svhn", "celeba"])
def test_the_other_sets_go_the_same_way(name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_steps(name, monkeypatch, flows=slice(2, 3))
    assert "frechet_128" in results_of(name, data, tmp_path)["CEF"]


@pytest.mark.parametrize("name", WRITERS)
def test_without_its_data_an_experiment_says_what_is_expected_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main([name, "--data-dir", str(tmp_path), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert {"cifar10": "cifar-10-batches-py", "svhn": "train_32x32.mat", "celeba": "img_align_celeba"}[
        name
    ] in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("profile", "side", "rank"), [("quick", 16, 128), ("full", 32, 512)])
def test_the_flows_of_a_profile_take_its_images_and_give_them_back(
    name: str, profile: str, side: int, rank: int
) -> None:
    declared = experiments.load(name).at(profile)
    assert declared.of(declared.variants[2]).latent_features == rank
    for variant in declared.variants:
        settings = declared.of(variant)
        latents = settings.latent_features or 3 * side * side
        base = DegenerateGaussian([latents], factor=SpreadCholeskyFactor)
        flow = settings.flow(base=base, volume_preserving=not settings.fixed_prior).eval()
        z = torch.randn(2, latents)
        x = decode(flow, z)
        assert x.shape == (2, 3, side, side)
        torch.testing.assert_close(encode(flow, x), z, rtol=0, atol=1e-4)


def test_a_corrupt_image_is_named_and_left_out_or_stops_the_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(data / "img_align_celeba.zip", "a") as archive:
        archive.writestr("img_align_celeba/000099.jpg", b"no image")
    with open(data / "list_eval_partition.txt", "a") as splits:
        splits.write("000099.jpg 0\n")
    with pytest.warns(UserWarning, match=r"1 of 61 images .* left out: img_align_celeba/000099.jpg"):
        assert len(colour.celeba_faces(0, Folders(data, tmp_path), size=SIDE).train.x) == TRAINED
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        run.main(["celeba", "--data-dir", str(data), "--out", str(out), "--strict"])
    assert stopped.value.code == 2
    assert "000099.jpg" in capsys.readouterr().err
    assert not list(out.iterdir())


def write_cifar10_images(folder: Path, corrupt: int) -> None:
    """Archives of six images for each class; the first few of the training set are no images."""
    image = pytest.importorskip("PIL.Image")
    for split, count in {"train": 6, "test": 1}.items():
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            for number, pixels in enumerate(smooth_pixels(10 * count, count)):
                file = io.BytesIO()
                image.fromarray(pixels).save(file, "PNG")
                good = split == "test" or number >= corrupt
                name = f"{CIFAR10_CLASSES[number % 10]}/{number:04}.png"
                archive.writestr(name, file.getvalue() if good else b"no image")


def test_a_run_names_corrupt_images_and_goes_on_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10_images(tmp_path, corrupt=2)
    few_steps("cifar10", monkeypatch, flows=slice(1, 2))
    with pytest.warns(UserWarning, match=r"2 of 60 images of train.zip .* left out: airplane/0000"):
        results = results_of("cifar10", tmp_path, tmp_path / "out")
    assert results["fixed prior"]["steps"] == 3


@pytest.mark.parametrize(
    ("name", "empty", "words"),
    [
        ("cifar10", ("train", "test"), "train must hold images (.png"),
        ("celeba", ("img_align_celeba",), "img_align_celeba must hold images (.png"),
    ],
)
def test_an_empty_folder_is_refused_and_leaves_nothing(
    name: str, empty: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in empty:
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    with pytest.raises(SystemExit) as stopped:
        run.main([name, "--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_faces_which_have_no_classes_are_told_apart_by_their_turn(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def remembered(x: torch.Tensor, labels: torch.Tensor, **options: object) -> SmallClassifier:
        seen.append((x, labels))
        return SmallClassifier(tuple(x.shape[1:]), 4)

    monkeypatch.setattr(colour, "trained_classifier", remembered)
    for seed in (0, 1):
        colour.celeba_faces(seed, Folders(data, tmp_path), size=SIDE)
    (x, turns), again = seen
    assert torch.equal(x, again[0]), "all runs are measured alike"
    assert turns.bincount().tolist() == [15, 15, 15, 15]
    upright = colour.celeba_faces(0, Folders(data, tmp_path), size=SIDE).train.x
    turned_back = torch.stack([image.rot90(-int(turn), (1, 2)) for image, turn in zip(x, turns)])
    assert torch.equal(turned_back, upright), "seed 0 has the order of the classifier"


class _Sampler:
    """A result as far as ``quality_by_rank`` asks for it, whose samples get worse as K falls."""

    def __init__(self, data: torch.Tensor, *, fixed_prior: bool = False) -> None:
        self.latents = data.flatten(1)
        self.settings = type("Settings", (), {"fixed_prior": fixed_prior})
        metric = SampleQualityMetric(lambda x: x.flatten(1)[:, :4], data, accuracy=0.5, compared=100)
        self.data = type("DataSet", (), {"quality_metric": metric, "inception_metric": None})
        self.asked: list[int] = []

    def draw(self, count: int, *, rank: int) -> torch.Tensor:
        self.asked.append(rank)
        return self.latents[:count] * (rank / self.latents.shape[1])


def test_quality_is_measured_at_the_papers_ranks_and_at_all_of_them() -> None:
    data = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    result = _Sampler(data)
    found = quality_by_rank(result)
    assert result.asked == [32, 125, 156, 188, 192]
    distances = [found[f"frechet_{rank}"] for rank in result.asked]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < found["floor_frechet"] < distances[0]
    assert found["classifier_accuracy"] == 0.5
    fixed = _Sampler(data, fixed_prior=True)
    assert "frechet_192" in quality_by_rank(fixed)
    assert fixed.asked == [192]
    result.data.inception_metric = result.data.quality_metric
    both = quality_by_rank(result)
    assert both["inception_frechet_32"] == both["frechet_32"]
    assert both["inception_floor_recall"] == both["floor_recall"]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda folder: folder / "none.pth", FileNotFoundError, "none.pth; fetch it from torch-fidelity's releases"),
        (lambda folder: write_nothing(folder / "weights.pth"), ModuleNotFoundError, "pip install torch-fidelity"),
    ],
    ids=["no file", "no torch-fidelity"],
)
def test_inception_is_used_where_it_is_and_its_absence_is_said(
    given: Callable[[Path], Path], error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(INCEPTION_VARIABLE, raising=False)
    assert inception_features() is None
    monkeypatch.setenv(INCEPTION_VARIABLE, str(given(tmp_path)))
    monkeypatch.setattr("paper.sample_quality.inception.find_spec", lambda name: None)
    with pytest.raises(error, match=words):
        inception_features()


def write_nothing(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def test_images_are_shuffled_shrunk_by_means_and_dequantised(data: Path, tmp_path: Path) -> None:
    folders = Folders(data, tmp_path)
    data_set, same, other = (colour.cifar10(seed, folders, size=SIDE) for seed in (0, 0, 1))
    assert data_set.train.x.shape == (60, 3, SIDE, SIDE)
    assert data_set.held_out.x.shape == (12, 3, SIDE, SIDE)
    assert torch.equal(data_set.train.x, same.train.x)
    assert not torch.equal(data_set.train.coordinates, other.train.coordinates)
    assert 0.0 <= float(data_set.train.x.min()) <= float(data_set.train.x.max()) < 1.0
    blocks = data_set.train.x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)  # of one colour, but for the dequantisation
    assert (blocks.amax(4) - blocks.amin(4)).max() <= 1.0 / 256
    with pytest.raises(ValueError, match="must divide the images' 32 pixels, got 12"):
        colour.cifar10(0, folders, size=12)
