"""to_volume_preserving of whole flows: layers, base and embedding net."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from nflows import transforms as nflows
from nflows.flows import Flow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from torch import nn

from nflows_spread import (
    DegenerateGaussian,
    base_of,
    encode,
    initialize,
    to_volume_preserving,
    volume_error,
)
from support import randomize

pytestmark = pytest.mark.usefixtures("float64")

CONTEXT_NET = partial(ResidualNet, hidden_features=6, num_blocks=1, context_features=2)
FEATURES = 5


def tensors_of(module):
    return {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())} - {0}


def test_a_whole_flow_is_converted_and_its_base_and_embedding_copied():
    embedding = nn.Linear(3, 2)
    layers = [nflows.AffineCouplingTransform(mask, CONTEXT_NET) for mask in ([1, 0, 1], [0, 1, 0])]
    flow = randomize(Flow(nflows.CompositeTransform(layers), DegenerateGaussian([3]), embedding))
    converted = to_volume_preserving(flow)
    x, context = torch.randn(4, 3), torch.randn(4, 3)
    assert volume_error(converted, x, context=context) < 1e-10
    assert not tensors_of(flow) & tensors_of(converted)
    assert torch.equal(base_of(converted).covariance, base_of(flow).covariance)


def test_simple_real_nvp_is_converted():
    flow = randomize(SimpleRealNVP(FEATURES, 8, num_layers=4, num_blocks_per_layer=1, batch_norm_within_layers=True))
    converted, x = to_volume_preserving(flow.eval()), torch.randn(10, FEATURES)
    assert type(converted) is SimpleRealNVP
    assert volume_error(flow, x) > 0.1
    assert volume_error(converted, x) < 1e-10


def test_initialize_sets_the_converted_actnorms():
    flow = Flow(nflows.CompositeTransform([nflows.ActNorm(3), nflows.ActNorm(3)]), DegenerateGaussian([3]))
    converted, x = to_volume_preserving(flow), 4.0 + torch.tensor([1.0, 3.0, 10.0]) * torch.randn(50, 3)
    assert torch.equal(encode(converted, x), x)  # training mode, and nothing happens
    assert initialize(converted, x) == 2
    torch.testing.assert_close(encode(converted, x).mean(0), torch.zeros(3))


@pytest.mark.parametrize("host", ["nflows", "normflows", "zuko"])
def test_the_table_of_the_documentation_has_every_layer_of_a_host_that_passes_or_converts(host):
    pytest.importorskip(host)
    rules = import_module(f"nflows_spread.hosts.{host}.conversion").RULES
    layers = rules.containers.keys() | rules.kept | rules.converted.keys()
    names = {kind.__name__ for kind in layers if kind.__module__.startswith(f"{host}.") and kind.__name__[0] != "_"}
    text = (Path(__file__).parents[1] / "docs" / "conversion.md").read_text(encoding="utf-8")
    table = text[text.index("## Which layers convert") :]
    missing = {name for name in names if name not in table}
    assert missing <= {"NormalizingFlow", "ConditionalNormalizingFlow", "MultiscaleFlow"}  # "all flows"
