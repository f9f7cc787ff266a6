"""What a trained flow turned out to be: the numbers and tensors behind the table and the pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from experiment import Variant
from grids import Grid
from measures import negative_log_likelihood, representation_quality, total_variation
from nflows_spread import IntrinsicDimension, encode, intrinsic_dimension, linalg, project, sample
from tasks import Task
from training_runs import Trained

_SAMPLES = 20_000
_SPECTRUM_POINTS = 2000


@dataclass(frozen=True)
class Metrics:
    """The numbers of one flow, as the JSON file has them.

    Attributes:
        true_dimension: K, or None where nobody knows it.
        dimension: what each rule says; the fixed prior's AAᵀ is the identity.
        gap: of the default rule, in nats.
        sample_distance: mean distance of 20 000 samples to the manifold or nearest training point, in data units.
        median_distance: the median, which a few far samples do not move.
        held_out_nll: −E log p of held-out points with data noise, in nats.
        total_variation: between the density of the samples' nearest points on the manifold and the true one, or None.
        representation: how well it keeps the true coordinates, see ``representation_quality``.
        eigenvalues: of AAᵀ, the first 20.
        signal_to_noise: μ, the first 20, in data units squared.
        data_noise: σ_x at the end of training.
        steps: training steps done.
        seconds: time of training.
    """

    true_dimension: int | None
    dimension: dict[str, int]
    gap: float
    sample_distance: float
    median_distance: float
    held_out_nll: float
    total_variation: float | None
    representation: dict[str, float]
    eigenvalues: list[float]
    signal_to_noise: list[float]
    data_noise: float
    steps: int
    seconds: float

    def as_json(self) -> dict[str, object]:
        """Plain values with five significant digits."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Outcome:
    """One flow, measured.

    Attributes:
        variant: which of the experiment's flows it is.
        metrics: its numbers.
        dimension: by the default rule, with the spectrum.
        samples: (20000, D); on the manifold for the spread flow.
        latents: of the held-out points, (n, D).
        representation: leading coordinates of the held-out points, (n, 1 or 2).
        density: of the samples' nearest points on the manifold, in the grid's cells, or None.
    """

    variant: Variant
    metrics: Metrics
    dimension: IntrinsicDimension
    samples: Tensor
    latents: Tensor
    representation: Tensor
    density: Tensor | None


def measure(trained: Trained, task: Task, grid: Grid | None, *, seed: int) -> Outcome:
    """Read a trained flow out, the spread flow at the dimension that it found itself."""
    generator = torch.Generator().manual_seed(seed)
    flow, noise = trained.flow, trained.data_noise
    dimension = intrinsic_dimension(flow, task.train.x[:_SPECTRUM_POINTS], data_noise=noise, generator=generator)
    with torch.no_grad():
        latents = encode(flow, task.held_out.x)
        if trained.variant.spread:
            samples = sample(flow, _SAMPLES, rank=dimension, generator=generator)
            representation = project(flow, task.held_out.x, rank=min(2, dimension))
        else:
            samples = _fixed_prior_samples(trained, generator)
            vectors = linalg.eigh_descending(linalg.covariance_of(latents))[1]
            representation = latents @ vectors[:, : min(2, dimension)].to(latents.dtype)
    manifold = task.manifold
    density = None if manifold is None or grid is None else grid.histogram(manifold.nearest(samples))
    spectrum, distances = dimension.spectrum, task.distance(samples)
    metrics = Metrics(
        true_dimension=task.intrinsic_dimension,
        dimension={rule: int(verdict) for rule, verdict in spectrum.verdicts.items()},
        gap=dimension.gap,
        sample_distance=float(distances.mean()),
        median_distance=float(distances.median()),
        held_out_nll=negative_log_likelihood(flow, task.held_out.x, noise, generator),
        total_variation=None if grid is None or density is None else total_variation(density, grid.truth, grid.cell),
        representation={} if manifold is None else representation_quality(representation, task.held_out.coordinates),
        eigenvalues=spectrum.eigenvalues[:20].tolist(),
        signal_to_noise=spectrum.signal_to_noise[:20].tolist(),
        data_noise=noise,
        steps=trained.steps,
        seconds=trained.seconds,
    )
    return Outcome(trained.variant, metrics, dimension, samples, latents, representation, density)


def _fixed_prior_samples(trained: Trained, generator: torch.Generator) -> Tensor:
    """nflows takes no generator for its samples, so its global one is seeded for the moment."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        samples: Tensor = trained.flow.sample(_SAMPLES)
    return samples


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
