"""Arguments by their annotations: what passes, what is refused, and what the checked function still is."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nflows_spread.argument_types import typed
from support import refused


def annotated(count: "int", scale: "float" = 1.0, *, either: "int | str" = 0):
    """What it was given; annotations are texts, as they are everywhere in the package."""
    return count, scale, either


@pytest.mark.parametrize("count", [3, np.int64(3)])
@pytest.mark.parametrize("scale", [2, 2.0, np.float32(2.0), torch.tensor(2.0), np.array(2.0)])
def test_numbers_of_any_library_pass(count, scale):
    assert typed(annotated)(count, scale)[:2] == (count, scale)


def test_unions_take_either_and_say_both():
    function = typed(annotated)
    assert function(1, either="text")[2] == "text"
    with refused(TypeError, "either must be an integer or a text, got 1.5 of type float"):
        function(1, either=1.5)


@pytest.mark.parametrize("value", ["2", None, [2.0], torch.ones(2), 1j])
def test_what_is_no_number_is_refused(value):
    with refused(TypeError, "scale must be a number, got"):
        typed(annotated)(1, value)


def test_pythons_own_errors_and_the_signature_stay():
    function = typed(annotated)
    assert inspect.signature(function) == inspect.signature(annotated)
    assert function.__name__ == "annotated"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'count'"):
        function()
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        function(1, other=2)


def test_classes_are_checked_by_their_constructor():
    @typed
    @dataclass(frozen=True)
    class Plain:
        folder: "str | Path" = Path()
        every: "int" = 3

    assert Plain("here") == Plain(folder="here", every=3)
    with refused(TypeError, "folder must be a text or a path, got 3 of type int"):
        Plain(3)


def test_a_value_is_shown_in_two_lines_at_most_however_long():
    def takes(module: "nn.Module", text: "str" = ""):
        return module

    long = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(500), torch.ones(500)), 1)
    for call in (lambda: typed(takes)(long), lambda: typed(takes)(nn.Identity(), list(range(10_000)))):
        with pytest.raises(TypeError) as caught:
            call()
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)


def test_a_distribution_for_a_module_is_refused_with_what_to_pass():
    def takes(flow: "nn.Module"):
        return flow

    with refused(TypeError, "got Normal(", "pass the module that returned this distribution when"):
        typed(takes)(torch.distributions.Normal(0.0, 1.0))
