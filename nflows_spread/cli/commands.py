"""The commands of ``nflows-spread``: what each asks for, and what it prints."""

from __future__ import annotations

import secrets
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

from nflows_spread import validation
from nflows_spread.cli.data_files import ReadOptions, read_table
from nflows_spread.cli.one_line_errors import OneLineErrors, in_options, interrupted
from nflows_spread.cli.result_files import check_writable, is_image, write_rows
from nflows_spread.cli.run_folder import (
    check_new,
    in_units_of_fit,
    kept_rows,
    read_run,
    unfinished,
    write_run,
)
from nflows_spread.dimension import dimension_of
from nflows_spread.whole_files import whole_file

_FILE = click.Path(path_type=Path)
_SEEDS = click.IntRange(0, 2**64 - 1)
"""Of a generator of torch's, by its convention."""

_DRAWN_SEEDS = 2**31
"""From which one is drawn where none is given: a choice, short enough to be typed."""

_DROP_MISSING = click.option("--drop-missing", is_flag=True, help="Leave out rows with missing or infinite numbers.")
_READ_OPTIONS = [
    click.option("--columns", default="", metavar="A,B,…", help="Names of the columns to take; all by default."),
    click.option("--drop", multiple=True, metavar="A,B,…", help="Names of columns to leave out; may be given again."),
    click.option("--key", help="The array of an .npz file; a layer or an embedding of an .h5ad file."),
    _DROP_MISSING,
    click.option("--image-size", type=click.IntRange(1), help="Height and width that images are resized to."),
    click.option("--grey", is_flag=True, help="Read images as grey levels."),
]
"""Those of all commands that read data."""


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("nflows-spread"), prog_name="nflows-spread")
def main() -> None:
    """Intrinsic dimension, coordinates, samples and reconstructions of data on a manifold.

    DATA is an .npy, .npz, .csv, .tsv, .parquet or .h5ad file, or a folder or .zip file of images.
    """


def _reads_data(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_READ_OPTIONS):
        command = option(command)
    return command


@main.command()
@click.argument("data", type=_FILE)
@click.option("--standardize", is_flag=True, help="Divide each column by its standard deviation.")
@click.option("--max-points", type=click.IntRange(1), default=100_000, show_default=True, help="Rows to look at.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Threads; -1 for all cores.")
@_reads_data
def dimension(data: Path, standardize: bool, max_points: int, jobs: int, **reading: Any) -> None:
    """The intrinsic dimension of DATA, in about a second and without training."""
    table = read_table(data, _options(reading))
    found = dimension_of(table.rows, standardize=standardize, max_points=max_points, n_jobs=jobs)
    lowest, highest = found.interval
    click.echo(f"dimension {int(found)} (interval {lowest} to {highest})")
    click.echo(f"of {found.sample}, {table.rows.shape[1]} columns; by neighbours {found.value:.2f}")
    for reservation in found.reservations:
        click.echo(f"but {in_options(reservation)}")


@main.command()
@click.argument("data", type=_FILE)
@click.option("--out", "run", type=_FILE, required=True, metavar="RUN", help="The folder to leave the fit in.")
@click.option("--standardize", is_flag=True, help="Divide each column by its standard deviation.")
@click.option("--components", type=click.IntRange(1), help="Coordinates; as many as the dimension by default.")
@click.option("--steps", type=click.IntRange(1), help="Steps of training, at most; those of the recipe by default.")
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True), help="Stop training after so long.")
@click.option("--seed", type=_SEEDS, default=0, show_default=True, help="Of all randomness.")
@click.option("--device", help="Where to train, such as cuda; on the CPU by default.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@_reads_data
def fit(
    data: Path,
    run: Path,
    standardize: bool,
    components: int | None,
    steps: int | None,
    max_minutes: float | None,
    seed: int,
    device: str | None,
    quiet: bool,
    **reading: Any,
) -> None:
    """Fit a spread flow to DATA and leave it in RUN.

    Ctrl-C leaves a checkpoint there, and the same command goes on from it.
    """
    from nflows_spread.estimator import Recipe, SpreadFlowEstimator  # which brings Lightning, and two seconds
    from nflows_spread.estimator.resumption import kept_until_the_end

    check_new(run)
    options = _options(reading)
    table = read_table(data, options)
    estimator = SpreadFlowEstimator(
        random_state=seed,
        recipe=None if steps is None else Recipe(steps=steps),
        standardize=standardize,
        n_components=components,
        max_minutes=max_minutes,
        progress=not quiet and sys.stderr.isatty(),
        checkpoints=unfinished(run),
        device=device,
    )
    with kept_until_the_end(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if is_image(table.item_shape):
            warnings.simplefilter("ignore", validation.ThinColumnsWarning)
        try:
            estimator.fit(table.rows)
        except KeyboardInterrupt:
            raise interrupted(f"interrupted; the same command goes on from what is in {run}") from None
        said = [in_options(str(warning.message)) for warning in caught if issubclass(warning.category, UserWarning)]
        facts = write_run(run, estimator, table, data, options, said)
    click.echo("dimension {} (interval {} to {})".format(facts.dimension, *facts.interval))
    click.echo(
        f"chart of {validation.counted(estimator.chart_.rank)}: {estimator.chart_kind_}; it leaves "
        f"{estimator.reconstruction_error_:.3g} of the data's standard deviation"
    )
    click.echo(f"samples are of the {estimator.samples_from_}; all of it is in {run}")
    for message in said:
        click.echo(f"warning: {message}", err=True)


@main.command()
@click.argument("run", type=_FILE)
@click.argument("data", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="A file for the coordinates.")
@click.option("--key", help="The array, layer or embedding of DATA, if not that of the fit.")
@_DROP_MISSING
def transform(run: Path, data: Path, out: Path, key: str | None, drop_missing: bool) -> None:
    """Coordinates of DATA by the chart of RUN."""
    estimator, facts = read_run(run)
    names = [f"coordinate{number}" for number in range(1, estimator.chart_.rank + 1)]
    check_writable(out, (len(names),), data=data)
    table = facts.read_alike(data, key=key, drop_missing=drop_missing)
    write_rows(out, estimator.transform(table.rows), names, (len(names),))
    click.echo(f"{len(table.rows)} rows, {validation.counted(len(names))}: {out}")


@main.command()
@click.argument("run", type=_FILE)
@click.option("-n", "--number", type=click.IntRange(1), default=1000, show_default=True, help="How many.")
@click.option("--out", type=_FILE, required=True, help="A file, or a folder for images.")
@click.option("--seed", type=_SEEDS, help="Of the draws; by default a new one each time, which is printed.")
def sample(run: Path, number: int, out: Path, seed: int | None) -> None:
    """New points like the data of RUN, without its noise."""
    estimator, facts = read_run(run)
    check_writable(out, facts.item_shape)
    chosen = secrets.randbelow(_DRAWN_SEEDS) if seed is None else seed
    write_rows(out, estimator.sample(number, random_state=chosen), facts.columns, facts.item_shape)
    click.echo(f"{number} samples of the {estimator.samples_from_}, --seed {chosen}: {out}")


@main.command()
@click.argument("run", type=_FILE)
@click.argument("data", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="A file, or a folder for images.")
@click.option("--components", type=click.IntRange(1), help="Of the first so many coordinates; of all by default.")
@click.option("--key", help="The array, layer or embedding of DATA, if not that of the fit.")
@_DROP_MISSING
def reconstruct(run: Path, data: Path, out: Path, components: int | None, key: str | None, drop_missing: bool) -> None:
    """DATA with all removed that the coordinates of RUN do not tell."""
    estimator, facts = read_run(run)
    check_writable(out, facts.item_shape, data=data)
    rank = estimator.chart_.rank if components is None else components
    if rank > estimator.chart_.rank:
        raise ValueError(f"--components must be between 1 and {estimator.chart_.rank}, those of {run}, got {rank}")
    rows = facts.read_alike(data, key=key, drop_missing=drop_missing).rows
    back = estimator.inverse_transform(estimator.transform(rows)[:, :rank])
    write_rows(out, back, facts.columns, facts.item_shape)
    values, back = (in_units_of_fit(estimator, each) for each in (rows, back))
    spread = np.sqrt(np.square(values - values.mean(0)).sum(1).mean())
    error = np.sqrt(np.square(values - back).sum(1).mean()) / spread if spread > 0.0 else float("nan")
    click.echo(
        f"{len(values)} rows from {validation.counted(rank)}, {error:.3g} of their standard deviation left: {out}"
    )


@main.command()
@click.argument("run", type=_FILE)
@click.option("--out", type=_FILE, help="The page; report.html in RUN by default.")
@click.option("--colour", metavar="COLUMN", help="The column that colours the chart; of those left out too.")
def report(run: Path, out: Path | None, colour: str | None) -> None:
    """One HTML page about RUN: dimension, pictures, and what to distrust."""
    from nflows_spread.cli.report_page import report_page  # which brings matplotlib

    estimator, facts = read_run(run)
    page = run / "report.html" if out is None else out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # which the page has, as the fit gave them
        content = report_page(estimator, facts, *kept_rows(run), colour=colour).encode()
    with whole_file(page) as stream:
        stream.write(content)
    click.echo(f"{page}")


def _options(reading: dict[str, Any]) -> ReadOptions:
    columns = tuple(name.strip() for name in reading["columns"].split(",") if name.strip())
    return ReadOptions(**{**reading, "columns": columns})
