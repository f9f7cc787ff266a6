"""scikit-learn estimator ``SpreadFlowEstimator``: an array's dimension, a representation, a density and samples."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.arrays import Array, example_of, labels_of, like, rows_of
from nflows_spread.deprecation import RenamedAttribute
from nflows_spread.dimension import pointwise_dimension
from nflows_spread.estimator.exceptions import not_fitted_error
from nflows_spread.estimator.fitting import fit_rows
from nflows_spread.estimator.input_rows import names_of, rows_as_fitted, rows_to_fit
from nflows_spread.estimator.old_pickles import upgraded
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.estimator.settings import checked_settings, generator_of, parameter_constraints
from nflows_spread.estimator.sklearn_interface import SklearnInterface
from nflows_spread.hosts.placement import placement_of

Fitted = TypeVar("Fitted", bound="SpreadFlowEstimator")


class SpreadFlowEstimator(SklearnInterface):
    """Fit a spread flow to points by one recipe for all data, and read everything off it.

    Args:
        random_state: seed of all randomness, an integer of at least 0, or a ``numpy.random.RandomState`` from which
            each fit draws one; by default a new one each time.
        recipe: the numbers of the training, see ``nflows_spread.estimator.recipe.Recipe``.
        max_minutes: stop training after so long, with a warning.
        progress: show a progress bar.
        standardize: divide each column by its standard deviation, for columns in different units. By default one scale
            serves all columns, which keeps distances what they are.
        n_components: coordinates of ``transform``, between 1 and D and at most n: 2 for a map in the plane, whatever
            the dimension. By default ``intrinsic_dimension_``.
        checkpoints: a folder in which an interrupted fit leaves its training, for the same fit of the same data to go
            on from. ``random_state`` must be an integer then. By default nothing is left.
        device: where the flow and the charts are trained, such as ``"cuda"``; by default on the CPU, where all that was
            fitted is in any case.

    Attributes:
        intrinsic_dimension_: K, an ``int`` with its ``gap``, its ``interval`` and its ``spectrum``.
        estimates_: what each estimate of the dimension says by itself; ``estimates_.by_name`` lists them.
        disagreement_: those of ``signal_to_noise`` (the gap in the spectrum), ``neighbours``, ``tangent_spaces`` and
            ``denoising`` (the flow's density) that by themselves say otherwise than ``intrinsic_dimension_``, with what
            they say; empty where all agree. ``denoising`` decides nothing and is often far above the dimension, even
            above D; where one of the others is here, look at all.
        spectrum_: the flow's ``Spectrum``; μ in units of the data squared.
        flow_: the trained nflows ``Flow``, of data that is centred and divided by ``scale_``, along ``axes_`` if any.
        chart_: the ``Chart`` behind ``transform`` and ``inverse_transform``, of those that were trained the one that
            reconstructs held-out rows best, and never below principal components. It takes and gives
            float64 tensors in the units of ``flow_``, (x − ``center_``) / ``scale_``.
        chart_kind_: which one: ``"PCA"``, ``"PCA with a curved decoder"`` or ``"lifted flow"``; ``"flow"``, which is
            that of ``flow_`` itself, in estimators that older versions have pickled.
        reconstruction_error_: root mean squared distance of held-out rows from their reconstructions, over the root of
            the total variance: 0 is all, 1 as far as the mean.
        reconstruction_errors_: the same of the first 1, 2, … of the coordinates of ``transform``, up to all of them.
        unreconstructed_: share of the held-out rows that are farther from their reconstructions than three times the
            noise.
        atlas_: where one chart is not enough, as on closed surfaces, or draws of an atlas are nearer to the data by
            far, the ``LocalAtlas``, in the units of ``chart_``.
        samples_from_: ``"chart"``, ``"flow"`` or ``"atlas"``, what ``sample`` draws from.
        chart_obstruction_: why the coordinates are no chart of the data, where they are as many as it has dimensions:
            a ``share`` of the rows, a ``reason`` and a ``remedy``; None where nothing says so. ``transform``
            warns of it once.
        data_noise_: σ_x, the noise that the training added at its end, in units of the data. That found in the data is
            ``estimates_.ambient_noise``.
        center_: mean of the data, (D,).
        scale_: root of the data's mean variance a feature; with ``standardize`` the columns' standard deviations, (D,),
            1 where a column does not vary. Of data along ``axes_`` times the root of its mean variance there.
        axes_: of more than 512 columns the principal axes that stand above their noise and some more, (D, d), if a
            quarter is enough: flow, chart and atlas are of (X − ``center_``) / ``scale_`` @ ``axes_``. Else None.
        n_features_in_: D.
        feature_names_in_: the names of the columns, (D,), only after a data frame whose names are all strings.

    With ``standardize`` the spectrum, the estimates and ``data_noise_`` are in standard deviations of the columns, as a
    direction across several has no other unit. Points and ``score_samples`` are in units of the data always.

    Methods return a tensor where they are given one and a NumPy array otherwise, also of a data frame.

    Example:
        >>> import numpy as np
        >>> t = np.random.default_rng(0).uniform(0, 3, 200)
        >>> x = np.stack([np.cos(t), np.sin(t), t], axis=1)
        >>> estimator = SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=20)).fit(x)
        >>> int(estimator.intrinsic_dimension_), estimator.sample(5).shape
        (1, (5, 3))
    """

    readings_ = RenamedAttribute("estimates_")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = parameter_constraints()

    def __init__(
        self,
        *,
        random_state: int | np.random.RandomState | None = None,
        recipe: Recipe | None = None,
        max_minutes: float | None = None,
        progress: bool = False,
        standardize: bool = False,
        n_components: int | None = None,
        checkpoints: str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.random_state = random_state
        self.recipe = recipe
        self.max_minutes = max_minutes
        self.progress = progress
        self.standardize = standardize
        self.n_components = n_components
        self.checkpoints = checkpoints
        self.device = device

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(upgraded(state))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(self: Fitted, X: Array, y: None = None) -> Fitted:
        """Train on points and read the dimension off.

        Args:
            X: NumPy array, tensor or data frame of numbers, (n, D), n and its distinct rows at least 6, D at least 2.
            y: ignored, for pipelines.

        Raises:
            TypeError: ``X`` is no array of real numbers, or a setting of the constructor is of another type.
            ValueError: ``X`` has another shape, is not finite, does not vary, or only by a few rows far from all
                others, or a setting is out of range.

        Warns:
            UserWarning: fewer than 50 rows are distinct; the training ran out of time; columns vary no more than a few
                σ_x, which are named; a few rows set the scale of all, or a few values that of a standardized column;
                the dimension varies from place to place, the rows follow a path, or no estimate by itself says what all
                together do; coordinates are no chart of the data, as ``chart_obstruction_`` says.
        """
        x, labels = rows_to_fit(X), labels_of(X)
        settings = checked_settings(self, x)
        fitted = fit_rows(x, labels, **settings._asdict())
        # nothing above has touched the estimator: what is interrupted leaves the last fit whole
        units, estimates = fitted.units, fitted.estimates
        self.intrinsic_dimension_ = fitted.dimension
        self.estimates_, self.spectrum_ = estimates, estimates.spectrum
        self.disagreement_ = estimates.disagreeing_with(fitted.dimension)
        self.flow_, self.data_noise_, self.n_features_in_ = fitted.flow, fitted.data_noise * units.length, x.shape[1]
        self.center_, self.scale_ = units.center, units.scales
        self.axes_ = None if units.leading is None else units.leading.axes
        found = fitted.reconstruction
        self.chart_, self.chart_kind_ = found.chart, found.kind
        self.reconstruction_errors_ = units.relative_errors(found.errors).numpy()
        self.reconstruction_error_ = float(self.reconstruction_errors_[-1])
        self.unreconstructed_, self.chart_obstruction_ = found.beyond_noise, fitted.obstruction
        self._own_chart = fitted.own_chart
        self._density, self._sampler, self.atlas_ = fitted.density, fitted.sampler, fitted.atlas
        self.samples_from_ = fitted.sampler.source
        self._warned_of: set[str] = set()
        self._chart, self._units, self._labels = fitted.chart, units, labels
        self._like, self._generator = example_of(X), settings.generator
        if (names := names_of(labels)) is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def transform(self, X: Array) -> Array:
        """Coordinates of points by ``chart_``, shape (n, K), in units of the data, those that vary most first.

        K is ``n_components``, or else ``intrinsic_dimension_``. With ``standardize`` they are in standard deviations of
        the columns.

        Warns:
            UserWarning: once after each fit, where ``chart_obstruction_`` says why these are no chart of the data.
        """
        unit = self._unit(X, self._chart_dtype)
        if self.chart_obstruction_ is not None and not self._warned_of:
            self._warned_of.add(self.chart_obstruction_.reason)
            validation.warn(f"the chart behind these coordinates {self.chart_obstruction_}")
        with torch.no_grad():
            return like(X, self.chart_.coordinates(unit) * self._units.length)

    def inverse_transform(self, coordinates: Array) -> Array:
        """Points of the data's space, (n, D), at coordinates as ``transform`` gives them, or at the first of them."""
        self._ensure_fitted()
        rows = rows_of("coordinates", coordinates)
        if not 1 <= rows.shape[1] <= self.chart_.rank:
            raise ValueError(
                f"coordinates must have 1 to {self.chart_.rank} columns, got {rows.shape[1]}; "
                "n_components sets how many there are"
            )
        with torch.no_grad():
            unit = self.chart_.first(rows.shape[1]).points(rows.to(self._chart_dtype) / self._units.length)
        return like(coordinates, self._units.to_data(unit))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def sample(self, n_samples: int = 1, *, random_state: int | np.random.RandomState | None = None) -> Any:
        """Points of the data without noise, (n_samples, D), a tensor if ``fit`` was given one, else a NumPy array.

        Points of the chart of ``intrinsic_dimension_`` coordinates at draws of them: on the manifold, where the chart
        reconstructs the data to within the noise. What it leaves out of the data beyond the noise is drawn as well, so
        that columns are about as wide as the data's less the noise, and no value is below or above those of its column
        by more than a twentieth of their range. ``chart_.sample`` draws on the chart alone, in units of the flow.

        Where they are off, as on a torus, which no chart covers, samples are of ``atlas_``, or draws of ``flow_`` with
        the noise taken off; of ``atlas_`` too where it leaves at most half of what the chart leaves of held-out rows.
        ``samples_from_`` says which.

        Args:
            n_samples: how many.
            random_state: seed of these draws; by default they go on from the last ones, and the first from the fit, so
                that an estimator that is read from a pickle draws again what it drew after it was written.
        """
        self._ensure_fitted()
        count = validation.positive_int("n_samples", n_samples)
        generator = self._generator if random_state is None else generator_of(random_state)
        return like(self._like, self._units.samples_in_data(self._sampler.sample(count, generator)))

    def score_samples(self, X: Array) -> Array:
        """log p(x) of the data as they are, with their noise, in nats and units of the data, shape (n,).

        A density in all D columns: that of ``flow_``, which has σ_x = ``data_noise_``, and one in pieces, full
        Gaussians none of which is thinner than ``Recipe.min_noise`` times ``scale_``, in the share that held-out rows
        like best. Data thinner than either noise is scored as if blurred by it. ``manifold_score_samples`` is that of
        the data without noise.
        """
        x, units = self._rows(X), self._units
        log_prob = self._density.log_prob(units.to_flow(x, torch.float64))
        return like(X, units.log_prob_in_data(log_prob, x, data_noise=self.data_noise_ / units.length))

    def score(self, X: Array, y: None = None) -> float:
        """The mean of ``score_samples``, by which scikit-learn's ``cross_val_score`` and searches compare settings."""
        return float(self.score_samples(X).mean())

    @torch.inference_mode(False)
    def manifold_score_samples(self, X: Array) -> Array:
        """log p of the data without noise on the manifold, at the reconstructions of X, shape (n,), in nats.

        How far a row is from its reconstruction does not count: for outliers take ``score_samples``. By area of a chart
        of ``intrinsic_dimension_`` coordinates, ``chart_`` unless ``n_components`` asks for others, in units of the
        data or, with ``standardize``, in standard deviations of the columns.

        Raises:
            ValueError: points of the chart do not move with each coordinate.
        """
        unit = self._unit(X, self._chart_dtype)
        with torch.no_grad():
            return like(X, self._own_chart.log_prob(unit) - self._own_chart.rank * math.log(self._units.length))

    def pointwise_dimension(self, X: Array, *, data: Array | None = None, n_jobs: int | None = None) -> Array:
        """The dimension around each point, (n,) whole numbers, for data whose dimension varies.

        By distances to neighbours, see ``nflows_spread.dimension.pointwise_dimension``, which are sought among ``X``
        itself or, for a few new points, among ``data``: the estimator keeps no data that it was fitted to.
        ``nflows_spread.dimension.pointwise_spectrum(flow_, ...)`` has the flow's view.

        Args:
            X: points, shape (n, D).
            data: the set in which neighbours are sought, (m, D), such as that of ``fit``; 50 rows must be distinct.
            n_jobs: threads of the search for neighbours, −1 for all cores; they change no digit.
        """
        found = pointwise_dimension(self._unit(X), data=None if data is None else self._unit(data), n_jobs=n_jobs)
        return cast(Array, found if isinstance(X, Tensor) else found.numpy())

    @property
    def _n_features_out(self) -> int:
        """The number of coordinates, of which scikit-learn makes names of columns."""
        return self.chart_.rank

    @property
    def _chart_dtype(self) -> torch.dtype:
        """Of the chart; that of older versions is float32."""
        self._ensure_fitted()
        return placement_of(self.chart_.flow).dtype or torch.float32

    def _unit(self, X: Array, dtype: torch.dtype = torch.float32) -> Tensor:
        """Points as the flow knows them."""
        x = self._rows(X)
        return self._units.to_flow(x, dtype)

    def _rows(self, X: Array) -> Tensor:
        """Points of the columns that ``fit`` was given."""
        self._ensure_fitted()
        return rows_as_fitted(X, labels=self._labels, features=self.n_features_in_, estimator=type(self).__name__)

    def _ensure_fitted(self) -> None:
        if not hasattr(self, "flow_"):
            raise not_fitted_error()("the estimator must be fitted first, got one that is not; call fit(X)")
