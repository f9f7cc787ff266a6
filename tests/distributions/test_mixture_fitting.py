"""Fitting a mixture prior to latents in blocks: what a block that is none says, and that nothing has changed then."""

import copy

import pytest
import torch

from nflows_spread import DegenerateGaussianMixture


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shape", [(20, 2), (20, 4), (20, 3, 1), (20,)], ids=str)
def test_a_block_of_another_shape_is_told_from_latents_and_leaves_all_as_it_was(shape, tied, warm_start):
    base = DegenerateGaussianMixture([3], 2, tied=tied)
    before = copy.deepcopy(base.state_dict())
    good = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"blocks of latents must have shape \(rows, 3\), as the prior has 3 features"):
        base.fit_pieces(lambda: [good, torch.ones(shape)], warm_start=warm_start)
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
