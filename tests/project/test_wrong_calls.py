"""Every public function says no to wrong arguments: which one, what it got, and nothing is changed by the call."""

import contextlib
import copy
import warnings
from typing import Protocol

import pytest
from torch import nn

from nflows_spread.registry import Registration
from support import assert_same_state
from wrong_calls import MODULES, RIGHT, public_functions, wrong_calls

ALL = wrong_calls()
LESS_OFTEN = 8
"""Of how many wrong calls one is made in every run; ``-m slow`` makes all."""

NO_ARGUMENTS_TO_GET_WRONG = {"SigmoidLogScale", "FadingSquare", "Line", "SCurve", "Sine", "handwritten_digits"}
ELSEWHERE = {
    "celeba": "tests/datasets",
    "cifar10": "tests/datasets",
    "image_folder": "tests/datasets",
    "mnist": "tests/datasets",
    "svhn": "tests/datasets",
    "consensus_dimension": "tests/dimension/test_consensus.py",
    "decide": "tests/dimension/test_rules.py",
    "estimates_of": "tests/dimension/test_consensus.py",
    "current_dimension": "tests/training",
    "load_model": "tests/training",
    "read_checkpoint": "tests/training",
    "restore_objective": "tests/training",
    "save_model": "tests/training",
    "ConstantNoise": "tests/training/test_schedules.py",
    "CosineNoise": "tests/training/test_schedules.py",
    "GeometricNoise": "tests/training/test_schedules.py",
    "StaircaseNoise": "tests/training/test_schedules.py",
    "NoiseSchedule": "tests/training/test_schedules.py",
    "SpreadVarianceSchedule": "tests/training/test_schedules.py",
    "WeightSchedule": "tests/training/test_schedules.py",
    "TensorBoard": "tests/training",
    "host_of": "tests/hosts/test_registry.py",
    "register_host": "tests/hosts/test_registry.py",
    "variances_of_base": "tests/hosts/test_bases.py",
    "initialize_from_patches": "tests/models",
    "initialize_from_principal_coordinates": "tests/models",
    "ExponentialAffineCouplingTransform": "tests/transforms/test_couplings.py",
    "GlowStep": "tests/transforms/test_glow.py",
    "VolumePreservingQRLinear": "nflows' own constructor",
}
"""Public functions whose wrong calls are tested by hand, and where."""


INTERFACES = {"Factor", "Host", "Callback", "TrainingState", "Manifold", "Pieces", "StopRule", "DegeneratePrior"}
"""What is implemented and not called."""


def is_a_result(kind):
    """Whether a class is what functions return, and nobody calls."""
    if not isinstance(kind, type):
        return False
    return hasattr(kind, "__dataclass_fields__") or issubclass(kind, (int, tuple, Exception, Protocol))


def test_every_public_function_is_called():
    covered = {name for name, _, _ in public_functions()} | NO_ARGUMENTS_TO_GET_WRONG | set(ELSEWHERE)
    found = {name: getattr(module, name) for module in MODULES.values() for name in module.__all__}
    public = {name for name, value in found.items() if hasattr(value, "__name__") and not is_a_result(value)}
    assert public - covered - INTERFACES == set()


@pytest.mark.parametrize(
    ("function", "right"), [pytest.param(function, right, id=name) for name, function, right in public_functions()]
)
def test_the_calls_are_right_but_for_that(function, right):
    called(function, right())


def called(function, arguments):
    """What it returns, without the warnings of a model that was not trained; what was registered is taken back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = function(**arguments)
    if isinstance(result, Registration):
        result.remove()


def refuses(name):
    call = ALL[name]
    arguments = call.right() | {call.argument: call.value}
    modules = {key: value for key, value in arguments.items() if isinstance(value, nn.Module) and key != call.argument}
    before = {key: copy.deepcopy(value.state_dict()) for key, value in modules.items()}
    if (call.function.__name__, call.argument) in RIGHT:
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            called(call.function, arguments)
    else:
        with pytest.raises((TypeError, ValueError), match="got") as caught:
            called(call.function, arguments)
        assert any(each in str(caught.value) for each in call.names), str(caught.value)
    for key, value in modules.items():
        assert_same_state(value.state_dict(), before[key])


@pytest.mark.parametrize("name", list(ALL)[::LESS_OFTEN])
def test_a_wrong_argument_is_refused_by_name(name):
    refuses(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_wrong_argument_is_refused_by_name(name):
    refuses(name)
