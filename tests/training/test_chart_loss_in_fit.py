"""``ChartLoss`` in ``fit``: schedules of its weight, exact resume, and settings that must stay the same."""

import pytest
import torch

from nflows_spread import ChartLoss, SpreadKLLoss, chart_of
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Geometric, WeightSchedule, fit, restore_objective
from resumed_runs import ROWS, same, tensors_of, train
from support import refused


def objective_of(seed, **options):
    """Whose maps differ from seed to seed, as they are measured with noise."""
    torch.manual_seed(seed)
    flow = coupling_flow(**TABLE_1)
    chart = chart_of(flow, ROWS, rank=1, data_noise=0.3)
    return ChartLoss(flow, chart, data_noise=0.3, **options)


@pytest.mark.parametrize("kind", ["schedule", "curve", "share"])
def test_fit_moves_the_weight_at_every_step(kind):
    objective, seen = objective_of(0), []
    curve = Geometric(8.0, 1.0, steps=0.75 if kind == "share" else 3)
    schedule = WeightSchedule(objective, curve) if kind == "schedule" else curve
    fit(
        objective,
        ROWS,
        steps=4,
        batch_size=10,
        weight_schedule=schedule,
        callbacks=[lambda _: seen.append(objective.weight)],
    )
    assert seen == pytest.approx([4.0, 2.0, 1.0, 1.0])


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    curve = {"weight_schedule": Geometric(0.1, 10.0, steps=20)}
    whole = objective_of(1)
    train(whole, ROWS, 23, **curve)
    train(objective_of(1), ROWS, 12, folder=tmp_path, **curve)
    resumed = objective_of(2)
    assert not torch.equal(resumed.forth, whole.forth)
    result = train(resumed, ROWS, 23, seed=5, folder=tmp_path, resume=True, **curve)
    assert same(tensors_of(whole), tensors_of(resumed))
    assert resumed.weight == whole.weight
    restored = objective_of(3)
    restore_objective(result.checkpoint, restored)
    assert torch.equal(restored.forth, whole.forth)


def test_a_run_is_not_resumed_with_another_weight(tmp_path):
    train(objective_of(1, weight=2.0), ROWS, 6, folder=tmp_path)
    objective = objective_of(1, weight=1.0)
    with pytest.raises(ValueError, match=r"weight was 2\.0 and is 1\.0"):
        train(objective, ROWS, 8, folder=tmp_path, resume=True)


def test_a_schedule_of_the_weight_needs_a_loss_that_has_one():
    objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.1)
    with refused(TypeError, "something with 'weight', got SpreadKLLoss; build it with the ChartLoss that is trained"):
        fit(objective, ROWS, steps=2, batch_size=10, weight_schedule=Geometric(0.1, 1.0))
