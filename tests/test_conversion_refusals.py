"""to_volume_preserving: layers that cannot be made to preserve volume, each refused by its path with a reason."""

from functools import partial

import pytest
import torch
from nflows import transforms as nflows
from nflows.distributions import StandardNormal
from nflows.flows import Flow, MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from torch import nn
from torch.nn.utils import parametrizations

import nflows_spread.transforms as ours
from nflows_spread import DegenerateGaussian, to_volume_preserving
from support import refused

pytestmark = pytest.mark.usefixtures("float64")

NET = partial(ResidualNet, hidden_features=6, num_blocks=1)
FEATURES = 5


def splines(kind, **options):
    return kind([1, 0, 1, 0, 1], NET, num_bins=4, tails="linear", **options)


MADE = {"features": FEATURES, "hidden_features": 8}
REFUSED = {
    "batch norm": (lambda: nflows.BatchNorm(FEATURES), "statistics of the data; use VolumePreservingActNorm"),
    "spline coupling": (
        lambda: splines(nflows.PiecewiseRationalQuadraticCouplingTransform),
        "each bin of a spline has a slope of its own",
    ),
    "spline of each feature": (lambda: ours.MarginalSpline(FEATURES), "each bin of a spline has a slope of its own"),
    "autoregressive": (lambda: nflows.MaskedAffineAutoregressiveTransform(**MADE), "one after the other"),
    "autoregressive spline": (
        lambda: nflows.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(**MADE, tails="linear"),
        "one after the other",
    ),
    "sigmoid": (nflows.Sigmoid, "stretches each point by another amount"),
    "logit": (nflows.Logit, "stretches each point by another amount"),
    "naive linear": (lambda: nflows.NaiveLinear(FEATURES), "torch.solve"),
    "spline of each entry": (lambda: nflows.PiecewiseLinearCDF([FEATURES]), "not known to preserve volume"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_layers_are_refused_by_their_path_with_a_reason(name):
    build, reason = REFUSED[name]
    good = nflows.RandomPermutation(FEATURES)
    inner = nflows.CompositeTransform([good, build(), nflows.BatchNorm(FEATURES)])
    model = nflows.CompositeTransform([nflows.LULinear(FEATURES), inner])
    with refused(ValueError, "the layer at '_transforms.1._transforms.1", "cannot be made volume-preserving", reason):
        to_volume_preserving(model)
    with refused(ValueError, type(build()).__name__ if name != "logit" else "Sigmoid", reason):
        to_volume_preserving(build())


def test_the_path_is_that_of_the_module():
    flow = MaskedAutoregressiveFlow(3, 8, num_layers=2, num_blocks_per_layer=1)
    with pytest.raises(ValueError, match="the layer at") as caught:
        to_volume_preserving(flow)
    path = str(caught.value).split("'")[1]
    assert isinstance(flow.get_submodule(path), nflows.MaskedAffineAutoregressiveTransform)


def test_a_subclass_that_changes_the_map_is_refused_and_one_that_does_not_is_converted():
    class Louder(nflows.AffineCouplingTransform):
        def _scale_and_shift(self, transform_params):
            scale, shift = super()._scale_and_shift(transform_params)
            return 2 * scale, shift

    class Halves(nflows.AffineCouplingTransform):
        def __init__(self):
            super().__init__([0, 0, 1, 1, 1], NET)

        def note(self):
            """A method of its own."""

    with refused(ValueError, "Louder cannot", "it changes _scale_and_shift of AffineCouplingTransform"):
        to_volume_preserving(Louder([1, 0], NET))
    assert isinstance(to_volume_preserving(Halves()), ours.MeanCentredAffineCouplingTransform)


@pytest.mark.parametrize("kind", [nflows.AffineCouplingTransform, nflows.AdditiveCouplingTransform])
def test_a_coupling_with_an_unconditional_transform_is_refused(kind):
    layer = kind([0, 1, 1], NET, unconditional_transform=lambda features: nflows.LULinear(features))
    with refused(ValueError, "by an unconditional transform"):
        to_volume_preserving(layer)


@pytest.mark.parametrize("unknown", [nn.Linear(2, 2), NET(2, 2), [nflows.LULinear(2)], DegenerateGaussian([2])])
def test_what_is_no_transform_is_refused(unknown):
    with refused(TypeError, "transform must be a transform or flow", type(unknown).__name__):
        to_volume_preserving(unknown)


class Doubled(nn.Module):
    """Forward and inverse, as a transform has them, and no transform."""

    def forward(self, inputs, context=None):
        return 2.0 * inputs, inputs.new_full((len(inputs),), inputs[0].numel() * 2.0).log()

    def inverse(self, inputs, context=None):
        return inputs / 2.0, -inputs.new_full((len(inputs),), inputs[0].numel() * 2.0).log()


class NoModule:
    """A transform that is not even a module."""

    __call__ = Doubled.forward
    inverse = Doubled.inverse


def compiled():
    return torch.compile(nflows.LULinear(FEATURES), backend="eager")


STRANGERS = {
    "a plain module": (Doubled, f"but Doubled of {__name__}"),
    "an object": (NoModule, f"but NoModule of {__name__}"),
    "torch.compile": (compiled, "put what it holds at '_orig_mod' in its place"),
    "data parallel": (lambda: nn.DataParallel(nflows.LULinear(FEATURES)), "put what it holds at 'module' in its place"),
}


def in_a_reverse(layer):
    nf = pytest.importorskip("normflows")
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(FEATURES), [nf.flows.Reverse(layer)])


def in_a_wrapped_transform(layer):
    nf = pytest.importorskip("normflows")
    from nflows_spread.transforms.normflows import TransformFlow

    return nf.flows.Composite([TransformFlow(layer)])


def in_a_multiscale(layer):
    nf = pytest.importorskip("normflows")
    bases = [nf.distributions.DiagGaussian((2, 1, 1))]
    return nf.MultiscaleFlow(bases, [[nf.flows.Squeeze()]], [], transform=layer, class_cond=False)


def in_a_multiscale_composite(layer):
    composite = nflows.MultiscaleCompositeTransform(1)
    del composite._transforms
    composite._transforms = [layer]  # as a list, in which torch sees no children
    return composite


PLACES = {
    "flow": (lambda layer: Flow(layer, StandardNormal([FEATURES])), "_transform"),
    "composite": (
        lambda layer: nflows.CompositeTransform([nflows.LULinear(2), nflows.InverseTransform(layer)]),
        "_transforms.1._transform",
    ),
    "reverse": (in_a_reverse, "flows.0.flow"),
    "wrapped transform": (in_a_wrapped_transform, "_flows.0.transform"),
    "transform of a multiscale flow": (in_a_multiscale, "transform"),
    "a list of transforms": (in_a_multiscale_composite, "_transforms"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", STRANGERS)
def test_whatever_is_no_layer_is_refused_wherever_it_stands(name, place):
    (build, words), (within, path) = STRANGERS[name], PLACES[place]
    words = "but list of builtins" if place == "a list of transforms" else words
    with refused(ValueError, f"the layer at {path!r}", "it is no layer of nflows or normflows or zuko", words):
        to_volume_preserving(within(build()))


def test_children_that_take_no_part_are_copied():
    class WithMetric(SimpleRealNVP):
        def __init__(self):
            super().__init__(3, 8, 2, 1)
            self.metric = nn.Linear(1, 1)

        def report(self):
            return self.metric(torch.ones(1))

    flow = WithMetric()
    converted = to_volume_preserving(flow)
    assert torch.equal(converted.report(), flow.report())
    assert converted.metric is not flow.metric


@pytest.mark.parametrize("wrap", [partial(torch.compile, backend="eager"), nn.DataParallel, nn.Sequential])
def test_a_wrapper_is_refused_with_what_it_wraps(wrap):
    wrapped = wrap(nflows.LULinear(3))
    held = "_orig_mod" if wrap not in (nn.DataParallel, nn.Sequential) else "module"
    held = "get_submodule('0')" if wrap is nn.Sequential else held
    with refused(TypeError, f"got {type(wrapped).__name__} of {type(wrapped).__module__}", f"pass transform.{held}"):
        to_volume_preserving(wrapped)


def test_a_method_of_one_layer_alone_counts_too():
    layer = nflows.AffineCouplingTransform([1, 0], NET)
    layer.forward = lambda inputs, context=None: (3.0 * inputs, inputs.new_zeros(len(inputs)))
    with refused(ValueError, "it changes forward of AffineCouplingTransform"):
        to_volume_preserving(nflows.CompositeTransform([layer]))


def test_layers_behind_a_property_are_refused():
    """They are made anew each time, so the copy would have the old ones."""

    def doubled(self):
        return nflows.CompositeTransform([self._modules["_transform"], nflows.PointwiseAffineTransform(0.0, 2.0)])

    def longer(self):
        return nn.ModuleList([*self._modules["_transforms"], nflows.PointwiseAffineTransform(0.0, 2.0)])

    flow = type("Doubled", (SimpleRealNVP,), {"_transform": property(doubled)})(3, 8, 2, 1)
    with refused(ValueError, "Doubled cannot", "it changes _transform of Flow"):
        to_volume_preserving(flow)
    composite = type("Longer", (nflows.CompositeTransform,), {"_transforms": property(longer)})
    with refused(ValueError, "the layer at '_transform' (Longer)", "it changes _transforms of CompositeTransform"):
        to_volume_preserving(Flow(composite([nflows.LULinear(3)]), StandardNormal([3])))


@pytest.mark.parametrize("normalize", [parametrizations.weight_norm, nn.utils.weight_norm])
def test_a_layer_whose_own_parameters_are_computed_is_refused(normalize):
    layer = normalize(nflows.LULinear(3), "lower_entries")
    with refused(ValueError, "its parameters are not those of its class", "take parametrizations off it"):
        to_volume_preserving(layer)
