"""Quality of samples by rank: the paper's ranks, and all of them."""

from __future__ import annotations

import pytest
import torch

from paper.reconstruction.quality import quality_by_rank
from paper.sample_quality.quality import SampleQualityMetric

pytest.importorskip("torchmetrics")


class _Sampler:
    """A result as far as ``quality_by_rank`` asks for it, whose samples get worse as K falls."""

    def __init__(self, data: torch.Tensor, *, fixed_prior: bool = False) -> None:
        self.latents = data.flatten(1)
        self.settings = type("Settings", (), {"fixed_prior": fixed_prior})
        metric = SampleQualityMetric(lambda x: x.flatten(1)[:, :4], data, accuracy=0.5, compared=100)
        self.data = type("DataSet", (), {"quality_metric": metric, "inception_metric": None})
        self.asked: list[int] = []

    def draw(self, count: int, *, rank: int) -> torch.Tensor:
        self.asked.append(rank)
        return self.latents[:count] * (rank / self.latents.shape[1])


def test_quality_is_measured_at_the_papers_ranks_and_at_all_of_them() -> None:
    data = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    result = _Sampler(data)
    found = quality_by_rank(result)
    assert result.asked == [32, 125, 156, 188, 192]
    distances = [found[f"frechet_{rank}"] for rank in result.asked]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < found["floor_frechet"] < distances[0]
    assert found["classifier_accuracy"] == 0.5
    fixed = _Sampler(data, fixed_prior=True)
    assert "frechet_192" in quality_by_rank(fixed)
    assert fixed.asked == [192]
    result.data.inception_metric = result.data.quality_metric
    both = quality_by_rank(result)
    assert both["inception_frechet_32"] == both["frechet_32"]
    assert both["inception_floor_recall"] == both["floor_recall"]
