"""A prior in pieces in the coordinates of a chart: moments turned by its maps, without the noise, and no flatter."""

import numpy as np
import pytest
import torch

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.chart import LatentMaps
from nflows_spread.chart.prior_pieces import prior_pieces

pytestmark = pytest.mark.usefixtures("float64")


def mixture():
    generator = torch.Generator().manual_seed(0)
    base = DegenerateGaussianMixture([3], 2, spread_variance=1e-12)
    roots = [torch.randn(3, 3, generator=generator).tril() for _ in range(2)]
    base.assign(torch.tensor([0.3, 0.7]), torch.randn(2, 3, generator=generator), roots)
    return base, roots


@pytest.mark.parametrize("noise", [0.0, 0.2, 5.0])
def test_each_piece_has_the_moments_of_its_coordinates_and_what_the_noise_leaves(noise):
    """By NumPy: eigenvalues less σ², at least 1e-10 of the largest, about the same axes."""
    base, roots = mixture()
    forth = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    maps = LatentMaps(torch.tensor([0.5, -1.0, 2.0]), forth, torch.linalg.pinv(forth))
    found = prior_pieces(base, maps, data_noise=noise)
    torch.testing.assert_close(found.weights, torch.tensor([0.3, 0.7]))
    for m, root in enumerate(roots):
        torch.testing.assert_close(found.means[m], (base.piece(m).mean() - maps.mean) @ forth)
        values, vectors = np.linalg.eigh((forth.mT @ root @ root.mT @ forth).numpy())
        left = np.maximum(values - noise**2, 1e-10 * values[-1])
        expected = torch.from_numpy(vectors @ np.diag(left) @ vectors.T)
        torch.testing.assert_close(found.covariances[m], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("base", [DegenerateGaussian([3]), DegenerateGaussianMixture([3], 1)], ids=["one", "a mixture"])
def test_one_piece_is_none(base):
    maps = LatentMaps(torch.zeros(3), torch.eye(3), torch.eye(3))
    assert prior_pieces(base, maps, data_noise=0.0) is None
