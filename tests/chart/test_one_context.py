"""One condition for many points: a context of one row serves all rows and all samples of whatever takes a context."""

import copy
import inspect
from types import SimpleNamespace

import pytest
import torch

from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussianMixture, atlas_of, base_of, chart_of, swap_base
from nflows_spread.chart import Chart, sample
from nflows_spread.training import LatePieces, RestartedPieces
from support import randomize, refused
from wrong_calls import public_functions

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:a read-out of a conditional flow must know its contexts"),
]

CONDITIONAL = [name for name, model in MODELS.items() if model.context is not None]
ROWS, NOISE = 30, 0.05

ARGUMENTS = {
    "atlas_of": {"x": None},
    "chart_of": {"x": None, "rank": 2},
    "choose_pieces": {"x": None, "numbers": (1, 2)},
    "decode": {"z": None},
    "denoise": {"x": None, "variance": NOISE**2},
    "density_dimension": {"x": None, "data_noise": NOISE},
    "directions_of": {"x": None},
    "encode": {"x": None},
    "encode_with_logabsdet": {"x": None},
    "informative_dimensions": {"x": None, "labels": torch.arange(ROWS) % 2},
    "initialize": {"x": None},
    "initialize_prior": {"x": None},
    "intrinsic_dimension": {"x": None},
    "log_prob": {"x": None},
    "manifold_log_prob": {"x": None, "rank": 1},
    "posterior_mean": {"x": None, "noise": NOISE},
    "project": {"x": None, "rank": 1},
    "reconstruct": {"x": None, "rank": 1},
    "sample": {"num_samples": ROWS, "rank": 1},
    "spectrum": {"x": None},
    "volume_error": {"x": None},
    "LatePieces": {"x": None, "step": 3},
    "RestartedPieces": {"x": None, "every": 3},
}
"""Of each public function that takes a context, beside the flow; None stands for rows of data."""

NOT_A_FLOW = {"DequantisedImages": "a data set, which has a context for each image"}


def model_of(name, pieces=1):
    torch.manual_seed(0)
    flow, (x, context) = randomize(spread_flow(name), 0.2), inputs_for(name, ROWS)
    if pieces > 1:
        flow = swap_base(flow, DegenerateGaussianMixture(base_of(flow).shape, pieces))
    base_of(flow).data_noise = NOISE
    return flow.eval(), x, context[:1]


def everywhere(value):
    """The tensors and numbers that a result is made of."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [part for each in value for part in everywhere(each)]
    return [torch.tensor(float(value))] if isinstance(value, (int, float)) else everywhere(list(vars(value).values()))


def told(found):
    """Of a result what must be equal; what a callback does at its step is seen in the flow."""
    if found is None:
        return []
    if isinstance(found, (LatePieces, RestartedPieces)):
        found(SimpleNamespace(step=3, data_noise=NOISE))
        return []
    if isinstance(found, Chart):
        return [found.maps.forth, found.noisy_variances]
    if hasattr(found, "components"):
        return [piece.chart.noisy_variances for piece in found.pieces if piece.chart is not None]
    return everywhere(found)


def test_the_list_has_each_public_function_that_takes_a_context():
    takes = {name for name, function, _ in public_functions() if "context" in inspect.signature(function).parameters}
    assert takes == {*ARGUMENTS, *NOT_A_FLOW}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_one_row_is_what_so_many_equal_rows_are(name):
    function = {each: function for each, function, _ in public_functions()}[name]
    own, x, one = model_of(CONDITIONAL[0], pieces=2 if name in ("atlas_of", "LatePieces", "RestartedPieces") else 1)
    results = []
    for context in (one, one.expand(ROWS, -1)):
        flow = copy.deepcopy(own)
        given = {key: x if value is None else value for key, value in ARGUMENTS[name].items()}
        if "generator" in inspect.signature(function).parameters:
            given["generator"] = torch.Generator().manual_seed(3)
        found = function(flow, **given, context=context)
        results.append([*told(found), *flow.state_dict().values()])
    for alone, repeated in zip(*results, strict=True):
        torch.testing.assert_close(alone, repeated, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_chart_takes_one_row_in_every_host(name):
    flow, x, one = model_of(name)
    contexts = one.expand(ROWS, *one.shape[1:])
    chart = chart_of(flow, rank=2, context=one)
    asked = ("coordinates", "reconstruct", "coordinate_log_prob", "log_prob", "reconstruction_error")
    for ask in (getattr(chart, each) for each in asked):
        torch.testing.assert_close(ask(x, one), ask(x, contexts), rtol=1e-12, atol=1e-12)
    coordinates = chart.coordinates(x, one)
    torch.testing.assert_close(chart.points(coordinates, one), chart.points(coordinates, contexts))
    drawn = [chart.sample(7, given, generator=torch.Generator().manual_seed(1)) for given in (one, contexts[:7])]
    torch.testing.assert_close(*drawn)
    assert drawn[0].shape == (7, *x.shape[1:])
    assert bool((drawn[0][0] != drawn[0][1]).any())


def test_an_atlas_takes_one_row():
    flow, x, one = model_of(CONDITIONAL[0], pieces=2)
    contexts = one.expand(ROWS, -1)
    atlas = atlas_of(flow, x, context=one, generator=torch.Generator().manual_seed(0))
    for ask in (atlas.responsibilities, atlas.assign, atlas.coordinates, atlas.reconstruct):
        for alone, repeated in zip(everywhere(ask(x, one)), everywhere(ask(x, contexts))):
            torch.testing.assert_close(alone, repeated, equal_nan=True)
    drawn = [atlas.sample(ROWS, given, generator=torch.Generator().manual_seed(1)) for given in (one, contexts)]
    torch.testing.assert_close(*drawn)


def test_whole_samples_take_one_row():
    flow, _, one = model_of(CONDITIONAL[0])
    drawn = [
        sample(flow, 5, context=given, generator=torch.Generator().manual_seed(1)) for given in (one, one.expand(5, -1))
    ]
    torch.testing.assert_close(*drawn)


def test_the_remedy_for_another_number_of_rows_is_one_that_works():
    flow, _, one = model_of(CONDITIONAL[0])
    two = torch.cat([one, one + 0.5])
    with refused(ValueError, "each of the 6 samples, or one for all, got 2 rows", "repeat_interleave(3, 0)"):
        sample(flow, 6, rank=1, context=two)
    assert sample(flow, 6, rank=1, context=two.repeat_interleave(3, 0)).shape[0] == 6
    with refused(ValueError, "each of the 1 samples, or one for all, got 2", "or num_samples=2 for a sample of each"):
        sample(flow, 1, rank=1, context=two)
    assert sample(flow, 2, rank=1, context=two).shape[0] == 2
    with refused(ValueError, "got a number; pass context.view(1, 1)"):
        sample(flow, 6, rank=1, context=torch.tensor(0.5))
