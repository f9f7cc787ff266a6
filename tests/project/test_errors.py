"""Errors across the package: bad input gets the rule, the value received and the remedy, and changes nothing."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform
from torch import nn

import nflows_spread
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    decode,
    encode,
    initialize,
    intrinsic_dimension,
    manifold_log_prob,
    project,
    reconstruct,
    spectrum,
)
from nflows_spread.models import coupling_flow
from nflows_spread.transforms import (
    CheckerboardSqueeze,
    ExponentialAffineCouplingTransform,
    Flatten,
    MeanCentredAffineCouplingTransform,
    VolumePreservingActNorm,
    VolumePreservingOneByOneConvolution,
)
from support import refused
from transform_contract import DENSE, PIXELS

FEATURES = 3


def flow_with_actnorm(context_features=None, base=None):
    coupling = coupling_flow(FEATURES, layers=2, context_features=context_features, base=base)
    coupling._distribution.data_noise = 0.1  # as the loss sets it
    layers = [VolumePreservingActNorm(FEATURES), coupling._transform, VolumePreservingActNorm(FEATURES)]
    return Flow(CompositeTransform(layers), coupling._distribution)


def with_bad_rows(value):
    x = torch.randn(10, FEATURES)
    x[3, 1] = x[7, 0] = value
    return x


USES = {
    "the loss": lambda flow, x: SpreadKLLoss(flow, data_noise=0.1)(x),
    "spectrum": spectrum,
    "intrinsic_dimension": intrinsic_dimension,
    "project": lambda flow, x: project(flow, x, rank=1),
    "reconstruct": lambda flow, x: reconstruct(flow, x, rank=1),
    "manifold_log_prob": lambda flow, x: manifold_log_prob(flow, x, rank=1),
    "initialize": initialize,
}
BAD_DATA = {
    "NaN": (with_bad_rows(math.nan), ValueError, ("x must be finite", "2 of 10 rows", "first at index 3", "drop or")),
    "infinity": (with_bad_rows(math.inf), ValueError, ("x must be finite", "2 of 10 rows", "drop or repair")),
    "an empty batch": (torch.zeros(0, FEATURES), ValueError, ("x must hold at least one row", "(0, 3)")),
    "no batch": (torch.zeros(FEATURES), ValueError, ("x must hold at least one row", "(3,)")),
    "integers": (torch.ones(4, FEATURES, dtype=torch.int64), TypeError, ("floating dtype", "torch.int64", ".float()")),
    "booleans": (torch.ones(4, FEATURES, dtype=torch.bool), TypeError, ("floating dtype", "torch.bool", ".float()")),
    "an array": (np.zeros((4, FEATURES)), TypeError, ("x must be a torch.Tensor", "got ndarray", "torch.as_tensor")),
    "a wrong width": (torch.randn(4, FEATURES + 1), ValueError, ("inputs must have shape (n, 3)", ", 4)")),
    "a wrong dimension": (torch.randn(4, FEATURES, 2), ValueError, ("inputs must have shape (n, 3)", ", 3, 2)")),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("bad", BAD_DATA)
def test_bad_data_are_refused_everywhere_and_change_nothing(use, bad):
    x, error, words = BAD_DATA[bad]
    flow = flow_with_actnorm()
    with refused(error, *words, unchanged=flow):
        USES[use](flow, x)


@pytest.mark.parametrize("use", USES)
def test_a_missing_or_short_context_is_refused_and_changes_nothing(use):
    flow, x = flow_with_actnorm(context_features=2), torch.randn(4, FEATURES)
    with refused(ValueError, "context must have 2 features", "got no context", unchanged=flow):
        USES[use](flow, x)


@pytest.mark.parametrize("use", [name for name in USES if name != "initialize"])
@pytest.mark.parametrize("shape", [(FEATURES - 1,), (FEATURES + 1,), (FEATURES, 1)])
def test_latents_of_another_size_than_the_base_are_refused_and_change_nothing(use, shape):
    flow = flow_with_actnorm(base=DegenerateGaussian(shape))
    size = ", ".join(map(str, shape))
    with refused(ValueError, f"latents must have shape (n, {size})", ", 3)", "build Deg", unchanged=flow):
        USES[use](flow, torch.randn(4, FEATURES))


def test_one_row_is_too_few_for_initialize():
    flow = flow_with_actnorm()
    with refused(ValueError, "at least two rows", "got (1, 3)", unchanged=flow):
        initialize(flow, torch.randn(1, FEATURES))


def test_identical_points_without_noise_do_not_break_the_spectrum():
    x = torch.ones(5, FEATURES)
    found = spectrum(coupling_flow(FEATURES, layers=2), x, data_noise=0.0)
    assert torch.isfinite(found.signal_to_noise).all()


@pytest.mark.parametrize("name", ["spread_variance", "spread_std"])
@pytest.mark.parametrize("value", [0.0, -1e-4, math.nan, math.inf])
def test_the_spread_variance_and_its_root_must_be_positive(name, value):
    words = (f"{name} must be a finite number above 0", f"got {value}")
    with refused(ValueError, *words):
        DegenerateGaussian([2], **{name: value})
    base = DegenerateGaussian([2])
    with refused(ValueError, *words, unchanged=base):
        setattr(base, name, value)


def test_the_spread_variance_and_its_root_are_not_both_given():
    with refused(ValueError, "either spread_variance or its root spread_std", "got both, 0.01 and 0.2", "pass one"):
        DegenerateGaussian([2], spread_variance=0.01, spread_std=0.2)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_the_data_noise_must_not_be_negative(value):
    flow, words = coupling_flow(2, layers=1), ("data_noise must be a finite number of at least 0", f"got {value}")
    with refused(ValueError, *words, unchanged=flow):
        SpreadKLLoss(flow, data_noise=value)
    objective = SpreadKLLoss(flow, data_noise=0.2)
    with refused(ValueError, *words, unchanged=objective):
        objective.data_noise = value
    with refused(ValueError, *words, unchanged=flow):
        spectrum(flow, torch.randn(4, 2), data_noise=value)


def test_integer_latents_are_refused():
    base, integers = DegenerateGaussian([2]), torch.ones(3, 2, dtype=torch.int64)
    for call in (base.log_prob, base.spread):
        with refused(TypeError, "must be of a floating dtype", "torch.int64", ".float()"):
            call(integers)


@pytest.mark.parametrize("kind", [ExponentialAffineCouplingTransform, MeanCentredAffineCouplingTransform])
@pytest.mark.parametrize(("mask", "transformed"), [([0, 0, 0], 0), ([1, 1, 1], 3), ([-1, 0], 0), ([], 0)])
def test_a_mask_with_nothing_to_transform_or_to_condition_on_is_refused(kind, mask, transformed):
    words = ("at least one feature to transform and leave at least one", f"got {transformed} of {len(mask)}")
    with refused(ValueError, *words):
        kind(mask, DENSE)


def test_an_unknown_centring_is_refused():
    with refused(ValueError, "centring must be 'features' or 'channels'", "got 'pixels'"):
        MeanCentredAffineCouplingTransform([0, 1], DENSE, centring="pixels")


IMAGE_PARTS = {
    "odd height": (CheckerboardSqueeze(), (2, 1, 5, 4), "multiples of 2"),
    "odd width": (CheckerboardSqueeze(), (2, 1, 4, 5), "multiples of 2"),
    "not a multiple of three": (CheckerboardSqueeze(3), (2, 1, 6, 4), "multiples of 3"),
    "no image": (CheckerboardSqueeze(), (2, 4), "(n, channels, height, width)"),
    "flatten": (Flatten((1, 2, 2)), (2, 1, 2, 3), "(n, 1, 2, 2)"),
    "convolution": (VolumePreservingOneByOneConvolution(3), (2, 4, 2, 2), "(n, 3, height, width)"),
    "actnorm": (VolumePreservingActNorm(3), (2, 4, 2, 2), "(n, 3)"),
    "coupling": (MeanCentredAffineCouplingTransform([0, 1, 1], PIXELS), (2, 4, 2, 2), "(n, 3)"),
    "a sequence": (MeanCentredAffineCouplingTransform([0, 1, 1], PIXELS), (2, 3, 2), "(n, 3)"),
}


@pytest.mark.parametrize("name", IMAGE_PARTS)
def test_transforms_refuse_inputs_of_another_shape(name):
    transform, shape, word = IMAGE_PARTS[name]
    with refused(ValueError, "inputs must have shape", word, f"got {shape}", unchanged=transform):
        transform(torch.randn(shape))


@pytest.mark.parametrize(("transform", "shape"), [(CheckerboardSqueeze(), (2, 6, 2, 2)), (Flatten((1, 2, 2)), (2, 5))])
def test_inverses_refuse_inputs_of_another_shape(transform, shape):
    with refused(ValueError, "inputs must have shape", f"got {shape}"):
        transform.inverse(torch.randn(shape))


def test_the_squeeze_says_what_to_do():
    with refused(ValueError, "pad or crop the images"):
        CheckerboardSqueeze()(torch.randn(1, 1, 3, 3))


def test_an_unknown_rule_is_refused():
    flow, x = coupling_flow(FEATURES, layers=1), torch.randn(20, FEATURES)
    with refused(ValueError, "rule must be one of signal_to_noise, gap, rank", "got 'elbow'", unchanged=flow):
        intrinsic_dimension(flow, x, rule="elbow", data_noise=0.1)


def test_what_is_no_flow_is_refused():
    z = torch.zeros(1, 2)
    for call in (SpreadKLLoss, lambda flow: encode(flow, z), lambda flow: decode(flow, z)):
        with refused(TypeError, "flow must be a flow of one of", "got Linear"):
            call(nn.Linear(2, 2))


def test_errors_are_raised_and_never_asserted():
    for file in Path(nflows_spread.__file__).parent.rglob("*.py"):
        assert not re.search(r"^\s*assert\b", file.read_text(), re.MULTILINE), file


def test_warnings_are_at_the_line_of_the_caller():
    """By one function, which looks for that line; levels of a stack are counted wrong as soon as a call is added."""
    files = Path(nflows_spread.__file__).parent.rglob("*.py")
    assert {file.name for file in files if "warnings.warn(" in file.read_text()} == {"deprecation.py", "validation.py"}
