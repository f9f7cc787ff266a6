"""What zuko promises of a base and of a flow, which the host keeps, and what zuko does on the way, which it mends."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from functools import partial

import pytest
import torch

from factor_kinds import FACTORS, every_kind
from factor_kinds import FEATURES as FACTOR_FEATURES
from host_models import CONTEXT, FEATURES, MODELS, inputs_for, lazy_layers_of_zuko, of_zuko, spread_flow
from nflows_spread import (
    DegenerateGaussian,
    DegenerateGaussianMixture,
    SpreadKLLoss,
    base_of,
    decode,
    encode,
    intrinsic_dimension,
    manifold_log_prob,
    sample,
    spectrum,
    swap_base,
)
from nflows_spread.hosts import encode_with_logabsdet, log_prob, log_prob_of_base, samples_of_base
from nflows_spread.hosts.bases import base_from, describe_base
from nflows_spread.training import fit, load_model, save_model
from support import assert_same_state, lower_triangular, refused
from swapped_flows import curve
from transform_contract import jacobian_logabsdet

zuko = pytest.importorskip("zuko", reason="needs the extra zuko")

from nflows_spread.hosts.zuko import layers  # noqa: E402

ZUKO = [name for name in MODELS if name.startswith("zuko")]
every_model = pytest.mark.parametrize("name", ZUKO)


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


# the base in zuko's interface


@every_model
def test_log_prob_and_samples_of_zuko_work(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 6)
    distribution = flow(context)
    torch.testing.assert_close(distribution.log_prob(x), log_prob(flow, x, context), rtol=0, atol=1e-5)
    (-distribution.log_prob(x).mean()).backward()
    assert base_of(flow).factor.entries.grad.abs().sum() > 0
    drawn = distribution.sample(() if context is not None else (6,))
    assert drawn.shape == x.shape
    drawn, log_prob_of_drawn = distribution.rsample_and_log_prob((2,))
    assert drawn.shape == (2, *(x.shape if context is not None else x.shape[1:]))
    assert log_prob_of_drawn.shape == drawn.shape[:-1]


@pytest.mark.parametrize("leading", [(), (4,), (2, 4)])
@pytest.mark.parametrize("batch_shape", [(), (4,), (2, 1)])
def test_the_base_is_a_distribution_of_torch(leading, batch_shape, float64):
    base = DegenerateGaussian([FEATURES], learn_mean=True)
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(FEATURES, 2, 1.0))
        base.loc.copy_(torch.randn(FEATURES))
    found = base(None).expand(batch_shape)
    covariance = base.covariance + base.spread_variance * torch.eye(FEATURES)
    expected = torch.distributions.MultivariateNormal(base.loc, covariance).expand(batch_shape)
    points = torch.randn(*leading, FEATURES)
    torch.testing.assert_close(found.log_prob(points), expected.log_prob(points), rtol=1e-9, atol=0)
    assert (found.batch_shape, found.event_shape) == (expected.batch_shape, expected.event_shape)
    assert found.sample((7,)).shape == expected.sample((7,)).shape
    assert found.sample((0, 7)).shape == expected.sample((0, 7)).shape
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.variance, expected.variance, rtol=0, atol=1e-3)  # but for the spread
    assert found.support.event_dim == expected.support.event_dim == 1


def test_its_samples_are_those_of_the_degenerate_prior_and_pass_gradients(float64):
    base = DegenerateGaussian([FEATURES])
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(FEATURES, 2, 1.0))
    drawn = base(torch.zeros(5, CONTEXT)).rsample((100_000,))
    torch.testing.assert_close(drawn.detach().T.cov(), base.covariance.detach(), rtol=0.05, atol=0.05)
    assert torch.linalg.matrix_rank(drawn.detach(), rtol=1e-9) == 2
    drawn.square().mean().backward()
    assert base.factor.entries.grad.abs().sum() > 0
    assert not base(None).sample((2,)).requires_grad
    assert (base(None).has_rsample, DegenerateGaussianMixture([FEATURES], 2)(None).has_rsample) == (True, False)


@every_kind
def test_a_base_says_whether_its_samples_pass_gradients_to_all_parameters(kind):
    base = DegenerateGaussian([FACTOR_FEATURES], factor=FACTORS[kind], learn_mean=True)
    trained = [parameter for parameter in base.parameters() if parameter.requires_grad]
    given = torch.autograd.grad(base(None).rsample((50,)).square().sum(), trained, allow_unused=True)
    assert base(None).has_rsample == all(gradient is not None for gradient in given)
    assert base(None).has_rsample == (kind != "SpreadCholeskyFactor")


def test_a_prior_in_pieces_is_a_base_too():
    flow = zuko.flows.Flow(of_zuko("NSF").transform, DegenerateGaussianMixture([FEATURES], 3))
    assert flow().log_prob(torch.randn(2, 5, FEATURES)).shape == (2, 5)
    assert flow().sample((2, 5)).shape == (2, 5, FEATURES)
    assert flow(torch.zeros(4, 0)).batch_shape == (4,)


def test_points_of_another_shape_are_refused():
    with refused(ValueError, "latents must have shape (n, 3), got (5, 4)"):
        DegenerateGaussian([3])(None).log_prob(torch.randn(5, 4))


# zuko's own base


def test_its_own_gaussian_has_a_spectrum_and_is_written_down():
    flow, x = of_zuko("MAF"), torch.randn(50, FEATURES)
    flow.base.scale.copy_(torch.tensor([2.0, 1.0, 0.5]))
    found = spectrum(flow, x, data_noise=0.1, generator=generator())
    torch.testing.assert_close(found.eigenvalues.float(), torch.tensor([4.0, 1.0, 0.25]))
    again = base_from(json.loads(json.dumps(describe_base(flow.base))))
    again.load_state_dict(flow.base.state_dict())
    z = torch.randn(4, FEATURES)
    assert torch.equal(log_prob_of_base(flow, z), again().log_prob(z))
    assert samples_of_base(flow, 5).shape == (5, FEATURES)
    torch.testing.assert_close(log_prob(flow, x), flow().log_prob(x))


def test_other_bases_of_zuko_are_not_taken_for_a_gaussian():
    flow = zuko.flows.Flow(of_zuko("MAF").transform, zuko.flows.GMM(FEATURES))
    assert describe_base(flow.base) is None
    with refused(TypeError, "must be a DegenerateGaussian", "got GMM"):
        spectrum(flow, torch.randn(9, FEATURES), data_noise=0.1)
    torch.testing.assert_close(log_prob(flow, torch.ones(2, FEATURES)), flow().log_prob(torch.ones(2, FEATURES)))


@pytest.mark.parametrize("base", [None, DegenerateGaussian])
def test_a_flow_is_saved_with_either_base_and_comes_back(base, tmp_path):
    def built(transforms, base=None):
        flow = of_zuko("NSF", transforms=transforms)
        return flow if base is None else swap_base(flow, base)

    flow, x = built(2, None if base is None else base([FEATURES])), torch.randn(5, FEATURES)
    save_model(tmp_path / "flow.pt", flow, build=built, config={"transforms": 2})
    again = load_model(tmp_path / "flow.pt", build=built)
    assert_same_state(again.state_dict(), flow.state_dict())
    assert torch.equal(encode(again, x), encode(flow, x))
    with refused(ValueError, "must be of the same model"):
        save_model(tmp_path / "flow.pt", flow, build=built, config={"transforms": 3})


# what is refused, with the remedy


def test_what_is_no_flow_of_the_whole_space_is_refused():
    x = torch.zeros(4, FEATURES)
    with refused(TypeError, "got the NormalizingFlow that it returns when it is called; pass the Flow"):
        encode(of_zuko("MAF")(), x)
    for use in (SpreadKLLoss, partial(intrinsic_dimension, x=x), partial(sample, num_samples=2)):
        with refused(TypeError, "of type NormalizingFlow; pass the module that returned this distribution"):
            use(of_zuko("MAF")())
    with refused(TypeError, "got an NCSF, whose latents are angles", "take an NSF"):
        encode(zuko.flows.NCSF(FEATURES), x)
    with refused(TypeError, "got a GMM of zuko, which is a base", "build zuko.flows.Flow(transform, base)"):
        encode(zuko.flows.GMM(FEATURES), x)
    with refused(TypeError, "if it is a lazy transform, build zuko.flows.Flow(transform, DegenerateGaussian(shape))"):
        encode(of_zuko("MAF").transform, x)


@pytest.mark.parametrize("kind", ["MAF", "RealNVP", "GF"])
@pytest.mark.parametrize(("built", "given"), [(0, 2), (2, 0), (2, 1)])
def test_a_context_of_another_width_is_refused(kind, built, given):
    flow, x = getattr(zuko.flows, kind)(FEATURES, built), torch.randn(4, FEATURES)
    context = torch.randn(4, given) if given else None
    for call in (encode, decode):
        with refused(ValueError, f"that each layer of the flow was built with, {built}, got {given}"):
            call(flow, x, context)


def test_a_flow_that_changes_its_density_is_refused():
    class Changed(zuko.flows.MAF):
        def forward(self, c=None):
            return super().forward(c)

    with refused(TypeError, f"got {Changed.__qualname__} of {__name__}, which changes forward of Flow"):
        encode(Changed(FEATURES), torch.zeros(2, FEATURES))


# what zuko does on the way


def test_latents_that_no_point_of_the_searched_interval_has_are_said():
    """Of a new Gaussianization flow most are such; their points are an end of the interval, as in zuko."""
    flow = of_zuko("GF").double()
    z = torch.randn(200, FEATURES, dtype=torch.float64, generator=generator())
    with pytest.warns(UserWarning, match=r"latents must be those of data from -10 to 10.* of 200 that are not") as told:
        x = decode(flow, z)
    off = ((encode(flow, x) - z).abs() > 1e-2 * z.abs().clamp_min(1.0)).any(1)
    assert f"got {int(off.sum())} of 200" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        decode(flow, z[~off])


@pytest.mark.parametrize("name", ["zuko: UNAF", "zuko: NAF", "zuko: GF", "zuko: BPF", "zuko: SOSPF"])
def test_points_are_decoded_beyond_what_bisection_finds(name):
    flow, (x, _) = spread_flow(name), inputs_for(name, 20)
    z = encode(flow, x)
    theirs, ours = flow().transform.inv(z), decode(flow, z)
    assert float((theirs - x).abs().max()) > 1e-9
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale", "off", "trusted"), [(5.0, 9e-5, True), (-5.0, 9e-5, True), (-5.0, 2e-4, False)])
def test_a_step_is_trusted_by_its_length_among_points_whatever_the_slope(scale, off, trusted):
    transform = zuko.transforms.MonotonicAffineTransform(*torch.tensor([0.5, scale], dtype=torch.float64))
    x = torch.tensor([1.0], dtype=torch.float64)
    found = layers._refined(transform, x + off, transform(x))
    torch.testing.assert_close(found, x if trusted else x + off, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("name", ["zuko: UNAF", "zuko: NAF", "zuko: GF", "zuko: NSF"])
def test_the_decoder_has_the_derivatives_of_an_inverse(name):
    flow, (x, _) = spread_flow(name), inputs_for(name, 4)
    z = encode(flow, x).detach()
    inverse = -jacobian_logabsdet(lambda rows, _: (decode(flow, rows),), z)
    torch.testing.assert_close(inverse, encode_with_logabsdet(flow, x)[1], rtol=0, atol=1e-7)


def gradients(flow, value):
    found = torch.autograd.grad(value, list(flow.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def continuous(tolerance=1e-9):
    flow = zuko.flows.CNF(FEATURES, hidden_features=(8,), atol=tolerance, rtol=tolerance)
    return swap_base(flow, DegenerateGaussian([FEATURES])).double()


MODES = {name: lambda name=name: spread_flow(name) for name in ZUKO if "onditional" not in name}


@pytest.mark.parametrize("build", [*MODES.values(), continuous], ids=[*MODES, "CNF"])
def test_gradients_are_the_same_in_both_modes(build):
    flow, x = build(), torch.randn(6, FEATURES, dtype=torch.float64)
    found = []
    for training in (True, False):
        flow.train(training)
        z, logabsdet = encode_with_logabsdet(flow, x)
        found.append(gradients(flow, z.square().sum() + logabsdet.sum() + decode(flow, z.detach()).sum()))
        assert {part.training for part in flow.modules()} == {training}
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-8)
    assert found[0].abs().sum() > 0


@pytest.mark.parametrize("kind", ["UNAF", "SOSPF"])
def test_integrals_train_after_inference_mode(kind):
    """zuko keeps the nodes of its quadrature as tensors of the mode in which they were first asked for."""
    flow, x = swap_base(of_zuko(kind), DegenerateGaussian([FEATURES])), torch.randn(5, FEATURES)
    with torch.inference_mode():
        flow().log_prob(x)
        encode(flow, x)
    SpreadKLLoss(flow, data_noise=0.1)(x).backward()
    zuko.utils.GaussLegendre.nodes.cache_clear()


def test_a_continuous_flow_has_every_read_out():
    flow, x = continuous(1e-6), curve(12).double()
    base_of(flow).data_noise = 0.1
    z, logabsdet = encode_with_logabsdet(flow, x)
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-4)
    expected = jacobian_logabsdet(lambda rows, _: encode_with_logabsdet(flow, rows), x)
    torch.testing.assert_close(logabsdet, expected, rtol=0, atol=1e-3)
    assert intrinsic_dimension(flow, x, generator=generator()) in range(1, FEATURES + 1)
    with torch.inference_mode():  # by whole Jacobians, as the solver is differentiated once alone
        assert manifold_log_prob(flow, x, rank=2).isfinite().all()
    loss = fit(SpreadKLLoss(flow, data_noise=0.1), x, steps=2, batch_size=6, progress=False).losses[-1]
    assert loss == pytest.approx(loss)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda flow: pickle.loads(pickle.dumps(flow))])
def test_copies_of_a_flow_of_our_layers_are_the_same(clone):
    from nflows_spread import to_volume_preserving

    flow = to_volume_preserving(lazy_layers_of_zuko())
    x, context = torch.randn(5, FEATURES), torch.randn(5, CONTEXT)
    assert torch.equal(encode(clone(flow), x, context), encode(flow, x, context))
