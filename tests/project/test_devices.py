"""Everything follows the device of the flow; on a machine without an accelerator this runs on the CPU alone."""

import pytest
import torch
from nflows.flows import Flow

from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    initialize,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
    spectrum,
)
from nflows_spread.factors import KINDS
from nflows_spread.models import convolutional_flow, coupling_flow, volume_preserving_glow
from support import lower_triangular
from swapped_flows import FEATURES, curve

NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_CUDA)])
def device(request):
    return torch.device(request.param)


@pytest.fixture
def flow(device):
    return coupling_flow(FEATURES, layers=2).to(device)


def test_the_loss_trains_where_the_flow_is(flow, device):
    generator = torch.Generator(device).manual_seed(1)
    objective = SpreadKLLoss(flow, data_noise=0.1, entropy=True, generator=generator)
    loss = objective(curve(20).to(device))
    loss.backward()
    assert loss.device.type == device.type
    assert all(p.grad.device.type == device.type for p in flow.parameters())


def test_read_outs_are_where_the_flow_is_and_spectra_on_the_cpu(flow, device):
    x = curve(20).to(device)
    generator = torch.Generator(device).manual_seed(1)
    results = [f(flow, x, rank=2) for f in (project, reconstruct, manifold_log_prob)]
    results += [sample(flow, 5, rank=2, generator=generator), base_of(flow).sample(5), base_of(flow).mean()]
    assert {result.device.type for result in results} == {device.type}
    found = spectrum(flow, x, data_noise=0.1, generator=generator)
    assert found.eigenvalues.device.type == found.signal_to_noise.device.type == "cpu"


def test_large_rank_deficient_factors_do_not_fail(device):
    base = base_of(coupling_flow(1024, layers=1))
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(1024, 256, 30.0))
    z = base.sample(8).detach()
    expected = base.log_prob(z)
    found = base.to(device).log_prob(z.to(device))
    found.sum().backward()
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=0)
    assert torch.isfinite(base.factor.entries.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_factor_trains_and_samples_where_the_flow_is(kind, device):
    options = {"rank": 2} if "LowRank" in kind else {}
    base = DegenerateGaussian([FEATURES], factor=lambda features: KINDS[kind](features, **options))
    flow = coupling_flow(FEATURES, layers=2, base=base).to(device)
    SpreadKLLoss(flow, data_noise=0.1)(curve(20).to(device)).backward()
    other = base.with_factor(KINDS["SpreadCholeskyFactor"])
    results = [
        base.sample(3),
        base.sample(3, rank=2),
        base.mean(),
        base.covariance,
        *base.eigh(),
        other.sample(3),
    ]
    assert {result.device.type for result in results} == {device.type}


@pytest.mark.parametrize("options", [{}, {"checkpointing": True}, {"channels_last": True}], ids=str)
def test_a_glow_trains_and_samples_where_it_is(options, device):
    transform = volume_preserving_glow((1, 4, 4), blocks=2, layers=2, hidden_channels=4, **options)
    flow = Flow(transform, DegenerateGaussian([16])).to(device)
    x = torch.rand(6, 1, 4, 4, device=device)
    assert initialize(flow, x) == 4
    SpreadKLLoss(flow, data_noise=0.1)(x).backward()
    assert {p.grad.device.type for p in flow.parameters()} == {device.type}
    torch.testing.assert_close(reconstruct(flow, x, rank=16), x, rtol=0, atol=1e-4)


def test_image_flows_and_initialize_run_where_the_flow_is(device):
    flow, x = convolutional_flow((1, 4, 4), blocks=(2,)).to(device), torch.randn(3, 1, 4, 4, device=device)
    assert initialize(flow, x) == 0
    assert reconstruct(flow, x, rank=16).device.type == device.type


@NO_CUDA
def test_the_data_noise_is_asked_and_set_without_waiting_for_the_device():
    objective = SpreadKLLoss(coupling_flow(FEATURES, layers=2).cuda(), data_noise=0.1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for noise in (0.1, 0.05):
            objective.data_noise = noise
            assert objective.data_noise == noise
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert objective.base._data_noise.tolist() == [1.0, 0.05]
