"""The eigendecomposition behind the read-outs is kept while the prior stays the same, and never outlives a change."""

import copy
import pickle
import time
from functools import partial

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from factor_kinds import base_of_kind, every_kind, random_root
from nflows_spread import DegenerateGaussian, manifold_log_prob, project, reconstruct, sample, spectrum
from nflows_spread.linalg.eigen import factor_eigh
from support import refused

DECOMPOSITIONS = ("eigh", "svd", "qr")


@pytest.fixture
def decompositions(monkeypatch):
    """The names of all that torch is asked to decompose."""
    asked = []

    def counted(name, original):
        def decompose(*inputs, **options):
            asked.append(name)
            return original(*inputs, **options)

        return decompose

    for name in DECOMPOSITIONS:
        monkeypatch.setattr(torch.linalg, name, counted(name, getattr(torch.linalg, name)))
    return asked


def assert_up_to_date(base):
    """The decomposition is that of the covariance as it is now."""
    values, vectors = base.eigh()
    torch.testing.assert_close((vectors * values) @ vectors.mT, base.covariance.detach().double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(values, base.eigenvalues, rtol=1e-6, atol=1e-9)


def step(base):
    """Of an optimizer, or of the running average."""
    if parameters := list(base.parameters()):
        base.log_prob(torch.randn(5, base.features, dtype=parameters[0].dtype)).sum().backward()
        torch.optim.Adam(parameters, lr=0.1).step()
    base.observe(torch.randn(50, base.features))


def content(base):
    """The tensor that says what the covariance is."""
    return base.factor.entries if hasattr(base.factor, "entries") else base.factor.second_moment


def through_numpy(base):
    content(base).detach().numpy()[...] *= 2.0


def through_data(base):
    content(base).data.mul_(2.0)


def of_new_data(base):
    content(base).data = content(base).data * 2.0


def of_another_state(base):
    base.load_state_dict(step_of_a_copy(base).state_dict())


def step_of_a_copy(base):
    counterpart = copy.deepcopy(base)
    step(counterpart)
    return counterpart


def of_another_spread_variance(base):
    base.spread_variance = 0.5


def of_another_root(base):
    base.factor.assign(random_root(), base.spread_variance)


def of_other_tensors(base):
    for name, value in list(base.factor.named_parameters()):
        setattr(base.factor, name, torch.nn.Parameter(2.0 * value.detach()))


CHANGES = [step, through_numpy, through_data, of_new_data, of_another_state, of_another_spread_variance]
CHANGES += [of_another_root, of_other_tensors, torch.nn.Module.double]


@every_kind
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_prior_is_decomposed_anew(kind, change):
    base = base_of_kind(kind, dtype=torch.float32, spread_variance=0.01)
    for _ in range(2):
        assert_up_to_date(base)
        change(base)
        assert_up_to_date(base)


@every_kind
def test_copies_and_pickles_carry_no_memory_and_go_their_own_way(kind):
    base = base_of_kind(kind, random_root(64))
    fresh = len(pickle.dumps(base))
    base.eigh()
    assert len(pickle.dumps(base)) < fresh + 200
    for counterpart in (copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        step(counterpart)
        assert_up_to_date(counterpart)
    assert_up_to_date(base)


@every_kind
def test_read_outs_and_samples_decompose_once(kind, decompositions):
    flow = Flow(IdentityTransform(), base_of_kind(kind, dtype=torch.float32))
    x = torch.randn(4, 6)
    project(flow, x, rank=2, order="eigenvalue")
    sample(flow, 3, rank=2, order="eigenvalue")
    flow.sample(3)
    once = len(decompositions)
    for rank in (1, 2, 3):
        project(flow, x, rank=rank, order="eigenvalue")
        reconstruct(flow, x, rank=rank, order="eigenvalue")
        sample(flow, 3, rank=rank, order="eigenvalue")
        manifold_log_prob(flow, x, rank=rank, order="eigenvalue")
        flow.sample(3)
    assert len(decompositions) == once


@every_kind
def test_writing_over_a_result_does_not_reach_the_next_one(kind):
    base = base_of_kind(kind)
    for part in base.eigh():
        part.zero_()
    assert_up_to_date(base)


@every_kind
def test_a_decomposition_from_inference_mode_serves_a_gradient(kind):
    flow = Flow(IdentityTransform(), base_of_kind(kind, dtype=torch.float32))
    x = torch.randn(4, 6, requires_grad=True)
    with torch.inference_mode():
        project(flow, x, rank=2, order="eigenvalue")
    project(flow, x, rank=2, order="eigenvalue").sum().backward()
    assert (x.grad != 0).any()


NOT_FINITE = ("a covariance must be finite to be decomposed, got NaN or infinity in", "entries; train the model again")


@every_kind
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_prior_that_is_not_finite_is_refused_by_all_that_decomposes_it_each_time(kind, value):
    base = base_of_kind(kind)
    flow, x = Flow(IdentityTransform(), base), torch.randn(4, 6)
    base.data_noise = 0.1
    base.eigh()
    with torch.no_grad():
        content(base)[0, 0] = value
    uses = [base.eigh, lambda: base.eigenvalues, lambda: base.eigenvectors, lambda: base.sample(3, rank=2)]
    for order in ("signal-to-noise", "eigenvalue"):
        uses += [partial(read_out, flow, x, rank=2, order=order) for read_out in (project, reconstruct)]
        uses += [
            partial(manifold_log_prob, flow, x, rank=2, order=order),
            partial(sample, flow, 3, rank=2, order=order),
        ]
    for use in [*uses, lambda: spectrum(flow, x)] * 2:
        with refused(ValueError, *NOT_FINITE, unchanged=base):
            use()


def test_for_many_features_the_second_call_costs_a_fraction():
    flow, x = Flow(IdentityTransform(), DegenerateGaussian([700])), torch.randn(1, 700)
    with torch.no_grad():
        flow._distribution.factor.entries.add_(0.1 * torch.randn(700, 700))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        project(flow, x, rank=5, order="eigenvalue")
        seconds.append(time.perf_counter() - start)
    assert min(seconds[1:]) < 0.3 * seconds[0]
    expected = factor_eigh(flow._distribution.factor.entries.detach().tril())[1][:, :5].float()
    torch.testing.assert_close(
        project(flow, x, rank=5, order="eigenvalue").detach(), x @ expected, rtol=1e-4, atol=1e-4
    )
