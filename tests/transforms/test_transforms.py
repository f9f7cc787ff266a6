"""Every public transform keeps the contract: inverse, log-determinant, dtype, copies, gradients; what maps compute."""

import copy
import math
import pickle

import pytest
import torch
from nflows.transforms import Transform

import nflows_spread.transforms as public
from nflows_spread.transforms import (
    ChannelPermutation,
    CheckerboardSqueeze,
    Flatten,
    LeadingFeatures,
    LUOneByOneConvolution,
    PrincipalRotation,
    VolumePreservingLULinear,
    VolumePreservingOneByOneConvolution,
    VolumePreservingQRLinear,
    VolumePreservingSVDLinear,
)
from support import randomize, refused
from transform_contract import (
    CASES,
    NOT_A_TRANSFORM,
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


@pytest.mark.parametrize("name", CASES)
def test_an_empty_batch_stays_one_in_both_directions(name):
    transform, inputs, context = built(name)
    none = None if context is None else context[:0]
    outputs, logabsdet = transform(inputs[:0], none)
    assert outputs.shape == transform(inputs, context)[0][:0].shape
    back, back_logabsdet = transform.inverse(outputs, none)
    assert back.shape == inputs[:0].shape
    assert logabsdet.shape == back_logabsdet.shape == (0,)


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
    for counterpart in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert torch.equal(counterpart(inputs, context)[0], expected)
    fresh = CASES[name].build()
    fresh.load_state_dict(transform.state_dict())
    assert torch.equal(fresh(inputs, context)[0], expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if list(case.build().parameters())])
def test_every_parameter_receives_a_gradient(name):
    transform, inputs, context = built(name, rows=8)
    outputs, logabsdet = transform(inputs, context)
    (outputs.square().sum() + outputs.sin().sum() + logabsdet.sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in transform.parameters())


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


@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_a_convolution_of_images_that_lie_channels_last_is_the_same_and_stays_so(way):
    convolution = randomize(LUOneByOneConvolution(4, identity_init=False))
    x = torch.randn(3, 4, 5, 2)
    expected = getattr(convolution, way)(x)
    outputs, logabsdet = getattr(convolution, way)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(outputs, expected[0])
    torch.testing.assert_close(logabsdet, expected[1])
    assert outputs.is_contiguous(memory_format=torch.channels_last)


def test_qr_linear_is_a_product_of_reflections_and_a_triangle_of_determinant_1():
    """Q by Householder's formula, R with a positive diagonal whose logarithms are about their mean."""
    linear, x = randomize(VolumePreservingQRLinear(5, 3)), torch.randn(4, 5)
    expected = torch.eye(5)
    for v in linear.orthogonal.q_vectors:
        expected = (torch.eye(5) - 2.0 * torch.outer(v, v) / v.square().sum()) @ expected
    upper = torch.zeros(5, 5)
    upper[tuple(torch.triu_indices(5, 5, 1))] = linear.upper_entries
    upper += (linear.log_upper_diag - linear.log_upper_diag.mean()).exp().diag()
    torch.testing.assert_close(linear(x)[0], x @ (expected @ upper).mT + linear.bias)
    torch.testing.assert_close(linear.weight_inverse(), torch.linalg.inv(expected @ upper))


@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_a_permutation_of_a_batch_by_columns_is_that_of_one_by_rows_and_still_lies_so(way):
    permutation, x = ChannelPermutation(5, generator=torch.Generator().manual_seed(1)), torch.randn(6, 5)
    outputs, logabsdet = getattr(permutation, way)(x.mT.contiguous().mT)
    assert torch.equal(outputs, getattr(permutation, way)(x)[0])
    assert outputs.mT.is_contiguous()
    assert torch.equal(logabsdet, torch.zeros(6))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CheckerboardSqueeze(1), "factor must be at least 2, got 1"),
        (lambda: CheckerboardSqueeze(2)(torch.zeros(1, 3, 4, 5)), "height and width multiples of 2, got (1, 3, 4, 5)"),
        (lambda: CheckerboardSqueeze(2).inverse(torch.zeros(1, 6, 4, 4)), "a multiple of 4 channels, got (1, 6, 4, 4)"),
        (lambda: Flatten((3, 2))(torch.zeros(5, 2, 3)), "inputs must have shape (n, 3, 2), got (5, 2, 3)"),
        (lambda: Flatten((3, 2)).inverse(torch.zeros(5, 3, 2)), "inputs must have shape (n, 6), got (5, 3, 2)"),
        (lambda: ChannelPermutation(0), "features must be"),
        (lambda: PrincipalRotation(0), "features must be"),
        (lambda: LeadingFeatures(Flatten((2,)), 0), "count must be"),
        (lambda: VolumePreservingSVDLinear(0, 2), "features must be"),
        (lambda: VolumePreservingSVDLinear(2, 0), "num_householder must be"),
        (lambda: VolumePreservingLULinear(0), "features must be"),
        (lambda: LUOneByOneConvolution(0), "num_channels must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(make, message):
    with refused(ValueError, message):
        make()


def test_what_is_no_transform_has_no_leading_features():
    with refused(TypeError, "transform must be"):
        LeadingFeatures(torch.nn.Identity(), 2)
