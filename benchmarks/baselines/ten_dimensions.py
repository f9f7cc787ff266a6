"""GIN's synthetic set in ten dimensions, of which two are informative (Sorrenson, Rother and Köthe, ICLR 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from nflows.transforms import CompositeTransform
from torch import Tensor

from nflows_spread.models import coupling_flow

BLOCKS, HIDDEN_FEATURES = 8, (10, 10)
"""The paper's, of the mixing and of the flow that undoes it: blocks of two couplings, and widths of their nets."""

_FEATURES, _INFORMATIVE, _ROWS, _LABELS = 10, 2, 10_000, 5
_LARGEST_MEAN, _LEAST_SCALE, _LARGEST_SCALE, _OTHER_SCALE = 5.0, 0.5, 3.0, 0.01


class LabelledRows(NamedTuple):
    """Rows x (n, D), their labels (n,), and the latents that they were made of, (n, D), the informative ones first."""

    x: Tensor
    labels: Tensor
    latents: Tensor


def ten_dimensions(seed: int, *, rows: int = _ROWS, other_scale: float = _OTHER_SCALE) -> LabelledRows:
    """The paper's synthetic set: two latents that the labels tell apart, and eight that they do not.

    Five labels have Gaussians in the plane, of means between −5 and 5 and standard deviations between 0.5 and 3; the
    eight others are noise of one standard deviation. All are mixed by eight blocks of couplings with free scales and
    random nets.

    Args:
        seed: of the set and its rows.
        rows: n.
        other_scale: standard deviation of the eight; the paper has 0.01.
    """
    generator = torch.Generator().manual_seed(seed)
    means = _LARGEST_MEAN * (2.0 * torch.rand(_LABELS, _INFORMATIVE, generator=generator) - 1.0)
    scales = torch.rand(_LABELS, _INFORMATIVE, generator=generator)
    scales = _LEAST_SCALE + (_LARGEST_SCALE - _LEAST_SCALE) * scales
    labels = torch.randint(_LABELS, (rows,), generator=generator)
    noise = torch.randn(rows, _FEATURES, generator=generator)
    informative = means[labels] + scales[labels] * noise[:, :_INFORMATIVE]
    latents = torch.cat([informative, other_scale * noise[:, _INFORMATIVE:]], 1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        mixing = coupling_flow(
            _FEATURES,
            layers=2 * BLOCKS,
            hidden_features=HIDDEN_FEATURES,
            permute=True,
            volume_preserving=False,
            bounded_scale=True,
            generator=generator,
        )
        transform: CompositeTransform = mixing._transform
        return LabelledRows(transform(latents)[0], labels, latents)
