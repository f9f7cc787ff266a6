"""The settings of a run that is resumed: those that differ from its start are named."""

from functools import partial

import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR

from nflows_spread.training import Checkpoints, CosineNoise, fit
from resumed_runs import ROWS, objective_of, train


def test_a_run_with_other_settings_is_refused_by_their_names(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    objective = objective_of(0)
    other = {
        "batch_size": 5,
        "learning_rate": 1e-3,
        "noise_schedule": CosineNoise(objective, start=0.3, end=0.05, steps=20),
        "learning_rate_schedule": partial(CosineAnnealingLR, T_max=41),
        "average": None,
    }
    with pytest.raises(ValueError, match="settings of its start") as caught:
        train(objective, ROWS[:60], 10, folder=tmp_path, resume=True, **other)
    message = str(caught.value)
    for shown in (
        "batch_size was 10 and is 5",
        "average was 0.9 and is None",
        "data was 70 rows",
        "noise_schedule was GeometricNoise",
        "'T_max': 40",
        "'lr': 0.01",
    ):
        assert shown in message
    assert "gradient_clip" not in message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["data_noise", "spread_variance"])
def test_a_run_with_another_constant_noise_is_refused(name, tmp_path):
    fit(objective_of(0), ROWS, steps=5, checkpoints=Checkpoints(tmp_path), batch_size=10)
    objective = objective_of(0)
    setattr(objective if name == "data_noise" else objective.base, name, 0.5)
    with pytest.raises(ValueError, match=rf"{name} was .* and is 0.5"):
        fit(objective, ROWS, steps=10, checkpoints=Checkpoints(tmp_path), batch_size=10, resume=True)
