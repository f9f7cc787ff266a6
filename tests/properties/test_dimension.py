"""The dimension without a flow: what no rotation, scale, offset, unit, order of columns, dtype or thread may change."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drawn import SEEDS, magnitudes, normal, rotation, share_of_cases
from nflows_spread import dimension_of

slowly = share_of_cases(0.1)
ROWS = st.integers(60, 300)


@st.composite
def data(draw):
    """Points near a curved manifold of 1 to 4 dimensions in up to 8, with or without noise, (n, D)."""
    seed, rows, features = draw(SEEDS), draw(ROWS), draw(st.integers(2, 8))
    inner = draw(st.integers(1, min(4, features)))
    z = normal(seed, rows, inner)
    bend = draw(st.floats(0.0, 1.0)) * (z @ normal(seed + 2, inner, features)).sin()
    noise = draw(st.sampled_from([0.0, 0.01, 0.1])) * normal(seed + 3, rows, features)
    return z @ normal(seed + 1, inner, features) + bend + noise


@slowly
@given(data(), SEEDS, magnitudes(-5.0, 5.0), magnitudes(-2.0, 2.0))
def test_no_rotation_scale_or_offset_changes_it(x, seed, scale, offset):
    moved = scale * (x @ rotation(seed, x.shape[1]) + offset)
    one, other = dimension_of(x), dimension_of(moved)
    assert other.value == pytest.approx(one.value, rel=1e-3)
    if one.estimates.above_noise is None and other.estimates.above_noise is None:  # which noise of columns may be
        for mine, theirs in zip(other.interval, one.interval):
            assert abs(mine - theirs) <= 1  # where rounding decides between two that are about as plausible


@slowly
@given(data())
def test_it_is_within_its_interval_and_no_more_than_the_columns(x):
    found = dimension_of(x)
    assert 1 <= found.interval[0] <= int(found) <= found.interval[1] <= x.shape[1]
    assert 0.0 < found.value <= x.shape[1]
    assert dimension_of(x.numpy(), n_jobs=2).value == found.value
    assert dimension_of(torch.cat([x, x[:20]])).value == pytest.approx(found.value, rel=0.15)  # repeats count once


@slowly
@given(data(), SEEDS)
def test_columns_without_variance_and_their_order_change_nothing(x, seed):
    constant = torch.full((len(x), 2), 3.0, dtype=x.dtype)
    order = torch.randperm(x.shape[1] + 2, generator=torch.Generator().manual_seed(seed))
    found = dimension_of(torch.cat([x, constant], 1)[:, order])
    assert found.value == pytest.approx(min(dimension_of(x).value, x.shape[1]), rel=1e-3) or found.value > x.shape[1]
