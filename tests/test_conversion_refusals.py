"""to_volume_preserving: layers that cannot be made to preserve volume, each refused by its path with a reason."""

from functools import partial

import pytest
from nflows import transforms as nflows
from nflows.flows import MaskedAutoregressiveFlow
from nflows.nn.nets import ResidualNet
from torch import nn

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

    with refused(ValueError, "a Louder cannot", "it changes _scale_and_shift of AffineCouplingTransform"):
        to_volume_preserving(Louder([1, 0], NET))
    assert isinstance(to_volume_preserving(Halves()), ours.MeanCentredAffineCouplingTransform)


@pytest.mark.parametrize("kind", [nflows.AffineCouplingTransform, nflows.AdditiveCouplingTransform])
def test_a_coupling_with_an_unconditional_transform_is_refused(kind):
    layer = kind([0, 1, 1], NET, unconditional_transform=lambda features: nflows.LULinear(features))
    with refused(ValueError, "by an unconditional transform"):
        to_volume_preserving(layer)


@pytest.mark.parametrize("stranger", [nn.Linear(2, 2), NET(2, 2), [nflows.LULinear(2)], DegenerateGaussian([2])])
def test_what_is_no_transform_is_refused(stranger):
    with refused(TypeError, "transform must be a transform or flow", type(stranger).__name__):
        to_volume_preserving(stranger)
