"""The experiment on colour images on a few random ones, and what is left of images at each rank."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import colour_images
import experiment
import ranks
import run
from nflows_spread import DegenerateGaussian, decode, encode
from nflows_spread.factors import SpreadCholeskyFactor
from tasks import Folders

SIDE = 8
FEATURES = 3 * SIDE * SIDE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """CIFAR-10 of 60 images of smooth colours to train on and 12 to hold out."""
    generator = np.random.default_rng(0)
    for name, count in {**{f"data_batch_{n}": 12 for n in range(1, 6)}, "test_batch": 12}.items():
        coarse = generator.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
        pixels = coarse.repeat(8, 2).repeat(8, 3).reshape(count, -1)
        path = tmp_path / "data" / "cifar-10-batches-py" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(count)]}))
    return tmp_path / "data"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The experiment at 8×8 pixels and a few steps."""
    monkeypatch.setattr(
        "experiments.cifar10.EXPERIMENT",
        replace(
            experiment.load("cifar10"),
            task=partial(colour_images.cifar10, size=SIDE),
            flow=partial(colour_images.glow_flow, (3, SIDE, SIDE), blocks=2, layers=1, hidden_channels=4),
            steps=3,
            batch_size=20,
            samples=24,
        ),
    )


def test_the_experiment_leaves_pictures_and_an_error_for_each_rank(
    data: Path, small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert run.main(["cifar10", "--data-dir", str(data), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "cifar10-quick-seed-0.png").stat().st_size > 10_000
    table = capsys.readouterr().out
    assert all(f"mse {rank}" in table for rank in ranks.ranks_of(FEATURES))


def test_images_are_shuffled_shrunk_by_means_and_dequantised(data: Path, tmp_path: Path) -> None:
    folders = Folders(data, tmp_path)
    task, same, other = (colour_images.cifar10(seed, folders, size=SIDE) for seed in (0, 0, 1))
    assert task.train.x.shape == (60, 3, SIDE, SIDE)
    assert task.held_out.x.shape == (12, 3, SIDE, SIDE)
    assert torch.equal(task.train.x, same.train.x)
    assert not torch.equal(task.train.coordinates, other.train.coordinates)
    assert 0.0 <= float(task.train.x.min()) <= float(task.train.x.max()) < 1.0
    blocks = task.train.x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # of one colour, but for the dequantisation
    assert (blocks.amax(4) - blocks.amin(4)).max() <= 1.0 / 256
    with pytest.raises(ValueError, match="must divide the images' 32 pixels, got 12"):
        colour_images.cifar10(0, folders, size=12)


class _Outcome:
    """A trained flow as far as ``ranks`` asks for it."""

    def __init__(self, flow: torch.nn.Module, x: torch.Tensor) -> None:
        self.trained, self.latents = type("Trained", (), {"flow": flow}), encode(flow, x).detach()
        self.task = type("Task", (), {"held_out": type("Points", (), {"x": x})})

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(0)


@pytest.fixture
def outcome() -> _Outcome:
    base = DegenerateGaussian([48], factor=SpreadCholeskyFactor)
    flow = colour_images.glow_flow((3, 4, 4), base=base, blocks=1, layers=1, hidden_channels=4)
    with torch.no_grad():
        base.factor.entries.add_(0.3 * torch.randn(48, 48).tril())
        for name, parameter in flow.named_parameters():
            if "_transform" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return _Outcome(flow.eval(), torch.rand(300, 3, 4, 4))


@pytest.mark.parametrize("order", ranks.ORDERS)
def test_reconstructions_at_full_rank_are_the_images_however_directions_are_chosen(
    order: str, outcome: _Outcome
) -> None:
    directions, x = ranks.directions_of(outcome), outcome.task.held_out.x[:5]
    back = ranks.reconstructions(outcome, directions, x, 48, order)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-3)
    forth, back = directions.maps(3, order)
    torch.testing.assert_close(back @ forth, torch.eye(3), rtol=0, atol=1e-4)  # a projection


def test_energies_and_principal_directions_are_those_of_the_jacobians(outcome: _Outcome) -> None:
    directions, flow = ranks.directions_of(outcome), outcome.trained.flow
    assert (directions.variances.diff() <= 0).all()
    pulled = [
        torch.func.jacrev(lambda row: decode(flow, row.unsqueeze(0)).flatten())(z).detach()
        for z in outcome.latents[:60]
    ]
    exact = replace(directions, pulled=torch.cat(pulled) * 48**0.5)
    torch.testing.assert_close(directions.energies, exact.energies, rtol=0.8, atol=1e-3)
    assert float(directions.energies.sum() / exact.energies.sum()) == pytest.approx(1.0, abs=0.1)
    root = exact.vectors * exact.variances.sqrt()
    whole = (exact.pulled @ root).square().sum()
    kept = {}
    for order in ranks.ORDERS:
        forth, back = exact.maps(5, order)
        kept[order] = 1.0 - (exact.pulled @ (torch.eye(48) - forth @ back).mT @ root).square().sum() / whole
    assert kept[ranks.PRINCIPAL] >= kept[ranks.BY_ENERGY] >= kept[ranks.BY_EIGENVALUE] - 1e-6


def test_the_ranks_are_the_papers_among_others(outcome: _Outcome) -> None:
    assert ranks.ranks_of(3072) == [64, 256, 512, 1024, 2000, 2500, 3000]
    found = ranks.reconstruction_errors(outcome)
    assert set(found) == {f"mse_{rank}{end}" for rank in ranks.ranks_of(48) for end in ranks.ORDERS.values()}
    assert found["mse_47"] < found["mse_1"]
