"""Couplings: what they compute, in which digits, by slices, after loading, under vmap, and as FrEIA's."""

import copy

import pytest
import torch
from nflows.transforms import AffineCouplingTransform, InverseTransform

from nflows_spread.models.nets import LEAKY_SLOPE
from nflows_spread.transforms import (
    ExponentialAffineCouplingTransform,
    MeanCentredAffineCouplingTransform,
    TanhLogScale,
)
from nflows_spread.transforms.coupling import ActivationLogScale
from support import randomize, refused
from transform_contract import CHANNEL_MASKS, CONDITIONAL, DENSE, PIXELS, VECTOR_MASKS

pytestmark = pytest.mark.usefixtures("float64")


FAST = {
    "vectors": ([0, 0, 0, 1, 1, 1, 1], DENSE, (7,)),
    "one feature": ([0, 1], DENSE, (2,)),
    "one feature of four": ([0, 0, 1, 0], DENSE, (4,)),
    "one feature of forty": ([0] * 39 + [1], DENSE, (40,)),
    "one feature, tanh": ([1, 0], DENSE, (2,)),
    "images": ([0, 0, 1, 1], PIXELS, (4, 6, 6)),
    "many entries": ([0, 0, 1, 1], PIXELS, (4, 24, 24)),
    "one channel": ([0, 1], PIXELS, (2, 6, 6)),
}


def plainly(coupling, inputs):
    """Equations 40 to 42 written down, for a coupling whose net is its own."""
    kept, changed = inputs[:, coupling.identity_features], inputs[:, coupling.transform_features]
    shift, raw = coupling.transform_net(kept, None).split(changed.shape[1], dim=1)
    s = coupling.log_scale(raw)
    s = s - s.mean(1 if coupling.centring == "channels" else tuple(range(1, s.dim())), keepdim=True)
    outputs = torch.zeros_like(inputs).index_copy(1, coupling.identity_features, kept)
    return outputs.index_copy(1, coupling.transform_features, changed * s.exp() + shift)


def fast_coupling(name, centring):
    """A coupling and inputs for it."""
    mask, net, shape = FAST[name]
    log_scale = TanhLogScale(sum(mask)) if name.endswith("tanh") else None
    coupling = randomize(MeanCentredAffineCouplingTransform(mask, net, log_scale=log_scale, centring=centring))
    return coupling, torch.randn(20, *shape, requires_grad=True)


@pytest.mark.parametrize("centring", ["features", "channels"])
@pytest.mark.parametrize("name", FAST)
def test_fast_couplings_have_the_values_and_gradients_of_the_plain_formula(name, centring):
    coupling, inputs = fast_coupling(name, centring)
    weights = torch.randn_like(inputs)
    found = []
    for outputs in (coupling(inputs)[0], plainly(coupling, inputs)):
        gradients = torch.autograd.grad((outputs * weights).sum(), [inputs, *coupling.parameters()])
        found.append([outputs, *gradients])
    for mine, other in zip(*found):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", FAST)
def test_couplings_lose_less_than_1e_4_in_float32_at_a_condition_number_of_1e8(name):
    """Scales from e^-9.2 to e^9.2; against the same parameters and points in float64."""
    coupling, inputs = fast_coupling(name, "features")
    with torch.no_grad():
        raw = coupling.transform_net(inputs[:, coupling.identity_features], None)[:, coupling.num_transform_features :]
        s = raw - raw.flatten(1).mean(1).view(-1, *[1] * (raw.dim() - 1))
    largest = s.flatten(1).abs().amax(1).max()
    if largest > 0:
        stretch_outputs(coupling.transform_net, float(9.2 / largest))
    exact = copy.deepcopy(coupling).double()
    single = coupling.float()
    x = inputs.detach().float().requires_grad_()
    x64 = x.detach().double().requires_grad_()
    exact.load_state_dict(single.state_dict())
    values, truth = single(x)[0], plainly(exact, x64)
    gradients = torch.autograd.grad(values.square().mean(), [x, *single.parameters()])
    expected = torch.autograd.grad(truth.square().mean(), [x64, *exact.parameters()])
    flat = [torch.cat([part.flatten() for part in parts]) for parts in (gradients[1:], expected[1:])]
    for mine, other in ((values, truth), (gradients[0], expected[0]), flat):
        assert (mine.double() - other).norm() <= 1e-4 * other.norm()


@torch.no_grad()
def stretch_outputs(net, factor):
    """Multiplies what a net returns: its last layer's weights and biases."""
    last = [net.weights[-1], net.biases[-1]] if hasattr(net, "weights") else list(net[-1].parameters())
    for parameter in last:
        parameter.mul_(factor)


@pytest.mark.parametrize("mask", [*VECTOR_MASKS.values(), *CHANNEL_MASKS.values()], ids=str)
def test_slices_give_what_gathering_indices_gives(mask):
    images = mask in CHANNEL_MASKS.values()
    ours = randomize(ExponentialAffineCouplingTransform(mask, PIXELS if images else DENSE))

    class Gathering(AffineCouplingTransform):
        """nflows' own splitting and joining, with our scale in place of its bounded one."""

        def _scale_and_shift(self, transform_params):
            shift, raw_scale = transform_params.chunk(2, dim=1)
            return raw_scale.exp(), shift

    theirs = Gathering(mask, lambda *_: ours.transform_net)
    inputs = torch.randn(6, len(mask), *((2, 3) if images else ()))
    for mine, other in ((ours, theirs), (ours.inverse, theirs.inverse)):
        for result, expected in zip(mine(inputs), other(inputs)):
            torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("masks", [([1, 0, 0, 1, 0], [0, 0, 0, 1, 1]), ([0, 0, 0, 1, 0], [1, 0, 0, 0, 0])], ids=str)
def test_loading_a_state_dict_with_another_mask_moves_the_split(masks):
    mask, other = masks
    source = randomize(MeanCentredAffineCouplingTransform(mask, DENSE))
    target = MeanCentredAffineCouplingTransform(other, DENSE)
    inputs, kept = torch.randn(4, 5), [i for i, entry in enumerate(mask) if entry == 0]
    target.load_state_dict(source.state_dict())
    assert torch.equal(target(inputs)[0], source(inputs)[0])
    assert torch.equal(target(inputs)[0][:, kept], inputs[:, kept])


def test_a_lone_feature_is_shifted_by_products_after_loading_in_another_dtype_too(monkeypatch):
    coupling = MeanCentredAffineCouplingTransform([0, 1], DENSE).to(torch.float32)
    coupling.load_state_dict(coupling.state_dict())
    inputs = torch.randn(5, 2, dtype=torch.float32)
    expected = plainly(coupling, inputs)
    monkeypatch.setattr(coupling, "_split", None)  # which the other way needs
    torch.testing.assert_close(coupling(inputs)[0], expected)


def test_untransformed_features_pass_unchanged():
    coupling = randomize(MeanCentredAffineCouplingTransform([1, 0, 0, 1, 0, 1, 1], DENSE))
    inputs = torch.randn(4, 7)
    assert torch.equal(coupling(inputs)[0][:, [1, 2, 4]], inputs[:, [1, 2, 4]])


@pytest.mark.parametrize("centring", ["features", "channels"])
def test_centring_is_over_all_transformed_entries_or_over_channels_at_each_pixel(centring):
    coupling = randomize(MeanCentredAffineCouplingTransform([0, 0, 1, 1], PIXELS, centring=centring))
    inputs = torch.randn(3, 4, 2, 3)
    raw = coupling.transform_net(inputs[:, :2])[:, 2:]
    zero, one = inputs.clone(), inputs.clone()
    zero[:, 2:], one[:, 2:] = 0.0, 1.0
    applied = (coupling(one)[0] - coupling(zero)[0])[:, 2:].log()
    means = raw.mean((1, 2, 3), keepdim=True) if centring == "features" else raw.mean(1, keepdim=True)
    torch.testing.assert_close(applied, raw - means, rtol=1e-10, atol=1e-10)


def test_channel_centring_is_that_of_freias_gin_block():
    gin = pytest.importorskip("FrEIA.modules").GINCouplingBlock([(4, 2, 3)], subnet_constructor=PIXELS, clamp=2.0)
    randomize(gin)

    class Half(torch.nn.Module):
        """FrEIA's subnet as a coupling net: it returns s before t and soft-clamps s."""

        def __init__(self, net, clamp):
            super().__init__()
            self.net, self.clamp = net, clamp

        def forward(self, inputs, context):
            s, t = self.net(inputs).chunk(2, dim=1)
            return torch.cat([t, self.clamp * 0.636 * torch.atan(s)], dim=1)

    inputs = torch.randn(3, 4, 2, 3)
    (theirs,), _ = gin([inputs])
    second = MeanCentredAffineCouplingTransform([1, 1, 0, 0], lambda *_: Half(gin.subnet2, 2.0), centring="channels")
    first = MeanCentredAffineCouplingTransform([0, 0, 1, 1], lambda *_: Half(gin.subnet1, 2.0), centring="channels")
    torch.testing.assert_close(first(second(inputs)[0])[0], theirs, rtol=1e-10, atol=1e-10)


def test_tanh_log_scale_is_one_learnable_scale_for_each_channel():
    log_scale = randomize(TanhLogScale(3))
    raw = torch.randn(2, 3, 4, 5)
    expected = torch.stack([log_scale.scale[c] * raw[:, c].tanh() for c in range(3)], dim=1)
    torch.testing.assert_close(log_scale(raw), expected)
    torch.testing.assert_close(log_scale(raw[:, :, 0, 0]), expected[:, :, 0, 0])
    assert LEAKY_SLOPE == 0.2


@pytest.mark.parametrize("way", ["forward", "inverse"])
@pytest.mark.parametrize("mask", [[0, 0, 1, 1], [1, 1, 0, 0]], ids=str)
def test_an_ensemble_of_couplings_evaluates_under_vmap_as_one_by_one(mask, way):
    """With parameters in a batch and inputs that are in none, of which nothing can be written over."""
    couplings = [randomize(MeanCentredAffineCouplingTransform(mask, DENSE)) for _ in range(3)]
    inputs = torch.randn(5, 4)
    parameters, buffers = torch.func.stack_module_state(couplings)

    def evaluated(parameters, buffers):
        module = couplings[0] if way == "forward" else InverseTransform(couplings[0])
        prefix = "" if way == "forward" else "_transform."
        state = {prefix + name: value for name, value in {**parameters, **buffers}.items()}
        return torch.func.functional_call(module, state, (inputs,))[0]

    with torch.no_grad():
        found = torch.vmap(evaluated)(parameters, buffers)
        expected = torch.stack([getattr(coupling, way)(inputs)[0] for coupling in couplings])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Said(torch.nn.Module):
    """A net that says the same whatever it sees."""

    def __init__(self, said):
        super().__init__()
        self.said = said

    def forward(self, inputs, context=None):
        return self.said


@pytest.mark.parametrize("entries", [2000, 20_000])
@pytest.mark.parametrize("offset", [0.0, 5.0, 50.0])
def test_the_scales_of_many_entries_have_product_1_in_float32_whatever_they_have_in_common(entries, offset):
    """One mean in float32 leaves of what is common to all scales a rounding error, which is there once an entry."""
    raw = offset + torch.randn(2, entries, dtype=torch.float32)
    net = Said(torch.cat([torch.zeros_like(raw), raw], dim=1))
    coupling = MeanCentredAffineCouplingTransform([0] * entries + [1] * entries, lambda inputs, outputs: net).float()
    x = torch.ones(2, 2 * entries, dtype=torch.float32)
    for outputs, logabsdet in (coupling(x), coupling.inverse(x)):
        volume = outputs[:, entries:].double().log().sum(1)
        assert float((volume - logabsdet).abs().max()) < 1e-7 * entries


@pytest.mark.parametrize("way", ["forward", "inverse"])
@pytest.mark.parametrize("mask", [[0, 0, 0, 1, 1], [1, 1, 1, 0, 0]], ids=str)
def test_a_batch_that_lies_by_columns_is_mapped_as_one_by_rows(mask, way):
    coupling = randomize(ExponentialAffineCouplingTransform(mask, CONDITIONAL, log_scale=TanhLogScale(sum(mask))))
    inputs, context, found = torch.randn(6, 5), torch.randn(6, 3), []
    for lying in (inputs.clone(), inputs.mT.contiguous().mT):
        outputs, logabsdet = getattr(coupling, way)(lying.requires_grad_(), context)
        wanted = [lying, *coupling.parameters()]
        found.append([outputs, logabsdet, *torch.autograd.grad(outputs.sin().sum() + logabsdet.sum(), wanted)])
    for by_rows, by_columns in zip(*found):
        torch.testing.assert_close(by_columns, by_rows, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mask", ["second half", "first half", "odd features", "even features"])
def test_a_progression_of_features_is_split_into_views(mask):
    coupling, inputs = (
        ExponentialAffineCouplingTransform(VECTOR_MASKS[mask], DENSE),
        torch.randn(4, len(VECTOR_MASKS[mask])),
    )
    for part, features in zip(coupling._split(inputs), (coupling.identity_features, coupling.transform_features)):
        assert torch.equal(part, inputs[:, features])
        assert part.untyped_storage().data_ptr() == inputs.untyped_storage().data_ptr()


@pytest.mark.parametrize("activation", [torch.nn.functional.softplus, "OF_ANOTHER_VERSION"])
def test_the_scale_of_an_activation_is_what_it_gives(activation, monkeypatch):
    function = torch.nn.functional.softplus
    monkeypatch.setattr(AffineCouplingTransform, "OF_ANOTHER_VERSION", staticmethod(function), raising=False)
    coupling = ExponentialAffineCouplingTransform([0, 1, 1], DENSE, log_scale=ActivationLogScale(activation))
    inputs = torch.randn(5, 3)
    shift, raw = randomize(coupling).transform_net(inputs[:, :1], None).split(2, dim=1)
    outputs, logabsdet = coupling(inputs)
    torch.testing.assert_close(outputs[:, 1:], inputs[:, 1:] * function(raw) + shift)
    torch.testing.assert_close(logabsdet, function(raw).log().sum(1))


@pytest.mark.parametrize("mask", [[0, 0, 0], [1, 1], [0, -1]], ids=str)
def test_a_mask_that_leaves_nothing_to_transform_or_to_condition_on_is_refused(mask):
    got = f"got {sum(entry > 0 for entry in mask)} of {len(mask)} to transform"
    with refused(ValueError, f"mask must select at least one feature to transform and leave at least one, {got}"):
        ExponentialAffineCouplingTransform(mask, DENSE)


def test_an_unknown_centring_is_refused():
    with refused(ValueError, "centring must be 'features' or 'channels', got 'rows'"):
        MeanCentredAffineCouplingTransform([0, 1], DENSE, centring="rows")


@pytest.mark.parametrize("way", ["forward", "inverse"])
@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 5), (4, 2, 5, 5)])
def test_inputs_of_another_shape_are_refused(shape, way):
    coupling = ExponentialAffineCouplingTransform([0, 1, 1], DENSE)
    with refused(ValueError, f"inputs must have shape (n, 3) or (n, 3, height, width), got {shape}"):
        getattr(coupling, way)(torch.zeros(shape))
