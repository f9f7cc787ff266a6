"""Pieces of a prior that have died come alive in training, at no loss of likelihood, and the same when resumed."""

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import BatchNorm, CompositeTransform, LULinear

from clusters import three_clusters
from mixtures import covariances_of, every_kind, mixture_of, tied_or_not
from nflows_spread import (
    DegenerateGaussian,
    DegenerateGaussianMixture,
    SpreadKLLoss,
    base_of,
    encode,
    initialize_prior,
    swap_base,
)
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor
from nflows_spread.models import coupling_flow
from nflows_spread.training import Checkpoints, RestartedPieces, TrainingState, fit
from nflows_spread.training.restarted_pieces import restart_dead_pieces
from support import assert_same_state, refused

X = three_clusters(600).float()
KINDS = {
    "LowerTriangularFactor": LowerTriangularFactor,
    "SpreadCholeskyFactor": SpreadCholeskyFactor,
    "LowRankFactor": LowRankFactor.of_rank(2),
    "RunningAverageFactor": RunningAverageFactor,
}


def with_a_dead_piece(kind, **options):
    """Two clusters have a piece each, the third one shares with the second, and a piece is far from all."""
    base = DegenerateGaussianMixture([2], 3, factor=KINDS[kind], **options).double()
    means = torch.tensor([[0.0, 0.0], [3.0, 3.0], [500.0, 0.0]], dtype=torch.float64)
    roots = torch.stack([torch.eye(2), 4.0 * torch.eye(2), torch.eye(2)]).double()
    base.assign(torch.tensor([0.34, 0.65, 0.01]), means, roots)
    return base


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [False, True])
@torch.no_grad()
def test_a_dead_piece_comes_alive_and_the_likelihood_rises(kind, tied):
    base, other = with_a_dead_piece(kind, tied=tied), three_clusters(900, seed=1)
    before = float(base.log_prob(other).mean())
    assert float(base.responsibilities(other).mean(0)[2]) < 1e-6
    assert restart_dead_pieces(base, three_clusters(600), 0.05) == [2]
    assert float(base.responsibilities(other).mean(0).min()) > 0.2
    assert float(base.log_prob(other).mean()) > before + 0.3
    assert restart_dead_pieces(base, three_clusters(600), 0.05) == []


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_pieces_without_means_part_into_an_inner_and_an_outer_one(kind):
    """Of points whose contrasts differ."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 2, generator=generator, dtype=torch.float64)
    z *= torch.exp(torch.randn(4000, 1, generator=generator, dtype=torch.float64))
    base = DegenerateGaussianMixture([2], 2, factor=KINDS[kind], learn_mean=False).double()
    base.assign(torch.tensor([1.0, 0.0]), torch.zeros(2, 2), torch.stack([3.0 * torch.eye(2)] * 2).double())
    before = float(base.log_prob(z).mean())
    assert restart_dead_pieces(base, z, 0.05) == [1]
    assert float(base.log_prob(z).mean()) > before + 0.3


@every_kind
@tied_or_not
def test_one_piece_takes_on_a_covariance_and_the_others_keep_theirs(kind, tied):
    base = mixture_of(kind, tied=tied)
    before = covariances_of(base)
    base.factors.assign_piece(1, 2.0 * base.factors.root_of(1, None, base.spread_variance), base.spread_variance)
    after = covariances_of(base)
    torch.testing.assert_close(after[[0, 2]], before[[0, 2]], rtol=1e-8, atol=1e-10)
    near = tied and kind == "SpreadCholeskyFactor"  # whose scales are those of conditional variances
    torch.testing.assert_close(after[1], 4.0 * before[1], rtol=1e-2 if near else 1e-7, atol=1e-2 if near else 1e-7)


def one_long_axis(spread):
    """A piece whose first axis is the longest of 20, another that is dead, and 60 rows of this spread there."""
    base, far = DegenerateGaussianMixture([20], 2).double(), torch.zeros(2, 20)
    far[1] = 1e3
    root = torch.eye(20).double()
    root[0, 0] = 1.2
    base.assign(torch.tensor([1.0, 1e-6]), far, root.expand(2, 20, 20))
    z = torch.randn(60, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z[:, 0] *= spread
    return base, z


@torch.no_grad()
def test_what_would_cost_likelihood_is_left_as_it_was():
    """Too few rows for covariances of two parts, and nearer to the mean than two parts of the one that is there."""
    base, z = one_long_axis(0.5)
    before = {name: value.clone() for name, value in base.state_dict().items() if torch.is_tensor(value)}
    assert restart_dead_pieces(base, z, 0.05) == []
    assert_same_state({name: base.state_dict()[name] for name in before}, before)


@torch.no_grad()
def test_where_rows_are_few_the_parts_have_the_covariance_of_the_whole():
    """Of points in two groups along the longest axis."""
    base, z = one_long_axis(0.1)
    z[:, 0] += torch.where(torch.arange(60) % 4 < 2, 1.0, -1.0)
    before, covariance = float(base.log_prob(z[1::2]).mean()), base.piece(0).covariance
    assert restart_dead_pieces(base, z, 0.05) == [1]
    assert float(base.log_prob(z[1::2]).mean()) > before
    torch.testing.assert_close(base.weights, torch.full((2,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(base.covariance, covariance)


def trained(steps, *, every=10, folder=None, stop=None):
    torch.manual_seed(0)
    flow = coupling_flow(
        2,
        layers=2,
        hidden_features=(8,),
        base=with_a_dead_piece("LowerTriangularFactor").float(),
        generator=torch.Generator().manual_seed(0),
    )
    restarting = RestartedPieces(flow, X, every=every)
    halt = [] if stop is None else [lambda state: setattr(state, "stop_reason", "enough") if state.step == stop else 0]
    fit(
        SpreadKLLoss(flow, data_noise=0.1, generator=torch.Generator().manual_seed(1)),
        X,
        steps=steps,
        batch_size=50,
        learning_rate=1e-3,
        callbacks=[restarting, *halt],
        checkpoints=None if folder is None else Checkpoints(folder),
        resume=folder is not None,
        generator=torch.Generator().manual_seed(3),
        progress=False,
        processes=1,
    )
    return flow.eval(), restarting.restarted


@pytest.mark.parametrize("tied", [False, True])
def test_a_largest_piece_whose_rows_are_one_point_does_not_end_the_training(tied):
    base = DegenerateGaussianMixture([2], 2, tied=tied).double()
    base.assign(
        torch.tensor([0.99, 0.01]), torch.tensor([[1.0, 2.0], [90.0, 0.0]]).double(), torch.eye(2).repeat(2, 1, 1)
    )
    same = torch.tensor([[1.0, 2.0]]).double().repeat(60, 1)
    assert set(restart_dead_pieces(base, same, 0.5)) <= {1}
    assert torch.isfinite(base.log_prob(same)).all()


def test_a_batch_norm_learns_nothing_of_a_check():
    """The 513th row is a block of its own, which has no variance."""
    x = torch.randn(513, 3, generator=torch.Generator().manual_seed(0))
    transform = CompositeTransform([BatchNorm(3), LULinear(3)])
    flow = Flow(transform, DegenerateGaussianMixture([3], 2)).train()
    flow.log_prob(x)
    before = {name: value.clone() for name, value in transform.state_dict().items()}
    state = TrainingState(SpreadKLLoss(flow, data_noise=0.1), torch.optim.SGD(flow.parameters()))
    RestartedPieces(flow, x, every=1)(state)
    initialize_prior(flow, x, data_noise=0.1)
    torch.testing.assert_close(dict(transform.state_dict()), before, rtol=0.0, atol=0.0)
    assert flow.training


def test_in_training_it_is_checked_at_every_so_many_steps():
    flow, restarted = trained(25)
    without, _ = trained(25, every=100)
    assert restarted == [(10, 2)]
    with torch.no_grad():
        assert float(base_of(flow).responsibilities(encode(flow, X)).mean(0).min()) > 0.2
        assert float(flow.log_prob(X).mean()) > float(without.log_prob(X).mean()) + 0.3


@pytest.mark.parametrize("stop", [5, 15])
def test_a_resumed_run_has_the_bits_of_the_whole_one(tmp_path, stop):
    whole, _ = trained(25)
    trained(25, folder=tmp_path, stop=stop)
    resumed, restarted = trained(25, folder=tmp_path)
    assert restarted == ([(10, 2)] if stop == 5 else [])
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_has_no_pieces_to_restart_is_refused():
    flow = coupling_flow(2, layers=2, base=DegenerateGaussianMixture([2], 3))
    with refused(TypeError, "must be a DegenerateGaussianMixture, got DegenerateGaussian"):
        RestartedPieces(swap_base(flow, DegenerateGaussian([2])), X)
    with refused(ValueError, "x must have at least two rows"):
        RestartedPieces(flow, X[:1])
    with refused(ValueError, "every must be at least 1, got 0"):
        RestartedPieces(flow, X, every=0)
    for floor in (1.0, 0.0):
        with refused(ValueError, "floor must be", f"got {floor}"):
            RestartedPieces(flow, X, floor=floor)
