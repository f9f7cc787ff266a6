"""A cached result serves again as long as the numbers it was computed from are the same, and no longer."""

import copy
import pickle

import torch

from nflows_spread.linalg.last_result import LastResult


def asked_of(last, *inputs, **options):
    """The result, and whether it was computed now."""
    computed = []

    def compute():
        computed.append(True)
        return sum(float(value.sum()) for value in inputs)

    return last.of(compute, inputs, **options), bool(computed)


def test_the_same_numbers_give_the_last_result_and_any_others_a_new_one():
    last, x = LastResult(), torch.ones(3)
    assert asked_of(last, x) == (3.0, True)
    assert asked_of(last, x.clone()) == (3.0, False)
    x.data[0] = 5.0
    assert asked_of(last, x) == (7.0, True)
    for other in (x.double(), x[:2], torch.full((3,), torch.nan)):
        assert asked_of(last, other)[1]
    assert asked_of(last, torch.full((3,), torch.nan))[1], "NaN is no number that could be the same"
    assert asked_of(last, x, x) == (14.0, True)


def test_what_stands_beside_the_numbers_counts_and_so_does_what_the_result_is_asked():
    last, x = LastResult(), torch.ones(3)
    assert asked_of(last, x, also="one")[1]
    assert not asked_of(last, x, also="one")[1]
    assert asked_of(last, x, also="other")[1]
    assert not asked_of(last, x, also="other", holds=lambda found: found == 3.0)[1]
    assert asked_of(last, x, also="other", holds=lambda found: found != 3.0)[1]


def test_copies_and_pickles_start_empty():
    last, x = LastResult(), torch.ones(3)
    asked_of(last, x)
    for twin in (copy.deepcopy(last), pickle.loads(pickle.dumps(last))):
        assert asked_of(twin, x)[1]
    assert not asked_of(last, x)[1]
