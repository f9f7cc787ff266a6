"""Temporarily overridden methods: other ones inside, and afterwards those of before."""

import pytest
from torch import nn

from nflows_spread.training.overridden_forward import overridden_forward


class Doubling(nn.Module):
    def forward(self, x):
        return 2 * x

    def inverse(self, x):
        return x / 2


def plus_one(module, method):
    return lambda x: method(x) + 1


def test_methods_are_other_ones_inside_and_afterwards_their_own():
    layer, of_its_own = Doubling(), Doubling()
    of_its_own.inverse = lambda x: x / 4

    def fails_after_use():
        with overridden_forward([(layer, "forward"), (layer, "inverse"), (of_its_own, "inverse")], plus_one):
            assert (layer(3), layer.inverse(4), of_its_own.inverse(4), of_its_own(3)) == (7, 3, 2, 6)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fails_after_use()
    assert (layer(3), layer.inverse(4), of_its_own.inverse(4)) == (6, 2, 1)
    assert not {"forward", "inverse"} & vars(layer).keys()
