"""The command ``nflows-spread``: dimension, fit, transform, sample, reconstruct and report from a terminal.

``commands`` has what can be asked, ``data_files`` reads and ``result_files`` writes, ``run_folder`` keeps what was
fitted, ``one_line_errors`` says what went wrong.
"""

from __future__ import annotations

import sys


def program() -> None:
    """The program: the command, or a line where what it needs is not installed."""
    try:
        from nflows_spread.cli.commands import main
    except ModuleNotFoundError as error:
        print(f'nflows-spread: {error.name} is not installed; pip install "nflows-spread[cli]"', file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("nflows-spread: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    main(prog_name="nflows-spread")
