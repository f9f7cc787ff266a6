"""Ranges of columns: what holds, what is cut, and draws that are drawn again."""

import torch

from nflows_spread.chart.ranges import Ranges


def test_ranges_keep_rows_and_cut_values():
    ranges = Ranges.of(torch.tensor([[0.0, -1.0], [10.0, 1.0]]))
    rows = torch.tensor([[5.0, 0.0], [20.0, 0.0], [5.0, -9.0]]).double()
    assert ranges.hold(rows).tolist() == [True, False, False]
    cut = ranges.cut(rows)
    assert bool(ranges.hold(cut).all())
    assert torch.equal(cut[0], rows[0])


def test_draws_beyond_are_drawn_again_and_only_those():
    ranges, asked = Ranges(torch.zeros(1), torch.ones(1)), []

    def again(index):
        asked.append(index.tolist())
        return torch.full((len(index), 1), 0.5)

    assert ranges.within(torch.tensor([[0.25], [7.0], [-3.0]]), again).flatten().tolist() == [0.25, 0.5, 0.5]
    assert asked == [[1, 2]]


def test_draws_that_stay_beyond_are_cut():
    ranges = Ranges(torch.zeros(1), torch.ones(1))
    found = ranges.within(torch.full((2, 1), 4.0), lambda index: torch.full((len(index), 1), -4.0))
    assert found.flatten().tolist() == [0.0, 0.0]


def test_what_is_in_the_support_and_beyond_the_ranges_is_drawn_again():
    class Everywhere:
        def hold(self, points):
            return torch.ones(len(points), dtype=torch.bool)

    ranges = Ranges(torch.zeros(1), torch.ones(1))
    found = ranges.within(
        torch.tensor([[7.0], [0.25]]), lambda index: torch.full((len(index), 1), 0.5), support=Everywhere()
    )
    assert found.flatten().tolist() == [0.5, 0.25]
