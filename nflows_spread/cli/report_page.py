"""The report of a run: one HTML page that needs no network, with the dimension, pictures and what to distrust."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nflows_spread import validation
from nflows_spread.cli import report_pictures
from nflows_spread.cli.result_files import is_image
from nflows_spread.cli.run_folder import Facts, in_units_of_fit
from nflows_spread.dimension import VOTES, PointDimension, dimension_of
from nflows_spread.estimator.obstruction import beyond_noise

if TYPE_CHECKING:
    from nflows_spread.estimator import SpreadFlowEstimator

_BRIGHTNESS = "brightness"
"""The mean of an image, by which its chart is coloured where nothing else is known of it."""

_SAMPLES = 2_000
"""Samples that are drawn beside the data, at most: a choice, as many as rows are kept."""

_SCALES = (
    "By distances to neighbours, without the flow, from near ones to far ones. A curve that falls shows noise, or a "
    "density that varies; one that rises shows clusters, or values that are rounded."
)
_SPECTRUM = "Variance along each direction of the flow, μ, and the prior's, AAᵀ; the line is after the dimension."
_RECONSTRUCTION = "What the first coordinates leave of rows that were not trained on."

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; }
.number { font-size: 2.2rem; margin: .2rem 0; } .aside { color: #555; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
.pictures figure { margin: 0; flex: 1 1 22rem; max-width: 38rem; }
img { width: 100%; height: auto; } figcaption { color: #555; font-size: .9rem; } li { margin: .3rem 0; }
table { border-collapse: collapse; margin-top: 1rem; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
"""


def report_page(
    estimator: SpreadFlowEstimator, facts: Facts, rows: Any, left_out: dict[str, Any], *, colour: str | None = None
) -> str:
    """The page.

    Args:
        estimator: fitted.
        facts: what was fitted.
        rows: some of the data, (n, D).
        left_out: columns that were not fitted, of the same rows.
        colour: the column by which the chart is coloured; by default the first that was left out, or else
            the first, of images their brightness.

    Raises:
        ValueError: there is no such column.
    """
    columns = {**left_out, **dict(zip(facts.columns, rows.T))}
    if is_image(facts.item_shape) and not left_out:  # whose first column is a pixel at the edge
        columns = {_BRIGHTNESS: rows.mean(1), **columns}
    name = next(iter(columns)) if colour is None else colour
    if name not in columns:
        raise ValueError(f"--colour must be a column of the data, {', '.join(list(columns)[:20])}, got {name}")
    in_units = in_units_of_fit(estimator, rows)
    without_flow = _without_flow(in_units)
    kind = f"{validation.counted(estimator.chart_.rank)}, {estimator.chart_kind_}"
    samples = np.asarray(estimator.sample(min(_SAMPLES, len(rows)), random_state=0))
    scaled = estimator.standardize and not is_image(facts.item_shape)  # of which the eye knows the units
    own, drawn = (in_units, in_units_of_fit(estimator, samples)) if scaled else (rows, samples)
    pictures = report_pictures
    sections = [
        _section("What to distrust", _list(distrusted(estimator, facts, without_flow))),
        _section(
            "Dimension",
            _pictures(
                *(
                    []
                    if without_flow is None
                    else [(pictures.of_scales(without_flow, scaled=estimator.standardize), _SCALES)]
                ),
                (pictures.of_spectrum(estimator), _SPECTRUM),
            )
            + _table(estimator.estimates_.by_name),
        ),
        _section(
            f"Chart: {kind}",
            _pictures(
                (
                    pictures.of_chart(
                        np.asarray(estimator.transform(rows)), columns[name], name, scaled=estimator.standardize
                    ),
                    f"By {name}.",
                ),
                (pictures.of_reconstruction(estimator.reconstruction_errors_), _RECONSTRUCTION),
            ),
        ),
        _section(
            f"Samples of the {estimator.samples_from_}",
            _pictures(
                *zip(
                    pictures.of_samples(own, drawn, facts.item_shape, scaled=scaled),
                    ("Data, and beside them samples.", "Samples."),
                )
            ),
        ),
    ]
    lowest, highest = facts.interval
    plausible = f"plausible are {lowest} to {highest}" if lowest < highest else "no other is plausible"
    head = (
        f"<h1>{html.escape(facts.data)}</h1><p class=number>dimension {facts.dimension}</p>"
        f"<p>{plausible}, of {facts.rows} rows and {len(facts.columns)} columns; "
        f"coordinates leave {estimator.reconstruction_error_:.3g} of the data's standard deviation</p>"
        f"<p class=aside>nflows-spread {html.escape(facts.version)}; pictures show {len(rows)} rows</p>"
    )
    return (
        '<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{html.escape(facts.data)}: dimension {facts.dimension}</title><style>{_STYLE}</style></head>"
        f"<body>{head}{''.join(sections)}</body></html>\n"
    )


def distrusted(estimator: SpreadFlowEstimator, facts: Facts, without_flow: PointDimension | None) -> list[str]:
    """What speaks against the numbers of a run, a sentence each."""
    found = list(facts.said)
    if facts.interval[0] < facts.interval[1]:
        found.append("several dimensions are plausible: {} to {}".format(*facts.interval))
    others = {name: value for name, value in estimator.disagreement_.items() if name != "denoising"}
    found += [f"{name} by itself says {value:.3g}, not {facts.dimension}" for name, value in others.items()]
    if without_flow is not None:
        if int(without_flow) != facts.dimension:
            found.append(
                "without the flow the dimension is {} ({} to {})".format(int(without_flow), *without_flow.interval)
            )
        found += without_flow.reservations
    if estimator.unreconstructed_ > 0.0 and estimator.chart_obstruction_ is None:  # which says so by itself
        said = beyond_noise(estimator.unreconstructed_, estimator.reconstruction_error_)
        found.append(f"{said}; if that is too much, fit with more coordinates, by --components")
    return list(dict.fromkeys(found))


def _without_flow(rows: Any) -> PointDimension | None:
    """The dimension of the rows by distances alone; None where they are too few."""
    try:
        return dimension_of(rows)
    except ValueError:
        return None


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>"


def _list(sentences: Sequence[str]) -> str:
    if not sentences:
        return "<p>Nothing that was looked at speaks against these numbers.</p>"
    return f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _pictures(*shown: tuple[str, str]) -> str:
    figures = (
        f'<figure><img alt="{html.escape(text)}" src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for svg, text in shown
    )
    return f"<div class=pictures>{''.join(figures)}</div>"


def _table(estimates: dict[str, float]) -> str:
    rows = (
        f"<tr><td>{html.escape(name)}</td><td>{value:.3g}</td><td>{'yes' if name in VOTES else ''}</td></tr>"
        for name, value in estimates.items()
    )
    return f"<table><tr><th>estimate</th><th>dimension</th><th>counts</th></tr>{''.join(rows)}</table>"
