"""volume_error: the largest |log |det J|| on data, from the map itself and not from what a layer says."""

import pytest
import torch
from nflows import transforms as nflows
from nflows.flows import Flow, SimpleRealNVP

from nflows_spread import DegenerateGaussian, encode, swap_base, volume_error
from nflows_spread.models import coupling_flow
from support import randomize, refused
from transform_contract import jacobian_logabsdet

pytestmark = pytest.mark.usefixtures("float64")


def test_volume_error_is_the_largest_log_determinant():
    flow, x = randomize(SimpleRealNVP(3, 8, num_layers=2, num_blocks_per_layer=1)), torch.randn(20, 3)
    expected = jacobian_logabsdet(lambda row, _: (encode(flow, row), None), x).abs().max()
    assert volume_error(flow, x) == pytest.approx(float(expected), abs=1e-10)


def test_volume_error_does_not_believe_what_a_layer_says_of_itself():
    class Liar(nflows.Transform):
        def forward(self, inputs, context=None):
            return 2.0 * inputs, inputs.new_zeros(len(inputs))

    flow = Flow(Liar(), DegenerateGaussian([3]))
    assert volume_error(flow, torch.randn(5, 3)) == pytest.approx(3 * torch.tensor(2.0).log().item())
    assert volume_error(swap_base(flow, DegenerateGaussian([200])), torch.randn(5, 200)) == 0.0


def test_volume_error_takes_no_empty_batch():
    with refused(ValueError, "at least one row"):
        volume_error(coupling_flow(3, layers=1), torch.zeros(0, 3))
