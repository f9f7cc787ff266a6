"""The largest eigenvalue of a symmetric matrix by a few steps of Lanczos' method, from below."""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 8
"""Of Lanczos' method: a choice, by which 192 features find the largest of evenly spaced eigenvalues to 2 %."""

_NOTHING_LEFT = {torch.float32: 1e-5, torch.float64: 1e-13}
"""Share of a vector that is rounding after what is known was taken off: a choice, some hundred units of it."""


def largest_eigenvalue(matrix: Tensor) -> float:
    """Of a positive semi-definite (D, D), about, and never above it; always the same for the same matrix."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(matrix), generator=generator, dtype=torch.float64).to(matrix)
    basis = (start / start.norm()).unsqueeze(0)
    images = (matrix @ basis[0]).unsqueeze(0)
    for _ in range(_STEPS - 1):
        new = images[-1]
        for _ in range(2):  # again, as one pass leaves rounding
            new = new - (basis @ new) @ basis
        length = float(new.norm())
        if not length > _NOTHING_LEFT[matrix.dtype] * float(images[-1].norm()):
            break
        basis = torch.cat([basis, (new / length).unsqueeze(0)])
        images = torch.cat([images, (matrix @ basis[-1]).unsqueeze(0)])
    return float(torch.linalg.eigvalsh((basis @ images.mT).double())[-1])
