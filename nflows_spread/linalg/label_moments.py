"""What differs among the Gaussians of labelled rows: means and covariances by label in whitened coordinates, float64.

A second-order form of the divergence of each label's Gaussian from that of all rows: its eigenvalues join those of
sliced inverse regression (Li, 1991) and of sliced average variance estimation (Cook and Weisberg, 1991).
"""

from __future__ import annotations

import torch
from torch import Tensor


def whitened_rows(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows y = (z − m) W of mean 0 and covariance I, (n, D), with m (D,) and W (D, D), in float64.

    By a QR decomposition of the rows in units of their columns' scales, so that the covariance, whose condition number
    is the square of theirs, is never formed.

    Args:
        rows: z, (n, D), more than D of them.

    Raises:
        ValueError: the rows lie in fewer dimensions.
    """
    rows = rows.double()
    mean = rows[0] + (rows - rows[0]).mean(0)  # so that a large offset costs no digits
    centred = rows - mean
    scale = centred.square().mean(0).sqrt()
    orthogonal, root = torch.linalg.qr(centred / scale.clamp_min(torch.finfo(torch.float64).tiny))
    sizes = root.diagonal().abs()
    if not float(sizes.min()) > len(rows) * torch.finfo(torch.float64).eps * float(sizes.max()):
        raise ValueError(
            f"latents must fill all {rows.shape[1]} dimensions, got {len(rows)} rows in fewer; set data_noise, the σ_x "
            f"that the flow was trained with, or pass more rows"
        )
    back = torch.linalg.solve_triangular(root, torch.eye(len(root), dtype=root.dtype, device=root.device), upper=True)
    return orthogonal * len(rows) ** 0.5, mean, back / scale.unsqueeze(1) * len(rows) ** 0.5


def moments_by_label(rows: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Means (C, D) and covariances (C, D, D) of rows (n, D) by labels 0 … C − 1, (n,), each of which has rows."""
    parts = rows[labels.argsort(stable=True)].split(torch.bincount(labels, minlength=count).tolist())
    means = torch.stack([part.mean(0) for part in parts])
    covariances = [(part - mean).mT @ (part - mean) / len(part) for part, mean in zip(parts, means, strict=True)]
    return means, torch.stack(covariances)


def divergence_by_label(rows: Tensor, labels: Tensor, count: int) -> Tensor:
    """Σ_c w_c (d_c d_cᵀ + ½ (V_c − I)²), (D, D), of whitened rows; label c has a share w_c, mean d_c, covariance V_c.

    Along a unit vector v it is the divergence of label c from all rows, d² + ½ (v − 1)² in the mean over labels: twice
    ½ (d² + v − 1 − log v), the Kullback-Leibler divergence of N(d, v) from N(0, 1), to second order. In directions in
    which all labels have one mean and one covariance, and none with the others, it is 0.
    """
    weights = torch.bincount(labels, minlength=count).to(rows) / len(rows)
    means, covariances = moments_by_label(rows, labels, count)
    excess = covariances - torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    by_mean = (means * weights.unsqueeze(1)).mT @ means
    return by_mean + 0.5 * torch.einsum("c,cij,cjk->ik", weights, excess, excess)
