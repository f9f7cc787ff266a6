"""Command-line errors and warnings: one line each on the standard error, exit status 2 for errors, 130 for Ctrl-C."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

_STATUS, _INTERRUPTED = 2, 130
"""Exit statuses: of wrong use, by convention, and of Ctrl-C, 128 and the number of the signal."""

_EXPECTED = (TypeError, ValueError, OSError, ImportError, RuntimeError)
"""What the package raises where it is asked for something that it cannot do; all else is a fault of its own."""


_OPTIONS = {
    "X must ": "DATA must ",
    "standardize=True": "--standardize",
    "n_components": "--components",
    "max_minutes=": "--max-minutes ",
    "more minutes": "more --max-minutes",
    "SpreadFlowEstimator, which fits": "nflows-spread fit, which takes",
    "; drop or repair these rows": "; leave these rows out with --drop-missing, or repair them",
    "; atlas_ has charts of its pieces": "",
}
"""What the command calls the arguments of the estimator that its messages name; ``atlas_`` is not to be had of it."""


class OneLineError(click.ClickException):
    """What went wrong, in a line."""

    exit_code = _STATUS

    def show(self, file: Any = None) -> None:
        """Print it."""
        click.echo(f"nflows-spread: {self.message}", err=True)


class OneLineErrors(click.Group):
    """A group of commands whose errors are a line each."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the options of the group."""
        with _in_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the command's arguments and run it."""
        with _in_one_line(), _warnings_in_one_line():
            return super().invoke(ctx)


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except (click.exceptions.NoArgsIsHelpError, click.exceptions.Exit, click.Abort, OneLineError, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        raise interrupted("interrupted") from None
    except click.ClickException as error:
        raise OneLineError(_line(error.format_message())) from error
    except _EXPECTED as error:
        said = error.strerror if isinstance(error, OSError) and error.filename is None else None
        raise OneLineError(_line(said or str(error) or type(error).__name__)) from error


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Each ``UserWarning`` as a line, and no other warnings, which are for programmers."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, UserWarning):
            click.echo(f"warning: {_line(str(message))}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def interrupted(message: str) -> click.exceptions.Exit:
    """The end after Ctrl-C, with a line that says so, and what is left."""
    click.echo(f"nflows-spread: {message}", err=True)
    return click.exceptions.Exit(_INTERRUPTED)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """``ValueError`` with the name of the file where a library cannot read it."""
    try:
        yield
    except ImportError:
        raise
    except MemoryError as error:
        raise ValueError(
            f"{path.name} must fit into memory, got {path.stat().st_size / 1e6:.3g} MB that do not, or that "
            "claim to be more than they are; take fewer rows, or save it again"
        ) from error
    except Exception as error:  # each library has kinds of its own
        remedy = "save it as UTF-8" if isinstance(error, UnicodeError) else "save it again"
        raise ValueError(f"{path.name} cannot be read as {path.suffix.lower()}: {error}; {remedy}") from error


def in_options(message: str) -> str:
    """A message of the estimator with the options of the command in the place of its arguments."""
    for argument, option in _OPTIONS.items():
        message = message.replace(argument, option)
    return message


def _line(text: str) -> str:
    return " ".join(in_options(text).split())
