"""The promise to a user of nflows: swap the base, train, sample, read out."""

import pytest
import torch

from nflows_spread import (
    SpreadKLLoss,
    intrinsic_dimension,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
    spectrum,
)
from nflows_spread.dimension.rules import decide
from swapped_flows import FEATURES, FLOWS, context_for, curve, swapped


@pytest.fixture(scope="module", params=FLOWS)
def trained(request):
    """(flow, data, context, mean loss of the first and of the last steps) after a few steps with noise."""
    torch.manual_seed(0)
    flow, x, context = swapped(request.param), curve(256), context_for(request.param, 256)
    objective = SpreadKLLoss(flow, data_noise=0.1)
    optimizer = torch.optim.Adam(objective.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(x, context)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return flow, x, context, sum(losses[:5]) / 5, sum(losses[-5:]) / 5


def test_the_loss_falls(trained):
    *_, first, last = trained
    assert last < first - 0.3


def test_the_flow_samples_as_nflows_does(trained):
    flow, _, context, *_ = trained
    few = None if context is None else context[:4]
    samples = flow.sample(5, few)
    assert samples.shape == ((5, FEATURES) if few is None else (4, 5, FEATURES))
    assert torch.isfinite(samples).all()
    samples, log_prob = flow.sample_and_log_prob(5, few)
    assert log_prob.shape == samples.shape[:-1]
    assert torch.isfinite(log_prob).all()


def test_every_read_out_works(trained):
    flow, x, context, *_ = trained
    found = spectrum(flow, x, context=context, generator=torch.Generator().manual_seed(1))
    assert found.eigenvalues.shape == found.signal_to_noise.shape == (FEATURES,)
    assert found.data_noise == 0.1
    dimension = intrinsic_dimension(flow, x, context=context, generator=torch.Generator().manual_seed(1))
    assert dimension == decide(found)
    for rank in (1, 2, FEATURES):
        assert project(flow, x, rank=rank, context=context).shape == (len(x), rank)
        assert reconstruct(flow, x, rank=rank, context=context).shape == x.shape
        assert manifold_log_prob(flow, x, rank=rank, context=context).shape == (len(x),)
        drawn = sample(flow, len(x), rank=rank, context=context)
        assert drawn.shape == x.shape
        assert torch.isfinite(drawn).all()
    full = reconstruct(flow, x, rank=FEATURES, context=context)
    torch.testing.assert_close(full, x, rtol=0, atol=1e-3)
