"""The dimension from a density, where the density is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from density_dimension import dimensions_of_density

VARIANCES = torch.tensor([4.0, 1.0, 0.25, 0.0, 0.0, 0.0], dtype=torch.float64)
NOISE = 0.1


class GaussianDensity(nn.Module):
    """N(0, diag(v)) in the place of a flow."""

    def __init__(self, variances: Tensor) -> None:
        super().__init__()
        self.variances = variances

    def log_prob(self, x: Tensor) -> Tensor:
        return Normal(0.0, self.variances.sqrt()).log_prob(x.flatten(1)).sum(1)


def points(n: int = 4000) -> Tensor:
    return VARIANCES.sqrt() * torch.randn(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def found(model_variances: Tensor) -> tuple[float, float]:
    return dimensions_of_density(GaussianDensity(model_variances), points(), NOISE, torch.Generator().manual_seed(1))


def test_the_true_density_gives_the_signal_to_noise_ratio_summed_over_directions() -> None:
    truth = float((VARIANCES / (VARIANCES + NOISE**2)).sum())
    error, score = found(VARIANCES + NOISE**2)
    assert truth == pytest.approx(3.0, abs=0.06)
    assert error == pytest.approx(truth, abs=0.1)
    assert score == pytest.approx(truth, abs=0.1)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_error_of_a_wrong_density_is_larger(factor: float) -> None:
    assert found(factor * (VARIANCES + NOISE**2))[0] > found(VARIANCES + NOISE**2)[0] + 0.1


def test_images_are_taken_as_they_are() -> None:
    x = points(600)
    flat = dimensions_of_density(GaussianDensity(VARIANCES + 1.0), x, 1.0, torch.Generator().manual_seed(1))
    images = dimensions_of_density(
        GaussianDensity(VARIANCES + 1.0), x.view(-1, 1, 2, 3), 1.0, torch.Generator().manual_seed(1)
    )
    assert images == pytest.approx(flat)
