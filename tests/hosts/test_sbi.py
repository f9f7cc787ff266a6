"""sbi's density estimators hold a flow of nflows or zuko in ``net``: with our base they train, and posteriors draw."""

from __future__ import annotations

import pytest
import torch

from nflows_spread import (
    DegenerateGaussian,
    base_of,
    intrinsic_dimension,
    swap_base,
    to_volume_preserving,
    volume_error,
)

sbi = pytest.importorskip("sbi", reason="needs sbi, which is in no extra: pip install sbi")

NOISE = 0.1
PRIOR = torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))


@pytest.fixture(autouse=True)
def _logs_elsewhere(tmp_path, monkeypatch):
    """sbi writes them to the current folder."""
    monkeypatch.chdir(tmp_path)


def simulated(rows=400):
    """Three parameters of which a simulator shows the sum of two."""
    theta = PRIOR.sample((rows,))
    return theta + NOISE * torch.randn(rows, 3), theta[:, :2].sum(1, keepdim=True)


def trained(model, change, epochs=3):
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn

    made = []

    def build(theta, x):
        estimator = posterior_nn(model=model, hidden_features=8, num_transforms=2)(theta, x)
        estimator.net = swap_base(change(estimator.net), DegenerateGaussian([3]))
        made.append(base_of(estimator.net).factor.entries.detach().clone())
        return estimator

    inference = NPE(PRIOR, density_estimator=build, show_progress_bars=False)
    theta, x = simulated()
    inference.append_simulations(theta, x)
    estimator = inference.train(training_batch_size=50, max_num_epochs=epochs)
    return inference, estimator, made[0]


@pytest.mark.parametrize("model", ["nsf", "maf", "zuko_nsf", "zuko_maf"])
def test_a_posterior_is_trained_with_our_base_and_drawn_from(model):
    inference, estimator, before = trained(model, lambda flow: flow)
    base = base_of(estimator.net)
    assert isinstance(base, DegenerateGaussian)
    assert not torch.equal(base.factor.entries, before)
    posterior = inference.build_posterior(estimator)
    drawn = posterior.sample((20,), x=torch.tensor([[0.5]]), show_progress_bars=False)
    assert drawn.shape == (20, 3)
    assert drawn.isfinite().all()
    assert posterior.log_prob(drawn, x=torch.tensor([[0.5]])).isfinite().all()
    theta, x = simulated(60)
    assert intrinsic_dimension(estimator.net.eval(), theta, context=x, data_noise=NOISE) in (1, 2, 3)


def test_its_masked_autoregressive_flow_of_zuko_is_made_volume_preserving():
    _, estimator, _ = trained("zuko_maf", to_volume_preserving, epochs=1)
    theta, x = simulated(20)
    flow = estimator.net.double()
    assert volume_error(flow, theta.double(), context=x.double()) < 1e-6  # sbi's scales are float32
