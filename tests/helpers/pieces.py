"""A flow that does nothing and its prior of pieces that are known, with data drawn from them."""

import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread import DegenerateGaussianMixture

NOISE = 0.01


def known_pieces(transform=None, *, rows=300, seed=0, spread_variance=1e-6):
    """A plane, a line, and a point of the noise's size in four dimensions, far apart; data and labels, float64."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.tensor([[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]], dtype=torch.float64)
    roots = torch.zeros(3, 4, 4, dtype=torch.float64)
    roots[0, 0, 0], roots[0, 1, 1], roots[1, 2, 2] = 1.0, 0.6, 0.8
    roots[1] = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q @ roots[1]
    labels = torch.arange(3 * rows) % 3
    drawn = torch.randn(3 * rows, 4, 1, generator=generator, dtype=torch.float64)
    x = means[labels] + (roots[labels] @ drawn).squeeze(2)
    base = DegenerateGaussianMixture([4], 3, spread_variance=spread_variance).double()
    within = NOISE * torch.eye(4, dtype=torch.float64)
    noisy = torch.stack([torch.linalg.cholesky(root @ root.mT + within @ within) for root in roots])
    base.assign(torch.tensor([3.0, 3.0, 3.0]), means, noisy)
    base.data_noise = NOISE
    return Flow(IdentityTransform() if transform is None else transform, base).eval(), x, labels
