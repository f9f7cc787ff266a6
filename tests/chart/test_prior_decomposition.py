"""The prior's chart is decomposed once while a flow stays the same, and what is kept never outlives a change."""

import copy
import gc
import pickle
import threading
import weakref

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import Transform

from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, encode, intrinsic_dimension
from nflows_spread.chart import chart_of, manifold_log_prob, prior_decomposition, project, reconstruct, sample
from nflows_spread.chart.prior_moments import prior_moments
from nflows_spread.factors import SpreadCholeskyFactor
from nflows_spread.models import coupling_flow
from support import randomize


@pytest.fixture
def made(monkeypatch):
    """One entry for each time that the moments of a prior are asked for."""
    asked, original = [], prior_decomposition.prior_moments

    def counted(*inputs):
        asked.append(inputs)
        return original(*inputs)

    monkeypatch.setattr(prior_decomposition, "prior_moments", counted)
    return asked


def flow_of(features=3, *, seed=0, **options):
    torch.manual_seed(seed)
    flow = randomize(coupling_flow(features, layers=2, **options), 0.1).eval()
    base_of(flow).data_noise = 0.05
    return flow


X = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


def test_all_read_outs_and_ranks_decompose_once(made):
    flow = flow_of()
    for rank in (1, 2, 3):
        project(flow, X, rank=rank)
        reconstruct(flow, X, rank=rank)
        manifold_log_prob(flow, X, rank=rank)
        sample(flow, 3, rank=rank)
        chart_of(flow, rank=rank, data_noise=0.1)
    intrinsic_dimension(flow, X, generator=torch.Generator().manual_seed(0))
    assert len(made) == 1


@pytest.mark.parametrize("name", MODELS)
def test_in_every_host_the_second_call_decomposes_nothing_and_says_the_same(name, made):
    torch.manual_seed(0)
    flow, (x, context) = spread_flow(name), inputs_for(name, 5)
    first, again = (project(flow, x, rank=2, context=context) for _ in range(2))
    assert len(made) == 1
    assert torch.equal(first, again)


def a_step(flow):
    objective = SpreadKLLoss(flow.train())
    objective(X.to(next(flow.parameters()).dtype)).backward()
    torch.optim.Adam(objective.parameters(), lr=0.05).step()
    flow.eval()


def through_data(flow):
    next(flow._transform.parameters()).data.mul_(1.5)


def through_numpy(flow):
    base_of(flow).factor.entries.detach().numpy()[0, 0] *= 2.0


def of_new_data(flow):
    parameter = next(flow._transform.parameters())
    parameter.data = 1.5 * parameter.data


def of_another_state(flow):
    flow.load_state_dict(flow_of(seed=1).state_dict())


def of_another_kind_of_factor(flow):
    base, entries = base_of(flow), base_of(flow).factor.entries
    base.factor = SpreadCholeskyFactor(3)
    base.spread_variance = 0.5
    with torch.no_grad():
        base.factor.entries.copy_(entries)


def of_a_layer(flow):
    flow._transform = flow_of(seed=2)._transform


def of_a_child_without_parameters(flow):
    for part in flow._transform._transforms:
        part.log_scale = torch.nn.Softsign()


CHANGES = [a_step, through_data, through_numpy, of_new_data, of_another_state, of_another_kind_of_factor, of_a_layer]
CHANGES += [of_a_child_without_parameters, torch.nn.Module.double]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_flow_is_decomposed_anew(change, made):
    flow = flow_of()
    before = chart_of(flow).maps
    change(flow)
    found, expected = chart_of(flow), chart_of(copy.deepcopy(flow))
    assert len(made) == 3
    torch.testing.assert_close(found.maps.forth, expected.maps.forth, rtol=0, atol=0)
    torch.testing.assert_close(found.noisy_variances, expected.noisy_variances, rtol=0, atol=0)
    assert not torch.equal(found.maps.forth, before.forth)


class Hidden(Transform):
    """A scale that no module knows of."""

    def __init__(self):
        super().__init__()
        self.scales = [torch.tensor([1.0, 2.0])]

    def forward(self, inputs, context=None):
        return inputs * self.scales[0], self.scales[0].log().sum().expand(len(inputs))

    def inverse(self, inputs, context=None):
        return inputs / self.scales[0], -self.scales[0].log().sum().expand(len(inputs))


def test_numbers_that_are_no_parameters_count_too(made):
    flow = Flow(Hidden(), DegenerateGaussian([2])).eval()
    for scales in ([1.0, 2.0], [1.0, 2.0], [3.0, 1.0]):
        flow._transform.scales[0] = torch.tensor(scales)
        response = torch.tensor(scales).square().reciprocal().sort(descending=True).values
        torch.testing.assert_close(chart_of(flow, data_noise=0.1).noisy_variances, response.double())
    assert len(made) == 2


def test_copies_and_pickles_are_no_larger_and_go_their_own_way(made):
    flow = flow_of()
    size = len(pickle.dumps(flow))
    project(flow, X, rank=1)
    assert len(pickle.dumps(flow)) == size
    for twin in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        a_step(twin)
        assert not torch.equal(project(twin, X, rank=1), project(flow, X, rank=1))
    assert len(made) == 3


def test_a_chart_holds_no_more_than_its_coordinates():
    flow = flow_of(64)
    maps = chart_of(flow, rank=2).maps
    assert maps.forth.untyped_storage().nbytes() == maps.back.untyped_storage().nbytes() == 64 * 2 * 8
    for part in (maps.mean, maps.forth, maps.back):
        part.zero_()
    assert chart_of(flow, rank=2).maps.forth.abs().sum() > 0, "and who asks may write over it"


def test_what_is_kept_goes_with_its_flow():
    flow = flow_of()
    project(flow, X, rank=1)
    kept, count = weakref.ref(flow), len(prior_decomposition._LAST)
    assert flow in prior_decomposition._LAST
    del flow
    gc.collect()
    assert kept() is None
    assert len(prior_decomposition._LAST) < count


def test_from_inference_mode_it_serves_a_gradient():
    flow, x = flow_of(), X.clone().requires_grad_()
    with torch.inference_mode():
        project(flow, X, rank=2)
    project(flow, x, rank=2).sum().backward()
    assert (x.grad != 0).any()


def test_threads_that_ask_at_once_are_told_the_same():
    flow, found = flow_of(), []
    expected = project(copy.deepcopy(flow), X, rank=2)
    threads = [threading.Thread(target=lambda: found.append(project(flow, X, rank=2))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(torch.equal(each, expected) for each in found)


def test_of_a_conditional_flow_it_has_points_with_their_contexts_and_latents(monkeypatch):
    """Where numbers cannot be compared, as under ``torch.func``, it is made anew, of the same contexts."""
    flow = flow_of(context_features=2).double()
    context = torch.randn(5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = prior_decomposition.prior_decomposition(flow, context)
    torch.testing.assert_close(found.latents, encode(flow, found.points, found.context))
    moments = prior_moments(flow, context)
    torch.testing.assert_close(found.forth.mT @ moments.response @ found.forth, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(found.forth.mT @ moments.covariance @ found.forth, found.values.diag())
    monkeypatch.setattr(prior_decomposition, "under_transforms", lambda *_: True)
    again = prior_decomposition.prior_decomposition(flow, context)
    assert again is not found
    assert torch.equal(again.values, found.values)
    assert torch.equal(again.context, found.context)
