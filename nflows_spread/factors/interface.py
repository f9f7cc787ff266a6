"""The interface of covariance parametrisations: what ``DegenerateGaussian`` asks a factor of AAᵀ."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Factor(Protocol):
    """The interface of covariance parametrisations.

    A factor is an ``nn.Module`` built from the number of latent features D, with at least one
    parameter or buffer, the first of which says in which dtype A is. ``DegenerateGaussian`` asks it
    for all that depends on the parametrisation and for nothing else. The spread variance σ_Z² belongs
    to the base, which passes it to each question.
    """

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        """log N(z; 0, AAᵀ + σ_Z² I) for ``z`` of shape (n, D); shape (n,)."""

    def matrix(self, spread_variance: Tensor) -> Tensor:
        """An A with AAᵀ the covariance of the degenerate prior, shape (D, r)."""

    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues (D,) and eigenvectors (D, D, in columns) of AAᵀ, descending, float64."""

    def eigenvalues(self, spread_variance: Tensor) -> Tensor:
        """The eigenvalues of ``eigh`` alone, at a fraction of its cost."""

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        """Take on the covariance RRᵀ of a root R of shape (D, r), or the nearest that this kind can represent."""

    def observe(self, z: Tensor, spread_variance: Tensor) -> None:
        """See the latents (n, D) of a training step, before the spread noise. Most kinds have no use for it.

        All that a factor changes by itself, it changes here: ``log_prob`` leaves every buffer as it is.
        """

    def options(self) -> dict[str, float]:
        """The keyword arguments, beyond ``features``, with which this factor was built."""


class TrainedFactor(nn.Module):
    """A factor whose entries are trained by gradient: nothing to observe, no options unless it says so."""

    entries: nn.Parameter
    matrix_has_gradient = True
    """Whether ``matrix`` passes gradients to all parameters; a kind without this attribute is taken to."""

    def observe(self, z: Tensor, spread_variance: Tensor) -> None:
        pass

    def options(self) -> dict[str, float]:
        return {}

    @torch.no_grad()
    def _set(self, entries: Tensor) -> None:
        self.entries.copy_(entries)
