"""Atlas: dimension, chart, assignment, coordinates, reconstructions and samples of each piece of a prior."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, atlas_of, base_of, chart_of, swap_base
from nflows_spread.dimension.spectra import intrinsic_dimension
from nflows_spread.models import coupling_flow
from pieces import NOISE, known_pieces
from support import randomize, refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bent(pieces=1, features=3):
    torch.manual_seed(3)
    flow = randomize(coupling_flow(features, layers=4, base=DegenerateGaussianMixture([features], pieces)), 0.2).eval()
    base_of(flow).data_noise = 0.05
    return flow


def test_each_piece_has_its_dimension_its_rows_and_a_component_of_its_own():
    flow, x, labels = known_pieces()
    atlas = atlas_of(flow, x, generator=seeded())
    assert [piece.dimension for piece in atlas.pieces] == [2, 1, 0]
    assert [piece.rows for piece in atlas.pieces] == [300, 300, 300]
    assert [piece.weight for piece in atlas.pieces] == pytest.approx([1 / 3] * 3)
    assert sorted(component.pieces for component in atlas.components) == [(0,), (1,), (2,)]
    assert torch.equal(atlas.assign(x), labels)
    numbers = atlas.component_of_pieces
    assert [atlas.components[number].dimension for number in numbers.tolist()] == [2, 1, 0]


def test_it_says_its_components_in_one_line():
    atlas = atlas_of(*known_pieces()[:2], generator=seeded())
    assert "\n" not in repr(atlas)
    assert "components: dimension" in repr(atlas)
    assert "Transform" not in repr(atlas.pieces[0].chart)


def test_pieces_of_few_rows_are_no_call_with_few_rows():
    """Warnings are of the 90 rows that were passed, and not of the 30 in each piece."""
    flow, x, _ = known_pieces()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atlas = atlas_of(flow, x[::10], generator=seeded())
    assert [piece.rows for piece in atlas.pieces] == [30, 30, 30]


def test_the_coordinates_of_a_piece_are_the_principal_components_of_its_rows_up_to_a_rotation():
    """N comes from random directions, one pair for each row, and turns the axes by some per cent."""
    flow, x, labels = known_pieces()
    found, coordinates = atlas_of(flow, x, generator=seeded()).coordinates(x)
    assert torch.equal(found, labels)
    for piece, rank in enumerate([2, 1, 0]):
        own, rows = coordinates[labels == piece], x[labels == piece].numpy()
        _, _, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
        expected = torch.from_numpy((rows - rows.mean(0)) @ axes[:rank].T)
        turn = torch.linalg.lstsq(own[:, :rank], expected).solution
        torch.testing.assert_close(own[:, :rank] @ turn, expected, rtol=0.0, atol=0.02)
        torch.testing.assert_close(turn.mT @ turn, torch.eye(rank), rtol=0.0, atol=0.2)
        assert bool(own[:, rank:].isnan().all())


def test_a_row_is_reconstructed_by_its_own_piece():
    flow, x, labels = known_pieces()
    atlas = atlas_of(flow, x, generator=seeded())
    noisy = x + NOISE * torch.randn(x.shape, generator=seeded(1))
    back = atlas.reconstruct(noisy)
    for piece, rank in enumerate([2, 1, 0]):
        own = labels == piece
        left = (back - x)[own].square().sum(1).mean() / NOISE**2
        assert float(left) == pytest.approx(rank, abs=0.15)  # noise along the manifold stays
        torch.testing.assert_close(back[own], atlas.chart(piece).reconstruct(noisy[own]))


def test_samples_are_on_the_pieces_and_nowhere_between():
    flow, x, labels = known_pieces()
    atlas = atlas_of(flow, x, generator=seeded())
    drawn = atlas.sample(3000, generator=seeded(2))
    of_each = atlas.assign(drawn).bincount(minlength=3)
    torch.testing.assert_close(of_each / 3000, torch.full((3,), 1 / 3), rtol=0.0, atol=0.03)
    for piece in range(3):
        alone = atlas.sample(2000, piece=piece, generator=seeded(3))
        rows = x[labels == piece]
        assert bool((atlas.assign(alone) == piece).all())
        torch.testing.assert_close(alone.mean(0), rows.mean(0), rtol=0.0, atol=0.15)
        torch.testing.assert_close(alone.T.cov(), rows.T.cov(), rtol=0.0, atol=0.15)
        number = int(atlas.component_of_pieces[piece])
        assert torch.equal(atlas.sample(9, component=number, generator=seeded(3)), alone_first(atlas, piece))
        off = alone - atlas.chart(piece).reconstruct(alone)
        assert float(off.abs().max()) < 1e-9


def alone_first(atlas, piece):
    return atlas.sample(9, piece=piece, generator=seeded(3))


def test_no_coordinate_of_a_sample_is_far_beyond_those_of_the_rows():
    generator = seeded()
    x = torch.cat([2.0 * torch.rand(2000, 1, generator=generator) - 1.0, torch.zeros(2000, 1)], 1)
    flow, _, _ = known_pieces()
    base = DegenerateGaussianMixture([2], 1)
    base.fit_pieces(x + 0.01 * torch.randn(x.shape, generator=generator))
    atlas = atlas_of(swap_base(flow, base), x, data_noise=0.01, generator=generator)
    drawn, plain = atlas.sample(5000, generator=generator), atlas.chart(0).sample(5000, generator=generator)
    assert float(plain[:, 0].abs().max()) > 1.5
    assert float(drawn[:, 0].abs().max()) < 1.11  # a twentieth of the range of 2


def test_one_piece_is_the_plain_chart():
    flow, x = bent(), torch.randn(200, 3, generator=seeded())
    base_of(flow).fit_pieces(flow.transform_to_noise(x).detach())
    mixture = base_of(flow)
    single = DegenerateGaussian([3], learn_mean=True, spread_variance=float(mixture.spread_variance))
    with torch.no_grad():
        single.loc.copy_(mixture.mean())
        single.factor.assign(torch.linalg.cholesky(mixture.covariance), single.spread_variance)
    single.data_noise = 0.05
    plain, generator = swap_base(flow, single), seeded(5)
    dimension = intrinsic_dimension(plain, x, generator=generator)
    chart = chart_of(plain, x, rank=dimension, generator=generator)
    atlas = atlas_of(flow, x, generator=seeded(5))
    (piece,), (component,) = atlas.pieces, atlas.components
    assert piece.dimension == component.dimension == dimension
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(piece.dimension.spectrum.signal_to_noise, dimension.spectrum.signal_to_noise, **close)
    torch.testing.assert_close(atlas.coordinates(x)[1], chart.coordinates(x).detach(), **close)
    torch.testing.assert_close(atlas.reconstruct(x), chart.reconstruct(x).detach(), **close)
    torch.testing.assert_close(piece.chart.variances, chart.variances, **close)


def test_moments_of_pieces_that_overlap_are_those_by_responsibility():
    """Of a flow that does nothing: the variance of a chart is that of the rows weighted by responsibilities."""
    generator = seeded()
    x = torch.randn(20_000, 1, generator=generator) * torch.tensor([[1.0, 0.0]])
    flow, _, _ = known_pieces()
    base = DegenerateGaussianMixture([2], 2, spread_variance=1e-6)
    root = torch.tensor([[0.7, 0.0], [0.0, 0.01]])
    base.assign(torch.tensor([0.4, 0.6]), torch.tensor([[-0.5, 0.0], [0.5, 0.0]]), [root, root])
    flow = swap_base(flow, base)
    atlas = atlas_of(flow, x, data_noise=0.01, generator=generator)
    shares = base.responsibilities(x).detach()
    for m in range(2):
        share = shares[:, m] / shares[:, m].sum()
        mean = share @ x[:, 0]
        expected = share @ (x[:, 0] - mean).square()
        assert float(atlas.chart(m).maps.mean[0]) == pytest.approx(float(mean), abs=0.03)
        assert float(atlas.chart(m).variances[0]) == pytest.approx(float(expected), rel=0.06)


def test_a_piece_with_few_rows_is_left_out_and_the_others_have_its_rows():
    flow, x, labels = known_pieces()
    few = torch.cat([x[labels != 1], x[labels == 1][:4]])
    atlas = atlas_of(flow, few, generator=seeded())
    piece = atlas.pieces[1]
    assert (piece.dimension, piece.chart, piece.component, piece.rows) == (None, None, None, 0)
    assert piece.weight == pytest.approx(1 / 3)
    assert int(atlas.component_of_pieces[1]) == -1
    assert not bool((atlas.assign(few) == 1).any())
    assert not bool((atlas.assign(atlas.sample(500, generator=seeded())) == 1).any())
    assert atlas.reconstruct(few).isfinite().all()
    with refused(ValueError, "piece must be one with a chart, got 1"):
        atlas.sample(3, piece=1)


def test_a_piece_without_weight_is_left_out():
    flow, x, labels = known_pieces()
    base = copy.deepcopy(base_of(flow))
    with torch.no_grad():
        base.logits[2] = -torch.inf
    atlas = atlas_of(swap_base(flow, base), x[labels != 2], generator=seeded())
    assert [piece.dimension for piece in atlas.pieces] == [2, 1, None]


def test_an_atlas_can_be_pickled():
    flow, x, _ = known_pieces()
    atlas = atlas_of(flow, x, generator=seeded())
    again = pickle.loads(pickle.dumps(atlas))
    torch.testing.assert_close(again.reconstruct(x), atlas.reconstruct(x), rtol=0.0, atol=0.0)


def test_what_cannot_be_read_is_refused():
    flow, x, _ = known_pieces()
    with refused(TypeError, "the base of the flow must be a DegenerateGaussianMixture, got DegenerateGaussian"):
        atlas_of(swap_base(flow, DegenerateGaussian([4])), x)
    with refused(ValueError, "x must have at least 10 rows for one of the 3 pieces of the prior, got 9"):
        atlas_of(flow, x[:9])
    with refused(ValueError, "x must have at least two rows"):
        atlas_of(flow, x[:1])
    with refused(ValueError, "rule must be one of"):
        atlas_of(flow, x, rule="no rule")
    atlas = atlas_of(flow, x, generator=seeded())
    with refused(ValueError, "piece must be between 0 and 2, got 3"):
        atlas.sample(3, piece=3)
    with refused(ValueError, "component must be between 0 and 2, got 7"):
        atlas.sample(3, component=7)
    with refused(ValueError, "either piece or component must be given"):
        atlas.sample(3, piece=0, component=0)
    with refused(ValueError, "num_samples must be"):
        atlas.sample(0)
    unknown = coupling_flow(4, layers=1, base=DegenerateGaussianMixture([4], 1))
    with pytest.warns(UserWarning, match="data_noise"):
        atlas_of(unknown, x)
