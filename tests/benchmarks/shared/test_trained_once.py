"""Models that are trained once: the file that they are kept in, and what it depends on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from baselines.vae import VariationalAutoencoder, trained_autoencoder
from shared import trained_once

IMAGES = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def untrainable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was trained again")

    monkeypatch.setattr(trained_once, "fit", refuse)


def small_autoencoder(folder: Path, steps: int = 30, seed: int = 0, x: torch.Tensor = IMAGES) -> VariationalAutoencoder:
    return trained_autoencoder(
        x.flatten(1), latent_features=2, folder=folder, steps=steps, learning_rate=1e-3, batch_size=20, seed=seed
    )


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))


def test_a_model_is_trained_once_and_read_afterwards(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    first = small_autoencoder(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".pt"]
    request.getfixturevalue("untrainable")
    assert same(first, small_autoencoder(tmp_path))


@pytest.mark.parametrize("other", [{"steps": 31}, {"seed": 1}, {"x": IMAGES.flip(0)}], ids=["steps", "seed", "data"])
def test_other_settings_make_another_model(tmp_path: Path, other: dict[str, object]) -> None:
    first = small_autoencoder(tmp_path)
    assert not same(first, small_autoencoder(tmp_path, **other))  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small_autoencoder(tmp_path / "whole")
    fit = trained_once.fit

    def interrupted(*arguments: object, **options: object) -> None:
        fit(*arguments, **{**options, "steps": 13})  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(trained_once, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_autoencoder(tmp_path / "parts")
    assert not list((tmp_path / "parts").glob("*.pt"))
    monkeypatch.setattr(trained_once, "fit", fit)
    assert same(whole, small_autoencoder(tmp_path / "parts"))


def test_of_two_runs_at_once_one_trains_and_the_other_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, begun = trained_once.fit, []

    def slow(*arguments: object, **options: object) -> None:
        begun.append(options)
        time.sleep(0.3)
        fit(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trained_once, "fit", slow)
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(small_autoencoder, [tmp_path] * 2)
    assert len(begun) == 1
    assert same(first, second)


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    small_autoencoder(tmp_path)
    (path,) = tmp_path.glob("*.pt")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=path.name):
        small_autoencoder(tmp_path)
