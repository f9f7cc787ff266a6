"""Remedies: what errors say to do where latents have run away, or a layer has no inverse in its mode."""

from functools import partial

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import BatchNorm, CompositeTransform, LULinear

from nflows_spread import DegenerateGaussian, chart_of, encode, intrinsic_dimension, spectrum
from support import refused


@pytest.mark.filterwarnings("ignore:var..:UserWarning")  # nflows' own, of one row
@pytest.mark.parametrize("read", [intrinsic_dimension, spectrum, partial(chart_of, rank=1)])
def test_a_batch_norm_in_training_mode_is_told_to_go_into_evaluation_mode(read):
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    flow = Flow(CompositeTransform([BatchNorm(3), LULinear(3)]), DegenerateGaussian([3]))
    flow._distribution.data_noise = 0.1
    encode(flow, x)
    with refused(ValueError, "latents of the data must be finite", "call flow.eval() first", "train the flow again"):
        read(flow, x)
    read(flow.eval(), x)
