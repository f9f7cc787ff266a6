"""glasflow's and nessai's flows with a degenerate base, and every read-out through their transforms."""

from __future__ import annotations

import pickle

import pytest
import torch
from nflows.flows import Flow

from nflows_spread import DegenerateGaussian, SpreadKLLoss, decode, encode, intrinsic_dimension, project, reconstruct
from nflows_spread.distributions import glasflow as ours
from support import refused

FEATURES = 3


def of_glasflow():
    flows = pytest.importorskip("glasflow", reason="needs glasflow, which is in no extra: pip install glasflow")
    return flows.RealNVP(FEATURES, 2, n_neurons=8, distribution=ours.GlasflowDegenerateGaussian([FEATURES]))


def of_nessai():
    utils = pytest.importorskip("nessai.flows.utils", reason="needs nessai, which is in no extra: pip install nessai")
    shape = {"n_inputs": FEATURES, "n_neurons": 8, "n_blocks": 2, "n_layers": 1}
    return utils.configure_model(shape | {"ftype": "realnvp", "distribution": ours.GlasflowDegenerateGaussian})


@pytest.mark.parametrize("build", [of_glasflow, of_nessai])
def test_a_flow_of_theirs_trains_with_our_base_and_is_read_through_its_transform(build):
    flow, x = build(), torch.randn(60, 1) * torch.tensor([1.0, 0.5, -0.5]) + 0.05 * torch.randn(60, FEATURES)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = -flow.log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert flow.eval().sample(4).shape == (4, FEATURES)
    samples, log_prob = flow.sample_and_log_prob(4)
    assert samples.shape == (4, FEATURES)
    assert log_prob.isfinite().all()

    readable = Flow(flow._transform, flow._distribution).eval()
    torch.testing.assert_close(readable.log_prob(x), flow.log_prob(x))
    torch.testing.assert_close(decode(readable, encode(readable, x)), x, rtol=0, atol=1e-4)
    assert intrinsic_dimension(readable, x, data_noise=0.05) in range(1, FEATURES + 1)
    SpreadKLLoss(readable, data_noise=0.05)(x).backward()
    assert project(readable, x, rank=1).shape == (60, 1)
    assert reconstruct(readable, x, rank=1).shape == x.shape
    with refused(TypeError, "flow must be a flow of one of", "build nflows.flows.Flow(flow._transform"):
        encode(flow, x)


@pytest.mark.parametrize("name", ["GlasflowDegenerateGaussian", "GlasflowDegenerateGaussianMixture"])
def test_the_priors_are_of_both_libraries_and_are_pickled(name):
    theirs = pytest.importorskip("glasflow.nflows.distributions", reason="needs glasflow: pip install glasflow")
    kind = getattr(ours, name)
    prior = kind([FEATURES]) if "Mixture" not in name else kind([FEATURES], 2)
    assert isinstance(prior, theirs.Distribution)
    assert kind is getattr(ours, name)
    again, z = pickle.loads(pickle.dumps(prior)), torch.randn(5, FEATURES)
    assert torch.equal(again.log_prob(z), prior.log_prob(z))
    assert torch.equal(prior.log_prob(z), kind.__mro__[1].log_prob(prior, z))
    samples, log_prob = prior.sample_and_log_prob(6)
    torch.testing.assert_close(log_prob, prior.log_prob(samples))


def test_other_names_are_unknown():
    with pytest.raises(AttributeError, match="has no attribute 'GlasflowNormal'"):
        ours.GlasflowNormal  # noqa: B018
    assert issubclass(ours._PRIORS["GlasflowDegenerateGaussian"], DegenerateGaussian)
