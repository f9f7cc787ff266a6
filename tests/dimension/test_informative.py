"""In how many latent directions labels differ: known mixtures, other gauges, hosts, labels without meaning, errors."""

import copy
import math
import pickle

import pytest
import torch
from nflows.distributions import ConditionalDiagonalNormal, StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform, Transform

from gauges import Gauge
from host_models import MODELS, spread_flow
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, decode, encode, informative_dimensions
from support import refused

pytestmark = pytest.mark.usefixtures("float64")

LABELS = 4
MEANS = torch.tensor([[0.0, 0.0], [4.0, 0.5], [-3.0, 1.0], [0.5, -1.0]], dtype=torch.float64)
SCALES = torch.tensor([[1.0, 0.3], [0.6, 1.5], [2.0, 0.8], [1.0, 2.5]], dtype=torch.float64)
CONDITIONAL = [name for name, model in MODELS.items() if model.context is not None and len(model.shape) == 1]
UNCONDITIONAL = [name for name, model in MODELS.items() if model.context is None and len(model.shape) == 1]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(rows, features, informative=2, *, seed=0):
    """Latents (n, D) of which the first differ by label, and labels."""
    generator = seeded(seed)
    labels = torch.randint(LABELS, (rows,), generator=generator)
    z = torch.randn(rows, features, dtype=torch.float64, generator=generator)
    z[:, :informative] = (MEANS[labels] + SCALES[labels] * z[:, :2])[:, :informative]
    return z, labels


def identity_flow(features, base=None):
    return Flow(IdentityTransform(), StandardNormal([features]) if base is None else base)


def in_a_gauge(features, *, seed=1):
    """The identity, and then a linear map of condition 10⁴."""
    generator = seeded(seed)
    turns = (torch.linalg.qr(torch.randn(features, features, generator=generator)).Q for _ in range(2))
    first, second = turns
    matrix = first @ torch.logspace(-2, 2, features).diag() @ second
    return Flow(Gauge(IdentityTransform(), matrix), StandardNormal([features])), matrix


@pytest.mark.parametrize("informative", [1, 2])
def test_the_information_of_known_gaussians_is_that_of_their_own_posterior(informative):
    """scipy's densities of the true means and covariances, on the same rows."""
    normal = pytest.importorskip("scipy.stats").norm
    x, labels = mixture(20_000, 6, informative)
    flow, _ = in_a_gauge(6)
    found = informative_dimensions(flow, x, labels, data_noise=0.0, generator=seeded())
    assert found == informative
    assert found.interval == (informative, informative)
    assert found.gap > math.log(4.0)
    each = normal(MEANS[:, :informative], SCALES[:, :informative]).logpdf(x[:, None, :informative])
    log_posterior = torch.as_tensor(each).sum(2).log_softmax(1)[torch.arange(len(x)), labels]
    true = math.log(LABELS) + float(log_posterior.mean())
    assert float(found.information[informative]) == pytest.approx(true, abs=0.01)
    assert float(found.information[0]) == pytest.approx(0.0, abs=0.002)
    assert found.error == pytest.approx(float(log_posterior.std()) / len(x) ** 0.5, rel=0.1)
    assert float(found.divergences[informative - 1]) > 0.1
    assert float(found.divergences[informative]) < 0.01


def test_the_coordinates_are_the_directions_that_differ_with_unit_covariance():
    x, labels = mixture(20_000, 6)
    flow, _ = in_a_gauge(6)
    coordinates = informative_dimensions(flow, x, labels, data_noise=0.0).coordinates(flow, x)
    assert coordinates.shape == (20_000, 2)
    assert coordinates.dtype == x.dtype
    torch.testing.assert_close(coordinates.T.cov(), torch.eye(2), rtol=0, atol=1e-3)
    explained = torch.linalg.lstsq(torch.cat([x[:, :2], torch.ones(len(x), 1)], 1), coordinates).solution
    assert float((coordinates - x[:, :2] @ explained[:2] - explained[2]).square().mean()) < 5e-3


@pytest.mark.parametrize("seed", range(3))
def test_no_linear_gauge_of_the_latents_changes_anything(seed):
    x, labels = mixture(1500, 5, seed=seed)
    plain, (moved, _) = identity_flow(5), in_a_gauge(5, seed=seed)
    before, after = (informative_dimensions(f, x, labels, data_noise=0.1, generator=seeded()) for f in (plain, moved))
    assert before == after == 2
    assert before.interval == after.interval
    torch.testing.assert_close(after.information, before.information, rtol=0, atol=1e-8)
    torch.testing.assert_close(after.divergences, before.divergences, rtol=1e-8, atol=1e-10)
    coordinates = before.coordinates(plain, x)
    torch.testing.assert_close(after.coordinates(moved, x), coordinates, rtol=0, atol=1e-8)


def test_a_direction_counts_beside_one_that_tells_almost_all():
    """Means three standard deviations apart in the first, variances in the second: 3 % of the information."""
    generator = seeded()
    labels = torch.randint(3, (4000,), generator=generator)
    x = torch.randn(4000, 4, generator=generator)
    x[:, 0] += 3.0 * labels
    x[:, 1] *= 1.0 + labels
    found = informative_dimensions(identity_flow(4), x, labels, data_noise=0.0, generator=seeded())
    assert found == 2
    assert float(found.information[2] - found.information[1]) < 0.05 * float(found.information[2])


def test_labels_without_meaning_say_that_nothing_is_informative():
    """The rate of false alarms, over sets of several sizes and heavy tails; 0 of 60 as this is written."""
    flow, wrong = identity_flow(4), 0
    for seed in range(60):
        generator = seeded(seed)
        x = torch.randn(100 + 10 * seed, 4, generator=generator)
        x[:, 0] = x[:, 0] ** 3
        labels = torch.randint(2 + seed % 3, (len(x),), generator=generator)
        wrong += informative_dimensions(flow, x, labels, data_noise=0.0, generator=generator) > 0
    assert wrong <= 2


def test_permuted_labels_say_so_too():
    x, labels = mixture(2000, 5)
    found = informative_dimensions(
        identity_flow(5), x, labels[torch.randperm(2000, generator=seeded())], data_noise=0.0
    )
    assert found == 0
    assert found.gap == math.inf
    assert found.coordinates(identity_flow(5), x).shape == (2000, 0)


@pytest.mark.parametrize("name", UNCONDITIONAL)
def test_every_host_tells_the_directions_of_its_own_latents(name):
    flow = spread_flow(name)
    z, labels = mixture(1200, 3, 1)
    with torch.no_grad():
        x = decode(flow, 0.2 * z)
    assert informative_dimensions(flow, x, labels, data_noise=0.0, generator=seeded()) == 1


@pytest.mark.parametrize("name", CONDITIONAL)
def test_every_host_reads_a_transform_that_sees_the_label_in_the_latents_of_one_of_them(name):
    """Rows of all labels are those of one flow without context: the transform at the context of the commonest label."""
    flow = spread_flow(name)
    z, labels = mixture(1200, 3, 1)
    each = torch.randn(LABELS, MODELS[name].context, generator=seeded(), dtype=torch.float64)
    commonest = each[labels.bincount().argmax()]
    with torch.no_grad():
        x = decode(flow, 0.2 * z, commonest.expand(len(z), -1))
    found = informative_dimensions(flow, x, labels, context=each[labels], data_noise=0.0, generator=seeded())
    assert found == 1
    torch.testing.assert_close(found.context, commonest.unsqueeze(0))
    assert found.coordinates(flow, x[:7]).shape == (7, 1)


def test_a_base_that_sees_the_label_needs_its_context_and_is_read_as_any_other():
    x, labels = mixture(1500, 4)
    context = torch.nn.functional.one_hot(labels, LABELS).double()
    flow = Flow(IdentityTransform(), ConditionalDiagonalNormal([4], context_encoder=torch.nn.Linear(LABELS, 8)))
    found = informative_dimensions(flow, x, labels, context=context, data_noise=0.0, generator=seeded())
    assert found == 2
    assert found.context is None
    plain = informative_dimensions(identity_flow(4), x, labels, data_noise=0.0, generator=seeded())
    assert torch.equal(found.information, plain.information)


class AffineByLabel(Transform):
    """z = (x − m_c) / s_c in the first two coordinates, so that each label's latents are N(0, I)."""

    def forward(self, inputs, context=None):
        z = inputs.clone()
        z[:, :2] = (inputs[:, :2] - context @ MEANS) / (context @ SCALES)
        return z, -(context @ SCALES.log()).sum(1)

    def inverse(self, inputs, context=None):
        x = inputs.clone()
        x[:, :2] = inputs[:, :2] * (context @ SCALES) + context @ MEANS
        return x, (context @ SCALES.log()).sum(1)


def test_a_transform_that_sees_the_label_is_read_by_one_of_them_for_all_rows():
    x, labels = mixture(3000, 4)
    context = torch.nn.functional.one_hot(labels, LABELS).double()
    flow = Flow(AffineByLabel(), StandardNormal([4]))
    found = informative_dimensions(flow, x, labels, context=context, data_noise=0.0, generator=seeded())
    plain = informative_dimensions(identity_flow(4), x, labels, data_noise=0.0, generator=seeded())
    assert found == 2  # its own latents have one distribution for all labels
    torch.testing.assert_close(found.information, plain.information, rtol=0, atol=1e-8)
    coordinates = plain.coordinates(identity_flow(4), x)
    torch.testing.assert_close(found.coordinates(flow, x), coordinates, rtol=0, atol=1e-8)
    own = informative_dimensions(identity_flow(4), encode(flow, x, context), labels, data_noise=0.0)
    assert own == 0
    context[labels == 1] *= torch.linspace(0.9, 1.1, int((labels == 1).sum())).unsqueeze(1)
    with refused(ValueError, "context must be the same for all rows of a label", "ask again at another"):
        informative_dimensions(flow, x, labels, context=context, data_noise=0.0)


def test_a_prior_in_pieces_and_float32_are_read_too_and_noise_is_that_of_the_base():
    x, labels = mixture(2000, 4)
    base = DegenerateGaussianMixture([4], LABELS)
    base.data_noise = 0.1
    flow = identity_flow(4, base).float()
    names = [f"label {label}" for label in labels.tolist()]
    found = informative_dimensions(flow, x.float(), names, generator=seeded())
    assert found == 2
    assert found.coordinates(flow, x.float()).dtype == torch.float32


def test_data_on_a_manifold_is_read_under_the_noise_of_training():
    """The label says where on a line of the plane a point is; across it there is nothing without noise."""
    t, labels = mixture(2000, 1, 1)
    x = torch.cat([t, 2.0 * t], 1)
    flow = identity_flow(2, DegenerateGaussian([2]))
    assert informative_dimensions(flow, x, labels, data_noise=0.05, generator=seeded()) == 1
    with refused(ValueError, "latents must fill all 2 dimensions, got 2000 rows in fewer", "set data_noise"):
        informative_dimensions(flow, x, labels, data_noise=0.0)


def test_it_is_a_number_that_can_be_copied_and_pickled():
    x, labels = mixture(1000, 3)
    flow = identity_flow(3)
    found = informative_dimensions(flow, x, labels, data_noise=0.0)
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found + 0 == 2
        assert repr(other) == repr(found)
        assert other.interval == found.interval
        assert torch.equal(other.coordinates(flow, x), found.coordinates(flow, x))
    assert repr(found).startswith("InformativeDimensions(2, information=")


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (torch.zeros(100, dtype=torch.long), ValueError, ["labels must differ, got 100 times 0", "rows of two labels"]),
        (torch.arange(99), ValueError, ["labels must have one entry for each of the 100 rows of x, got 99"]),
        (torch.rand(100), TypeError, ["labels must be whole numbers or names", "got entries of type float", "bins of"]),
        (torch.eye(100), TypeError, ["got entries of type list", "pass labels.argmax(1)"]),
        (["a"] * 96 + ["b"] * 4, ValueError, ["at least 5 rows, 5/4 (D + 1) at D = 3", "got 4 of 'b'", "pass more"]),
    ],
)
def test_labels_that_cannot_be_are_refused(labels, kind, words):
    with refused(kind, *words):
        informative_dimensions(identity_flow(3), torch.randn(100, 3), labels, data_noise=0.0)
