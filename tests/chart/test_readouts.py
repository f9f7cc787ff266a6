"""Read-outs: projection to K coordinates, reconstruction, samples and density of every flow, against their formulas."""

import numpy as np
import pytest
import scipy.stats
import torch
from nflows.distributions import Distribution, StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform

from nflows_spread import (
    DegenerateGaussian,
    base_of,
    decode,
    encode,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
)
from nflows_spread.models import coupling_flow
from nflows_spread.transforms import CheckerboardSqueeze, MeanCentredAffineCouplingTransform, VolumePreservingLULinear
from support import lower_triangular, randomize, refused
from swapped_flows import FEATURES, FLOWS, context_for, swapped
from transform_contract import PIXELS

pytestmark = pytest.mark.usefixtures("float64")


def image_flow():
    """Latents of shape (4, 2, 2), and a prior with a mean."""
    couplings = [MeanCentredAffineCouplingTransform(mask, PIXELS) for mask in ([0, 0, 1, 1], [1, 1, 0, 0])]
    base = DegenerateGaussian([4, 2, 2], learn_mean=True)
    return Flow(CompositeTransform([CheckerboardSqueeze(), *couplings]), base)


@pytest.fixture(params=[*FLOWS, "images"])
def case(request):
    """A flow with random parameters and a random factor, data, and context."""
    name = request.param
    flow = randomize(image_flow() if name == "images" else swapped(name), 0.1)
    base = base_of(flow)
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(base.features, base.features, 1.0))
    x = torch.randn(7, 1, 4, 4) if name == "images" else torch.randn(7, FEATURES)
    return flow, x, context_for(name, 7)


def eigh(base):
    """numpy's eigenvalues and eigenvectors of AAᵀ, descending; the signs of the vectors are arbitrary."""
    factor = base.factor.entries.detach().numpy()
    values, vectors = np.linalg.eigh(np.tril(factor) @ np.tril(factor).T)
    return torch.from_numpy(values[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy())


def centred_latents(flow, x, context):
    mean = base_of(flow).mean()
    return (encode(flow, x, context) - mean).flatten(1).detach(), mean.detach()


RANKS = [1, 2, 3]


@pytest.mark.parametrize("rank", RANKS)
def test_coordinates_are_the_latents_along_the_leading_eigenvectors(case, rank):
    flow, x, context = case
    rows, _ = centred_latents(flow, x, context)
    coordinates = project(flow, x, rank=rank, context=context, order="eigenvalue").detach()
    assert coordinates.shape == (7, rank)
    torch.testing.assert_close(coordinates.abs(), (rows @ eigh(base_of(flow))[1][:, :rank]).abs())


def test_autocast_rounds_neither_prior_nor_read_outs():
    flow = randomize(Flow(VolumePreservingLULinear(5), DegenerateGaussian([5]))).float()  # without a net to round
    base, x = base_of(flow), torch.randn(7, 5, dtype=torch.float32)
    for read_out in (
        lambda: base.sample(5, generator=torch.Generator().manual_seed(0)),
        lambda: base.covariance,
        lambda: base.log_prob(x),
        lambda: sample(flow, 5, rank=2, generator=torch.Generator().manual_seed(0), order="eigenvalue"),
        lambda: project(flow, x, rank=2, order="eigenvalue"),
        lambda: reconstruct(flow, x, rank=2, order="eigenvalue"),
        lambda: manifold_log_prob(flow, x, rank=2, order="eigenvalue"),
    ):
        expected = read_out()
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(read_out(), expected)


@pytest.mark.parametrize("rank", RANKS)
def test_reconstructions_are_decoded_projections(case, rank):
    flow, x, context = case
    rows, mean = centred_latents(flow, x, context)
    leading = eigh(base_of(flow))[1][:, :rank]
    expected = decode(flow, (rows @ leading @ leading.T).view(7, *mean.shape) + mean, context)
    torch.testing.assert_close(reconstruct(flow, x, rank=rank, context=context, order="eigenvalue"), expected)


def test_a_reconstruction_of_full_rank_is_the_data(case):
    flow, x, context = case
    full = reconstruct(flow, x, rank=base_of(flow).features, context=context, order="eigenvalue")
    torch.testing.assert_close(full, x, rtol=0, atol=1e-8)


def test_a_reconstruction_of_a_reconstruction_is_itself(case):
    flow, x, context = case
    once = reconstruct(flow, x, rank=2, context=context, order="eigenvalue")
    torch.testing.assert_close(
        reconstruct(flow, once, rank=2, context=context, order="eigenvalue"), once, rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("rank", RANKS)
def test_the_density_is_scipys_of_the_projected_prior(case, rank):
    flow, x, context = case
    values, vectors = eigh(base_of(flow))
    coordinates = centred_latents(flow, x, context)[0] @ vectors[:, :rank]
    prior = scipy.stats.multivariate_normal(np.zeros(rank), values[:rank].diag().numpy())
    found = manifold_log_prob(flow, x, rank=rank, context=context, order="eigenvalue").detach()
    np.testing.assert_allclose(found.numpy(), prior.logpdf(coordinates.numpy()).reshape(7), rtol=1e-9)


@pytest.mark.parametrize("rank", RANKS)
def test_samples_are_decoded_samples_of_the_projected_prior(case, rank):
    flow, x, context = case
    drawn, latents = (torch.Generator().manual_seed(4) for _ in range(2))
    samples = sample(flow, 7, rank=rank, context=context, generator=drawn, order="eigenvalue")
    expected = decode(flow, base_of(flow).sample(7, rank=rank, generator=latents), context)
    assert samples.shape == x.shape
    assert torch.equal(samples, expected)


def test_samples_lie_on_the_manifold(case):
    """They are their own reconstructions."""
    flow, _, context = case
    samples = sample(flow, 7, rank=2, context=context, order="eigenvalue")
    again = reconstruct(flow, samples, rank=2, context=context, order="eigenvalue")
    torch.testing.assert_close(again, samples, rtol=0, atol=1e-7)


def test_float32_stays_float32():
    flow, x = coupling_flow(3, layers=2).float(), torch.randn(4, 3, dtype=torch.float32)
    results = [
        sample(flow, 4, rank=2, order="eigenvalue"),
        *(f(flow, x, rank=2) for f in (project, reconstruct, manifold_log_prob)),
    ]
    assert {result.dtype for result in results} == {torch.float32}


def test_read_outs_can_be_differentiated():
    flow, x = coupling_flow(3, layers=2), torch.randn(4, 3, requires_grad=True)
    assert torch.autograd.grad(reconstruct(flow, x, rank=2, order="eigenvalue").square().sum(), x)[0].abs().sum() > 0


def test_a_rank_above_that_of_the_prior_has_no_density():
    flow = coupling_flow(3, layers=1)
    with torch.no_grad():
        base_of(flow).factor.entries.copy_(torch.diag(torch.tensor([1.0, 2.0, 0.0])))
    with refused(ValueError, "rank must be at most 2, the number of coordinates that vary under the prior", "got 3"):
        manifold_log_prob(flow, torch.randn(4, 3), rank=3, order="eigenvalue")


def test_a_standard_gaussian_has_no_leading_directions_of_its_own():
    flow, x = coupling_flow(3, layers=1, base=StandardNormal([3])), torch.randn(4, 3)
    calls = [lambda f=f: f(flow, x, rank=2, order="eigenvalue") for f in (project, reconstruct, manifold_log_prob)]
    for call in [*calls, lambda: sample(flow, 4, rank=2, order="eigenvalue")]:
        with refused(ValueError, "order 'eigenvalue' needs data, got none", "pass x to chart_of"):
            call()
    base_less = coupling_flow(3, layers=1, base=Uniform())
    with refused(TypeError, "must be a DegenerateGaussian or StandardNormal", "got Uniform"):
        project(base_less, x, rank=2)


class Uniform(Distribution):
    """No Gaussian."""
