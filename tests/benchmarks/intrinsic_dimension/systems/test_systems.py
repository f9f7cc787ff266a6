"""Real systems of the benchmark: the declared degrees of freedom are the rank of the numerical Jacobian."""

from __future__ import annotations

import numpy as np
import pytest

from intrinsic_dimension.systems import SYSTEMS
from intrinsic_dimension.systems.system import SHARES, System

LEAST, ZERO = 1e-6, 1e-8
"""Shares of the largest singular value: the K-th is above one at each point, and what follows below the other."""

POINTS = 50

every_system = pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)


def singular_values(system: System) -> np.ndarray:
    for package in system.packages:
        pytest.importorskip(package, reason=f"{package} models it: pip install '.[systems]'")
    return system.singular_values(system.parameters(POINTS, np.random.default_rng(3)))


@every_system
def test_the_jacobian_has_the_declared_rank(system: System):
    found = singular_values(system)
    shares = found / found[:, :1]
    assert float(shares[:, system.dimension - 1].min()) > LEAST
    assert bool((shares[:, system.dimension :] < ZERO).all())


@every_system
def test_what_is_left_above_a_share_of_the_scale_is_declared(system: System):
    found = singular_values(system)
    assert tuple(int(np.median((found > share).sum(1))) for share in SHARES) == system.dimensions_above


@every_system
def test_measurements_come_from_the_seed_alone_and_row_by_row(system: System):
    singular_values(system)
    x = system.sample(6, 1)
    assert x.shape == (6, system.features)
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, system.sample(6, 1))
    assert not np.array_equal(x, system.sample(6, 2))
    parameters = system.parameters(6, np.random.default_rng(1))
    one_by_one = np.concatenate([system.measure(row[None]) for row in parameters[::-1]])[::-1]
    np.testing.assert_allclose(one_by_one, x, rtol=1e-7, atol=1e-7)


def test_there_are_many_of_all_sizes():
    assert len(SYSTEMS) >= 16
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS)
    assert {min(system.dimension for system in SYSTEMS), max(system.dimension for system in SYSTEMS)} == {2, 12}
    assert min(system.features for system in SYSTEMS) < 10
    assert max(system.features for system in SYSTEMS) >= 400
    assert any(len(system.box) > system.dimension for system in SYSTEMS)
