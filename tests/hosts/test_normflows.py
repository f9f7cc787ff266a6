"""What normflows promises of a base and of a flow, and what it gets wrong and is not inherited."""

from __future__ import annotations

import copy
import math

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
    initialize,
    intrinsic_dimension,
    project,
    reconstruct,
    spectrum,
    swap_base,
    to_volume_preserving,
)
from nflows_spread.hosts import encode_with_logabsdet
from support import assert_same_state, lower_triangular, randomize, refused
from swapped_flows import curve
from transform_contract import VOLUME_PRESERVING, jacobian_logabsdet

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
        twin = swap_base(flow, base)
        assert type(twin) is kind
        assert base_of(twin) is base
        assert isinstance(base_of(flow), nf.distributions.DiagGaussian)
        assert list(twin.flows) == list(flow.flows)


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


# what is not inherited


def unset_glow():
    return swap_base(MODELS["normflows: Glow"].build(), DegenerateGaussian([16]))


USES = {
    "encode in eval()": lambda flow, x: encode(flow.eval(), x),
    "reconstruct in eval()": lambda flow, x: reconstruct(flow.eval(), x, rank=2),
    "the loss in eval()": lambda flow, x: SpreadKLLoss(flow, data_noise=0.1).eval()(x),
    "decode": lambda flow, x: decode(flow, torch.randn(5, 16)),
    "normflows' own sample": lambda flow, x: flow.sample(5),
    "normflows' own log_prob in eval()": lambda flow, x: flow.eval().log_prob(x),
}


@pytest.mark.parametrize("use", USES)
def test_actnorms_take_no_statistics_from_samples_or_in_evaluation_mode(use):
    flow, x = unset_glow(), 3.0 + torch.randn(8, *IMAGE)
    base_of(flow).data_noise = 0.1  # which is all that a loss sets
    before = copy.deepcopy(flow.state_dict())
    USES[use](flow, x)
    assert_same_state(flow.state_dict(), before)


def test_actnorms_of_a_flow_without_levels_are_guarded_too():
    flow = nf.NormalizingFlow(DegenerateGaussian([FEATURES]), [nf.flows.ActNorm(FEATURES)])
    before = copy.deepcopy(flow.state_dict())
    decode(flow, torch.randn(5, FEATURES))
    x = curve(5)
    assert torch.equal(encode(flow.eval(), x), x)
    assert_same_state(flow.state_dict(), before)


def test_actnorms_take_their_statistics_from_the_first_batch_that_is_encoded_in_training():
    flow, x = nf.NormalizingFlow(DegenerateGaussian([FEATURES]), [nf.flows.ActNorm(FEATURES)]), 5.0 + curve(40)
    objective = SpreadKLLoss(flow, data_noise=1e-3)
    objective(x)
    assert all(bool(layer.data_dep_init_done) for layer in actnorms(flow))
    z = encode(flow, x)
    torch.testing.assert_close(z.mean(0), torch.zeros(FEATURES), rtol=0, atol=1e-2)
    state = copy.deepcopy(flow.state_dict())
    objective(10.0 * x)
    assert_same_state(flow.state_dict(), state)


def test_a_converted_actnorm_is_set_by_initialize_alone():
    flow = to_volume_preserving(nf.NormalizingFlow(DegenerateGaussian([FEATURES]), [nf.flows.ActNorm(FEATURES)]))
    x = 5.0 + curve(40)
    assert torch.equal(encode(flow, x), x)
    flow.sample(5)
    SpreadKLLoss(flow)(x)
    assert torch.equal(encode(flow, x), x)
    assert initialize(flow, x) == 1
    torch.testing.assert_close(encode(flow, x).mean(0), torch.zeros(FEATURES), rtol=0, atol=1e-4)


def test_a_float64_loss_keeps_its_digits_where_normflows_drops_them():
    name = "normflows: Real NVP"
    flow, x = spread_flow(name), inputs_for(name, 50)[0]
    exact = -flow.log_prob(x).mean()
    z, logabsdet = encode_with_logabsdet(flow, x)
    ours, theirs = -(base_of(flow).log_prob(z) + logabsdet).mean(), flow.forward_kld(x)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, exact, rtol=1e-14, atol=0)
    assert theirs.dtype == torch.float32
    assert SpreadKLLoss(flow, data_noise=0.1)(x).dtype == torch.float64


def test_composites_keep_float64():
    layers = [nf.flows.MaskedAffineFlow(torch.tensor([1.0, 0.0]), nf.nets.MLP([2, 4, 2]), nf.nets.MLP([2, 4, 2]))]
    composite = nf.NormalizingFlow(DegenerateGaussian([2]), [nf.flows.Composite(layers)])
    plain = nf.NormalizingFlow(DegenerateGaussian([2]), layers)
    x = torch.randn(5, 2).double()
    randomize(composite.double())
    assert torch.equal(encode_with_logabsdet(composite, x)[1], encode_with_logabsdet(plain, x)[1])


def test_the_density_is_right_where_that_of_gaussian_pca_is_not():
    """normflows' N(0, WᵀW + σ²I) has a wrong log-density; the same covariance in our base has scipy's."""
    theirs = nf.distributions.GaussianPCA(FEATURES, latent_dim=2, sigma=0.3).double()
    weight = theirs.W.detach()
    covariance = weight.T @ weight + 0.09 * torch.eye(FEATURES).double()
    ours = DegenerateGaussian([FEATURES], spread_variance=0.09).double()
    with torch.no_grad():
        ours.factor.entries.zero_()
        lower = torch.linalg.qr(weight, mode="r").R.T
        ours.factor.entries[:, :2] = lower
    x = torch.randn(4, FEATURES).double()
    expected = torch.from_numpy(scipy.stats.multivariate_normal(cov=covariance.numpy()).logpdf(x.numpy()))
    torch.testing.assert_close(ours.log_prob(x).detach(), expected, rtol=1e-9, atol=0)
    assert not torch.allclose(theirs.log_prob(x).detach(), expected, rtol=0.05)


class OwnComposite(nf.flows.Composite):
    """A composite of a user's own, which is run by its own methods and then doubles."""

    def forward(self, inputs):
        outputs, logabsdet = super().forward(inputs)
        return 2.0 * outputs, logabsdet + outputs[0].numel() * math.log(2.0)

    def inverse(self, inputs):
        outputs, logabsdet = super().inverse(0.5 * inputs)
        return outputs, logabsdet - outputs[0].numel() * math.log(2.0)


class OwnReverse(nf.flows.Reverse):
    """One that does not reverse."""

    def forward(self, z):
        return self.flow(z)

    def inverse(self, z):
        return self.flow.inverse(z)


SHIFTED = {
    "alone": (lambda: nf.transforms.Shift(0.5), lambda x: x + 0.5),
    "reversed": (lambda: nf.flows.Reverse(nf.transforms.Shift(0.5)), lambda x: x - 0.5),
    "in a composite": (lambda: nf.flows.Composite([nf.transforms.Shift(0.5)]), lambda x: x + 0.5),
    "in a composite of one's own": (lambda: OwnComposite([nf.transforms.Shift(0.5)]), lambda x: 0.5 * x + 0.5),
    "in a reversal that is none": (lambda: OwnReverse(nf.transforms.Shift(0.5)), lambda x: x + 0.5),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shift_changes_neither_what_is_encoded_nor_what_is_decoded(name):
    build, expected = SHIFTED[name]
    flow = nf.NormalizingFlow(DegenerateGaussian([2]), [build()])
    x = torch.randn(4, 2, requires_grad=True)
    before = x.detach().clone()
    z, logabsdet = encode_with_logabsdet(flow, x)
    torch.testing.assert_close(z, expected(x))
    torch.testing.assert_close(logabsdet, jacobian_logabsdet(lambda rows, _: encode_with_logabsdet(flow, rows), x))
    given = z.detach().clone().requires_grad_(True)
    torch.testing.assert_close(decode(flow, given), x)
    assert torch.equal(x, before)
    assert torch.equal(given, z)


@pytest.mark.parametrize("kind", ["BatchNorm", "MetropolisHastings"])
def test_layers_that_would_spoil_a_latent_are_refused(kind):
    layer = nf.flows.BatchNorm() if kind == "BatchNorm" else nf.flows.MetropolisHastings(None, None, 1)
    flow = nf.NormalizingFlow(DegenerateGaussian([2]), [nf.flows.Reverse(layer)])
    with refused(TypeError, f"flow must not contain a {kind}", "a latent" if kind == "BatchNorm" else "random"):
        encode(flow, torch.randn(4, 2))


def test_a_transform_worn_as_a_flow_runs_the_other_way_and_passes_its_context():
    from nflows_spread.transforms.normflows import TransformFlow

    transform = randomize(MODELS["nflows_spread: coupling_flow, conditional"].build())._transform.double()
    flow = nf.ConditionalNormalizingFlow(DegenerateGaussian([FEATURES]).double(), [TransformFlow(transform)])
    x, context = torch.randn(4, FEATURES).double(), torch.randn(4, CONTEXT).double()
    z = encode(flow, x, context)
    assert torch.equal(z, transform(x, context)[0])
    torch.testing.assert_close(flow.forward(z, context), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", VOLUME_PRESERVING)
def test_each_of_our_transforms_can_be_worn_as_a_flow(name):
    from nflows_spread.transforms.normflows import TransformFlow

    case = VOLUME_PRESERVING[name]
    layer = TransformFlow(randomize(case.build().double()))
    x = torch.randn(3, *case.shape).double()
    context = None if case.context is None else torch.randn(3, case.context).double()
    z, logabsdet = layer.inverse(x, context)
    back, back_logabsdet = layer(z, context)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
    assert logabsdet.abs().max() == back_logabsdet.abs().max() == 0.0
