"""Moments of a prior from the flow alone: turned with its gauge, finite, and of Gaussians only."""

import pytest
import torch
from nflows.distributions.uniform import BoxUniform
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, IdentityTransform, Transform

from nflows_spread import DegenerateGaussian
from nflows_spread.chart.prior_moments import prior_moments
from nflows_spread.models import coupling_flow
from support import randomize, refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def curved_flow():
    torch.manual_seed(3)
    base = DegenerateGaussian([4])
    with torch.no_grad():
        base.factor.entries.copy_(torch.tensor([1.5, 1.0, 0.3, 0.1]).diag())
    return randomize(coupling_flow(4, layers=4, base=base), 0.2).eval()


class Gauge(Transform):
    """z = M x."""

    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, inputs, context=None):
        return inputs @ self.matrix.mT, torch.linalg.slogdet(self.matrix).logabsdet.expand(len(inputs))

    def inverse(self, inputs, context=None):
        return torch.linalg.solve(self.matrix, inputs.mT).mT, -self.forward(inputs)[1]


@pytest.mark.parametrize("seed", range(3))
def test_the_moments_of_a_bent_flow_in_another_gauge_are_turned_with_it(seed):
    flow, matrix = curved_flow(), torch.randn(4, 4, generator=seeded(seed))
    plain = prior_moments(flow)
    base = DegenerateGaussian([4], spread_variance=1e-12)
    base.factor.assign(torch.linalg.cholesky(matrix @ plain.covariance @ matrix.mT), base.spread_variance)
    turned = prior_moments(Flow(CompositeTransform([flow._transform, Gauge(matrix)]), base).eval())
    torch.testing.assert_close(turned.covariance, matrix @ plain.covariance @ matrix.mT)
    torch.testing.assert_close(turned.response, matrix @ plain.response @ matrix.mT, rtol=1e-6, atol=1e-8)


def test_what_the_prior_is_decoded_to_must_be_finite():
    class Nowhere(IdentityTransform):
        def inverse(self, inputs, context=None):
            return torch.full_like(inputs, torch.nan), inputs.new_zeros(len(inputs))

    with refused(ValueError, "the data at points of the prior must be finite, got NaN or infinity in 4 of 4 rows"):
        prior_moments(Flow(Nowhere(), DegenerateGaussian([4])).eval())


def test_a_base_that_is_not_gaussian_has_no_moments():
    with refused(TypeError, "the base of the flow must be a DegenerateGaussian or StandardNormal"):
        prior_moments(Flow(IdentityTransform(), BoxUniform(-torch.ones(2), torch.ones(2))))
