"""Stop rules, early stopping: when those that watch a training end it, evaluation by evaluation."""

import pytest

from nflows_spread.training import StopOnHeldOutLoss, StopOnStableDimension
from nflows_spread.training.evaluation import Evaluation


def ended_at(rule, evaluations):
    """The index of the evaluation after which the rule first says stop, or None."""
    return next((index for index, evaluation in enumerate(evaluations) if rule(evaluation) is not None), None)


@pytest.mark.parametrize(
    ("losses", "min_improvement", "expected"),
    [
        ([3.0, 2.0, 2.0, 2.0], 0.0, 3),  # an equal loss is no better one
        ([3.0, 2.0, 2.5, 1.9, 2.0, 2.1], 0.0, 5),  # what is better starts the count anew
        ([3.0, 2.95, 2.94, 2.8], 0.1, 2),  # hardly better is not better
        ([3.0, 2.95, 2.85, 2.84, 2.83], 0.1, 4),  # but what adds up to it is
        ([3.0, 2.0, 1.0, 0.0], 0.0, None),
    ],
)
def test_a_loss_that_has_not_fallen_in_two_evaluations_ends_the_run(losses, min_improvement, expected):
    rule = StopOnHeldOutLoss(patience=2, min_improvement=min_improvement)
    assert ended_at(rule, [Evaluation(step, loss, None) for step, loss in enumerate(losses)]) == expected


@pytest.mark.parametrize(
    ("dimensions", "after", "expected"),
    [
        ([2, 2, 2, 2], 0, 2),
        ([2, 2, 3, 2, 2, 2], 0, 5),
        ([2, 2, None, 2], 0, 3),  # a flow that has none says nothing
        ([2, 2, 2, 2, 2, 2], 30, 5),  # the evaluation at step 30 is the first that counts
        ([2, 3, 2, 3], 0, None),
    ],
)
def test_a_dimension_that_is_found_three_times_in_a_row_ends_the_run(dimensions, after, expected):
    rule = StopOnStableDimension(patience=3, after=after)
    evaluations = [Evaluation(10 * index, None, dimension) for index, dimension in enumerate(dimensions)]
    assert ended_at(rule, evaluations) == expected
