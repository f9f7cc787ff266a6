"""A library of a user's own: what ``register_host`` brings it, and what happens without."""

import copy
import sys

import pytest
import torch
from torch import nn

import toyflows
from compiled_toys import compiled_as, trained
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    decode,
    encode,
    initialize,
    intrinsic_dimension,
    reconstruct,
    sample,
    spectrum,
    swap_base,
    to_volume_preserving,
    volume_error,
)
from nflows_spread.hosts import Host, encode_with_logabsdet, register_host, registry
from nflows_spread.training import Checkpoints, fit, load_model, save_model
from support import assert_same_state, randomize, refused
from transform_contract import jacobian_logabsdet

FEATURES = 4


@pytest.fixture
def registered(monkeypatch):
    """The library is known during the test, by where its adapter is found."""
    monkeypatch.setattr(registry, "_HOSTS", dict(registry._HOSTS))
    register_host("toyflows", "toyflows_adapter:HOST")


def toy_flow(couplings=3, base=None):
    base = toyflows.Normal(FEATURES) if base is None else base
    return randomize(toyflows.ToyFlow([toyflows.Coupling(FEATURES) for _ in range(couplings)], base), 0.1)


def points(n=40):
    return torch.randn(n, 1) * torch.tensor([1.0, 0.5, -0.5, 0.2]) + 0.1 * torch.randn(n, FEATURES)


# what is registered


@pytest.mark.usefixtures("registered")
def test_the_flow_is_encoded_and_decoded_with_the_log_determinant_of_autograd():
    flow, x = toy_flow().double(), points(5).double()
    z, logabsdet = encode_with_logabsdet(flow, x)
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        logabsdet, jacobian_logabsdet(lambda rows, _: encode_with_logabsdet(flow, rows), x), rtol=0, atol=1e-10
    )


@pytest.mark.usefixtures("registered")
def test_a_swapped_base_trains_and_every_read_out_works():
    flow, x = toy_flow(), points()
    own = flow.prior
    swapped = swap_base(flow, DegenerateGaussian([FEATURES]))
    assert base_of(flow) is own
    losses = fit(SpreadKLLoss(swapped, data_noise=0.1), x, steps=60, batch_size=20, learning_rate=1e-2).losses
    assert sum(losses[-5:]) < sum(losses[:5])
    assert intrinsic_dimension(swapped, x, data_noise=0.1) in range(1, FEATURES + 1)
    assert reconstruct(swapped, x, rank=1).shape == sample(swapped, len(x), rank=1).shape == x.shape


@pytest.mark.usefixtures("registered")
def test_its_own_gaussian_has_a_spectrum():
    flow = toy_flow(couplings=0)
    with torch.no_grad():
        flow.prior.log_std.copy_(torch.tensor([0.0, 1.0, -1.0, 0.5]))
    found = spectrum(flow, points(200), data_noise=0.05).eigenvalues
    torch.testing.assert_close(found.float(), torch.tensor([2.0, 1.0, 0.0, -2.0]).exp())


@pytest.mark.usefixtures("registered")
def test_its_nets_train_in_bf16():
    objective = SpreadKLLoss(toy_flow(base=DegenerateGaussian([FEATURES])), data_noise=0.1)
    inside = set()
    linear = objective.flow.couplings[0].net[0]
    linear.register_forward_hook(lambda module, arguments, output: inside.add(output.dtype))
    losses, parameters, _ = trained(objective, points(), precision="bf16-mixed")
    plain_losses, _, _ = trained(objective, points(), precision="32-true")
    assert inside == {torch.bfloat16, torch.float32}
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert losses != plain_losses


@pytest.mark.usefixtures("registered")
def test_its_couplings_are_what_is_compiled(monkeypatch):
    objective, x = SpreadKLLoss(toy_flow(base=DegenerateGaussian([FEATURES])), data_noise=0.1), points()
    losses, parameters, _ = trained(objective, x)
    calls = compiled_as(None, monkeypatch)
    compiled_losses, compiled_parameters, compiled = trained(objective, x, compile=True)
    assert {id(layer) for layer in calls} == {id(layer) for layer in compiled.flow.couplings}
    assert compiled_losses == losses
    assert all(map(torch.equal, compiled_parameters, parameters))


def built(couplings, base=None):
    return toy_flow(couplings, base)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("base", [toyflows.Normal, DegenerateGaussian])
def test_it_is_saved_with_either_base_and_comes_back(base, tmp_path):
    flow, x = toy_flow(couplings=2, base=base(FEATURES)), points()
    save_model(tmp_path / "flow.pt", flow, build=built, config={"couplings": 2})
    again = load_model(tmp_path / "flow.pt", build=built)
    assert_same_state(again.state_dict(), flow.state_dict())
    assert torch.equal(encode(again, x), encode(flow, x))
    assert type(base_of(again)) is base


@pytest.mark.usefixtures("registered")
def test_its_training_is_resumed(tmp_path):
    start, x, ends = SpreadKLLoss(toy_flow(base=DegenerateGaussian([FEATURES])), data_noise=0.1), points(), []
    for parts in ([4], [2, 4]):
        for steps in parts:
            torch.manual_seed(0)
            objective = copy.deepcopy(start)
            folder = Checkpoints(tmp_path / str(len(parts)))
            generator = torch.Generator().manual_seed(1)
            fit(objective, x, steps=steps, batch_size=10, checkpoints=folder, resume=True, generator=generator)
        ends.append(objective.state_dict())
    assert_same_state(*ends)


@pytest.mark.usefixtures("registered")
def test_its_layers_are_made_volume_preserving():
    flow, x = toy_flow().double(), points(5).double()
    converted = to_volume_preserving(flow)
    assert volume_error(flow, x) > 1e-3
    assert volume_error(converted, x) < 1e-12
    torch.testing.assert_close(decode(converted, encode(converted, x)), x, rtol=0, atol=1e-12)


class Scale(toyflows.Coupling):
    """A layer of a user's own, which takes its first values from data: what leaves it has the variance 1."""

    def __init__(self):
        super().__init__(FEATURES)
        self.log_std = nn.Parameter(torch.zeros(FEATURES))

    def initialize(self, inputs):
        self.log_std.copy_(inputs.std(0).log())

    def up(self, x):
        return x * (-self.log_std).exp(), -self.log_std.sum().expand(len(x))

    def down(self, z):
        return z * self.log_std.exp()


@pytest.mark.usefixtures("registered")
def test_its_layers_take_first_values_from_data_where_they_encode():
    first = randomize(toyflows.Coupling(FEATURES), 0.1)
    flow, x = toyflows.ToyFlow([first, Scale()], toyflows.Normal(FEATURES)), points(200)
    assert initialize(flow, x) == 1
    torch.testing.assert_close(encode(flow, x).std(0), torch.ones(FEATURES))


# what is not


@pytest.mark.usefixtures("registered")
def test_a_layer_is_initialized_by_what_arrives_through_the_method_that_the_host_names():
    class Centring(toyflows.Coupling):
        def initialize(self, inputs):
            with torch.no_grad():
                self.net[2].bias[FEATURES // 2 :] -= self.up(inputs)[0][:, : FEATURES // 2].mean(0)

    flow, x = toyflows.ToyFlow([toyflows.Coupling(FEATURES), Centring(FEATURES)], toyflows.Normal(FEATURES)), points(50)
    assert initialize(flow, x) == 1
    torch.testing.assert_close(encode(flow, x)[:, : FEATURES // 2].mean(0), x.new_zeros(FEATURES // 2))


@pytest.mark.usefixtures("registered")
def test_an_adapter_without_rules_converts_nothing_and_says_so(monkeypatch):
    monkeypatch.setattr(type(registry.host_named("toyflows")), "conversion_rules", Host.conversion_rules)
    missing = "the adapter of toyflows has no rules for its layers; give it conversion_rules"
    with refused(TypeError, "got ToyFlow of toyflows", missing):
        to_volume_preserving(toy_flow())


def test_a_library_without_an_adapter_is_refused():
    with refused(TypeError, "flow must be a flow of one of: nflows, normflows, zuko; got ToyFlow of toyflows"):
        encode(toy_flow(), points())
    with pytest.raises(ValueError, match=r"got 'toyflows'; register its adapter by .*register_host"):
        registry.host_named("toyflows")


def test_an_adapter_is_imported_when_a_flow_of_its_library_arrives(monkeypatch):
    monkeypatch.setattr(registry, "_HOSTS", dict(registry._HOSTS))
    monkeypatch.delitem(sys.modules, "toyflows_adapter", raising=False)
    register_host("toyflows", "toyflows_adapter:HOST")
    assert "toyflows_adapter" not in sys.modules
    encode(toy_flow(), points())
    assert "toyflows_adapter" in sys.modules


def test_what_is_no_adapter_is_refused():
    with refused(TypeError, "host must be a Host or where to find one, 'module:name'", "pass an instance"):
        register_host("toyflows", Host)
    with refused(ValueError, "host must be of the form 'module:name', got 'toyflows_adapter'"):
        register_host("toyflows", "toyflows_adapter")
    for package in ("", "toyflows.nested", toyflows):
        with refused(ValueError, "package must be the name of a top-level package"):
            register_host(package, "toyflows_adapter:HOST")


def test_an_adapter_must_answer_what_has_no_answer_of_its_own():
    class Half(Host):
        flow_classes = layer_classes = (nn.Identity,)

    with pytest.raises(TypeError, match="abstract"):
        Half()
