"""σ_x has one owner, the base: who sets it, what it travels with, and what is said where it is unknown."""

import copy
import math
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from nflows.distributions import StandardNormal
from torch.func import functional_call, stack_module_state, vmap
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    data_noise,
    intrinsic_dimension,
    spectrum,
    swap_base,
)
from nflows_spread.dimension.spectra import pointwise_spectrum
from nflows_spread.factors import SpreadCholeskyFactor
from nflows_spread.models import coupling_flow
from nflows_spread.training.schedules import GeometricNoise
from support import assert_same_state, refused

FEATURES = 3


def flow_of(base=None):
    return coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES]) if base is None else base)


def rows(n=20):
    return torch.randn(n, FEATURES)


def test_all_losses_of_a_flow_have_the_number_of_its_base():
    flow = flow_of()
    assert base_of(flow).data_noise is None
    first = SpreadKLLoss(flow, data_noise=0.2)
    second = SpreadKLLoss(flow)
    assert first.data_noise == second.data_noise == base_of(flow).data_noise == 0.2
    second.data_noise = 0.1
    assert first.data_noise == base_of(flow).data_noise == 0.1
    GeometricNoise(first, start=0.4, end=0.1, steps=2).step()
    assert second.data_noise == base_of(flow).data_noise == pytest.approx(0.2)


def test_a_loss_without_a_number_takes_0_for_a_base_that_knows_none_and_says_so_to_the_base():
    flow = flow_of()
    assert SpreadKLLoss(flow).data_noise == 0.0
    assert base_of(flow).data_noise == 0.0


def test_steps_and_evaluations_do_not_change_it():
    objective = SpreadKLLoss(flow_of(), data_noise=0.2)
    before = copy.deepcopy(objective.base._data_noise)
    objective(rows()).backward()
    objective.eval()(rows())
    assert torch.equal(objective.base._data_noise, before)


@pytest.mark.parametrize(
    "travel",
    [
        copy.deepcopy,
        lambda flow: pickle.loads(pickle.dumps(flow)),
        lambda flow: flow.half().float(),
        lambda flow: swap_base(flow_of(StandardNormal([FEATURES])), base_of(flow)),
        lambda flow: swap_base(flow, base_of(flow).with_factor(SpreadCholeskyFactor)),
        lambda flow: loaded(flow_of(), flow.state_dict()),
        lambda flow: loaded(flow_of(), flow.state_dict(), assign=True),
    ],
    ids=["deepcopy", "pickle", "dtype", "swap of the base", "another factor", "state", "assigned state"],
)
def test_it_travels_with_the_base(travel):
    flow = flow_of()
    SpreadKLLoss(flow, data_noise=0.07)
    assert base_of(travel(flow)).data_noise == 0.07


def loaded(module, state, **options):
    module.load_state_dict(state, **options)
    return module


def test_the_state_of_a_loss_brings_it_along():
    source, target = SpreadKLLoss(flow_of(), data_noise=0.25), SpreadKLLoss(flow_of(), data_noise=0.1)
    target.load_state_dict(source.state_dict())
    assert target.data_noise == 0.25
    assert_same_state(target.state_dict(), source.state_dict())


def test_a_state_that_does_not_know_it_leaves_it_as_it_is():
    flow = flow_of()
    first_values = copy.deepcopy(flow.state_dict())
    objective = SpreadKLLoss(flow, data_noise=0.1)
    flow.load_state_dict(first_values)
    assert objective.data_noise == 0.1


def test_a_flow_without_tensors_that_is_given_a_state_keeps_what_it_was_told():
    flow = flow_of().to("meta")
    objective = SpreadKLLoss(flow, data_noise=0.1)
    flow.load_state_dict(flow_of().state_dict(), assign=True)
    assert objective.data_noise == base_of(copy.deepcopy(flow)).data_noise == 0.1
    assert torch.isfinite(objective(rows()))
    assert not base_of(flow)._data_noise.is_meta


@pytest.mark.parametrize("state_of", [lambda loss: loss, AveragedModel], ids=["loss", "loss within a module"])
def test_a_state_of_an_older_version_whose_loss_had_a_number_of_its_own_is_read(state_of):
    module = state_of(SpreadKLLoss(flow_of(), data_noise=0.3))
    prefix = "module." if isinstance(module, AveragedModel) else ""
    state = OrderedDict(module.state_dict())
    state[f"{prefix}flow._distribution._data_noise"] = torch.tensor([1.0, 0.2], dtype=torch.float64)
    state[f"{prefix}_extra_state"] = {"data_noise": 0.1}  # after a step of the schedule
    module.load_state_dict(state)
    assert (module.module if prefix else module).data_noise == 0.1


@pytest.mark.parametrize(("number", "expected"), [(math.nan, None), (0.0, 0.0), (0.07, 0.07)])
def test_the_record_of_an_older_version_is_read(number, expected):
    base = DegenerateGaussian([2])
    state = base.state_dict()
    state["_data_noise"] = torch.tensor(number, dtype=torch.float64)
    base.load_state_dict(state)
    assert base.data_noise == expected


@pytest.mark.parametrize("steps_before", [0, 3])
def test_an_average_of_buffers_keeps_it(steps_before):
    """Of a fresh prior too, which has no number yet: 0.1 and nothing averages to 0.1, and 0.1 and 0.3 to between."""
    base = DegenerateGaussian([2])
    if steps_before:
        base.data_noise = 0.1
    ema = AveragedModel(base, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    ema.update_parameters(base)
    assert ema.module.data_noise == (0.1 if steps_before else None)
    for _ in range(3):
        base.data_noise = 0.1
        ema.update_parameters(base)
    assert ema.module.data_noise == pytest.approx(0.1, rel=1e-12)
    base.data_noise = 0.3
    ema.update_parameters(base)
    assert 0.1 < ema.module.data_noise < 0.3


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.copy_(torch.tensor([2.0, 0.6])),
        lambda record: record.data.copy_(torch.tensor([2.0, 0.6])),
        lambda record: np.copyto(record.numpy(), [2.0, 0.6]),
        lambda record: torch.utils.swap_tensors(record, torch.tensor([2.0, 0.6], dtype=torch.float64)),
    ],
    ids=["in place", "through .data", "through NumPy", "swapped"],
)
def test_whoever_writes_to_the_buffer_changes_it(change):
    """As averages of weights and broadcasts between processes do."""
    objective = SpreadKLLoss(flow_of(), data_noise=0.1)
    assert objective.data_noise == 0.1
    change(objective.base._data_noise)
    assert objective.data_noise == pytest.approx(0.3, rel=1e-6)


def test_a_change_of_the_buffer_from_outside_is_seen():
    first, second = (SpreadKLLoss(flow_of(), data_noise=noise) for noise in (0.1, 0.3))
    assert first.data_noise == 0.1
    with torch.no_grad():
        for mine, theirs in zip(first.buffers(), second.buffers()):
            mine.copy_(theirs)
    assert first.data_noise == 0.3
    with torch.inference_mode():
        first.base._data_noise.copy_(torch.tensor([2.0, 1.0]))
        assert first.data_noise == 0.5


def test_a_training_step_does_not_read_the_buffer_of_an_accelerator(monkeypatch):
    """Which would wait for all that was asked of it before. This one is on the CPU and said not to be."""
    objective = SpreadKLLoss(flow_of(), data_noise=0.1)
    monkeypatch.setattr(data_noise, "_reading_waits", lambda record: True)
    monkeypatch.setattr(data_noise, "_quotient", None)
    for noise in (0.1, 0.05):
        objective.data_noise = noise
        objective(rows()).backward()
        assert objective.data_noise == noise


def test_a_loss_is_mapped_over_many_states_of_its_base():
    losses = [SpreadKLLoss(flow_of(), data_noise=0.0).eval() for _ in range(2)]
    for loss, variance in zip(losses, (0.1, 0.2)):
        loss.base.spread_variance = variance
    buffers = {name: each for name, each in stack_module_state(losses)[1].items() if "_distribution" in name}
    x = rows()
    torch.manual_seed(7)
    found = vmap(lambda buffers: functional_call(losses[0], buffers, (x,)), randomness="same")(buffers)
    expected = []
    for variance in (0.1, 0.2):
        torch.manual_seed(7)
        losses[0].base.spread_variance = variance
        expected.append(losses[0](x))
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_compiled_loss_follows_it():
    torch._dynamo.reset()
    objective, x = SpreadKLLoss(flow_of(), data_noise=0.1), rows()
    compiled = torch.compile(objective, backend="eager")
    other = SpreadKLLoss(flow_of(), data_noise=0.3)
    for change in (lambda: None, lambda: set_noise(objective, 0.2), lambda: loaded(objective, other.state_dict())):
        change()
        losses = []
        for each in (objective, compiled):
            torch.manual_seed(7)
            losses.append(each(x).detach())
        torch.testing.assert_close(*losses)


def set_noise(objective, value):
    objective.data_noise = value


def test_a_flow_of_inference_mode_has_a_loss_inside_and_outside_of_it():
    with torch.inference_mode():
        flow = flow_of()
        inside = SpreadKLLoss(flow, data_noise=0.1)
        assert torch.isfinite(inside(rows()))
    assert inside.data_noise == 0.1
    outside = SpreadKLLoss(flow, data_noise=0.3)
    assert inside.data_noise == outside.data_noise == 0.3


def test_a_base_that_was_put_in_after_the_loss_was_built_must_be_told():
    flow = flow_of()
    objective = SpreadKLLoss(flow, data_noise=0.1)
    flow._distribution = DegenerateGaussian([FEATURES])
    with refused(ValueError, "must know data_noise", "put in after the loss was built", "assign data_noise"):
        objective(rows())
    objective.data_noise = 0.1
    assert torch.isfinite(objective(rows()))


def test_the_old_name_of_the_assignment_still_works():
    base = DegenerateGaussian([2])
    with pytest.warns(DeprecationWarning, match="record_data_noise is now an assignment, data_noise = value"):
        base.record_data_noise(0.2)
    assert base.data_noise == 0.2


@pytest.mark.parametrize("read", [spectrum, intrinsic_dimension, pointwise_spectrum])
@pytest.mark.parametrize(
    ("base", "remedy"),
    [(DegenerateGaussian, "assign base_of(flow).data_noise = ..."), (StandardNormal, "pass data_noise=...")],
)
def test_a_read_out_that_takes_0_says_so_once_at_the_line_that_asked(read, base, remedy):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(flow_of(base([FEATURES])), rows(50))
    assert [(warning.category, warning.filename) for warning in caught] == [(UserWarning, __file__)]
    for words in ("must know data_noise", f"is a {base.__name__}", f"{remedy}; 0 is taken"):
        assert words in str(caught[0].message)


@pytest.mark.parametrize("read", [spectrum, intrinsic_dimension, pointwise_spectrum])
def test_a_read_out_that_is_told_or_whose_base_knows_says_nothing(read):
    fixed, known = flow_of(StandardNormal([FEATURES])), flow_of()
    SpreadKLLoss(known)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(fixed, rows(50), data_noise=0.0)
        read(known, rows(50))


def test_a_loss_that_changes_the_noise_of_the_others_says_so(recwarn):
    flow = coupling_flow(2, layers=1)
    first = SpreadKLLoss(flow, data_noise=0.1)
    SpreadKLLoss(flow, data_noise=0.1)
    SpreadKLLoss(flow)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="share one data_noise, which was 0.1 and is 0 from now on") as heard:
        SpreadKLLoss(flow, data_noise=0.0)
    assert heard[0].filename == __file__
    assert first.data_noise == 0.0
