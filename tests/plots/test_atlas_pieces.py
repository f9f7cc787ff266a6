"""The plot of pieces: each point in the colour of its piece, and the pieces' numbers among their points."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from support import refused


def by_label(ax):
    return {drawn.get_label(): np.asarray(drawn.get_offsets()) for drawn in ax.collections}


def test_an_atlas_shows_the_rows_of_each_piece_with_its_dimension(ax, atlas, two_clusters):
    x = two_clusters[0]
    assert plots.pieces(atlas, x, ax=ax) is ax
    assigned, found = atlas.assign(x), by_label(ax)
    names = [f"piece {m}: dimension {int(atlas.pieces[m].dimension)}" for m in assigned.unique().tolist()]
    assert list(found) == names
    for m, offsets in zip(assigned.unique().tolist(), found.values()):
        np.testing.assert_allclose(offsets, x[assigned == m], rtol=1e-7)
    assert [text.get_text() for text in ax.texts] == [str(m) for m in assigned.unique().tolist()]


def test_components_are_the_clusters(ax, atlas, two_clusters):
    x, label = two_clusters
    plots.pieces(atlas, x, component=True, ax=ax)
    clusters = [offsets for name, offsets in by_label(ax).items() if name.startswith("component")]
    assert sorted(len(offsets) for offsets in clusters) == [100, 100]
    assert {frozenset(label[(x[:, 0] > 4) == (offsets[0, 0] > 4)].tolist()) for offsets in clusters} == {
        frozenset({0}),
        frozenset({1}),
    }


def test_an_estimator_shows_its_local_atlas(ax, estimator, surface, monkeypatch):
    x = surface[0]

    class Local:
        def assign(self, rows):
            np.testing.assert_allclose(rows, (x - estimator.center_.numpy()) / np.asarray(estimator.scale_), atol=1e-6)
            return torch.arange(len(rows)) % 3

    monkeypatch.setattr(estimator, "atlas_", Local())
    plots.pieces(estimator, x, ax=ax)
    assert {name: len(offsets) for name, offsets in by_label(ax).items()} == {f"piece {m}": 50 for m in range(3)}


def test_numbers_share_colours_where_they_are_many_and_none_is_grey(ax):
    numbers = np.arange(-1, 11)
    plots.pieces(numbers, np.random.default_rng(0).normal(size=(12, 2)), ax=ax)
    colours = [tuple(drawn.get_facecolor()[0]) for drawn in ax.collections]
    assert colours[1:4] == colours[9:12]
    assert len(set(colours)) == 9
    assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == [str(m) for m in range(11)]


def test_what_has_no_pieces_is_refused(ax, estimator, surface, monkeypatch):
    x = surface[0]
    monkeypatch.setattr(estimator, "atlas_", None)
    with refused(
        ValueError, "the estimator must have an atlas, got one whose atlas_ is None", "plots.chart shows that"
    ):
        plots.pieces(estimator, x, ax=ax)
    with refused(ValueError, "component needs an Atlas, which knows them, got SpreadFlowEstimator"):
        plots.pieces(estimator, x, component=True, ax=ax)
    with refused(
        TypeError, "plots.pieces must be given an Atlas", "got int; make an atlas of a flow by atlas_of(flow, x)"
    ):
        plots.pieces(3, x, ax=ax)
    with refused(ValueError, "numbers of pieces must be one for each of the 150 rows, got shape (2,)"):
        plots.pieces([0, 1], x, ax=ax)
    with refused(ValueError, "numbers of pieces must be whole, got 0.5"):
        plots.pieces(np.full(150, 0.5), x, ax=ax)
    assert not ax.collections


@pytest.mark.parametrize("space", [False, True])
def test_a_number_stands_on_a_point_of_its_piece(space):
    x = np.random.default_rng(0).normal(size=(40, 3 if space else 2))
    axes = plots.pieces(np.arange(40) % 2, x)
    assert (axes.name == "3d") is space
    for number, text in enumerate(axes.texts):
        place = np.array(text.get_position_3d() if space else text.get_position())
        assert np.abs(x[number::2] - place).sum(1).min() == 0.0
