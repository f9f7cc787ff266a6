"""Measures of rivals: of a model that is the truth, and of one that is off by what is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charts.data_set import split
from charts.measures import ERROR
from charts.model import Model
from rivals.data_sets import DATA_SETS
from rivals.measures import COVERAGE, DENSITY, DISTANCE, MEDIAN_DISTANCE, SUPPORTED_DISTANCE, measure_rival

SPHERE = DATA_SETS["sphere"]
ROWS = split(SPHERE.data, 0)
LENGTH = float(np.unique(ROWS.scale)[0])


def on_the_sphere(count: int) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(count, 3))
    return (x / np.linalg.norm(x, axis=1, keepdims=True) - ROWS.center) / ROWS.scale


TRUE = Model(
    2,
    encode=lambda rows: rows[:, :2],
    decode=lambda coordinates: np.pad(coordinates, ((0, 0), (0, 1))),
    sample=on_the_sphere,
    manifold_log_prob=lambda rows: np.full(len(rows), -np.log(4.0 * np.pi) + 2.0 * np.log(LENGTH)),
)


def test_the_truth_has_no_distance_and_its_density_is_the_data_s():
    values = measure_rival(TRUE, SPHERE, ROWS).values
    assert values[DISTANCE] == pytest.approx(0.0, abs=1e-12)
    assert values[DENSITY] == pytest.approx(0.0, abs=1e-12)
    assert values[COVERAGE] == pytest.approx(1.0, abs=0.15)
    assert values[ERROR] > 0.3


def test_what_is_off_is_measured_in_units_of_the_data_s_scale():
    off = replace(
        TRUE,
        sample=lambda count: (1.1 * (on_the_sphere(count) * ROWS.scale + ROWS.center) - ROWS.center) / ROWS.scale,
        manifold_log_prob=lambda rows: TRUE.manifold_log_prob(rows) + np.where(np.arange(len(rows)) % 2, 0.5, -0.5),
    )
    values = measure_rival(off, SPHERE, ROWS).values
    assert values[DISTANCE] == pytest.approx(0.1 / LENGTH)
    assert values[MEDIAN_DISTANCE] == pytest.approx(0.1 / LENGTH)
    assert values[DENSITY] == pytest.approx(0.5)


def test_samples_of_one_place_do_not_cover():
    few = replace(TRUE, sample=lambda count: on_the_sphere(1).repeat(count, axis=0))
    values = measure_rival(few, SPHERE, ROWS).values
    assert values[DISTANCE] == pytest.approx(0.0, abs=1e-12)
    assert values[COVERAGE] > 10.0


def test_what_there_is_not_is_missing_with_its_reason():
    missing = measure_rival(replace(TRUE, rank=1, sample=None), SPHERE, ROWS).missing
    assert missing[DENSITY] == "a density by area of dimension 1 is none of dimension 2"
    assert missing[DISTANCE] == missing[COVERAGE] == "no samples"
    table = DATA_SETS["iris, standardized"]
    assert measure_rival(TRUE, table, split(SPHERE.data, 0)).missing[DISTANCE] == "the manifold is not known"


def test_samples_without_rows_near_their_coordinates_do_not_count_among_the_supported():
    """Half of the samples are far out on the plane of the coordinates; where rows are, all lie on the sphere."""

    def draw(count: int) -> np.ndarray:
        far = TRUE.decode(np.full((count // 2, 2), 50.0))
        return np.concatenate([on_the_sphere(count - count // 2), far])

    values = measure_rival(replace(TRUE, sample=draw), SPHERE, ROWS).values
    assert values[DISTANCE] > 1.0
    assert values[SUPPORTED_DISTANCE] == pytest.approx(0.0, abs=1e-12)
    nowhere = replace(TRUE, sample=lambda count: TRUE.decode(np.full((count, 2), 50.0)))
    missing = measure_rival(nowhere, SPHERE, ROWS).missing
    assert missing[SUPPORTED_DISTANCE] == "no sample has coordinates where rows have theirs"
    assert measure_rival(replace(TRUE, encode=None), SPHERE, ROWS).missing[SUPPORTED_DISTANCE] == "no coordinates"
