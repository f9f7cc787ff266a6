"""What normflows promises of a base and of a flow, which the host keeps."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

from host_models import CONTEXT, FEATURES, IMAGE, MODELS, inputs_for, normflows_glow, spread_flow
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    decode,
    encode,
    intrinsic_dimension,
    project,
    spectrum,
    swap_base,
)
from nflows_spread.hosts import encode_with_logabsdet
from support import assert_same_state, lower_triangular, randomize, refused

nf = pytest.importorskip("normflows", reason="needs the extra normflows")

NORMFLOWS = [name for name in MODELS if name.startswith("normflows")]
every_model = pytest.mark.parametrize("name", NORMFLOWS)


def actnorms(flow):
    return [layer for layer in flow.modules() if isinstance(layer, nf.flows.ActNorm)]


# the base in normflows' interface


def trained_base(shape=(FEATURES,)):
    base = DegenerateGaussian(shape, spread_variance=1e-2).double()
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(base.features, base.features, 1.0))
    return base


@pytest.mark.parametrize("shape", [(FEATURES,), (2, 1, 2)])
def test_the_base_draws_samples_with_their_log_densities(shape):
    base = trained_base(shape)
    samples, log_prob = base(7)
    assert samples.shape == (7, *shape)
    assert torch.equal(log_prob, base.log_prob(samples))
    assert base()[0].shape == (1, *shape)
    covariance = base.covariance.detach() + 0.01 * torch.eye(base.features)
    expected = scipy.stats.multivariate_normal(cov=covariance.numpy()).logpdf(samples.detach().flatten(1).numpy())
    torch.testing.assert_close(log_prob.detach(), torch.from_numpy(expected), rtol=1e-9, atol=0)


def test_the_samples_of_the_interface_have_the_covariance_of_the_prior():
    base = trained_base()
    samples = base(200_000)[0].detach()
    torch.testing.assert_close(samples.T @ samples / len(samples), base.covariance.detach(), rtol=0.05, atol=0.05)


@every_model
def test_forward_kld_sample_and_log_prob_of_normflows_work(name):
    flow, (x, context) = spread_flow(name, torch.float32), inputs_for(name, 6, torch.float32)
    given = {} if context is None else {"context": context}
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    expected = base_of(flow).log_prob(z) + logabsdet
    # clones, because the models of normflows that contain its Shift change the data that they are given
    torch.testing.assert_close(flow.log_prob(x.clone(), **given), expected, rtol=1e-4, atol=1e-3)
    loss = flow.forward_kld(x.clone(), **given)
    torch.testing.assert_close(loss, -expected.mean(), rtol=1e-4, atol=1e-3)
    loss.backward()
    assert base_of(flow).factor.entries.grad.abs().sum() > 0
    samples, log_prob = flow.sample(6, **given)
    assert samples.shape == x.shape
    assert log_prob.shape == (6,)
    assert torch.isfinite(log_prob).all()


@every_model
def test_save_and_load_of_normflows_bring_everything_back(name, tmp_path):
    flow, (x, context) = spread_flow(name), inputs_for(name, 6)
    base_of(flow).data_noise = 0.2
    flow.save(tmp_path / "flow.pt")
    fresh = spread_flow(name)
    fresh.load(tmp_path / "flow.pt")
    assert_same_state(fresh.state_dict(), flow.state_dict())
    assert torch.equal(encode(fresh, x, context), encode(flow, x, context))
    assert base_of(fresh).data_noise == 0.2


# the host


@every_model
def test_encode_is_normflows_inverse_and_decode_its_forward(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 5)
    given = {} if context is None else {"context": context}
    z = encode(flow, x, context)
    torch.testing.assert_close(z, flow.inverse(x.clone(), **given), rtol=0, atol=1e-12)
    torch.testing.assert_close(decode(flow, z, context), flow.forward(z.clone(), **given), rtol=0, atol=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_multiscale_flow_encodes_to_its_levels_in_one_vector(levels):
    image = (1, 16, 2**levels)
    flow = randomize(normflows_glow(levels, image=image), 0.1).double().eval()
    x = torch.randn(5, *image, dtype=torch.float64)
    for actnorm in actnorms(flow):
        actnorm.data_dep_init_done.fill_(1.0)
    levels, logabsdet = flow.inverse_and_log_det(x.clone())
    expected = torch.cat([level.flatten(1) for level in levels], dim=1)
    for each in (flow, swap_base(flow, DegenerateGaussian([x[0].numel()]))):
        z, found = encode_with_logabsdet(each, x)
        torch.testing.assert_close(z, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(found, logabsdet, rtol=0, atol=1e-12)
        torch.testing.assert_close(decode(each, z), x, rtol=0, atol=1e-9)


def test_a_multiscale_flow_without_one_base_is_refused_with_the_remedy():
    flow, x = MODELS["normflows: Glow"].build(), torch.randn(4, *IMAGE)
    words = ("one base for each of its 2 levels", "use swap_base(flow, DegenerateGaussian([D]))")
    calls = [base_of, SpreadKLLoss, lambda flow: project(flow, x, rank=1), lambda flow: spectrum(flow, x)]
    for call in calls:
        with refused(TypeError, *words):
            call(flow)


def test_a_multiscale_flow_whose_bases_tell_no_shape_is_refused():
    flow = MODELS["normflows: Glow"].build()
    del flow.q0[1].shape
    with refused(TypeError, "tell the shape of its latents", "got DiagGaussian"):
        encode(flow, torch.randn(4, *IMAGE))


def test_latents_of_another_size_than_the_levels_are_refused():
    flow = spread_flow("normflows: Glow")
    with refused(ValueError, "latents must have shape (n, 16)", "got (4, 15)"):
        decode(flow, torch.randn(4, 15).double())


def test_swapping_the_base_keeps_the_layers_and_the_kind_of_flow():
    for name, kind in (
        ("normflows: Real NVP", nf.NormalizingFlow),
        ("normflows: conditional autoregressive", nf.ConditionalNormalizingFlow),
    ):
        flow, base = MODELS[name].build(), DegenerateGaussian([FEATURES])
        counterpart = swap_base(flow, base)
        assert type(counterpart) is kind
        assert base_of(counterpart) is base
        assert isinstance(base_of(flow), nf.distributions.DiagGaussian)
        assert list(counterpart.flows) == list(flow.flows)


def test_a_context_for_a_flow_that_takes_none_is_refused():
    with refused(ValueError, "a NormalizingFlow takes no context", f"({4}, {CONTEXT})", "ConditionalNormalizingFlow"):
        encode(spread_flow("normflows: Real NVP"), torch.randn(4, FEATURES).double(), torch.randn(4, CONTEXT))


@pytest.mark.parametrize("kind", ["ClassCondFlow", "NormalizingFlowVAE"])
def test_flows_whose_latents_have_no_base_of_their_own_are_refused(kind):
    q0 = nf.distributions.DiagGaussian(2)
    flow = nf.ClassCondFlow(q0, []) if kind == "ClassCondFlow" else nf.NormalizingFlowVAE(q0, flows=[])
    with refused(TypeError, f"got {kind}", "build NormalizingFlow(DegenerateGaussian(shape), flow.flows)"):
        base_of(flow)


def test_the_base_of_a_host_tells_its_own_spectrum():
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(FEATURES), [])
    with torch.no_grad():
        flow.q0.log_scale.copy_(torch.tensor([[0.5, -1.0, 1.0]]))
    x = torch.randn(500, FEATURES) * torch.tensor([1.0, 2.0, 0.001])
    found = spectrum(flow, x, data_noise=0.05)
    torch.testing.assert_close(found.eigenvalues.float(), torch.tensor([2.0, 1.0, -2.0]).exp())
    assert intrinsic_dimension(flow, x, data_noise=0.05) == 2


def test_other_bases_of_normflows_have_no_spectrum():
    flow = nf.NormalizingFlow(nf.distributions.GaussianMixture(2, FEATURES), [])
    with refused(TypeError, "must be a DegenerateGaussian", "DiagGaussian", "got GaussianMixture"):
        spectrum(flow, torch.randn(5, FEATURES))
