"""A prior whose pieces part late: one Gaussian before, the latents' pieces after, and the same when resumed."""

import math

import pytest
import torch

from clusters import three_clusters
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, SpreadKLLoss, base_of, swap_base
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor
from nflows_spread.models import coupling_flow
from nflows_spread.training import Checkpoints, LatePieces, fit
from support import refused

KINDS = (LowerTriangularFactor, SpreadCholeskyFactor, LowRankFactor.of_rank(1), RunningAverageFactor)


def flow_with(base):
    return coupling_flow(2, layers=2, hidden_features=(8,), base=base, generator=torch.Generator().manual_seed(0))


def trained(steps, *, part=None, folder=None, factor=LowerTriangularFactor, stop=None, **options):
    torch.manual_seed(0)
    x = three_clusters(300).float()
    flow = flow_with(DegenerateGaussianMixture([2], 3, factor=factor, **options))
    objective = SpreadKLLoss(flow, data_noise=0.1, generator=torch.Generator().manual_seed(1))
    callbacks = [] if part is None else [LatePieces(flow, x, step=part, generator=torch.Generator().manual_seed(2))]
    if stop is not None:
        callbacks.append(lambda state: setattr(state, "stop_reason", "enough") if state.step == stop else None)
    fit(
        objective,
        x,
        steps=steps,
        batch_size=50,
        learning_rate=1e-3,
        callbacks=callbacks,
        checkpoints=None if folder is None else Checkpoints(folder),
        resume=folder is not None,
        generator=torch.Generator().manual_seed(3),
        progress=False,
        processes=1,
    )
    return flow.eval()


@pytest.mark.parametrize("factor", KINDS)
@pytest.mark.parametrize("tied", [False, True])
def test_until_then_the_pieces_are_one(factor, tied):
    base = base_of(trained(20, part=30, factor=factor, tied=tied))
    z = torch.randn(7, 2, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(base.log_prob(z), base.piece(0).log_prob(z), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(base.weights, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=1e-5)


def test_one_of_them_trains_as_one_gaussian_does():
    """Adam's steps have no scale: gradients that are a third each move as far."""
    flow = trained(20, part=30)
    torch.manual_seed(0)
    x = three_clusters(300).float()
    alone, start = flow_with(DegenerateGaussian([2], learn_mean=True)), DegenerateGaussianMixture([2], 3)
    base_of(alone).factor.assign(torch.linalg.cholesky(start.covariance.detach().double()), start.spread_variance)
    fit(
        SpreadKLLoss(alone, data_noise=0.1, generator=torch.Generator().manual_seed(1)),
        x,
        steps=20,
        batch_size=50,
        learning_rate=1e-3,
        generator=torch.Generator().manual_seed(3),
        progress=False,
        processes=1,
    )
    torch.testing.assert_close(flow.log_prob(x), alone.eval().log_prob(x), rtol=1e-2, atol=1e-2)


def test_then_they_are_the_clusters():
    flow = trained(40, part=30)
    assert base_of(flow).weights.tolist() == pytest.approx([1 / 3] * 3, abs=0.05)
    x = three_clusters(300, seed=5).float()
    assert float(flow.log_prob(x).mean()) > float(trained(40, part=50).log_prob(x).mean()) + 0.5


@pytest.mark.parametrize("stop", [20, 35])
def test_a_resumed_run_parts_once_and_ends_as_the_whole_one(tmp_path, stop):
    whole = trained(40, part=30)
    trained(40, part=30, folder=tmp_path, stop=stop)
    resumed = trained(40, part=30, folder=tmp_path)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_pieces_without_means_stay_concentric():
    base = base_of(trained(40, part=30, learn_mean=False))
    assert base.locs is None
    assert math.isfinite(float(base.log_prob(torch.zeros(1, 2))))


def test_what_cannot_part_is_refused():
    x = three_clusters(30).float()
    flow = flow_with(DegenerateGaussianMixture([2], 3))
    with refused(TypeError, "must be a DegenerateGaussianMixture, got DegenerateGaussian"):
        LatePieces(swap_base(flow, DegenerateGaussian([2])), x, step=3)
    with refused(ValueError, "x must have at least 3 rows, one for each piece, got 2"):
        LatePieces(flow, x[:2], step=3)
    with refused(ValueError, "step must be at least 1, got 0"):
        LatePieces(flow, x, step=0)
