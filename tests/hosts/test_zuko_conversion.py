"""to_volume_preserving for zuko's layers: every one that converts, what it keeps, and why the others do not."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from nflows.transforms import LULinear, Sigmoid

from host_models import CONTEXT, FEATURES, lazy_layers_of_zuko, of_zuko
from nflows_spread import decode, encode, to_volume_preserving, volume_error
from support import randomize, refused
from transform_contract import jacobian_logabsdet

zuko = pytest.importorskip("zuko", reason="needs the extra zuko")
flows, transforms = zuko.flows, zuko.transforms

from nflows_spread.transforms import zuko as ours  # noqa: E402

pytestmark = pytest.mark.usefixtures("float64")

NET = {"hidden_features": (8,)}
unconditional = flows.UnconditionalTransform


def affine(**options):
    return unconditional(
        transforms.MonotonicAffineTransform, shift=torch.randn(FEATURES), scale=torch.randn(FEATURES), **options
    )


def affine_by_position():
    return unconditional(transforms.MonotonicAffineTransform, torch.randn(FEATURES), torch.randn(FEATURES), slope=1e-2)


LAYERS = {
    "coupling": lambda: flows.GeneralCouplingTransform(FEATURES, **NET),
    "coupling, slope": lambda: flows.GeneralCouplingTransform(
        FEATURES, univariate=partial(transforms.MonotonicAffineTransform, slope=1e-2), **NET
    ),
    "coupling, conditional": lambda: flows.GeneralCouplingTransform(FEATURES, CONTEXT, mask=[1, 0, 0], **NET),
    "autoregressive": lambda: flows.MaskedAutoregressiveTransform(FEATURES, order=[2, 0, 1], **NET),
    "autoregressive, conditional": lambda: flows.MaskedAutoregressiveTransform(FEATURES, CONTEXT, **NET),
    "autoregressive, two passes": lambda: flows.MaskedAutoregressiveTransform(FEATURES, passes=2, **NET),
    "backwards": lambda: flows.MaskedAutoregressiveTransform(FEATURES, **NET).inv,
    "element by element": lambda: flows.ElementWiseTransform(FEATURES),
    "element by element, conditional": lambda: flows.ElementWiseTransform(FEATURES, CONTEXT, **NET),
    "affine": affine,
    "affine, fixed": lambda: affine(buffer=True),
    "affine, by position": affine_by_position,
    "affine of torch": lambda: unconditional(
        torch.distributions.AffineTransform, torch.randn(FEATURES), torch.tensor([2.0, -3.0, 0.1]), buffer=True
    ),
    "linear": lambda: unconditional(transforms.LULinearTransform, LU=torch.randn(FEATURES, FEATURES)),
    "nflows' linear": lambda: ours.LazyNflowsTransform(LULinear(FEATURES)),
    "composed": lambda: lazy_layers_of_zuko().transform,
}
KEPT = {
    "additive coupling": lambda: flows.GeneralCouplingTransform(
        FEATURES, univariate=transforms.AdditiveTransform, shapes=[()], **NET
    ),
    "additive autoregressive": lambda: flows.MaskedAutoregressiveTransform(
        FEATURES, univariate=transforms.AdditiveTransform, shapes=[()], **NET
    ),
    "rotation": lambda: unconditional(transforms.RotationTransform, torch.randn(FEATURES, FEATURES)),
    "permutation": lambda: unconditional(transforms.PermutationTransform, torch.randperm(FEATURES), buffer=True),
    "shift": lambda: unconditional(transforms.AdditiveTransform, torch.randn(FEATURES)),
    "identity": lambda: unconditional(transforms.IdentityTransform),
}


def flow_of(layer):
    return flows.Flow(randomize(layer), of_zuko("MAF").base)


def inputs(name, rows=5):
    conditional = "conditional" in name or name == "composed"
    return torch.randn(rows, FEATURES), torch.randn(rows, CONTEXT) if conditional else None


def tensors_of(module):
    return {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())} - {0}


@pytest.mark.parametrize("name", LAYERS)
def test_a_converted_layer_preserves_volume_and_inverts(name):
    flow, (x, context) = flow_of(LAYERS[name]()), inputs(name)
    converted = to_volume_preserving(flow)
    assert volume_error(flow, x, context=context) > 1e-3
    assert volume_error(converted, x, context=context) < 1e-10
    torch.testing.assert_close(decode(converted, encode(converted, x, context), context), x, rtol=0, atol=1e-10)
    assert not tensors_of(flow) & tensors_of(converted)
    assert [n for n, _ in flow.named_parameters()] == [n for n, _ in converted.named_parameters()]
    assert float((encode(converted, x, context) - encode(flow, x, context)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", [*LAYERS, *KEPT])
def test_what_preserves_volume_is_converted_to_the_same_map(name):
    flow, (x, context) = flow_of((LAYERS | KEPT)[name]()), inputs(name)
    once = to_volume_preserving(flow) if name in LAYERS else flow
    assert volume_error(once, x, context=context) < 1e-10
    torch.testing.assert_close(encode(to_volume_preserving(once), x, context), encode(once, x, context))


@pytest.mark.parametrize("name", ["affine", "affine, fixed", "affine, by position", "affine of torch", "linear"])
def test_a_map_of_one_determinant_is_itself_over_the_root_of_it(name):
    flow, (x, _) = flow_of(LAYERS[name]()), inputs(name)
    logabsdet = jacobian_logabsdet(lambda rows, _: (encode(flow, rows),), x)
    expected = encode(flow, x) * torch.exp(-logabsdet / FEATURES).unsqueeze(1)
    torch.testing.assert_close(encode(to_volume_preserving(flow), x), expected)


def scales_of(layer, x):
    """The diagonal of its Jacobian, in logarithms."""
    rows = [torch.autograd.functional.jacobian(lambda row: layer()(row), row) for row in x]
    return torch.stack(rows).diagonal(dim1=1, dim2=2).abs().log()


def test_couplings_and_element_wise_layers_lose_the_mean_of_their_log_scales():
    x = torch.randn(4, 5)
    mask = torch.tensor([1, 0, 1, 0, 0])
    for layer, moved in (
        (flows.GeneralCouplingTransform(5, mask=mask, **NET), mask == 0),
        (flows.ElementWiseTransform(5), mask >= 0),
    ):
        before, after = scales_of(layer, x)[:, moved], scales_of(to_volume_preserving(layer), x)[:, moved]
        torch.testing.assert_close(after, before - before.mean(1, keepdim=True))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 1, 0, 3, 2], [0, 0, 1, 1, 2], [0, 0, 0, 0, 0], [1, 0, 1, 0, 1]])
def test_log_scales_are_centred_by_what_comes_before_alone(order):
    order = torch.tensor(order)
    matrix = torch.stack([ours.centred_in_order(row, order) for row in torch.eye(5)], dim=1)
    torch.testing.assert_close(matrix.sum(0), torch.zeros(5))
    assert not matrix[order[:, None] < order].any()  # none depends on one that comes later
    assert torch.linalg.matrix_rank(matrix) == 4  # every log-scale of sum 0 can be had
    last = order == order.max()
    torch.testing.assert_close(matrix[last][:, last], (torch.eye(5) - 1.0 / last.sum())[last][:, last])


@pytest.mark.parametrize("passes", [None, 2, 3])
def test_an_autoregressive_layer_stays_one(passes):
    layer = randomize(flows.MaskedAutoregressiveTransform(6, passes=passes, order=[3, 1, 0, 5, 2, 4], **NET))
    converted = to_volume_preserving(layer)
    x = torch.randn(6)
    jacobian = torch.autograd.functional.jacobian(lambda row: converted()(row), x)
    order = layer.order
    assert not jacobian[(order[:, None] <= order) & ~torch.eye(6, dtype=bool)].any()
    torch.testing.assert_close(converted().inv(converted()(x)), x)


def adjacent():
    graph = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1]], dtype=bool)
    return flows.MaskedAutoregressiveTransform(FEATURES, adjacency=graph, **NET)


REFUSED = {
    "spline": (lambda: of_zuko("NSF").transform, "the layer at 'transforms.0'", "each bin of a spline has a slope"),
    "circular": (lambda: flows.NCSF(FEATURES).transform, "the layer at 'transforms.0'", "wraps coordinates around"),
    "neural": (lambda: of_zuko("NAF").transform, "the layer at 'transforms.0'", "stretches each point"),
    "gaussianization": (lambda: of_zuko("GF").transform, "the layer at 'transforms.0'", "stretches each point"),
    "continuous": (lambda: flows.CNF(FEATURES).transform, "FFJTransform", "the integral of a divergence"),
    "graph": (adjacent, "MaskedAutoregressiveTransform", "build it with order or passes"),
    "softclip": (lambda: unconditional(transforms.SoftclipTransform), "UnconditionalTransform", "stretches each point"),
    "of another library": (
        lambda: unconditional(torch.nn.Identity()),
        "UnconditionalTransform",
        "not known to preserve",
    ),
    "trained scale": (
        lambda: unconditional(torch.distributions.AffineTransform, loc=torch.zeros(3), scale=torch.ones(3)),
        "its scale is trained",
    ),
    "in nflows": (lambda: ours.LazyNflowsTransform(Sigmoid()), "the layer at 'transform' (Sigmoid)", "stretches"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_layers_are_refused_by_their_path_with_a_reason(name):
    build, *words = REFUSED[name]
    with refused(ValueError, "cannot be made volume-preserving", *words):
        to_volume_preserving(build())


def test_a_subclass_that_changes_the_map_is_refused():
    class Louder(flows.GeneralCouplingTransform):
        def meta(self, c, x):
            return super().meta(c, 2.0 * x)

    with refused(ValueError, "it changes meta of GeneralCouplingTransform"):
        to_volume_preserving(Louder(FEATURES, **NET))


@pytest.mark.parametrize(
    "build",
    [
        lambda **options: ours.VolumePreservingCouplingTransform(FEATURES, CONTEXT, **NET | options),
        lambda **options: ours.VolumePreservingAutoregressiveTransform(FEATURES, CONTEXT, **NET | options),
        lambda **options: ours.VolumePreservingElementWiseTransform(FEATURES, CONTEXT, **NET | options),
    ],
    ids=["coupling", "autoregressive", "element by element"],
)
def test_volume_preserving_layers_are_built_as_zukos_are(build):
    flow, (x, context) = flow_of(build()), inputs("conditional")
    assert volume_error(flow, x, context=context) < 1e-10
    assert repr(flow)
    with refused(ValueError, "univariate must be MonotonicAffineTransform or a partial of it"):
        build(univariate=transforms.MonotonicRQSTransform)


def test_a_layer_of_one_feature_is_refused():
    for kind in (ours.VolumePreservingCouplingTransform, ours.VolumePreservingAutoregressiveTransform):
        with refused(ValueError, "features must be at least 2, got 1"):
            kind(1)


def test_wrapped_transforms_follow_the_shapes_of_zuko():
    layer = randomize(zuko.lazy.LazyComposedTransform(ours.LazyNflowsTransform(LULinear(FEATURES)), affine()))
    x = torch.randn(4, 5, FEATURES)
    y, logabsdet = layer(torch.randn(5, CONTEXT)).call_and_ladj(x)
    assert (y.shape, logabsdet.shape) == (x.shape, (4, 5))
    torch.testing.assert_close(layer().inv(y), x)
    torch.testing.assert_close(layer().log_abs_det_jacobian(x, y), logabsdet)
    (part,) = [part for part in layer.transforms if isinstance(part, ours.LazyNflowsTransform)]
    torch.testing.assert_close(part().log_abs_det_jacobian(x, part()(x)), part().call_and_ladj(x)[1])
