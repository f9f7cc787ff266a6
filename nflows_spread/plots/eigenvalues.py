"""Plot of a flow's spectrum: signal-to-noise eigenvalues, those of the prior, and the noise floor, in log-space."""

from __future__ import annotations

from typing import Any

from nflows_spread import validation
from nflows_spread.dimension import IntrinsicDimension, Spectrum
from nflows_spread.plots.axes import axes_for, legend, numbers_of, refused, whole_numbers
from nflows_spread.plots.colours import DATA_COLOUR, MODEL_COLOUR, REFERENCE_COLOUR
from nflows_spread.plots.estimator_results import SCALED, UNITS, is_estimator, units_of

_LEAST = 1e-12
"""What an eigenvalue of 0 is drawn as, below any noise: a choice."""


_SHOWN, _BEYOND = 20, 5
"""Eigenvalues that are shown, and those beyond the dimension, at least: choices, so that its line is among them."""


def spectrum(found: Any, *, dimension: int | None = None, first: int | None = None, ax: Any = None) -> Any:
    """μ, the variance of the noisy data along each of its directions, beside the eigenvalues of AAᵀ, in log-space.

    Args:
        found: a fitted ``SpreadFlowEstimator``, an ``IntrinsicDimension`` of a flow, or a ``Spectrum``.
        dimension: where to draw a line, after so many; by default the one that was found, of a spectrum alone none.
        first: how many eigenvalues to show; by default 20, or 5 more than the dimension if these are more.
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind, or the numbers are no whole ones.
    """
    units = UNITS
    if is_estimator(found):
        units, values = units_of(found), found.spectrum_
        marked = int(found.intrinsic_dimension_)
    elif isinstance(found, IntrinsicDimension):
        values, marked = found.spectrum, int(found)
    elif isinstance(found, Spectrum):
        values, marked = found, 0
    else:
        raise refused(
            "spectrum",
            "a fitted SpreadFlowEstimator, what intrinsic_dimension found, or a Spectrum",
            found,
            "dimension_of has no spectrum, plots.scale shows what it found",
        )
    marked = marked if dimension is None else validation.non_negative_int("dimension", dimension)
    axes = axes_for(ax, plane=True)
    asked = max(_SHOWN, marked + _BEYOND) if first is None else validation.positive_int("first", first)
    count = min(asked, len(values.signal_to_noise))
    shown = range(1, count + 1)
    eigenvalues = numbers_of(values.eigenvalues[:count].clamp_min(_LEAST))
    axes.plot(shown[: len(eigenvalues)], eigenvalues, "s--", c=REFERENCE_COLOUR, ms=4, label="AAᵀ of the prior")
    signal_to_noise = numbers_of(values.signal_to_noise[:count].clamp_min(_LEAST))
    axes.plot(shown, signal_to_noise, "o-", c=MODEL_COLOUR, ms=4, label="μ of the noisy data")
    if values.data_noise > 0.0:
        axes.axhline(values.data_noise**2, c=DATA_COLOUR, lw=1, ls=":", label="σ_x² of training")
    if 0 < marked < count:
        axes.axvline(marked + 0.5, c="k", lw=0.8, label=f"dimension {marked}")
    axes.set_yscale("log")
    axes.set_xlabel("direction, by its variance")
    axes.set_ylabel("variance (of standardized columns)" if units == SCALED else f"variance ({UNITS}, squared)")
    whole_numbers(axes.xaxis)
    legend(axes)
    return axes
