"""Eigenvalues and eigenvectors of covariances, largest first, with fixed signs, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread.linalg.moments import second_moment_of
from nflows_spread.linalg.torch_func import under_transforms


def factor_eigh(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues Λ (D,) and eigenvectors E (D, D, in columns) of AAᵀ, in descending order, float64."""
    a = factor.double()
    return eigh_descending(a @ a.mT)


def eigh_descending(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a positive semi-definite matrix, largest first, in float64.

    Negative eigenvalues are rounding errors and become 0. The sign of each eigenvector, which the
    decomposition leaves open, is fixed so that its entry of largest magnitude is positive.

    Raises:
        ValueError: the matrix has NaN or infinity.
    """
    values, vectors = torch.linalg.eigh(decomposable(covariance).double())
    return values.flip(0).clamp_min(0.0), with_fixed_signs(vectors.flip(1))


def eigenvalues_descending(covariance: Tensor) -> Tensor:
    """The eigenvalues of ``eigh_descending`` alone, at a fifth of its cost for thousands of features."""
    return torch.linalg.eigvalsh(decomposable(covariance).double()).flip(0).clamp_min(0.0)


def decomposable(matrix: Tensor) -> Tensor:
    """The matrix, if it is finite: of NaN LAPACK makes an error that names no cause, or numbers without a meaning.

    Raises:
        ValueError: it has NaN or infinity.
    """
    unread = torch.compiler.is_compiling() or matrix.is_meta or under_transforms(matrix)
    if unread or math.isfinite(float(matrix.detach().sum())):
        return matrix
    bad = ~torch.isfinite(matrix)
    if bool(bad.any()):
        raise ValueError(
            f"a covariance must be finite to be decomposed, got NaN or infinity in {int(bad.sum())} of "
            f"{matrix.numel()} entries; train the model again, with a lower learning rate or with gradient_clip"
        )
    return matrix


def with_fixed_signs(vectors: Tensor) -> Tensor:
    """The columns, each with the sign that makes its entry of largest magnitude positive."""
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors.dtype)


def positive_root(covariance: Tensor) -> Tensor:
    """E √Λ₊, (D, D) in float64: a root of a symmetric matrix after its negative eigenvalues became 0."""
    values, vectors = eigh_descending(covariance)
    return vectors * values.sqrt()


def principal_axes(x: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The first K principal axes of rows about 0, (D, K), and the standard deviation along each, (K,), float64."""
    if len(x) < x.shape[1]:  # the singular vectors of few rows cost less than eigenvectors in many features
        _, scale, axes = torch.linalg.svd(x.double(), full_matrices=False)
        return with_fixed_signs(axes[:rank].mT), scale[:rank] / len(x) ** 0.5
    values, axes = eigh_descending(second_moment_of(x))
    return axes[:, :rank], values[:rank].sqrt()
