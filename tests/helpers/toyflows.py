"""A flow library of its own, which knows nothing of this package: couplings that run data → latent by ``up``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Coupling(nn.Module):
    """[a, b] → [b e^s + t, a] with s and t from a."""

    def __init__(self, features: int) -> None:
        super().__init__()
        half = features // 2
        self.net = nn.Sequential(nn.Linear(half, 8), nn.Tanh(), nn.Linear(8, 2 * half))

    def scale_and_shift(self, a: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.net(a).chunk(2, dim=1)
        return s, t

    def up(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, dim=1)
        s, t = self.scale_and_shift(a)
        return torch.cat([b * s.exp() + t, a], dim=1), s.sum(1)

    def down(self, z: Tensor) -> Tensor:
        b, a = z.chunk(2, dim=1)
        s, t = self.scale_and_shift(a)
        return torch.cat([a, (b - t) * (-s).exp()], dim=1)


class Normal(nn.Module):
    """A Gaussian with one standard deviation for each feature."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.log_std = features, nn.Parameter(torch.zeros(features))

    def log_prob(self, z: Tensor) -> Tensor:
        return -(0.5 * (z / self.log_std.exp()).square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(1)

    def sample(self, n: int) -> Tensor:
        return self.log_std.exp() * torch.randn(n, self.features)


class ToyFlow(nn.Module):
    """Couplings, and a prior."""

    def __init__(self, couplings: list[Coupling], prior: nn.Module) -> None:
        super().__init__()
        self.couplings, self.prior = nn.ModuleList(couplings), prior
