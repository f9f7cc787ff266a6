"""Kernels in float32 with the determinant that they should have."""

from __future__ import annotations

import pytest
import torch

from nflows_spread.transforms import GlowStep, MeanCentredAffineCouplingTransform
from nflows_spread.transforms.rounding import with_logabsdet
from support import randomize
from transform_contract import glow_step


def random_kernel(channels: int, seed: int) -> torch.Tensor:
    """LU of determinant 1 in exact arithmetic, multiplied and rounded in float32, its columns permuted."""
    generator = torch.Generator().manual_seed(seed)
    lower = 0.1 * torch.randn(channels, channels, generator=generator).tril(-1) + torch.eye(channels)
    logs = 0.3 * torch.randn(channels, generator=generator)
    upper = 0.1 * torch.randn(channels, channels, generator=generator).triu(1) + (logs - logs.mean()).exp().diag()
    return (lower @ upper)[:, torch.randperm(channels, generator=generator)]


def log_determinant(kernel: torch.Tensor) -> float:
    return float(torch.linalg.slogdet(kernel.detach().double()).logabsdet)


@pytest.mark.parametrize("channels", [4, 12, 48, 96])
@pytest.mark.parametrize("wanted", [0.0, -1.5])
def test_the_determinant_is_right_to_1e_9_and_one_entry_has_moved_by_its_last_digits(
    channels: int, wanted: float
) -> None:
    within = []
    for seed in range(20):
        kernel = random_kernel(channels, seed)
        kernel[0] *= torch.tensor(wanted).exp()
        found = with_logabsdet(kernel, torch.tensor(wanted))
        moved = found != kernel
        assert int(moved.sum()) <= 1
        assert ((found - kernel).abs() <= 1e-4 * kernel.abs())[moved].all()
        assert abs(log_determinant(found) - wanted) <= abs(log_determinant(kernel) - wanted)
        within.append(abs(log_determinant(found) - wanted))
    assert max(within) <= 3e-8
    if channels >= 12:  # of sixteen entries none may fit as well
        assert sorted(within)[10] <= 1e-9


def test_a_kernel_that_is_right_stays_as_it_is() -> None:
    permuted = torch.eye(12)[torch.randperm(12)]
    assert torch.equal(with_logabsdet(permuted, torch.zeros(())), permuted)
    wide = random_kernel(12, 0).double()
    assert with_logabsdet(wide, torch.zeros(())) is wide


def test_gradients_pass_as_if_nothing_had_moved() -> None:
    kernel = random_kernel(12, 1).requires_grad_(True)
    weight = torch.randn(12, 12)
    (with_logabsdet(kernel, torch.zeros(())) * weight).sum().backward()
    assert torch.equal(kernel.grad, weight)


@pytest.mark.parametrize("free", [False, True])
def test_in_evaluation_a_step_has_the_log_determinant_that_it_reports(free: bool) -> None:
    """That of the affine part, whose kernel is the same at all pixels; couplings count each entry once."""
    step = randomize(glow_step(12, free=free), 0.1)
    assert isinstance(step, GlowStep)
    assert isinstance(step.coupling, MeanCentredAffineCouplingTransform) is not free
    reported = float(step._affine_logabsdet().detach())
    rounded, _ = step._kernel_and_bias()
    kernel, _ = step.eval()._kernel_and_bias()
    assert abs(log_determinant(kernel) - reported) <= 1e-8 < abs(log_determinant(rounded) - reported)
    x = torch.randn(3, 12, 4, 4)
    torch.testing.assert_close(step.inverse(step(x)[0])[0], x, rtol=0, atol=1e-5)
