"""A fit that goes on from pieces as they are keeps their order, which a new start does not know."""

import pytest
import torch

from mixtures import means_of
from nflows_spread import DegenerateGaussianMixture
from support import refused

CENTRES = torch.tensor([[-6.0, 0.0], [0.0, 6.0], [6.0, 0.0], [0.0, -6.0]], dtype=torch.float64)


def latents():
    generator = torch.Generator().manual_seed(2)
    return CENTRES.repeat(60, 1) + torch.randn(240, 2, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
@pytest.mark.parametrize("tied", [False, True])
def test_pieces_stay_where_they_were(order, tied):
    base = DegenerateGaussianMixture([2], 4, tied=tied).double()
    base.assign(torch.ones(4), CENTRES[order] + 1.0, [torch.eye(2).double()] * 4)
    base.fit_pieces(latents(), warm_start=True)
    assert float((means_of(base) - CENTRES[order]).abs().max()) < 0.5


def test_a_switch_that_is_none_is_refused_by_name():
    with refused(TypeError, "warm_start must be"):
        DegenerateGaussianMixture([2], 2).fit_pieces(torch.randn(9, 2), warm_start=0.5)
    with refused(ValueError, "spread_variance must be", "got -1"):
        DegenerateGaussianMixture([2], 2, spread_variance=-1.0)
    with refused(ValueError, "shape must"):
        DegenerateGaussianMixture([0], 2)
