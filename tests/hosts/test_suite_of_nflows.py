"""nflows' own tests, of the source distribution of the release that is installed, asked of our classes."""

from __future__ import annotations

from functools import partial

import nflows.flows
import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, InverseTransform

from nflows_spread import swap_base, to_volume_preserving
from nflows_spread.transforms import (
    ChannelPermutation,
    CheckerboardSqueeze,
    ExplicitActNorm,
    ExponentialAffineCouplingTransform,
    LUOneByOneConvolution,
    MeanCentredAffineCouplingTransform,
    VolumePreservingActNorm,
    VolumePreservingLULinear,
    VolumePreservingOneByOneConvolution,
    VolumePreservingQRLinear,
    VolumePreservingSVDLinear,
)
from peer_suites import BASES, methods_of, put_in, run_case, suite
from support import randomize
from transform_contract import CASES

pytestmark = pytest.mark.slow

DISTRIBUTION = ["test_log_prob", "test_mean", "test_sample", "test_sample_and_log_prob_with_context"]
FLOW = ["test_log_prob", "test_sample", "test_sample_and_log_prob", "test_sample_and_log_prob_with_context"]
LINEAR = ["test_forward_no_cache", "test_inverse_no_cache", "test_weight", "test_weight_inverse", "test_logabsdet"]
MAPS = ["test_forward", "test_inverse"]
CONSISTENT = ["test_forward_inverse_are_consistent"]
CACHES = [
    f"test_{way}_{what}"
    for way in ("forward", "inverse")
    for what in ("default", "cached", "cache_is_used", "cache_not_used_while_training", "train_invalidates_cache")
]

ROUNDING = 1e-3
"""Of log-densities of 24 features in float32, of which those along a spread of 0.01 are 1e4 times their squares."""

CONTRACTS = {
    ("distributions.normal_test", "StandardNormalTest"): [*DISTRIBUTION, "test_sample_and_log_prob"],
    ("distributions.normal_test", "ConditionalDiagonalNormalTest"): DISTRIBUTION,
    ("flows.base_test", "FlowTest"): [*FLOW, "test_transform_to_noise"],
    ("flows.realnvp_test", "SimpleRealNVPTest"): ["test_log_prob", "test_sample"],
    ("flows.autoregressive_test", "MaskedAutoregressiveFlowTest"): ["test_log_prob", "test_sample"],
    ("transforms.lu_test", "LULinearTest"): LINEAR + CONSISTENT,
    ("transforms.qr_test", "QRLinearTest"): LINEAR + CONSISTENT,
    ("transforms.svd_test", "SVDLinearTest"): LINEAR + CONSISTENT,
    ("transforms.linear_test", "LinearTest"): CACHES,
    ("transforms.conv_test", "OneByOneConvolutionTest"): ["test_forward_and_inverse_are_consistent"],
    ("transforms.normalization_test", "ActNormTest"): [*MAPS, *CONSISTENT, "test_save_load"],
    ("transforms.coupling_test", "AffineCouplingTransformTest"): MAPS + CONSISTENT,
    ("transforms.coupling_test", "AdditiveTransformTest"): MAPS + CONSISTENT,
    ("transforms.permutations_test", "PermutationTest"): MAPS + CONSISTENT,
    ("transforms.reshape_test", "SqueezeTransformTest"): [
        *["test_forward", "test_forward_values", "test_forward_wrong_shape", "test_inverse_wrong_shape"],
        *CONSISTENT,
    ],
}
"""Their classes of tests whose subjects have counterparts of ours, with all their methods."""

VOLUME_PRESERVING_LAYERS = {
    "actnorm": lambda: VolumePreservingActNorm(2),
    "one-by-one convolution": lambda: VolumePreservingOneByOneConvolution(2),
    "channel permutation": lambda: ChannelPermutation(2),
    "two layers": lambda: CompositeTransform([VolumePreservingOneByOneConvolution(2), VolumePreservingActNorm(2)]),
}
COUNTERPARTS = {
    ("transforms.lu_test", "LULinearTest"): {"lu__LULinear": [VolumePreservingLULinear]},
    ("transforms.qr_test", "QRLinearTest"): {"qr__QRLinear": [VolumePreservingQRLinear]},
    ("transforms.svd_test", "SVDLinearTest"): {"SVDLinear": [VolumePreservingSVDLinear]},
    ("transforms.conv_test", "OneByOneConvolutionTest"): {
        "OneByOneConvolution": [VolumePreservingOneByOneConvolution, LUOneByOneConvolution]
    },
    ("transforms.normalization_test", "ActNormTest"): {"norm__ActNorm": [VolumePreservingActNorm, ExplicitActNorm]},
    ("transforms.coupling_test", "AffineCouplingTransformTest"): {
        "coupling__AffineCouplingTransform": [MeanCentredAffineCouplingTransform, ExponentialAffineCouplingTransform]
    },
    ("transforms.coupling_test", "AdditiveTransformTest"): {
        "coupling__AdditiveCouplingTransform": [MeanCentredAffineCouplingTransform]
    },
    ("transforms.reshape_test", "SqueezeTransformTest"): {"SqueezeTransform": [CheckerboardSqueeze]},
}
"""Of a class of tests: the name of its subject there, and which of ours take its place."""

LAYERS = [
    pytest.param(where, name, ours, method, id=f"{where[1]}-{ours.__name__}-{method}")
    for where, subjects in COUNTERPARTS.items()
    for name, kinds in subjects.items()
    for ours in kinds
    for method in CONTRACTS[where]
]


def each_method(where):
    return pytest.mark.parametrize("method", CONTRACTS[where])


every_base = pytest.mark.parametrize("base", BASES)


@pytest.mark.parametrize("where", CONTRACTS, ids=lambda where: where[1])
def test_their_classes_of_tests_have_the_methods_that_are_listed(where):
    file, case = where
    assert methods_of(suite("nflows", file), case) == set(CONTRACTS[where])


@every_base
@each_method(("distributions.normal_test", "StandardNormalTest"))
def test_our_bases_pass_the_tests_of_the_standard_normal(base, method, monkeypatch):
    module = suite("nflows", "distributions.normal_test")
    put_in(monkeypatch, module, normal__StandardNormal=BASES[base])
    run_case(module, "StandardNormalTest", method)


@every_base
@each_method(("distributions.normal_test", "ConditionalDiagonalNormalTest"))
def test_our_bases_pass_the_tests_of_the_conditional_normal(base, method, monkeypatch):
    module = suite("nflows", "distributions.normal_test")
    put_in(monkeypatch, module, normal__ConditionalDiagonalNormal=BASES[base])
    run_case(module, "ConditionalDiagonalNormalTest", method)


@every_base
@each_method(("flows.base_test", "FlowTest"))
def test_flows_with_our_bases_pass_the_tests_of_flows(base, method, monkeypatch):
    module = suite("nflows", "flows.base_test")
    put_in(monkeypatch, module, StandardNormal=BASES[base])
    run_case(module, "FlowTest", method)


@pytest.mark.parametrize("layer", VOLUME_PRESERVING_LAYERS)
@each_method(("flows.base_test", "FlowTest"))
def test_flows_of_our_layers_pass_the_tests_of_flows(layer, method, monkeypatch):
    """Up to rounding: they compare density of a sample and of the same point encoded again bit by bit, of a scale 2."""
    module = suite("nflows", "flows.base_test")
    put_in(monkeypatch, module, AffineScalarTransform=lambda scale: randomize(VOLUME_PRESERVING_LAYERS[layer]()))
    run_case(module, "FlowTest", method, tolerance=ROUNDING)


@every_base
@each_method(("flows.base_test", "FlowTest"))
def test_flows_with_a_swapped_base_pass_the_tests_of_flows(base, method, monkeypatch):
    module = suite("nflows", "flows.base_test")

    def swapped(transform, distribution):
        return swap_base(Flow(transform, distribution), BASES[base]([2, 3, 4]))

    put_in(monkeypatch, module, base__Flow=swapped)
    run_case(module, "FlowTest", method)


def real_nvp(base, **options):
    return swap_base(nflows.flows.SimpleRealNVP(**options), BASES[base]([options["features"]]))


def autoregressive(base, **options):
    return swap_base(nflows.flows.MaskedAutoregressiveFlow(**options), BASES[base]([options["features"]]))


@every_base
@pytest.mark.parametrize("converted", [False, True], ids=["swapped", "converted"])
@each_method(("flows.realnvp_test", "SimpleRealNVPTest"))
def test_swapped_and_converted_flows_pass_the_tests_of_real_nvp(converted, base, method, monkeypatch):
    module = suite("nflows", "flows.realnvp_test")

    def build(**options):
        flow = real_nvp(base, **options)
        return to_volume_preserving(flow) if converted else flow

    put_in(monkeypatch, module, realnvp__SimpleRealNVP=build)
    run_case(module, "SimpleRealNVPTest", method)


@every_base
@each_method(("flows.autoregressive_test", "MaskedAutoregressiveFlowTest"))
def test_swapped_flows_pass_the_tests_of_the_autoregressive_flow(base, method, monkeypatch):
    module = suite("nflows", "flows.autoregressive_test")
    put_in(monkeypatch, module, ar__MaskedAutoregressiveFlow=partial(autoregressive, base))
    run_case(module, "MaskedAutoregressiveFlowTest", method)


@pytest.mark.parametrize(("where", "name", "ours", "method"), LAYERS)
def test_our_layers_pass_the_tests_of_their_counterparts(where, name, ours, method, monkeypatch):
    module = suite("nflows", where[0])
    put_in(monkeypatch, module, **{name: ours})
    run_case(module, where[1], method)


def test_our_permutation_passes_the_consistency_test_of_theirs(monkeypatch):
    """The two others ask for a permutation that is given, and ours is drawn."""
    module = suite("nflows", "transforms.permutations_test")
    put_in(monkeypatch, module, permutations__RandomPermutation=ChannelPermutation)
    run_case(module, "PermutationTest", "test_forward_inverse_are_consistent")


@pytest.mark.parametrize("ours", [VolumePreservingLULinear], ids=lambda kind: kind.__name__)
@each_method(("transforms.linear_test", "LinearTest"))
def test_our_linear_maps_pass_the_tests_of_the_cache(ours, method, monkeypatch):
    """Without gradients: with one ours keeps nothing, as one graph does not serve two backward passes."""
    module = suite("nflows", "transforms.linear_test")
    put_in(monkeypatch, module, Linear=ours)
    with torch.no_grad():
        run_case(module, "LinearTest", method)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.context is None])
def test_our_transforms_are_inverted_as_their_base_test_asks(name):
    """Those with a context are not asked, as their helper passes none."""
    test = suite("nflows", "transforms.transform_test").TransformTest()
    test.eps = 1e-8
    transform = randomize(CASES[name].build().double()).eval()
    inputs = torch.randn(10, *CASES[name].shape)
    test.assert_forward_inverse_are_consistent(transform, transform(inputs)[0])
    test.assert_forward_inverse_are_consistent(InverseTransform(transform), inputs)
