"""The experiments on colour images on a few random ones: pictures, table 5, and what is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import run
from colour_image_files import TRAINED, WRITERS, untrained_classifier, write_all, write_cifar10_images
from nflows_spread import DegenerateGaussian, decode, encode, spectrum
from nflows_spread.factors import SpreadCholeskyFactor
from nflows_spread.fitted_chart import fitted_maps
from paper import experiments
from paper.data_sets import Folders
from paper.experiment import OURS
from paper.experiments.cifar10 import REFITTED, SCALES, SEMI_TIED
from paper.images import colour
from paper.reconstruction.reconstructions import ranks_of

pytest.importorskip("torchmetrics")
SIDE = 16
FEATURES = 3 * SIDE * SIDE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All three sets, of 60 images to train on and 12 to hold out."""
    return write_all(tmp_path / "data")


@pytest.fixture(autouse=True)
def _quick_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "trained_classifier", untrained_classifier)


def few_steps(name: str, monkeypatch: pytest.MonkeyPatch, *, flows: slice = slice(None)) -> None:
    """The experiment with small nets, a few steps, a spectrum without Jacobians, and those of its flows."""
    monkeypatch.setattr("paper.results.fitted_maps", partial(fitted_maps, steps=2))
    monkeypatch.setattr("paper.results.spectrum", partial(spectrum, jacobians=0))
    declared = experiments.load(name)
    small = {"layers": 1, "hidden_channels": 4}
    *others, cef = declared.variants
    others = [v.also({"refit": {**v.changes["refit"], "pieces": 3}}) if "refit" in v.changes else v for v in others]
    monkeypatch.setattr(
        f"paper.experiments.{name}.EXPERIMENT",
        replace(
            declared,
            flow=partial(declared.flow, **small),
            variants=(*others, cef.also({"flow": partial(cef.changes["flow"], **small)}))[flows],
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


@pytest.mark.parametrize(
    "spread",
    [
        [REFITTED.name],
        pytest.param([OURS.name, SCALES.name, SEMI_TIED.name, REFITTED.name], marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_one_command_leaves_pictures_and_table_5(
    spread: list[str],
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few_steps("cifar10", monkeypatch, flows=slice(4 - len(spread), None))
    results = results_of("cifar10", data, tmp_path)
    table = capsys.readouterr().out
    assert all(f"mse {rank}" in table for rank in ranks_of(FEATURES))
    assert list(results) == [*spread, "fixed prior", "CEF"]
    reported = {
        flow: [int(key.removeprefix("frechet_")) for key in numbers if key.startswith("frechet_")]
        for flow, numbers in results.items()
    }
    ranks = [128, 500, 625, 750, 768]
    assert reported == {**dict.fromkeys(spread, ranks), "fixed prior": [768], "CEF": [128]}
    assert len({numbers["floor_frechet"] for numbers in results.values()}) == 1
    assert results["CEF"]["dimension"] == {"given": 128}
    assert results["CEF"]["held_out_nll"] is None
    assert "mse_128" in results["CEF"]
    assert "mse_256" not in results["CEF"]


@pytest.mark.parametrize("name", ["svhn", "celeba"])
def test_the_other_sets_go_the_same_way(name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_steps(name, monkeypatch, flows=slice(-1, None))
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
    assert declared.of(declared.variants[-1]).latent_features == rank
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


def test_a_run_names_corrupt_images_and_goes_on_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10_images(tmp_path, corrupt=2)
    few_steps("cifar10", monkeypatch, flows=slice(-1, None))
    with pytest.warns(UserWarning, match=r"2 of 60 images of train.zip .* left out: airplane/0000"):
        results = results_of("cifar10", tmp_path, tmp_path / "out")
    assert results["CEF"]["steps"] == 3


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
