"""The kernel estimate of the entropy, against a mixture of torch's own normals."""

import pytest
import torch

from nflows_spread.linalg.entropy import kernel_negative_entropy
from support import kernel_entropy


@pytest.mark.parametrize("variance", [1e-4, 0.1, 3.0])
def test_kernel_entropy_is_the_log_density_of_a_mixture_at_its_centres(variance):
    z = torch.randn(40, 3, dtype=torch.float64, requires_grad=True)
    ours = kernel_negative_entropy(z, torch.tensor(variance))
    theirs = kernel_entropy(z, float(torch.tensor(variance)))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, z), torch.autograd.grad(theirs, z), atol=1e-9, rtol=1e-6)


def test_the_kernel_entropy_of_points_far_from_the_origin_is_at_most_that_of_one_point():
    """A mean of normal densities is never above their height; rounding would leave negative squared distances."""
    spread = torch.tensor(1e-4, dtype=torch.float64)
    highest = -2.5 * float((2.0 * torch.pi * spread).log())
    for _ in range(20):
        z = 1e6 * torch.randn(1, 5, dtype=torch.float64) + 1e-3 * torch.randn(4, 5, dtype=torch.float64)
        assert float(kernel_negative_entropy(z, spread)) <= highest + 1e-9


def test_the_kernels_entropy_does_not_change_far_from_the_origin():
    z = torch.randn(200, 3, dtype=torch.float64)
    expected = float(kernel_entropy(z, 0.01))
    for offset in (0.0, 1e7):
        ours = kernel_negative_entropy(z + offset, torch.tensor(0.01))
        assert float(ours) == pytest.approx(expected, rel=1e-5)
