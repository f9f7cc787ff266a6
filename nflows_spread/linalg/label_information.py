"""What coordinates tell of labels, in nats: cross-validated log-loss of quadratic discriminant analysis.

Directions are ordered by how far the labels' Gaussians differ along them, and the information of the first k of them is
H(c) + E log p(c | y₁ … y_k), with p(c | y) from a Gaussian for each label: where the rows of a label are Gaussian, the
mutual information. All of it is the same under any invertible affine map of the rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.label_moments import divergence_by_label, moments_by_label, whitened_rows
from nflows_spread.linalg.moments import add_to_diagonal

FOLDS = 5
"""Of the cross-validation: a choice, the usual one."""

_LEAST_VARIANCE = 1e-8
"""Added to a label's variances, over those of all rows, so that a label may be constant in a direction: a choice."""

_ROWS_AT_ONCE = 2048
"""Held-out rows that are looked at together: a choice, for memory."""


def directions_by_label(rows: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """How far labels differ along each direction, in descending order (D,), the mean (D,), and directions W, (D, D).

    The coordinates (z − m) W have mean 0 and covariance I. Each points to where that label lies whose mean is farthest.

    Args:
        rows: z, (n, D), more than D of them.
        labels: whole numbers 0 … C − 1, (n,), each of which there is.
        count: C.

    Raises:
        ValueError: the rows lie in fewer than D dimensions.
    """
    whitened, mean, back = whitened_rows(rows)
    values, vectors = torch.linalg.eigh(divergence_by_label(whitened, labels, count))
    values, vectors = values.flip(0), vectors.flip(1)
    means = moments_by_label(whitened @ vectors, labels, count)[0]
    farthest = means.gather(0, means.abs().argmax(0, keepdim=True))
    return values, mean, back @ vectors * torch.where(farthest < 0.0, -1.0, 1.0)


def held_out_log_losses(rows: Tensor, labels: Tensor, count: int, *, generator: torch.Generator | None) -> Tensor:
    """−log p(c | y₁ … y_k) of each row for k = 0 … D, (n, D + 1), by all the others but those of its fold.

    Args:
        rows: z, (n, D).
        labels: whole numbers 0 … C − 1, (n,), of each at least 5/4 (D + 1).
        count: C.
        generator: source of the folds, which have all labels in the same shares.
    """
    rows, losses = rows.double(), rows.new_empty(len(rows), rows.shape[1] + 1, dtype=torch.float64)
    order = torch.randperm(len(rows), generator=generator, device=rows.device)
    order = order[labels[order].argsort(stable=True)]
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(rows), device=rows.device) % FOLDS
    for number in range(FOLDS):
        kept, held_out = (fold != number).nonzero().flatten(), (fold == number).nonzero().flatten()
        _, mean, directions = directions_by_label(rows[kept], labels[kept], count)
        means, covariances = moments_by_label((rows[kept] - mean) @ directions, labels[kept], count)
        roots = torch.linalg.cholesky(torch.stack([add_to_diagonal(each, _LEAST_VARIANCE) for each in covariances]))
        priors = (torch.bincount(labels[kept], minlength=count).double() / len(kept)).log()
        for some in held_out.split(_ROWS_AT_ONCE):
            coordinates = (rows[some] - mean) @ directions
            losses[some] = _log_losses(coordinates, labels[some], priors, means, roots)
    return losses


def _log_losses(coordinates: Tensor, labels: Tensor, priors: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """Of rows (m, D), (m, D + 1): the leading block of a Cholesky factor is that of the leading coordinates."""
    offsets = (coordinates - means.unsqueeze(1)).mT
    scores = torch.linalg.solve_triangular(roots, offsets, upper=False)
    logs = roots.diagonal(dim1=1, dim2=2).log().unsqueeze(2)
    joint = torch.nn.functional.pad(-(0.5 * scores.square() + logs).cumsum(1), (0, 0, 1, 0)) + priors.view(-1, 1, 1)
    of_label = joint.gather(0, labels.expand(1, joint.shape[1], -1)).squeeze(0)
    return (joint.logsumexp(0) - of_label).mT
