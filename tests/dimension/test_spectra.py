"""The spectrum of a flow, μ and Λ: known ones, other gauges of the latents, and its standard errors."""

import copy
import math
import warnings

import pytest
import torch
from nflows.distributions import DiagonalNormal, StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, IdentityTransform, Transform

from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, intrinsic_dimension, spectrum
from nflows_spread.models import coupling_flow
from support import assert_same_state, lower_triangular, randomize, refused
from swapped_flows import FEATURES, FLOWS, context_for, curve, swapped

pytestmark = pytest.mark.usefixtures("float64")
LARGE = 130  # beyond what gets many Jacobians
HUGE = 1030  # beyond what gets any


class LinearMap(Transform):
    """z ↦ M z, a change of gauge."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = matrix

    def forward(self, inputs, context=None):
        return inputs @ self.matrix.T, torch.linalg.slogdet(self.matrix).logabsdet.expand(len(inputs))


def seeded():
    return torch.Generator().manual_seed(2)


def identity_flow(features, base=None):
    return Flow(IdentityTransform(), DegenerateGaussian([features]) if base is None else base)


@pytest.mark.parametrize("base", [DegenerateGaussian, StandardNormal])
@pytest.mark.parametrize("features", [4, LARGE])
@pytest.mark.parametrize("volume_preserving", [True, False])
def test_signal_to_noise_does_not_depend_on_the_gauge_and_the_eigenvalues_do(features, volume_preserving, base):
    flow = coupling_flow(features, layers=2, volume_preserving=volume_preserving, base=base([features]))
    randomize(flow, 0.1)
    x = torch.randn(300, 3) @ torch.randn(3, features)
    stretch = torch.logspace(-2, 2, features)  # its determinant is 1
    rotation = torch.linalg.qr(torch.randn(features, features)).Q
    moved = Flow(CompositeTransform([flow._transform, LinearMap(stretch.diag() @ rotation)]), base_of(flow))
    before = spectrum(flow, x, data_noise=0.05, generator=seeded())
    after = spectrum(moved, x, data_noise=0.05, generator=seeded())
    torch.testing.assert_close(after.signal_to_noise, before.signal_to_noise, rtol=1e-7, atol=0)
    if base is DegenerateGaussian:  # what the optimum of A is in either gauge
        latents = (
            spectrum(each, x, data_noise=0.05).eigenvalues for each in (trained_base(flow, x), trained_base(moved, x))
        )
        assert not torch.allclose(*latents, rtol=0.1)


def trained_base(flow, x):
    """The flow with A at its optimum for its latents."""
    counterpart = copy.deepcopy(flow)
    z = counterpart.transform_to_noise(x + 0.05 * torch.randn_like(x)).detach()
    with torch.no_grad():
        covariance = z.T.cov() + 1e-9 * torch.eye(z.shape[1])
        counterpart._distribution.factor.entries.copy_(torch.linalg.cholesky(covariance))
    return counterpart


@pytest.mark.parametrize("features", [5, LARGE])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_linear_gaussian_data_under_the_identity_have_a_known_spectrum(features, rank):
    directions = torch.linalg.qr(torch.randn(features, rank)).Q * torch.tensor([3.0, 2.0, 1.5, 1.0])[:rank]
    x = torch.randn(5000, rank) @ directions.T
    found = spectrum(identity_flow(features), x, data_noise=0.1, generator=seeded()).signal_to_noise
    expected = torch.linalg.eigvalsh(x.T.cov() + 0.01 * torch.eye(features)).flip(0)
    tolerance = 0.1 if features == 5 else 0.75  # the eigenvalues of 130 × 130 sample matrices scatter so much
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)
    assert intrinsic_dimension(identity_flow(features), x, data_noise=0.1, generator=seeded()) == rank


def test_without_jacobians_noise_directions_hold_exactly_the_noise_and_the_others_the_data():
    x = torch.randn(5000, 2) @ (torch.linalg.qr(torch.randn(LARGE, 2)).Q * torch.tensor([3.0, 2.0])).T
    found = spectrum(identity_flow(LARGE), x, data_noise=0.1, jacobians=0, generator=seeded()).signal_to_noise
    expected = torch.linalg.eigvalsh(x.T.cov()).flip(0)
    torch.testing.assert_close(found[:2], expected[:2], rtol=0.1, atol=0)
    torch.testing.assert_close(found[2:], torch.full((LARGE - 2,), 0.01), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("number", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_number_of_jacobians_that_is_none_is_refused(number, error):
    with refused(error, "jacobians must be", f"got {number}"):
        spectrum(identity_flow(3), torch.randn(10, 3), data_noise=0.1, jacobians=number)


@pytest.mark.parametrize("features", [1, 2, 6])
def test_full_dimensional_data_give_the_ambient_dimension(features):
    x = torch.randn(1000, features)
    assert intrinsic_dimension(identity_flow(features), x, data_noise=0.05) == features


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_a_flat_manifold_is_read_without_data_noise_too(rank):
    x = torch.randn(1000, rank) @ torch.linalg.qr(torch.randn(5, 5)).Q[:rank]
    assert intrinsic_dimension(identity_flow(5), x, data_noise=0.0) == rank


def test_eigenvalues_are_those_of_the_base():
    base = DegenerateGaussian([4], spread_variance=2e-3)
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(4, 2, 1.0))
    found = spectrum(identity_flow(4, base), torch.randn(100, 4), data_noise=0.1)
    assert torch.equal(found.eigenvalues, base.eigenvalues)
    assert found.spread_variance == 2e-3
    standard = spectrum(identity_flow(4, StandardNormal([4])), torch.randn(100, 4), data_noise=0.1)
    assert torch.equal(standard.eigenvalues, torch.ones(4))
    assert standard.spread_variance == 0.0


def test_the_data_noise_is_what_the_base_was_trained_with_unless_given():
    flow, x = coupling_flow(2, layers=1), torch.randn(50, 2)
    with pytest.warns(UserWarning, match="0 is taken"):
        assert spectrum(flow, x).data_noise == 0.0
    SpreadKLLoss(flow, data_noise=0.3)(x)
    assert spectrum(flow, x).data_noise == 0.3
    assert spectrum(flow, x, data_noise=0.1).data_noise == 0.1


@pytest.mark.parametrize("name", FLOWS)
def test_the_spectrum_is_reproducible_and_changes_nothing(name):
    flow, x, context = randomize(swapped(name), 0.1), curve(60), context_for(name, 60)
    before = copy.deepcopy(flow.state_dict())
    first, second = (spectrum(flow, x, context=context, data_noise=0.1, generator=seeded()) for _ in range(2))
    assert torch.equal(first.signal_to_noise, second.signal_to_noise)
    assert first.signal_to_noise.dtype == first.eigenvalues.dtype == torch.float64
    assert (first.signal_to_noise.diff() <= 0).all()
    assert not first.signal_to_noise.requires_grad
    assert_same_state(flow.state_dict(), before)


def test_latents_and_data_of_image_shape_are_read():
    x = (torch.randn(400, 1) @ torch.randn(1, 12)).view(400, 3, 2, 2)
    flow = Flow(IdentityTransform(), DegenerateGaussian([3, 2, 2]))
    assert intrinsic_dimension(flow, x, data_noise=0.05) == 1


def test_the_result_carries_its_spectrum():
    found = intrinsic_dimension(identity_flow(3), curve(200), rule="gap", data_noise=0.1, generator=seeded())
    assert found.rule == "gap"
    assert found.spectrum.estimates["gap"] == found


def test_another_base_is_refused():
    with refused(TypeError, "must be a DegenerateGaussian or StandardNormal", "got DiagonalNormal"):
        spectrum(identity_flow(FEATURES, DiagonalNormal([FEATURES])), curve(10))


@pytest.mark.parametrize("features", [6, LARGE, HUGE])
def test_the_error_of_a_spectrum_is_what_it_varies_by(features):
    """Under the identity J is the same at every point, so that the error is that of a variance of Gaussian points."""
    x = 2.0 * torch.randn(500, features, generator=seeded())
    found = spectrum(identity_flow(features), x, data_noise=0.1, generator=seeded())
    assert found.errors.shape == (features,)
    of_the_response = 2.0 / (2 * features) if features == HUGE else 0.0
    expected = math.sqrt(2.0 / len(x) + of_the_response)
    signal = found.errors[:200]  # the points fill no more than 500 directions
    assert float(signal.median()) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("features", [4, LARGE])
def test_the_error_is_that_of_a_bootstrap_over_points_for_heavy_tails_too(features):
    scale = torch.ones(features).index_copy(0, torch.arange(2), torch.tensor([20.0, 5.0]))
    x = scale * torch.distributions.StudentT(5.0).sample((400, features))
    flow = identity_flow(features)
    resamples = torch.stack(
        [
            spectrum(flow, x[torch.randint(400, (400,))], data_noise=0.01, jacobians=1).signal_to_noise[:2].log()
            for _ in range(200)
        ]
    )
    found = spectrum(flow, x, data_noise=0.01, generator=seeded()).errors[:2]
    torch.testing.assert_close(found, resamples.std(0), rtol=0.3, atol=0.0)
    gaussian = math.sqrt(2.0 / len(x))
    assert float(found.mean()) > 1.3 * gaussian


def test_beyond_a_thousand_features_the_mean_response_still_finds_the_directions_above_the_noise():
    x = torch.zeros(2000, HUGE)
    x[:, :7] = 3.0 * torch.randn(2000, 7, generator=seeded())
    found = intrinsic_dimension(identity_flow(HUGE), x, data_noise=0.1, generator=seeded())
    assert int(found) == 7
    assert found.interval == (7, 7)
    noise = found.spectrum.signal_to_noise[7:]
    torch.testing.assert_close(noise, torch.full_like(noise, 0.01), rtol=1e-6, atol=0.0)
    assert float(found.spectrum.errors[7:].max()) < 1e-6


@pytest.mark.parametrize("features", [HUGE, pytest.param(3072, marks=pytest.mark.slow)])
def test_a_colour_image_takes_a_bounded_number_of_passes(features):
    flow = coupling_flow(features, layers=2, hidden_features=(16,), volume_preserving=False).float()
    passed: list[int] = []
    flow._transform.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    plane = torch.randn(20, features, generator=seeded(), dtype=torch.float32) / math.sqrt(features)
    x = torch.randn(500, 20, generator=seeded(), dtype=torch.float32) @ plane
    found = intrinsic_dimension(flow, x, data_noise=0.01, generator=seeded())
    assert int(found) == 20
    # each row and its mirror image, twice D of them; 2048 for the errors; 4 in each precision to see which it takes
    assert sum(passed) <= 4 * features + 4097 + 16
    assert max(passed) * features <= 2**20


def test_a_context_of_another_length_is_refused():
    with refused(ValueError, "context must have one row for each of the 50 inputs, or one for all, got 49 rows"):
        spectrum(identity_flow(4), curve(50), context=torch.zeros(49, 2), data_noise=0.1)


def test_one_point_is_no_spectrum():
    with refused(ValueError, "x must have at least two rows, got (1, 4)"):
        spectrum(identity_flow(4), torch.zeros(1, 4))


@pytest.mark.parametrize("rows", [2, 49, 50])
def test_a_dimension_of_too_few_rows_comes_with_a_warning(rows):
    flow = coupling_flow(3, layers=2)
    flow._distribution.data_noise = 0.1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        intrinsic_dimension(flow.eval(), torch.randn(rows, 3, generator=torch.Generator().manual_seed(0)))
    said = [str(each.message) for each in caught if "rows for a dimension to rely on" in str(each.message)]
    assert len(said) == (rows < 50)
    assert all(f"got {rows}, which span {rows - 1} dimensions at most" in each for each in said)
