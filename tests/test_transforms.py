import copy
import math
import pickle

import pytest
import torch
from nflows.transforms import AffineCouplingTransform, InverseTransform, Transform

import nflows_spread.transforms as public
from nflows_spread.models.nets import LEAKY_SLOPE
from nflows_spread.transforms import (
    CheckerboardSqueeze,
    ExponentialAffineCouplingTransform,
    LUOneByOneConvolution,
    MeanCentredAffineCouplingTransform,
    TanhLogScale,
    VolumePreservingActNorm,
    VolumePreservingLULinear,
    VolumePreservingOneByOneConvolution,
)
from support import randomize, refused
from transform_contract import (
    CASES,
    CHANNEL_MASKS,
    DENSE,
    NOT_A_TRANSFORM,
    PIXELS,
    VECTOR_MASKS,
    VOLUME_PRESERVING,
    assert_forward_inverse_are_consistent,
    assert_tensor_is_good,
    jacobian_logabsdet,
)

pytestmark = pytest.mark.usefixtures("float64")


def built(name, rows=3, dtype=torch.float64):
    """The transform of a case with random parameters, and inputs and context for it."""
    case = CASES[name]
    transform = randomize(case.build())
    inputs = torch.randn(rows, *case.shape, dtype=dtype)
    context = None if case.context is None else torch.randn(rows, case.context, dtype=dtype)
    return transform.to(dtype), inputs, context


def test_every_public_transform_has_a_case():
    covered = {type(case.build()).__name__ for case in CASES.values()}
    assert set(public.__all__) - NOT_A_TRANSFORM == covered
    assert all(issubclass(getattr(public, name), Transform) for name in covered)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_forward_and_inverse_agree_after_random_parameters(name, mode):
    transform, inputs, context = built(name)
    transform.train(mode == "train")
    outputs, logabsdet = transform(inputs, context)
    assert_tensor_is_good(outputs, outputs.shape)
    assert_tensor_is_good(logabsdet, inputs.shape[:1])
    assert outputs[0].numel() == inputs[0].numel()
    assert_forward_inverse_are_consistent(transform, inputs, context)


@pytest.mark.parametrize("name", CASES)
def test_log_determinant_is_that_of_autograds_jacobian(name):
    transform, inputs, context = built(name)
    _, logabsdet = transform(inputs, context)
    torch.testing.assert_close(jacobian_logabsdet(transform, inputs, context), logabsdet, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_without_gradients_everything_is_what_it_is_with_them(name, way):
    transform, inputs, context = built(name)
    if way == "inverse":
        inputs = transform(inputs, context)[0].detach()
    given = inputs.clone()
    expected = getattr(transform, way)(inputs, context)
    with torch.no_grad():
        found = getattr(transform, way)(inputs, context)
    for mine, other in zip(found, expected):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
    assert torch.equal(inputs, given)


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


@pytest.mark.parametrize("name", VOLUME_PRESERVING)
def test_volume_is_preserved_to_1e_10_in_both_directions(name):
    transform, inputs, context = built(name)
    outputs, logabsdet = transform(inputs, context)
    back = transform.inverse(outputs, context)[1]
    assert torch.equal(logabsdet, torch.zeros(len(inputs)))
    assert torch.equal(back.abs(), torch.zeros(len(inputs)))
    assert jacobian_logabsdet(transform, inputs, context).abs().max() <= 1e-10
    assert jacobian_logabsdet(transform.inverse, outputs, context).abs().max() <= 1e-10


@pytest.mark.parametrize("name", CASES)
def test_float32_round_trip_and_dtype(name):
    transform, inputs, context = built(name, dtype=torch.float32)
    outputs, logabsdet = transform(inputs, context)
    assert outputs.dtype == logabsdet.dtype == torch.float32
    assert_forward_inverse_are_consistent(transform, inputs, context, tolerance=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_autocast_reaches_the_nets_and_not_the_arithmetic_of_the_flow(name):
    """Its nets say the same in both directions, so that the way back is exact where nothing else was rounded."""
    transform, inputs, context = built(name, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, logabsdet = transform(inputs, context)
        back, _ = transform.inverse(outputs, context)
    assert outputs.dtype == logabsdet.dtype == back.dtype == torch.float32
    steps = 1 if "Multiscale" not in name else 300  # a second net's input may be rounded to the other side
    torch.testing.assert_close(back, inputs, rtol=0, atol=steps * 1e-4)


@pytest.mark.parametrize("name", CASES)
def test_shapes_can_be_asked_for_on_a_device_without_numbers(name):
    transform, inputs, context = built(name)
    expected = transform(inputs, context)
    found = transform.to("meta")(inputs.to("meta"), None if context is None else context.to("meta"))
    assert [part.shape for part in found] == [part.shape for part in expected]


@pytest.mark.parametrize("name", CASES)
def test_copies_and_pickles_give_the_same_results(name):
    transform, inputs, context = built(name)
    expected = transform(inputs, context)[0]
    for twin in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert torch.equal(twin(inputs, context)[0], expected)
    fresh = CASES[name].build()
    fresh.load_state_dict(transform.state_dict())
    assert torch.equal(fresh(inputs, context)[0], expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if list(case.build().parameters())])
def test_every_parameter_receives_a_gradient(name):
    transform, inputs, context = built(name, rows=8)
    outputs, logabsdet = transform(inputs, context)
    (outputs.square().sum() + outputs.sin().sum() + logabsdet.sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in transform.parameters())


FAST = {
    "vectors": ([0, 0, 0, 1, 1, 1, 1], DENSE, (7,)),
    "one feature": ([0, 1], DENSE, (2,)),
    "one feature of four": ([0, 0, 1, 0], DENSE, (4,)),
    "one feature of forty": ([0] * 39 + [1], DENSE, (40,)),
    "one feature, tanh": ([1, 0], DENSE, (2,)),
    "images": ([0, 0, 1, 1], PIXELS, (4, 6, 6)),
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
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-11)


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


@pytest.mark.parametrize("factor", [2, 3])
def test_squeeze_puts_the_pixels_of_one_phase_together(factor):
    x = torch.randn(2, 3, 2 * factor, 3 * factor)
    phases = [x[:, :, i::factor, j::factor] for i in range(factor) for j in range(factor)]
    assert torch.equal(CheckerboardSqueeze(factor)(x)[0], torch.cat(phases, dim=1))


def test_one_by_one_convolution_is_the_linear_map_of_each_pixel():
    convolution = randomize(VolumePreservingOneByOneConvolution(4, identity_init=False))
    x = torch.randn(2, 4, 3, 5)
    permuted = convolution.permutation(x)[0]
    expected = torch.einsum("ij,njhw->nihw", convolution.weight(), permuted) + convolution.bias.view(-1, 1, 1)
    torch.testing.assert_close(convolution(x)[0], expected)


@pytest.mark.parametrize("kind", [LUOneByOneConvolution, VolumePreservingOneByOneConvolution])
@pytest.mark.parametrize("channels", [2, 12, 33])
def test_one_by_one_convolution_takes_on_a_rotation_up_to_the_signs_of_its_rows(kind, channels):
    rotation = torch.linalg.qr(torch.randn(channels, channels, generator=torch.Generator().manual_seed(channels)))[0]
    convolution = randomize(kind(channels))
    convolution.assign(rotation)
    kernel = convolution.kernel()
    signs = (kernel * rotation).sum(1)
    torch.testing.assert_close(signs.abs(), torch.ones(channels))
    torch.testing.assert_close(kernel, signs.sign().unsqueeze(1) * rotation)
    torch.testing.assert_close(convolution.logabsdet(), torch.zeros(()), rtol=0, atol=1e-10)
    assert not convolution.bias.any()


def test_only_a_rotation_of_its_size_is_taken_on():
    convolution = VolumePreservingOneByOneConvolution(4)
    before = convolution.kernel()
    with refused(ValueError, "rotation must have shape (4, 4), got (3, 3)"):
        convolution.assign(torch.eye(3))
    for matrix in (2.0 * torch.eye(4), torch.full((4, 4), math.nan)):
        with refused(ValueError, "rotation must be orthogonal"):
            convolution.assign(matrix)
    assert torch.equal(convolution.kernel(), before)


@pytest.mark.parametrize("using_cache", [False, True])
def test_lu_linear_is_its_weight_and_starts_at_the_identity(using_cache):
    linear = VolumePreservingLULinear(5, using_cache=using_cache).eval()
    x = torch.randn(3, 5)
    torch.testing.assert_close(linear(x)[0], x)
    randomize(linear.train()).eval()
    torch.testing.assert_close(linear(x)[0], x @ linear.weight().T + linear.bias)
    torch.testing.assert_close(linear.inverse(linear(x)[0])[0], x)
    torch.testing.assert_close(linear.weight_inverse(), torch.linalg.inv(linear.weight()))


def test_fixed_permutations_follow_their_generator():
    def permutations(seed):
        generator = torch.Generator().manual_seed(seed)
        channels = public.ChannelPermutation(50, generator=generator)
        return channels, VolumePreservingOneByOneConvolution(50, generator=generator).permutation

    one, same, other = permutations(1), permutations(1), permutations(2)
    assert all(torch.equal(a._permutation, b._permutation) for a, b in zip(one, same))
    assert not any(torch.equal(a._permutation, b._permutation) for a, b in zip(one, other))


def test_actnorm_changes_only_when_it_is_told_to():
    actnorm = VolumePreservingActNorm(3).train()
    assert actnorm.initialized  # nothing is left for the first batch to do
    x = 5.0 + torch.tensor([1.0, 2.0, 8.0]) * torch.randn(200, 3)
    assert torch.equal(actnorm(x)[0], x)
    actnorm.initialize(x)
    y = actnorm(x)[0]
    torch.testing.assert_close(y.mean(0), torch.zeros(3))
    torch.testing.assert_close(y.std(0), x.std(0).log().mean().exp().expand(3))  # equal, and their product as before
