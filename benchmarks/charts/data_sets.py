"""All data sets of the chart benchmark by name, and those of its quick profile and of the slow methods."""

from __future__ import annotations

from collections.abc import Mapping

from charts.data_set import DataSet
from charts.images import IMAGES
from charts.manifolds import MANIFOLDS
from charts.real_tables import TABLES

DATA_SETS: Mapping[str, DataSet] = {data.name: data for data in (*MANIFOLDS, *TABLES, *IMAGES)}

ROLL = "swiss roll"
"""What the picture shows."""

FIRST = (
    *("S-curve", ROLL, "swiss roll in 10", "smooth 5 in 20"),
    *("breast cancer, standardized", "digits", "iris, standardized"),
)
"""The sets of the table with which this benchmark began: those that methods of minutes a set are run on in profiles."""

QUICK = ("S-curve", ROLL, "breast cancer, standardized", "iris, standardized", "EEG")
