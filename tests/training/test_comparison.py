"""A file of a model, and a checkpoint, belong to one model: another with tensors of the same shapes is refused."""

import contextlib
import math
from functools import partial

import pytest
import torch
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    InverseNotAvailable,
    PiecewiseRationalQuadraticCouplingTransform,
)
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.models import convolutional_flow, coupling_flow, volume_preserving_glow
from nflows_spread.training import Checkpoints, fit, load_model, restore_objective, save_model
from nflows_spread.training.comparison import (
    _difference,
    _on_the_cpu,
    architecture_of,
    check_same_architecture,
    check_same_results,
    check_same_shapes,
)
from support import randomize, refused

ROWS = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
PLAIN = {"features": 2, "layers": 2}
GLOW = {"image_shape": [1, 4, 4], "blocks": 1, "layers": 1, "hidden_channels": 4}


def splines(tail_bound, activation="relu"):
    net = partial(ResidualNet, hidden_features=8, num_blocks=1, activation=getattr(torch, activation))
    layers = [
        PiecewiseRationalQuadraticCouplingTransform(mask, net, tails="linear", tail_bound=tail_bound, num_bins=4)
        for mask in ([0, 1], [1, 0])
    ]
    return Flow(CompositeTransform(layers), DegenerateGaussian([2]))


class Scaled(nn.Module):
    """A net of a user's, with a setting that no library knows of."""

    def __init__(self, inputs, outputs, factor):
        super().__init__()
        self.net, self.factor = nn.Linear(inputs, outputs), factor

    def forward(self, x, context=None):
        return self.factor * torch.tanh(self.net(x))


def own(factor):
    return Flow(
        CompositeTransform([AffineCouplingTransform([0, 1], partial(Scaled, factor=factor))]), DegenerateGaussian([2])
    )


def glow(**options):
    return Flow(volume_preserving_glow(**options), DegenerateGaussian([16]))


PAIRS = {
    "centred scales for free ones": (coupling_flow, PLAIN, PLAIN | {"volume_preserving": False}, "MeanCentred"),
    "free scales for centred ones": (coupling_flow, PLAIN | {"volume_preserving": False}, PLAIN, "Exponential"),
    "a Glow": (glow, GLOW, GLOW | {"volume_preserving": False}, "VolumePreservingActNorm"),
    "images": (
        convolutional_flow,
        {"image_shape": [1, 4, 4], "blocks": [1], "dense_layers": 1},
        {"image_shape": [1, 4, 4], "blocks": [1], "dense_layers": 1, "volume_preserving": False},
        "MeanCentred",
    ),
    "where splines end": (splines, {"tail_bound": 3.0}, {"tail_bound": 2.0}, "tail_bound is 3.0 and not 2.0"),
    "an activation": (
        splines,
        {"tail_bound": 3.0},
        {"tail_bound": 3.0, "activation": "tanh"},
        "activation is relu and not tanh",
    ),
    "a setting of one's own": (own, {"factor": 1.0}, {"factor": 0.5}, "latents|densities|log-determinants"),
}
every_pair = pytest.mark.parametrize(("build", "config", "built_with", "word"), PAIRS.values(), ids=PAIRS)


@every_pair
def test_a_configuration_with_tensors_of_the_same_shapes_is_refused(build, config, built_with, word, tmp_path):
    torch.manual_seed(0)
    flow = randomize(build(**built_with))
    assert {n: v.shape for n, v in flow.state_dict().items()} == {
        n: v.shape for n, v in build(**config).state_dict().items()
    }
    with pytest.raises(ValueError, match=rf"build\(\*\*config\) must be of the same model, got .*({word})"):
        save_model(tmp_path / "flow.pt", flow, build=build, config=config)
    assert list(tmp_path.iterdir()) == []
    save_model(tmp_path / "flow.pt", flow, build=build, config=built_with)


@every_pair
def test_another_flow_is_not_given_the_tensors_of_a_file(build, config, built_with, word, tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "flow.pt", randomize(build(**built_with)), build=build, config=built_with)
    other = build(**config)
    with refused(ValueError, "flow.pt must be of the same model", unchanged=other):
        load_model(tmp_path / "flow.pt", flow=other, build=build)
    same = load_model(tmp_path / "flow.pt", flow=build(**built_with), build=build)
    again = load_model(tmp_path / "flow.pt", build=build)
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), again.parameters()))


def test_an_untrained_glow_is_told_from_its_twin_though_both_compute_the_same(tmp_path):
    with pytest.raises(ValueError, match="VolumePreservingActNorm and not ExplicitActNorm"):
        save_model(tmp_path / "flow.pt", glow(**GLOW, volume_preserving=False), build=glow, config=GLOW)


def test_flows_that_need_a_context_are_compared_with_one():
    flows = []
    for factor in (1.0, 0.5):
        torch.manual_seed(0)
        flows.append(coupling_flow(2, layers=2, context_features=3))
        net = flows[-1]._transform._transforms[0].transform_net
        net.register_forward_hook(lambda _, args, output, factor=factor: factor * output)
    check_same_results("the file", flows[0], flows[0])
    with pytest.raises(ValueError, match="with the same tensors whose"):
        check_same_results("the file", flows[1], flows[0])


def test_a_transform_without_an_inverse_is_compared_too():
    class OneWay(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor, self.p = factor, nn.Parameter(torch.zeros(1))

        def forward(self, x, context=None):
            return self.factor * x + self.p, x.new_zeros(len(x))

        def inverse(self, z, context=None):
            raise InverseNotAvailable

    flows = [Flow(OneWay(factor), DegenerateGaussian([2])) for factor in (1.0, 1.1)]
    with pytest.raises(ValueError, match="with the same tensors whose"):
        check_same_results("the file", *flows)


def test_a_comparison_leaves_flows_and_randomness_alone():
    torch.manual_seed(0)
    flow = coupling_flow(**PLAIN).train()
    before = torch.get_rng_state()
    check_same_results("the file", flow, flow)
    assert torch.equal(torch.get_rng_state(), before)
    assert flow.training


def test_a_run_of_another_model_with_tensors_of_the_same_shapes_is_refused(tmp_path):
    free = PLAIN | {"volume_preserving": False}
    first = SpreadKLLoss(coupling_flow(**free), data_noise=0.1)
    fit(first, ROWS, steps=2, batch_size=10, checkpoints=Checkpoints(tmp_path))
    other = SpreadKLLoss(coupling_flow(**PLAIN), data_noise=0.1)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with refused(ValueError, "same model", "ExponentialAffineCouplingTransform and not MeanCentred", unchanged=other):
        fit(other, ROWS, steps=4, batch_size=10, checkpoints=Checkpoints(tmp_path), resume=True)
    with refused(ValueError, "same model", "ExponentialAffineCouplingTransform and not MeanCentred", unchanged=other):
        restore_objective(tmp_path / "best.pt", other)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def two_layers():
    return nn.Sequential(nn.Linear(2, 3), nn.ELU(alpha=0.5))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"0": {}, "1": {}, "2": {}}, "got 1 parts that differ: 2 is there; build both alike"),
        ({"1": {}}, "got 1 parts that differ: 0 is absent;"),
        ({"0": {"class": "Conv1d"}, "1": {}}, "got 1 parts that differ: 0 is Conv1d and not Linear;"),
        ({"0": {}, "1": {"alpha": "1.0"}}, "got 1 parts that differ: 1.alpha is 1.0 and not 0.5;"),
        ({}, "got 2 parts that differ: 0 is absent, 1 is absent;"),
    ],
    ids=str,
)
def test_parts_that_differ_are_named_by_where_they_are(parts, message):
    with refused(ValueError, f"here must be of the same model, {message}"):
        check_same_architecture("here", parts, two_layers())


def test_settings_that_one_of_two_does_not_know_are_no_difference():
    check_same_architecture("here", {"0": {"of_another_version": "1"}, "1": {}}, two_layers())
    described = architecture_of(two_layers())
    assert described["0"] == {"class": "Linear", "in_features": "2", "out_features": "3"}
    assert described["1"] == {"class": "ELU", "alpha": "0.5"}  # "inplace" has no effect on the result


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"weight": torch.zeros(2, 2), "bias": torch.zeros(1)},
            "1 tensors that differ: weight is (2, 2) and not (1, 2);",
        ),
        ({"weight": torch.zeros(1, 2)}, "1 tensors that differ: bias is absent and not (1,);"),
        (
            {"weight": torch.zeros(1, 2), "bias": torch.zeros(1), "a": torch.zeros(2), "note": "no tensor"},
            "1 tensors that differ: a is (2,) and not absent;",
        ),
    ],
    ids=["another shape", "one less", "one more"],
)
def test_tensors_that_differ_are_named_with_both_shapes(tensors, message):
    with refused(ValueError, f"here must be of the same model, got {message}"):
        check_same_shapes("here", tensors, nn.Linear(2, 1))


@pytest.mark.parametrize(
    ("name", "shape", "fits"), [("_data_noise", (), True), ("_data_noise", (1,), False), ("x", (), False)]
)
def test_the_record_of_the_noise_may_be_the_one_number_that_it_was(name, shape, fits):
    module = nn.Module()
    module.register_buffer(name, torch.zeros(2))
    with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="must be of the same model"):
        check_same_shapes("here", {name: torch.zeros(shape)}, module)


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([0.5, 0.0], [0.0, 0.1], 0.5),
        ([math.inf, 1.0], [math.inf, 3.0], 2.0 / 3.0),
        ([math.inf, 1.0], [1.0, 1.0], math.inf),
        ([1.0, 1.0], [math.nan, 1.0], math.inf),
        ([math.nan, math.inf], [math.inf, math.nan], 0.0),
    ],
)
def test_a_difference_is_the_largest_by_the_largest_size_of_what_is_finite(found, expected, difference):
    assert _difference(torch.tensor(found), torch.tensor(expected)) == pytest.approx(difference)


def test_a_flow_without_numbers_is_compared_where_it_is():
    here, nowhere = nn.Linear(2, 2), nn.Linear(2, 2, device="meta")
    assert _on_the_cpu(here) is here
    assert _on_the_cpu(nowhere) is nowhere


class Jittered(CompositeTransform):
    """A transform with something added to its log-determinants."""

    def __init__(self, layers, jitter):
        super().__init__(layers)
        self.jitter = jitter

    def forward(self, inputs, context=None):
        outputs, logabsdet = super().forward(inputs, context)
        return outputs, logabsdet + self.jitter(len(inputs))


def jittered(jitter, bias=0.0):
    layer = nn.Linear(1, 2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([bias, 0.0]))

    class Net(nn.Module):
        def forward(self, x, context=None):
            return layer(x)

    return Flow(Jittered([AffineCouplingTransform([0, 1], lambda *_: Net())], jitter), DegenerateGaussian([2])).eval()


class Ever:
    """Another number at each call."""

    def __init__(self):
        self.called = 0

    def __call__(self, n):
        self.called += 1
        return torch.full((n,), float(self.called))


def test_what_is_by_chance_is_not_compared_and_the_rest_is():
    check_same_results("here", jittered(Ever()), jittered(Ever()))
    with refused(ValueError, "here must be of the same model, got one with the same tensors whose latents differ by"):
        check_same_results("here", jittered(Ever(), bias=2.0), jittered(Ever()))
    with refused(ValueError, "here must be of the same model", "whose log-determinants differ by 1 of their size"):
        check_same_results("here", jittered(torch.ones), jittered(torch.zeros))
