"""normflows' own tests, which its wheel installs beside its code, asked of our classes."""

from __future__ import annotations

import pytest
import torch

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, swap_base, to_volume_preserving
from nflows_spread.factors import LowRankFactor
from peer_suites import FEW, methods_of, put_in, run_case, suite
from support import randomize
from transform_contract import CASES

nf = pytest.importorskip("normflows", reason="needs the extra normflows")
ours = pytest.importorskip("nflows_spread.transforms.normflows")

pytestmark = pytest.mark.slow

ONE_BASE = ["test_diag_gaussian", "test_gaussian_pca", "test_gaussian_mixture"]
OTHER_BASES = [
    *["test_conditional_diag_gaussian", "test_uniform", "test_uniform_gaussian", "test_cc_diag_gaussian"],
    *["test_glow_base", "test_affine_gaussian"],
]
"""Of bases that depend on a context or class, or are no Gaussians: ours have no counterpart of them."""

MODELS = ["test_normalizing_flow", "test_conditional_normalizing_flow"]
OTHER_MODELS = ["test_cc_normalizing_flow", "test_normalizing_flow_vae", "test_multiscale_flow"]
"""Of the first two ``swap_base`` refuses the classes by name; the third asks for as many latents as levels, and a flow
whose base was swapped has one."""

CONTRACTS = {
    ("distributions.base_test", "BaseTest"): ONE_BASE + OTHER_BASES,
    ("core_test", "CoreTest"): MODELS + OTHER_MODELS,
    ("flows.affine.coupling_test", "CouplingTest"): ["test_mask_affine", "test_cc_affine"],
    ("flows.affine.glow_test", "GlowTest"): ["test_glow"],
    ("flows.mixing_test", "MixingTest"): ["test_permute", "test_invertible_affine", "test_lu_linear_permute"],
    ("flows.base_test", "BaseTest"): ["test_reverse", "test_composite"],
}
"""Their classes of tests whose subjects have counterparts of ours, with all their methods."""

KEEP_THE_SHAPE = [
    name for name in CASES if not name.startswith(("CheckerboardSqueeze", "Flatten", "MultiscaleImageTransform"))
]
"""Transforms of ours that ``FlowTest`` can ask, which demands that outputs have the shape of inputs."""

every_base = pytest.mark.parametrize("base", FEW)


def converted(kind):
    return lambda *args, **options: to_volume_preserving(kind(*args, **options))


LAYERS = {
    "MaskedAffineFlow": ("flows.affine.coupling_test", "CouplingTest", "test_mask_affine", nf.flows.MaskedAffineFlow),
    "GlowBlock": ("flows.affine.glow_test", "GlowTest", "test_glow", nf.flows.GlowBlock),
    "Permute": ("flows.mixing_test", "MixingTest", "test_permute", nf.flows.Permute),
    "InvertibleAffine": ("flows.mixing_test", "MixingTest", "test_invertible_affine", nf.flows.InvertibleAffine),
    "LULinearPermute": ("flows.mixing_test", "MixingTest", "test_lu_linear_permute", nf.flows.LULinearPermute),
    "AffineConstFlow": ("flows.base_test", "BaseTest", "test_composite", nf.flows.AffineConstFlow),
    "Reverse": ("flows.base_test", "BaseTest", "test_reverse", nf.flows.Reverse),
    "Composite": ("flows.base_test", "BaseTest", "test_composite", nf.flows.Composite),
}
"""Layers that are converted, and the tests of theirs that make them: file, class, method, class of the layer."""


@pytest.mark.parametrize("where", CONTRACTS, ids=lambda where: f"{where[0]}.{where[1]}")
def test_their_classes_of_tests_have_the_methods_that_are_listed(where):
    file, case = where
    assert methods_of(suite("normflows", file), case) == set(CONTRACTS[where])


@every_base
def test_our_bases_pass_the_test_of_the_diagonal_gaussian(base, monkeypatch):
    module = suite("normflows", "distributions.base_test")
    put_in(monkeypatch, module, DiagGaussian=FEW[base])
    run_case(module, "BaseTest", "test_diag_gaussian")


def test_our_base_of_low_rank_passes_the_test_of_theirs(monkeypatch):
    module = suite("normflows", "distributions.base_test")

    def build(dim, latent_dim):
        return randomize(DegenerateGaussian(dim, factor=LowRankFactor.of_rank(latent_dim)))

    put_in(monkeypatch, module, GaussianPCA=build)
    run_case(module, "BaseTest", "test_gaussian_pca")


@pytest.mark.parametrize("tied", [False, True])
def test_our_mixture_passes_the_test_of_theirs(tied, monkeypatch):
    module = suite("normflows", "distributions.base_test")

    def build(n_modes, dim, trainable):
        return randomize(DegenerateGaussianMixture(dim, n_modes, tied=tied)).requires_grad_(trainable)

    put_in(monkeypatch, module, GaussianMixture=build)
    run_case(module, "BaseTest", "test_gaussian_mixture")


@every_base
@pytest.mark.parametrize("method", MODELS)
def test_models_with_our_bases_pass_the_tests_of_models(base, method, monkeypatch):
    module = suite("normflows", "core_test")
    put_in(monkeypatch, module, DiagGaussian=FEW[base])
    run_case(module, "CoreTest", method)


@every_base
@pytest.mark.parametrize("method", MODELS)
def test_models_with_a_swapped_base_pass_the_tests_of_models(base, method, monkeypatch):
    module = suite("normflows", "core_test")
    for name in ("NormalizingFlow", "ConditionalNormalizingFlow"):
        kind = getattr(nf, name)
        put_in(monkeypatch, module, **{name: lambda *args, kind=kind: swap_base(kind(*args), FEW[base](2))})
    run_case(module, "CoreTest", method)


@every_base
def test_converted_models_with_a_swapped_base_pass_the_test_of_models(base, monkeypatch):
    module = suite("normflows", "core_test")
    kind = converted(lambda *args: swap_base(nf.NormalizingFlow(*args), FEW[base](2)))
    put_in(monkeypatch, module, NormalizingFlow=kind)
    run_case(module, "CoreTest", "test_normalizing_flow")


@pytest.mark.parametrize("name", LAYERS)
def test_converted_layers_pass_the_tests_of_layers(name, monkeypatch):
    file, case, method, kind = LAYERS[name]
    module = suite("normflows", file)
    put_in(monkeypatch, module, **{name: converted(kind)})
    if name == "Reverse":  # it is compared with the layer that it holds, whose log-determinant has another shape
        put_in(monkeypatch, module, AffineConstFlow=converted(nf.flows.AffineConstFlow))
    run_case(module, case, method)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", KEEP_THE_SHAPE)
def test_our_transforms_as_layers_are_inverted_as_their_base_test_asks(name):
    case = CASES[name]
    layer = ours.TransformFlow(randomize(case.build().double()).eval())
    context = None if case.context is None else torch.randn(5, case.context)
    inputs = torch.randn(5, *case.shape)
    test = suite("normflows", "flows.flow_test").FlowTest()
    test.checkForwardInverse(layer, inputs, context, atol=1e-8, rtol=1e-8)
