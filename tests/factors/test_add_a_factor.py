"""A kind of factor of one's own, as docs/extending.md tells how to add it: trained, read out, saved, loaded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss, initialize_prior, intrinsic_dimension
from nflows_spread.factors import KINDS
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit, load_model, save_model

CONFIG = {"features": 3, "layers": 2}


class DiagonalFactor(nn.Module):
    """A = scale · diag(a): latents without correlations."""

    def __init__(self, features: int, scale: float = 1.0) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.ones(features))
        self.scale = scale

    def matrix(self, spread_variance):
        return torch.diag(self.scale * self.entries)

    def log_prob(self, z, spread_variance):
        std = ((self.scale * self.entries).square() + spread_variance).sqrt().to(z.dtype)
        return torch.distributions.Normal(torch.zeros_like(std), std).log_prob(z).sum(1)

    def eigh(self, spread_variance):
        return eigh_descending(self.matrix(spread_variance).detach().double().square())

    def eigenvalues(self, spread_variance):
        return self.eigh(spread_variance)[0]

    @torch.no_grad()
    def assign(self, root, spread_variance):
        self.entries.copy_((root @ root.mT).diagonal().sqrt() / self.scale)

    def observe(self, z, spread_variance):
        pass

    def options(self):
        return {"scale": self.scale}


@pytest.fixture
def registered():
    with KINDS.register("DiagonalFactor", DiagonalFactor):
        yield


def flow_with_diagonal_prior():
    base = DegenerateGaussian([3], factor=lambda features: DiagonalFactor(features, scale=2.0))
    return coupling_flow(**CONFIG, base=base)


def points():
    return torch.randn(300, 3) * torch.tensor([1.0, 0.5, 0.01])


def test_its_density_and_covariance_are_those_of_the_lower_triangular_kind():
    base = flow_with_diagonal_prior()._distribution
    base.factor.assign(torch.diag(torch.tensor([3.0, 1.0, 0.1])), base.spread_variance)
    same = base.with_factor(KINDS["LowerTriangularFactor"])
    z = same.spread(same.sample(20))
    torch.testing.assert_close(base.log_prob(z), same.log_prob(z))
    torch.testing.assert_close(base.covariance, same.covariance)
    torch.testing.assert_close(base.eigenvalues, same.eigenvalues)


def test_a_flow_trains_with_it_starts_from_data_and_is_read_out():
    flow, x = flow_with_diagonal_prior(), points()
    initialize_prior(flow, x, data_noise=0.01)
    torch.testing.assert_close(flow._distribution.covariance.diagonal().mean(), x.square().mean(), rtol=0.1, atol=0.0)
    losses = fit(SpreadKLLoss(flow, data_noise=0.01), x, steps=30, learning_rate=1e-2).losses
    assert sum(losses[-5:]) < sum(losses[:5])
    assert 1 <= int(intrinsic_dimension(flow.eval(), x, data_noise=0.01)) <= 3


@pytest.mark.usefixtures("registered")
def test_a_model_that_is_saved_with_it_is_loaded_again(tmp_path):
    flow, x = flow_with_diagonal_prior().eval(), points()
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=CONFIG)
    again = load_model(tmp_path / "flow.pt")
    assert isinstance(again._distribution.factor, DiagonalFactor)
    assert again._distribution.factor.options() == {"scale": 2.0}
    assert torch.equal(again.log_prob(x), flow.log_prob(x))


def test_where_it_is_not_known_it_is_neither_saved_nor_loaded(tmp_path):
    flow = flow_with_diagonal_prior()
    with pytest.raises(TypeError, match=r"with a factor of .*RunningAverageFactor.*, got DegenerateGaussian"):
        save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=CONFIG)
    with KINDS.register("DiagonalFactor", DiagonalFactor):
        save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=CONFIG)
    with pytest.raises(ValueError, match=r"got DiagonalFactor; make it known first, by .*KINDS.register"):
        load_model(tmp_path / "flow.pt")
