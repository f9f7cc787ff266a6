"""Precision of log-densities: what float32 loses and the prior keeps."""

from __future__ import annotations

import pytest

from performance import prior_precision

DENSITIES = (prior_precision.dense_factor, lambda z, a: prior_precision.from_covariance(a).log_prob(z))


def test_float32_loses_what_the_prior_keeps():
    ours, theirs = ([prior_precision.errors(density, 64, scale) for scale in (1.0, 3.0, 30.0)] for density in DENSITIES)
    assert all(max(found.values()) < 1e-6 for found in ours)
    some, many, all_of_it = theirs
    assert 1e-3 < some["gradient in A"] < 0.1
    assert many["gradient in A"] > 0.1
    # whether the check of the covariance or its decomposition finds it first depends on the number of threads
    assert all_of_it in ({"fails": "ValueError"}, {"fails": "_LinAlgError"})


def test_what_float32_is_held_against_is_right():
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath")
    z, a = (part.double() for part in prior_precision.degenerate(8, 10.0))
    with mpmath.workdps(60):
        root = mpmath.matrix(a.tril().tolist())
        covariance = root * root.T + mpmath.mpf(prior_precision.SPREAD_VARIANCE) * mpmath.eye(8)
        solved = mpmath.lu_solve(covariance, mpmath.matrix(z[0].tolist()))
        square = sum(u * v for u, v in zip(z[0].tolist(), solved))
        expected = -(square + mpmath.log(mpmath.det(covariance)) + 8 * mpmath.log(2 * mpmath.pi)) / 2
        assert float(prior_precision.exact(z, a)[0]) == pytest.approx(float(expected), rel=1e-9)
