"""The flow over principal coordinates."""

from __future__ import annotations

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow

from nflows_spread import decode, encode, initialize, volume_error
from nflows_spread.models import coupling_flow, initialize_from_principal_coordinates, principal_flow
from nflows_spread.transforms import PrincipalRotation
from support import assert_same_state, refused

SHAPE = (1, 4, 4)


def images(n: int = 300) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(n, 3, dtype=torch.float64, generator=generator) * torch.tensor([3.0, 2.0, 1.0])
    directions = torch.linalg.qr(torch.randn(16, 3, dtype=torch.float64, generator=generator))[0]
    noise = 0.01 * torch.randn(n, 16, dtype=torch.float64, generator=generator)
    return (5.0 + signal @ directions.mT + noise).view(n, *SHAPE)


def test_the_rotation_orders_directions_by_variance_and_uncorrelates_them() -> None:
    x = images().flatten(1)
    rotation = PrincipalRotation(16).double()
    assert torch.equal(rotation(x)[0], x)
    rotation.initialize(x)
    z, logabsdet = rotation(x)
    covariance = torch.cov(z.T)
    torch.testing.assert_close(covariance, covariance.diagonal().diag(), atol=1e-8, rtol=0.0)
    assert bool((covariance.diagonal().diff() <= 0.0).all())
    torch.testing.assert_close(z.mean(0), torch.zeros(16, dtype=torch.float64))
    torch.testing.assert_close(rotation.inverse(z)[0], x)
    assert not logabsdet.any()


@pytest.mark.parametrize("volume_preserving", [True, False])
def test_the_flow_is_invertible_and_leaves_the_trailing_coordinates_alone(volume_preserving: bool) -> None:
    flow = principal_flow(
        SHAPE,
        leading=6,
        core=4,
        layers=3,
        hidden_features=(8,),
        core_hidden_features=(8,),
        volume_preserving=volume_preserving,
        base=None if volume_preserving else StandardNormal([16]),
    ).double()
    x = images()
    assert initialize(flow, x, only=PrincipalRotation) == 1
    z = encode(flow, x)
    torch.testing.assert_close(decode(flow, z), x)
    rotation = PrincipalRotation(16).double()
    rotation.initialize(x.flatten(1))
    torch.testing.assert_close(z[:, 6:], rotation(x.flatten(1))[0][:, 6:])
    jacobian = torch.func.jacrev(lambda point: encode(flow, point.view(1, *SHAPE)))(x[0].flatten()).view(16, 16)
    volume = torch.linalg.slogdet(jacobian).logabsdet.item()
    assert abs(volume) == pytest.approx(volume_error(flow, x[:1]), abs=1e-8)
    assert (abs(volume) < 1e-8) == volume_preserving


def test_couplings_that_start_as_the_identity_leave_the_principal_coordinates_in_another_order() -> None:
    flow = principal_flow(SHAPE, leading=6, core=6, layers=3, identity_start=True).double()
    x = images()
    initialize(flow, x, only=PrincipalRotation)
    rotation = PrincipalRotation(16).double()
    rotation.initialize(x.flatten(1))
    found, expected = encode(flow, x), rotation(x.flatten(1))[0]
    torch.testing.assert_close(found[:, 6:], expected[:, 6:])
    torch.testing.assert_close(found[:, :6].sort(1).values, expected[:, :6].sort(1).values)


@pytest.mark.parametrize("x", [torch.ones(1, *SHAPE), torch.full((5, *SHAPE), float("nan"))])
def test_what_is_no_batch_of_data_changes_no_rotation(x: torch.Tensor) -> None:
    flow = small_flow().float()
    with refused(ValueError, "x must", unchanged=flow):
        initialize(flow, x)


def small_flow(volume_preserving: bool = True) -> Flow:
    return principal_flow(
        SHAPE,
        leading=4,
        core=4,
        layers=1,
        hidden_features=(4,),
        core_hidden_features=(4,),
        volume_preserving=volume_preserving,
    ).double()


@pytest.mark.parametrize(("volume_preserving", "actnorms"), [(True, 0), (False, 1)])
def test_initialize_sets_a_rotation_once_and_an_actnorm_each_time(volume_preserving: bool, actnorms: int) -> None:
    flow = small_flow(volume_preserving)
    rotation = next(layer for layer in flow.modules() if isinstance(layer, PrincipalRotation))
    assert initialize(flow, images()) == 1 + actnorms
    mean = rotation.mean.clone()
    torch.testing.assert_close(mean, images().flatten(1).mean(0))
    assert initialize(flow, 2.0 * images()) == actnorms
    assert torch.equal(rotation.mean, mean)
    assert initialize(flow, 2.0 * images(), only=PrincipalRotation) == 1
    torch.testing.assert_close(rotation.mean, 2.0 * mean)


def test_the_old_name_of_its_start_warns_and_does_the_same() -> None:
    flow, expected = small_flow(), small_flow()
    expected.load_state_dict(flow.state_dict())
    initialize(expected, images())
    with pytest.warns(DeprecationWarning, match=r"is now initialize\(flow, x, only=PrincipalRotation\)"):
        assert initialize_from_principal_coordinates(flow, images()) == 1
    assert_same_state(flow.state_dict(), expected.state_dict())


def test_a_flow_without_a_rotation_is_left_as_it_is() -> None:
    assert initialize(coupling_flow(16, layers=1), images().float().flatten(1), only=PrincipalRotation) == 0
