"""The prior in pieces as a row of an experiment: its settings, its training and its samples."""

from dataclasses import replace

import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread import DegenerateGaussianMixture, base_of, encode
from nflows_spread.factors import RunningAverageFactor
from nflows_spread.training import Constant
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


def test_pieces_from_the_start_are_those_of_the_latents_before_the_first_step(tmp_path):
    settings = replace(sine.EXPERIMENT, steps=1, learning_rate=Constant(1e-9)).of(PIECES.also({"pieces_from": 0.0}))
    data = data_sets.sine(0, Folders(None, tmp_path))
    trained = train(settings, data.train.x, seed=0, device="cpu", max_minutes=None, folder=tmp_path / "run")
    z = encode(trained.flow, data.train.x).detach()
    one = torch.distributions.MultivariateNormal(z.mean(0), torch.cov(z.mT) + 0.09 * torch.eye(2))
    assert base_of(trained.flow).log_prob(z).mean() > one.log_prob(z).mean() + 0.1


def test_samples_of_a_given_rank_lie_on_the_axes_of_the_pieces(tmp_path):
    short = replace(sine.EXPERIMENT, steps=2, samples=300, piece_rank=int, flow=linear)
    settings, data = short.of(PIECES), data_sets.sine(0, Folders(None, tmp_path))
    trained = train(settings, data.train.x, seed=0, device="cpu", max_minutes=None, folder=tmp_path / "run")
    drawn = Result(PIECES.name, replace(settings, piece_rank=lambda dimension: 1), data, trained, measures=(), seed=0)
    base = base_of(trained.flow)
    off = torch.stack([(drawn.samples - base.locs[m]) @ base.piece(m).eigenvectors[:, 1].float() for m in range(8)])
    assert off.abs().amin(0).max() < 1e-4


def test_a_refitted_row_has_another_prior_of_the_same_flow_at_the_end(tmp_path):
    data = data_sets.sine(0, Folders(None, tmp_path))
    short = replace(sine.EXPERIMENT, steps=3, factor=RunningAverageFactor)
    refit = {"pieces": 3, "tied": "semi", "factor": RunningAverageFactor.of_decay(0.99, shrinkage=0.01)}

    def trained(name, **changes):
        settings = short.of(OURS.also({"data_noise": Constant(0.05), **changes}))
        options = {"seed": 0, "device": "cpu", "max_minutes": None, "folder": tmp_path / name}
        return settings, train(settings, data.train.x, **options).flow

    (_, before), (settings, after) = trained("plain"), trained("refitted", refit=refit)
    assert isinstance(base_of(after), DegenerateGaussianMixture)
    assert (base_of(after).pieces, base_of(after).tied) == (3, "semi")
    z = encode(before, data.train.x).detach()
    torch.testing.assert_close(encode(after, data.train.x).detach(), z)
    flat = torch.distributions.MultivariateNormal(torch.zeros(2), z.mT @ z / len(z) + 0.0025 * torch.eye(2))
    assert base_of(after).log_prob(z).mean() > flat.log_prob(z).mean()
    assert settings_of(settings)["refit"]["pieces"] == 3
    assert "refit" not in settings_of(short)


def linear(*, volume_preserving, base, generator):
    """A flow that does nothing."""
    return Flow(IdentityTransform(), base)


def test_the_record_of_one_gaussian_is_as_it_was():
    one, eight = (settings_of(sine.EXPERIMENT.of(variant)) for variant in (OURS, PIECES))
    assert "pieces" not in one
    assert (eight["pieces"], eight["pieces_from"]) == (8, 0.5)
