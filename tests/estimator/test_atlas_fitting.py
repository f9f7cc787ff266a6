"""When the samples of an atlas are asked before those of the chart: where it is much nearer to held-out rows."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from linear_charts import identity_flow, linear_chart
from nflows_spread.chart import LatentMaps
from nflows_spread.chart.pieces import Pieces
from nflows_spread.estimator import atlas_fitting
from nflows_spread.estimator.atlas_fitting import sampler_and_atlas

HEIGHT = 0.0005
TURN = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / 2.0**0.5


def wave(rows=400):
    """A curve that is nearly a line: samples of the line are as near to its rows as rows are to each other."""
    t = 2.0 * torch.rand(rows, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1.0
    return torch.stack([t, HEIGHT * (3.0 * t).sin()], 1) @ TURN


def chosen(x, *, ambient_noise=0.0, error=None, parts=(), covers=True):
    """What is drawn from, by a chart of the line and pieces of both columns."""
    generator = torch.Generator().manual_seed(1)
    held_out, train = x[:100], x[100:]
    along = TURN[:1]
    line = linear_chart(identity_flow(2), 2, 1, Pieces.fitted(x @ along.mT, floor=1e-4, generator=generator))
    line = replace(line, maps=LatentMaps(line.maps.mean, along.mT, along))
    if error is None:
        error = float(line.reconstruction_error(held_out)[-1] / x.var(0).sum().sqrt())
    return sampler_and_atlas(
        line,
        linear_chart(identity_flow(2), 2, 2),
        Pieces.fitted(x, floor=1e-4, generator=generator),
        SimpleNamespace(train=train, validation=held_out, parts=parts, shuffled=x),
        noise=max(1e-3, ambient_noise),
        ambient_noise=ambient_noise,
        min_noise=1e-4,
        covers=covers,
        error=error,
        generator=generator,
    )


def test_an_atlas_that_is_much_nearer_to_held_out_rows_is_drawn_from_though_the_chart_covers_the_data():
    sampler, atlas = chosen(wave())
    assert sampler.source == "atlas"
    assert atlas is sampler.atlas
    samples = sampler.sample(2000, torch.Generator().manual_seed(2))
    t, height = (samples @ TURN.mT).unbind(1)
    beside = height - HEIGHT * (3.0 * t).sin()
    assert float(beside.abs().mean()) < 0.2 * HEIGHT


@pytest.mark.parametrize(
    "said",
    [{"ambient_noise": HEIGHT}, {"error": 1e-5}],
    ids=["what the chart leaves is noise", "the chart is exact"],
)
def test_no_atlas_is_made_where_none_can_be_much_nearer(said, monkeypatch):
    monkeypatch.setattr(atlas_fitting, "local_atlas", lambda *_, **__: 1 / 0)
    sampler, atlas = chosen(wave(), **said)
    assert sampler.source == "chart"
    assert atlas is None


@pytest.mark.parametrize(("share", "taken"), [(0.49, "atlas"), (0.51, "chart")])
def test_it_has_to_leave_half_of_what_the_chart_leaves(share, taken, monkeypatch):
    made = atlas_fitting.local_atlas
    monkeypatch.setattr(
        atlas_fitting, "local_atlas", lambda *of, **settings: replace(made(*of, **settings), error=0.001 * share)
    )
    assert chosen(wave(), error=0.001)[0].source == taken


def test_an_atlas_whose_samples_are_off_is_compared_with_the_chart(monkeypatch):
    class Far:
        source = "atlas"

        def sample(self, count, generator):
            return torch.full((count, 2), 9.0).double()

    monkeypatch.setattr(atlas_fitting.AtlasSampler, "of", lambda *_, **__: Far())
    sampler, _ = chosen(wave())
    assert sampler.source == "chart"


@pytest.mark.parametrize(("share", "taken"), [(0.9, "atlas"), (1.1, "chart")])
def test_a_chart_that_is_none_of_the_whole_data_is_enough_where_it_reconstructs_better(share, taken, monkeypatch):
    """Both are allowed, and the samples of the atlas are rows, nearer to the data than any others."""
    made, x = atlas_fitting.local_atlas, wave()

    class Rows:
        source = "atlas"

        def sample(self, count, generator):
            return x[100:][torch.arange(count) % (len(x) - 100)]

    monkeypatch.setattr(
        atlas_fitting, "local_atlas", lambda *of, **settings: replace(made(*of, **settings), error=0.001 * share)
    )
    monkeypatch.setattr(atlas_fitting.AtlasSampler, "of", lambda *_, **__: Rows())
    assert chosen(x, error=0.001, covers=False)[0].source == taken
