"""What normflows' layers get wrong, and the host does not inherit: statistics, digits, changed inputs, randomness."""

from __future__ import annotations

import copy
import math

import pytest
import scipy.stats
import torch

from host_models import CONTEXT, FEATURES, IMAGE, MODELS, inputs_for, spread_flow
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    decode,
    encode,
    initialize,
    reconstruct,
    swap_base,
    to_volume_preserving,
)
from nflows_spread.hosts import encode_with_logabsdet
from support import assert_same_state, randomize, refused
from swapped_flows import curve
from transform_contract import VOLUME_PRESERVING, jacobian_logabsdet

nf = pytest.importorskip("normflows", reason="needs the extra normflows")

from nflows_spread.transforms import normflows as layers  # noqa: E402


def actnorms(flow):
    return [layer for layer in flow.modules() if isinstance(layer, nf.flows.ActNorm)]


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


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("VolumePreservingMaskedAffineFlow", (torch.ones(3),), "b must be 0 somewhere, to leave an entry to transform"),
        ("VolumePreservingAffineCoupling", (torch.nn.Identity(), "tanh"), "scale_map must be 'exp', 'sigmoid' or"),
    ],
)
def test_what_leaves_nothing_to_transform_or_has_an_unknown_scale_is_refused(kind, arguments, message):
    with refused(ValueError, message):
        getattr(layers, kind)(*arguments)


def constant(values):
    net = torch.nn.Linear(3, 3)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.copy_(values)
    return net


def test_a_mask_of_zeros_transforms_all():
    s, z = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([[1.0, 2.0, 3.0]])
    layer = layers.VolumePreservingMaskedAffineFlow(torch.zeros(3), constant(torch.ones(3)), constant(s))
    torch.testing.assert_close(layer(z)[0], z * (s - s.mean()).exp() + 1.0)
