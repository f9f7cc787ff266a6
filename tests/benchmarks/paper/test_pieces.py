"""The prior in pieces as a row of an experiment: its settings, its training and its samples."""

from dataclasses import replace

import torch

from nflows_spread import DegenerateGaussianMixture, base_of
from paper import data_sets
from paper.data_sets import Folders
from paper.experiment import OURS, PIECES
from paper.experiments import sine
from paper.results import Result
from paper.settings import settings_of
from paper.training import train


def test_a_row_of_pieces_is_trained_and_sampled(tmp_path):
    short = replace(sine.EXPERIMENT, steps=20, samples=300)
    settings, data = short.of(PIECES), data_sets.sine(0, Folders(None, tmp_path))
    trained = train(settings, data.train.x, seed=0, device="cpu", max_minutes=None, folder=tmp_path / "run")
    base = base_of(trained.flow)
    assert isinstance(base, DegenerateGaussianMixture)
    # they parted at half of the steps
    assert len({round(weight, 6) for weight in base.weights.tolist()}) > 1
    result = Result(PIECES.name, settings, data, trained, measures=(), seed=0)
    drawn = result.draw(300, rank=1)
    assert drawn.shape == (300, 2)
    assert torch.isfinite(drawn).all()


def test_the_record_of_one_gaussian_is_as_it_was():
    one, eight = (settings_of(sine.EXPERIMENT.of(variant)) for variant in (OURS, PIECES))
    assert "pieces" not in one
    assert (eight["pieces"], eight["pieces_from"]) == (8, 0.5)
