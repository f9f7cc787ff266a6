"""Results of a trained flow: the tensors behind its numbers and pictures, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from nflows_spread import (
    DegenerateGaussianMixture,
    IntrinsicDimension,
    base_of,
    decode,
    encode,
    project,
    sample,
    spectrum,
)
from nflows_spread.chart import Directions, LatentMaps, directions_of
from nflows_spread.chart.directions import BY_EIGENVALUE
from nflows_spread.dimension.rules import Spectrum, decide
from nflows_spread.fitted_chart import fitted_maps
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of
from paper.data_sets import DataSet
from paper.grids import Grid, grid_for
from paper.settings import Settings
from paper.training import Trained

Measure = Callable[["Result"], Mapping[str, object]]
"""A function of a trained flow that gives numbers by name."""

_SPECTRUM_POINTS = 2000
_FEW_FEATURES = 1024
_CHUNK = 2000
_EIGENVALUES = 20


class Result:
    """One trained flow, read out at the dimension that it found itself. Each read-out is made when first asked for.

    Args:
        name: of the variant.
        settings: that it was trained with.
        data: what it was trained on, and what was held out.
        trained: the flow, and what its training took.
        measures: what to take of it beyond the numbers that every flow has.
        seed: of samples and noise.
    """

    def __init__(
        self, name: str, settings: Settings, data: DataSet, trained: Trained, *, measures: Sequence[Measure], seed: int
    ) -> None:
        self.name, self.settings, self.data, self.trained = name, settings, data, trained
        self._measures, self._seed = measures, seed
        self._fitted: dict[int, LatentMaps] = {}
        self._drawn = torch.empty(0)

    def generator(self) -> torch.Generator:
        """A fresh source of randomness, the same one each time."""
        return torch.Generator().manual_seed(self._seed)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Both kinds of eigenvalues, from 2000 training points, or of many features from four times as many."""
        features = self.data.train.x[0].numel()
        x = self.data.train.x[: _SPECTRUM_POINTS if features <= _FEW_FEATURES else 4 * features]
        return spectrum(self.trained.flow, x, data_noise=self.trained.data_noise, generator=self.generator())

    @cached_property
    def dimension(self) -> IntrinsicDimension:
        """What the rule of the settings says."""
        return decide(self.spectrum, self.settings.rule)

    @property
    def given(self) -> int | None:
        """The dimension of a flow that was told it and has no spectrum, or None."""
        return self.settings.latent_features

    @property
    def rank(self) -> int:
        """At which samples are taken: what the settings make of the dimension, at least 1."""
        return self.given or max(1, self.settings.rank(self.dimension))

    @cached_property
    def samples(self) -> Tensor:
        """Flat samples (n, D); on the manifold for a spread flow. Entries may be infinite where a flow overflows."""
        return self.draw(self.settings.samples, rank=self.rank)

    @torch.no_grad()
    def draw(self, count: int, *, rank: int) -> Tensor:
        """So many flat samples (n, D) of a spread flow at rank K; a fixed prior has none to choose.

        Pieces that lie at an angle have no K directions in common: of a prior in pieces whole samples are drawn, and
        moved by x + σ_x² ∇log p(x), the mean of the point without noise (Tweedie's formula). Or, where the settings
        give it a rank, each piece is sampled in its own leading directions. Tied pieces without means have K in common,
        and whole samples of semi-tied ones are brought to the K leading directions that they have together.
        """
        generator = self.generator()
        sizes = [_CHUNK] * (count // _CHUNK) + [count % _CHUNK] * (count % _CHUNK > 0)
        if self.settings.fixed_prior:
            with torch.random.fork_rng(devices=[]):  # nflows takes no generator for its samples
                torch.manual_seed(self._seed)
                return torch.cat([self.trained.flow.sample(size).flatten(1) for size in sizes])
        flow = self.trained.flow
        base = base_of(flow)
        if isinstance(base, DegenerateGaussianMixture) and base.tied == "semi":
            z = self.semi_tied_latents(count, rank=rank)
            return torch.cat([decode(flow, part).flatten(1) for part in z.split(_CHUNK)])
        if isinstance(base, DegenerateGaussianMixture):
            own = rank if base.tied else self.settings.piece_rank and self.settings.piece_rank(self.dimension)
            if own is None:
                return torch.cat([sample(flow, size, generator=generator).flatten(1) for size in sizes])
            z = base.sample(count, batch_size=_CHUNK, rank=own, generator=generator)
            return torch.cat([decode(flow, part).flatten(1) for part in z.split(_CHUNK)])
        return torch.cat(
            [sample(flow, size, rank=rank, generator=generator, order=BY_EIGENVALUE).flatten(1) for size in sizes]
        )

    @torch.no_grad()
    def semi_tied_latents(self, count: int, *, rank: int) -> Tensor:
        """Latents (n, D) in the K leading directions of all pieces; drawn once, as each piece takes a decomposition."""
        base = cast(DegenerateGaussianMixture, base_of(self.trained.flow))
        if len(self._drawn) < count:
            self._drawn = base.sample(max(count, self.settings.samples), generator=self.generator())
        leading = base.eigh()[1][:, :rank].to(self._drawn.dtype)
        return base.unflatten(base.flatten(self._drawn[:count]) @ leading @ leading.mT)

    @cached_property
    @torch.no_grad()
    def latents(self) -> Tensor:
        """Of the held-out points, flat, (n, D)."""
        return torch.cat([encode(self.trained.flow, x).flatten(1) for x in self.data.held_out.x.split(_CHUNK)])

    @cached_property
    def directions(self) -> Directions:
        """Of the latent space, stretched as the decoder does at held-out latents."""
        x = self.data.train.x
        return directions_of(self.trained.flow, x, latents=self.latents, generator=self.generator())

    def fitted_maps(self, rank: int) -> LatentMaps:
        """Latents to K coordinates and back, fitted to the error on training points; each K is fitted once."""
        if rank not in self._fitted:
            self._fitted[rank] = fitted_maps(
                self.trained.flow,
                self.data.train.x,
                rank,
                directions=self.directions,
                generator=self.generator(),
            )
        return self._fitted[rank]

    @cached_property
    @torch.no_grad()
    def representation(self) -> Tensor:
        """The leading one or two coordinates of the held-out points, (n, 1 or 2).

        A flow with a fixed prior has no leading directions of its own; it gets the principal ones of its latents.
        """
        if not self.settings.fixed_prior:
            return project(self.trained.flow, self.data.held_out.x, rank=min(2, self.rank), order=BY_EIGENVALUE)
        vectors = eigh_descending(covariance_of(self.latents))[1]
        return self.latents @ vectors[:, : min(2, self.rank)].to(self.latents.dtype)

    @cached_property
    def grid(self) -> Grid | None:
        """Cells over the coordinates of the manifold, or None for real data."""
        return None if self.data.manifold is None else grid_for(self.data.manifold, self.data.cells)

    @cached_property
    def density(self) -> Tensor | None:
        """Of the samples' nearest points on the manifold, in the cells of the grid."""
        if self.data.manifold is None or self.grid is None:
            return None
        finite = self.samples[torch.isfinite(self.samples).all(1)]
        return self.grid.histogram(self.data.manifold.nearest(finite))

    @cached_property
    def numbers(self) -> dict[str, object]:
        """All numbers of this flow as plain values: those that every flow has, then those of the measures.

        ``dimension`` is what each rule says (the fixed prior's AAᵀ is the identity) or what was given, ``gap`` that
        of the settings' rule in nats, ``held_out_nll`` −E log p of held-out points with the final data noise in nats
        (None without data noise, where the data has no density, and for a flow to fewer dimensions, whose density
        is of another kind), ``schedule_done`` the share of the steps that were done.
        """
        values: dict[str, object] = {
            "true_dimension": self.data.intrinsic_dimension,
            **({"dimension": {"given": self.given}} if self.given else self._estimates()),
            "held_out_nll": self._negative_log_likelihood(),
            "finite_samples": float(torch.isfinite(self.samples).all(1).double().mean()),
        }
        for measure in self._measures:
            values |= measure(self)
        if not self.given:
            values["eigenvalues"] = self.spectrum.eigenvalues[:_EIGENVALUES].tolist()
            values["signal_to_noise"] = self.spectrum.signal_to_noise[:_EIGENVALUES].tolist()
        values |= {
            "data_noise": self.trained.data_noise,
            "steps": self.trained.steps,
            "schedule_done": self.trained.steps / self.settings.steps,
            "seconds": self.trained.seconds,
        }
        return {name: plain(value) for name, value in values.items()}

    def _estimates(self) -> dict[str, object]:
        by_rule = {rule: int(estimate) for rule, estimate in self.spectrum.estimates.items()}
        return {"dimension": by_rule, "gap": self.dimension.gap}

    @torch.no_grad()
    def _negative_log_likelihood(self) -> float | None:
        if self.trained.data_noise == 0.0 or self.given:
            return None
        x, generator = self.data.held_out.x, self.generator()
        noisy = x + self.trained.data_noise * torch.empty_like(x).normal_(generator=generator)
        return -float(torch.cat([self.trained.flow.log_prob(part) for part in noisy.split(_CHUNK)]).mean())


def plain(value: object) -> object:
    """A value as JSON has it: numbers with five significant digits, None for what is not finite."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
