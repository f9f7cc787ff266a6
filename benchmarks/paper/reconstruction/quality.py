"""How good samples are at each rank K (table 5): ours at every K, a flow with a fixed prior at the one that it has."""

from __future__ import annotations

from paper.reconstruction.reconstructions import PAPERS_RANKS, ranks_of
from paper.results import Result
from paper.sample_quality.quality import ImageQuality


def sampled_ranks(result: Result) -> list[int]:
    """The paper's 512, 2000, 2500 and 3000 of 3072, in proportion, and all D; of a fixed prior all that it has."""
    latents = result.latents.shape[1]
    return [latents] if result.settings.fixed_prior else [*ranks_of(latents, PAPERS_RANKS), latents]


def quality_by_rank(result: Result) -> dict[str, object]:
    """A measure: ``frechet_K``, ``precision_K`` and ``recall_K`` of the samples at each K.

    ``floor_frechet`` and so on are what other training images get, ``classifier_accuracy`` is that of the classifier
    whose features they are all taken in. ``inception_frechet_K`` is there where Inception's weights are.
    """
    data = result.data
    if data.quality_metric is None:
        raise ValueError("the quality of samples needs a data set with a quality_metric, got none")
    metrics = {"": data.quality_metric}
    if data.inception_metric is not None:
        metrics["inception_"] = data.inception_metric
    found: dict[str, object] = {}
    for rank in sampled_ranks(result):
        samples = result.draw(data.quality_metric.compared, rank=rank)
        for name, metric in metrics.items():
            found |= _named(f"{name}{{}}_{rank}", metric(samples))
    for name, metric in metrics.items():
        found |= _named(f"{name}floor_{{}}", metric.floor)
    return found | {"classifier_accuracy": data.quality_metric.accuracy}


def _named(pattern: str, quality: ImageQuality) -> dict[str, object]:
    found = {"frechet": quality.frechet_distance, "precision": quality.precision, "recall": quality.recall}
    return {pattern.format(name): value for name, value in found.items()}
