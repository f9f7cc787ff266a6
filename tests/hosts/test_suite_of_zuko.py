"""zuko's own tests, of the source distribution of the release that is installed, asked of our classes."""

from __future__ import annotations

from functools import partial

import pytest

from nflows_spread import swap_base, to_volume_preserving
from peer_suites import BASES, FEW, put_in, suite
from support import randomize
from transform_contract import CASES

zuko = pytest.importorskip("zuko", reason="needs the extra zuko")
ours = pytest.importorskip("nflows_spread.transforms.zuko")

pytestmark = pytest.mark.slow

FLOWS = ["NICE", "MAF", "NSF", "SOSPF", "NAF", "UNAF", "CNF", "GF", "BPF"]
CONVERTED = ["NICE", "MAF"]
"""Their flows of affine layers alone; ``to_volume_preserving`` refuses the others by the name of a layer."""

VECTORS_OF_FIVE = [name for name, case in CASES.items() if case.shape == (5,) and case.context is None]


TRAINED = [name for name in BASES if not name.endswith(("RunningAverageFactor", "semi-tied"))]
"""Bases with parameters that are trained; their tests ask for the gradient of every parameter."""

WITH_SAMPLES = [name for name in BASES if name != "DegenerateGaussianMixture, semi-tied"]
"""Bases whose parameters are all trained, or that have none."""


@pytest.fixture(autouse=True)
def _flows_believe_their_base(monkeypatch):
    """zuko's flows say that samples pass gradients to all parameters, whatever their base says of its own."""
    monkeypatch.setattr(zuko.distributions.NormalizingFlow, "has_rsample", property(lambda flow: flow.base.has_rsample))


def swapped(kind, base, features, context):
    return swap_base(getattr(zuko.flows, kind)(features, context), BASES[base]([features]))


@pytest.mark.parametrize("base", ["DegenerateGaussian, random", "DegenerateGaussianMixture"])
@pytest.mark.parametrize("kind", FLOWS)
def test_flows_with_a_swapped_base_pass_the_test_of_flows(kind, base, tmp_path):
    suite("zuko", "test_flows").test_flows(tmp_path, partial(swapped, kind, base))


@pytest.mark.parametrize("base", WITH_SAMPLES)
def test_every_base_in_a_flow_passes_the_test_of_flows(base, tmp_path):
    suite("zuko", "test_flows").test_flows(tmp_path, partial(swapped, "MAF", base))


@pytest.mark.parametrize("base", WITH_SAMPLES)
@pytest.mark.parametrize("kind", CONVERTED)
def test_converted_flows_pass_the_test_of_flows(kind, base, tmp_path):
    def build(features, context):
        return to_volume_preserving(swapped(kind, base, features, context))

    suite("zuko", "test_flows").test_flows(tmp_path, build)


@pytest.mark.parametrize("base", TRAINED)
def test_our_bases_pass_the_test_of_mixtures(base, tmp_path):
    suite("zuko", "test_mixtures").test_mixtures(tmp_path, lambda features, context: BASES[base]([features]))


@pytest.mark.parametrize("base", FEW)
def test_our_bases_pass_the_test_of_distributions(base, monkeypatch):
    """Which integrates the density too."""
    module = suite("zuko", "test_distributions")
    put_in(monkeypatch, module, DiagNormal=lambda loc, scale: FEW[base](loc.shape)(None))
    module.test_distributions()


@pytest.mark.parametrize("name", VECTORS_OF_FIVE)
def test_our_transforms_of_vectors_pass_the_test_of_transforms(name, monkeypatch):
    module = suite("zuko", "test_transforms")
    layer = ours.LazyNflowsTransform(randomize(CASES[name].build().float()).eval())
    put_in(monkeypatch, module, LULinearTransform=lambda matrix: layer())
    module.test_multivariate_transforms()


@pytest.mark.usefixtures("float64")
def test_our_volume_preserving_linear_map_passes_the_test_of_transforms(monkeypatch):
    """In float64, as the matrices that it draws are of any condition."""
    module = suite("zuko", "test_transforms")
    put_in(monkeypatch, module, LULinearTransform=ours.VolumePreservingLULinearTransform)
    module.test_multivariate_transforms()
