"""Argument validation: each function of it takes what its rule allows, and says the rule and the value of all else."""

import math

import numpy as np
import pytest
import torch

from nflows_spread import DegenerateGaussian, manifold_log_prob, project, reconstruct, sample, validation
from nflows_spread.models import coupling_flow
from support import refused

FEATURES = 3

TAKEN = {
    "positive": (lambda: validation.positive("x", 0.5), 0.5),
    "positive, an integer": (lambda: validation.positive("x", 2), 2.0),
    "non_negative": (lambda: validation.non_negative("x", 0), 0.0),
    "positive_int": (lambda: validation.positive_int("x", np.int64(3)), 3),
    "non_negative_int": (lambda: validation.non_negative_int("x", 0), 0),
    "share": (lambda: validation.share("x", 1.0), 1.0),
    "seed": (lambda: validation.seed("x", 2**64 - 1), 2**64 - 1),
    "switch": (lambda: validation.switch("x", np.True_), True),
    "rank_within": (lambda: validation.rank_within(np.int32(3), 3), 3),
    "shape": (lambda: validation.shape("x", 3), torch.Size([3])),
    "shape, a sequence": (lambda: validation.shape("x", [2, np.int64(3)]), torch.Size([2, 3])),
    "listed": (lambda: validation.listed("abcd", most=2), "a, b and 2 more"),
}
REFUSED = {
    "positive": (lambda: validation.positive("x", 0.0), ValueError, "x must be a finite number above 0, got 0.0"),
    "positive, NaN": (lambda: validation.positive("x", math.nan), ValueError, "got nan"),
    "non_negative": (lambda: validation.non_negative("x", -0.1), ValueError, "at least 0, got -0.1"),
    "non_negative, infinite": (lambda: validation.non_negative("x", math.inf), ValueError, "got inf"),
    "positive_int": (lambda: validation.positive_int("x", 0), ValueError, "x must be at least 1, got 0"),
    "positive_int, a float": (lambda: validation.positive_int("x", 2.0), TypeError, "x must be an integer, got 2.0"),
    "non_negative_int": (lambda: validation.non_negative_int("x", -1), ValueError, "x must be at least 0, got -1"),
    "non_negative_int, a bool": (lambda: validation.non_negative_int("x", True), TypeError, "must be an integer"),
    "share": (lambda: validation.share("x", 0.0), ValueError, "x must be above 0 and at most 1, got 0.0"),
    "seed": (lambda: validation.seed("x", -1), ValueError, "x must be between 0 and 2^64 − 1, got -1"),
    "switch": (lambda: validation.switch("x", 1), TypeError, "x must be True or False, got 1 of type int"),
    "rank_within": (lambda: validation.rank_within(4, 3), ValueError, "rank must be between 1 and 3, got 4"),
    "shape": (lambda: validation.shape("x", 2.0), TypeError, "x must be a size or a sequence of sizes, got 2.0"),
    "shape, a tensor": (lambda: validation.shape("x", torch.tensor(2)), TypeError, "got tensor(2) of type Tensor"),
    "tensor": (lambda: validation.tensor("x", [1.0]), TypeError, "x must be a torch.Tensor, got list"),
    "floating": (lambda: validation.floating("x", torch.ones(2).int()), TypeError, "x must be of a floating dtype"),
    "points": (lambda: validation.points("x", torch.ones(2)), ValueError, "x must hold at least one row, (n, ...)"),
    "two_points": (lambda: validation.two_points("x", torch.ones(1, 2)), ValueError, "x must have at least two rows"),
    "context_of": (
        lambda: validation.context_of(3, torch.ones(2, 1)),
        ValueError,
        "each of the 3 inputs, or one for all, got 2 rows",
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_the_rule_allows_comes_back_as_a_plain_value(name):
    call, expected = TAKEN[name]
    assert call() == expected
    assert type(call()) is type(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_all_else_is_refused_with_the_rule_and_the_value(name):
    call, error, words = REFUSED[name]
    with refused(error, words):
        call()


def test_points_that_are_not_finite_are_counted_and_the_first_is_named():
    x = torch.zeros(10, FEATURES)
    assert validation.points("x", x) is x
    x[3, 1] = x[7, 0] = math.nan
    with refused(ValueError, "x must be finite", "2 of 10 rows", "the first at index 3"):
        validation.points("x", x)
    with refused(ValueError, "the first at index 3, in columns 'a', 'b'; drop"):
        validation.points("x", x, labels=["a", "b", *"c" * (FEATURES - 2)])
    large = torch.full((2, 2), torch.finfo(torch.float32).max)  # whose sum is not finite
    assert validation.all_finite(large)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (-1,)])
def test_a_latent_needs_a_shape(shape):
    with refused(ValueError, "shape must have at least one entry and all entries at least 1", f"got {shape}"):
        DegenerateGaussian(shape)


RANKED = {
    "project": lambda flow, rank: project(flow, torch.randn(4, FEATURES), rank=rank),
    "reconstruct": lambda flow, rank: reconstruct(flow, torch.randn(4, FEATURES), rank=rank),
    "manifold_log_prob": lambda flow, rank: manifold_log_prob(flow, torch.randn(4, FEATURES), rank=rank),
    "sample": lambda flow, rank: sample(flow, 4, rank=rank),
    "the base's sample": lambda flow, rank: flow._distribution.sample(4, rank=rank),
}


@pytest.mark.parametrize("use", RANKED)
@pytest.mark.parametrize("rank", [0, -1, FEATURES + 1])
def test_a_rank_out_of_range_is_refused(use, rank):
    flow = coupling_flow(FEATURES, layers=1)
    with refused(ValueError, f"rank must be between 1 and {FEATURES}", f"got {rank}", unchanged=flow):
        RANKED[use](flow, rank)


@pytest.mark.parametrize("use", RANKED)
@pytest.mark.parametrize("rank", [1.0, "2", True])
def test_a_rank_that_is_no_integer_is_refused(use, rank):
    with refused(TypeError, "rank must be an integer", f"got {rank!r}"):
        RANKED[use](coupling_flow(FEATURES, layers=1), rank)


@pytest.mark.parametrize(("number", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)])
def test_a_number_of_samples_or_a_batch_size_must_be_a_positive_integer(number, error):
    base = DegenerateGaussian([2])
    with refused(error, "num_samples must be", f"got {number}"):
        base.sample(number)
    with refused(error, "batch_size must be", f"got {number}"):
        base.sample(4, batch_size=number)
