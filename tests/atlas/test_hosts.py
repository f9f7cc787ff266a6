"""An atlas of any host's flow, and in any linear gauge of the latent space."""

import pytest
import torch
from nflows.flows import Flow

from gauges import Gauge, WholeFlow, same_up_to_signs
from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussianMixture, atlas_of, base_of, encode, swap_base
from nflows_spread.models import coupling_flow
from support import randomize

pytestmark = pytest.mark.usefixtures("float64")

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def in_two_pieces(name):
    """A model with two pieces that are far apart, and inputs of which each has half."""
    torch.manual_seed(0)
    flow, (x, context) = spread_flow(name), inputs_for(name, 60)
    base = DegenerateGaussianMixture(base_of(flow).shape, 2)
    with torch.no_grad():
        z = encode(flow, x, context).flatten(1)
        side = (z[:, 0] > z[:, 0].median()).long()
        means = torch.stack([z[side == m].mean(0) for m in range(2)])
        roots = [torch.linalg.cholesky(z[side == m].T.cov() + 0.1 * torch.eye(z.shape[1])) for m in range(2)]
    base.assign(torch.tensor([0.5, 0.5]), means, roots)
    base.data_noise = 0.01
    return swap_base(flow, base), x, context


def regauged(flow, seed=5):
    base = base_of(flow)
    matrix = torch.eye(base.features) + 0.3 * torch.randn(base.features, base.features, generator=seeded(seed))
    twin = DegenerateGaussianMixture(base.shape, base.pieces, spread_variance=1e-12)
    spread = float(base.spread_variance) * torch.eye(base.features)
    with torch.no_grad():
        covariances = [matrix @ (base.piece(m).covariance + spread) @ matrix.mT for m in range(base.pieces)]
        means = torch.stack([matrix @ base.piece(m).mean().flatten() for m in range(base.pieces)])
        twin.assign(base.weights, means, [torch.linalg.cholesky(each) for each in covariances])
    twin.data_noise = base.data_noise
    return Flow(Gauge(WholeFlow(flow), matrix), twin).eval()


@pytest.mark.parametrize("name", MODELS)
def test_no_linear_gauge_changes_the_atlas_of_any_hosts_model(name):
    flow, x, context = in_two_pieces(name)
    one, two = (atlas_of(each, x, context=context, generator=seeded(2)) for each in (flow, regauged(flow)))
    torch.testing.assert_close(two.responsibilities(x, context), one.responsibilities(x, context), **CLOSE)
    assert [piece.dimension for piece in one.pieces] == [piece.dimension for piece in two.pieces]
    assert [part.pieces for part in one.components] == [part.pieces for part in two.components]
    (pieces, coordinates), (_, others) = one.coordinates(x, context), two.coordinates(x, context)
    for m in range(2):
        same_up_to_signs(others[pieces == m], coordinates[pieces == m], **CLOSE)
    torch.testing.assert_close(two.reconstruct(x, context), one.reconstruct(x, context), **CLOSE)
    drawn = one.sample(len(x), context, generator=seeded())
    assert drawn.shape == x.shape
    assert bool(drawn.isfinite().all())


def test_the_same_layers_in_normflows_have_the_same_atlas():
    nf = pytest.importorskip("normflows")
    from nflows_spread.transforms.normflows import TransformFlow

    torch.manual_seed(1)
    flow = randomize(coupling_flow(3, layers=3, base=DegenerateGaussianMixture([3], 2)), 0.2).eval()
    x = torch.randn(100, 3, generator=seeded())
    base_of(flow).fit_pieces(encode(flow, x).detach())
    base_of(flow).data_noise = 0.05
    parts = [TransformFlow(part) for part in reversed(flow._transform._transforms)]
    other = nf.NormalizingFlow(base_of(flow), parts).eval()
    one, two = (atlas_of(each, x, generator=seeded(2)) for each in (flow, other))
    close = {"rtol": 1e-10, "atol": 1e-10, "equal_nan": True}
    torch.testing.assert_close(two.coordinates(x)[1], one.coordinates(x)[1], **close)
    torch.testing.assert_close(two.reconstruct(x), one.reconstruct(x), **close)
    torch.testing.assert_close(two.sample(50, generator=seeded()), one.sample(50, generator=seeded()), **close)
