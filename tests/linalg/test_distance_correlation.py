"""Distance correlation of ranks against its definition, and its test against SciPy and independent draws."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, rankdata

from nflows_spread.linalg.distance_correlation import distance_correlations, p_values


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """The bias-corrected squared distance correlation of ranks, by U-centred matrices (Székely and Rizzo, 2014)."""

    def centred(column: np.ndarray) -> np.ndarray:
        ranks = rankdata(column)
        distances, n = np.abs(ranks[:, None] - ranks), len(ranks)
        rows = distances.sum(1) / (n - 2)
        found = distances - rows[:, None] - rows + distances.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(found, 0.0)
        return found

    a, b = centred(x), centred(y)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.parametrize("size", [4, 5, 60, 400])
def test_it_is_that_of_the_definition(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, 4, generator=generator, dtype=torch.float64)
    x[:, 2] = x[:, 0] ** 2 + 0.3 * x[:, 2]
    found = distance_correlations(x)
    for i in range(4):
        for j in range(4):
            assert float(found[i, j]) == pytest.approx(by_definition(x[:, i].numpy(), x[:, j].numpy()), abs=2e-5)


def test_it_sees_what_no_correlation_does_and_no_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    angle = 6.283185307 * torch.rand(400, generator=generator, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin(), torch.rand(400, generator=generator, dtype=torch.float64)], 1)
    assert abs(float(torch.corrcoef(circle.mT)[0, 1])) < 0.1
    found = p_values(distance_correlations(circle), 400)
    assert found[0, 1] < 1e-3 < found[0, 2]
    assert torch.equal(distance_correlations(circle * torch.tensor([1e9, 1.0, 1e-9])), distance_correlations(circle))


@pytest.mark.parametrize("size", [100, 400])
def test_p_values_are_of_a_chi_square(size: int) -> None:
    correlations = torch.linspace(-0.02, 0.2, 12, dtype=torch.float64)
    expected = chi2.sf(np.maximum(size * correlations.numpy() + 1.0, 0.0), 1)
    np.testing.assert_allclose(p_values(correlations, size).numpy(), expected, rtol=1e-9)


def test_independent_columns_are_dependent_by_chance_at_most_as_often_as_it_says() -> None:
    """4 950 pairs, and a bound that holds from about a twentieth downwards."""
    x = torch.rand(200, 100, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first, second = torch.triu_indices(100, 100, 1)
    p = p_values(distance_correlations(x), 200)[first, second]
    for level in (0.05, 0.01, 0.002):
        assert float((p < level).double().mean()) < 1.2 * level
    assert float((p < 0.05).double().mean()) > 0.02
