"""Command-line frame of every benchmark: parse, refuse what cannot be followed, work, exit code.

A benchmark is a ``Command``: its options, and a function that makes the work of them. ``run.py`` has a table of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.records import command_line

RESULTS = Path(__file__).parents[1] / "results"
DONE, REFUSED, INTERRUPTED = 0, 2, 130
"""Exit codes; that of what is refused is argparse's own."""

Work = Callable[[], None]
"""What a command does, once nothing is left to refuse."""


class UsageError(ValueError):
    """What was given, options or data, allows no run; the message says what to do."""


@dataclass(frozen=True)
class Command:
    """One command of ``run.py``.

    Attributes:
        name: what it is called after ``run.py``, or empty for what runs without a name.
        description: what ``--help`` begins with, usually the docstring of its module.
        add_options: gives a parser the options that are its own; all commands have ``--out``.
        prepare: from the options, and from the command line for the record, the work, or None where nothing is left to
            do. What cannot be followed is a ``ValueError``, an ``OSError`` or a ``ModuleNotFoundError`` here, before
            anything is written.
        resumes: whether the same command goes on where an interrupted one stopped.
    """

    name: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    prepare: Callable[[argparse.Namespace, str], Work | None]
    resumes: bool = False

    def __call__(self, arguments: Sequence[str] | None = None) -> int:
        """Parse, check, work.

        Returns:
            The exit code: 0, or 130 after Ctrl-C.

        Raises:
            SystemExit: of code 2, with a message, where arguments or data allow no run.
        """
        given = sys.argv[1:] if arguments is None else list(arguments)
        parser = self._parser()
        options = parser.parse_args(given)
        try:
            work = self.prepare(options, command_line(self.name, given))
            if work is None:
                return DONE
            ensure_writable(options.out)
        except ModuleNotFoundError as error:
            parser.error(_advice(error))
        except (ValueError, OSError) as error:
            parser.error(str(error))
        try:
            work()
        except ModuleNotFoundError as error:
            parser.error(_advice(error))
        except (FileNotFoundError, UsageError) as error:  # which say what to do
            parser.error(str(error))
        except KeyboardInterrupt:
            print("interrupted" + "; the same command goes on from here" * self.resumes, file=sys.stderr)
            return INTERRUPTED
        return DONE

    def _parser(self) -> argparse.ArgumentParser:
        goes_on = "A run that is interrupted or stopped by --max-minutes goes on when the same command is given again."
        parser = argparse.ArgumentParser(
            prog=f"run.py {self.name}".strip(),
            description=self.description,
            epilog=goes_on if self.resumes else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_options(parser)
        parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
        return parser


def ensure_writable(folder: Path) -> None:
    """Make the folder, and fail before the work and not after it.

    Raises:
        OSError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"--out must be a folder that can be written, got {folder} ({error.strerror})") from error


def _advice(error: ModuleNotFoundError) -> str:
    """Its own, where it was raised with some; Python's has the name of the module alone."""
    return str(error) if error.name is None else f"the benchmark needs {error.name}: pip install 'nflows-spread[bench]'"
