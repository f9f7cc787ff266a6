"""Scikit-learn's Gaussian mixture on principal components of images: what a model of images without a flow draws."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-3
"""What scikit-learn adds to the variances, in units of pixels squared: a choice, a hundredth of the least of 64
components of MNIST."""


def mixture_samples(x: Tensor, count: int, *, components: int, pieces: int, seed: int) -> Tensor:
    """Samples (count, D) of a mixture of full covariances, fitted to the principal components of rows (n, D)."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    rotation = PCA(components, random_state=seed).fit(x.numpy())
    mixture = GaussianMixture(pieces, reg_covar=_LEAST_VARIANCE, random_state=seed).fit(rotation.transform(x.numpy()))
    covariances = mixture.covariances_.astype("float64")  # of rows in float32 they are symmetric up to rounding only
    mixture.covariances_ = (covariances + covariances.swapaxes(1, 2)) / 2.0
    drawn = rotation.inverse_transform(mixture.sample(count)[0])
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))  # they come piece by piece
    return torch.from_numpy(drawn).to(x.dtype)[order]
