"""Builders of flows: volume, invertibility, the sizes of the paper's tables, and what they refuse."""

import math

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import nn

from nflows_spread import DegenerateGaussian, base_of, decode, encode
from nflows_spread.models import (
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    convolutional_flow,
    coupling_flow,
    volume_preserving_glow,
)
from nflows_spread.models.nets import ConvolutionalNet, ScaleAndShiftNet
from nflows_spread.transforms import (
    ChannelPermutation,
    CheckerboardSqueeze,
    Flatten,
    MeanCentredAffineCouplingTransform,
)
from support import randomize, refused
from transform_contract import assert_forward_inverse_are_consistent, jacobian_logabsdet


def glow(shape, **options):
    """A small Glow with a prior of its own; a step more or less changes nothing that is tested here."""
    transform = volume_preserving_glow(shape, blocks=2, layers=2, hidden_channels=4, **options)
    return Flow(transform, DegenerateGaussian([math.prod(shape)]))


BUILDERS = {
    "table 1": lambda **options: coupling_flow(**TABLE_1, **options),
    "table 2": lambda **options: coupling_flow(**TABLE_2, **options),
    "odd and permuted": lambda **options: coupling_flow(5, layers=3, permute=True, **options),
    "conditional": lambda **options: coupling_flow(4, layers=2, context_features=2, **options),
    "images": lambda **options: convolutional_flow((1, 4, 8), blocks=(3, 2), **options),
    "colour images": lambda **options: convolutional_flow((3, 4, 4), blocks=(1,), dense_layers=0, **options),
    "glow": lambda **options: glow((3, 4, 4), **options),
    "conditional glow": lambda **options: glow((1, 4, 8), context_features=2, **options),
}
SHAPES = {"table 1": (2,), "table 2": (3,), "odd and permuted": (5,), "conditional": (4,)}
SHAPES |= {"images": (1, 4, 8), "colour images": (3, 4, 4), "glow": (3, 4, 4), "conditional glow": (1, 4, 8)}
every_builder = pytest.mark.parametrize("name", BUILDERS)


def parts(flow):
    return list(flow._transform._transforms)


def widths(coupling):
    """Input and output widths of the layers of the nets for s and t, which together put out twice the last."""
    net = coupling.transform_net
    if isinstance(net, ScaleAndShiftNet):
        return [net.weights[0].shape[1], *(weight.shape[2] for weight in net.weights)]
    assert isinstance(net, ConvolutionalNet)
    convolutions = [layer for layer in net if isinstance(layer, nn.Conv2d)]
    assert all(layer.kernel_size == (3, 3) and layer.padding == (1, 1) for layer in convolutions)
    return [convolutions[0].in_channels, *(layer.out_channels for layer in convolutions)]


def context_for(name):
    return torch.randn(3, 2) if name.startswith("conditional") else None


@every_builder
def test_flows_preserve_volume_by_default(name, float64):
    flow, x, context = randomize(BUILDERS[name](), 0.1), torch.randn(3, *SHAPES[name]), context_for(name)
    assert isinstance(base_of(flow), DegenerateGaussian)
    assert torch.equal(flow._transform(x, context)[1], torch.zeros(3))
    assert jacobian_logabsdet(flow._transform, x, context).abs().max() <= 1e-10


@every_builder
def test_the_comparison_flow_differs_in_nothing_but_the_centring(name, float64):
    ours, theirs = BUILDERS[name](), BUILDERS[name](volume_preserving=False)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert not any(isinstance(part, MeanCentredAffineCouplingTransform) for part in parts(theirs))
    x, context = torch.randn(3, *SHAPES[name]), context_for(name)
    logabsdet = randomize(theirs, 0.1)._transform(x, context)[1]
    torch.testing.assert_close(logabsdet, jacobian_logabsdet(theirs._transform, x, context), rtol=0, atol=1e-10)
    assert logabsdet.abs().min() > 1e-6


@every_builder
def test_flows_are_invertible(name, float64):
    flow, x, context = randomize(BUILDERS[name](), 0.1), torch.randn(3, *SHAPES[name]), context_for(name)
    torch.testing.assert_close(decode(flow, encode(flow, x, context), context), x, rtol=0, atol=1e-8)
    if x.dim() == 2:
        assert_forward_inverse_are_consistent(flow._transform, x, context, tolerance=1e-8)


def test_table_1_is_the_papers():
    flow = coupling_flow(**TABLE_1)
    assert [widths(part) for part in parts(flow)] == [[1, 24, 24, 24, 1]] * 2
    assert [part.transform_features.tolist() for part in parts(flow)] == [[1], [0]]


def test_table_2_is_the_papers():
    flow = coupling_flow(**TABLE_2)
    assert [widths(part) for part in parts(flow)] == [[2, 24, 24, 24, 1], [1, 24, 24, 24, 2]] * 3


@pytest.mark.parametrize(
    ("table", "couplings", "size"), [(TABLE_3, 2, 32), (TABLE_4, 4, 28)], ids=["table 3", "table 4"]
)
def test_tables_3_and_4_are_the_papers(table, couplings, size):
    flow = convolutional_flow(**table)
    kinds = [type(part) for part in parts(flow)]
    coupling, permutation = MeanCentredAffineCouplingTransform, ChannelPermutation
    block = [CheckerboardSqueeze, coupling, *[permutation, coupling] * (couplings - 1)]
    assert kinds == [*block, *block, Flatten, coupling, coupling]
    found = [widths(part) for part in parts(flow) if isinstance(part, coupling)]
    features = size * size
    dense = [features // 2, 24, 24, 24, features // 2]
    assert found == [[2, 16, 16, 4]] * couplings + [[8, 16, 16, 16]] * couplings + [dense] * 2
    assert encode(flow, torch.randn(2, 1, size, size)).shape == (2, features)
    assert base_of(flow).features == features


def test_the_nets_for_scale_and_shift_are_two_separate_ones():
    net = ScaleAndShiftNet(3, 4, hidden_features=(6, 5), context_features=2).double()
    x, context = torch.randn(7, 3).double(), torch.randn(7, 2).double()
    expected = []
    for each in range(2):
        hidden = torch.cat([x, context], dim=1)
        for i in range(3):
            hidden = hidden @ net.weights[i][each] + net.biases[i][each]
            hidden = nn.functional.leaky_relu(hidden, 0.2) if i < 2 else hidden
        expected.append(hidden)
    torch.testing.assert_close(net(x, context), torch.cat(expected, dim=1))


def test_a_given_base_is_used():
    base = StandardNormal([2])
    assert base_of(coupling_flow(2, layers=1, base=base)) is base
    base = StandardNormal([16])
    assert base_of(convolutional_flow((1, 4, 4), blocks=(1,), base=base)) is base


def test_permutations_follow_their_generator():
    def permutations(seed):
        flow = convolutional_flow((4, 4, 4), blocks=(4,), generator=torch.Generator().manual_seed(seed))
        return [part._permutation for part in parts(flow) if isinstance(part, ChannelPermutation)]

    assert all(torch.equal(a, b) for a, b in zip(permutations(1), permutations(1)))
    assert not all(torch.equal(a, b) for a, b in zip(permutations(1), permutations(2)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: coupling_flow(1, layers=2), ValueError, ("features must be at least 2", "got 1")),
        (lambda: coupling_flow(2, layers=0), ValueError, ("layers must be at least 1", "got 0")),
        (lambda: coupling_flow(2.0, layers=1), TypeError, ("features must be an integer", "got 2.0")),
        (lambda: convolutional_flow((4, 4)), ValueError, ("(channels, height, width)", "got (4, 4)")),
        (lambda: convolutional_flow((0, 4, 4)), ValueError, ("(channels, height, width)", "got (0, 4, 4)")),
        (lambda: convolutional_flow((1, 6, 8)), ValueError, ("multiples of 4", "got 6 and 8", "pad or crop")),
        (lambda: convolutional_flow((1, 4, 4), blocks=()), ValueError, ("blocks of at least one",)),
        (lambda: convolutional_flow((1, 4, 4), blocks=(0,)), ValueError, ("blocks must be at least 1", "got 0")),
        (lambda: convolutional_flow((1, 4, 4), hidden_channels=0), ValueError, ("hidden_channels", "got 0")),
    ],
)
def test_builders_refuse_bad_arguments(call, error, words):
    with refused(error, *words):
        call()


def test_a_net_without_context_refuses_one_and_the_other_way_round():
    with refused(ValueError, "got one of shape (3, 2)"):
        encode(coupling_flow(2, layers=1), torch.zeros(3, 2), torch.zeros(3, 2))
    with refused(ValueError, "context must have 2 features", "got no context"):
        encode(coupling_flow(2, layers=1, context_features=2), torch.zeros(3, 2))
    with refused(ValueError, "this net takes no context", "got one of shape (3, 2)"):
        encode(convolutional_flow((1, 4, 4), blocks=(1,)), torch.zeros(3, 1, 4, 4), torch.zeros(3, 2))
