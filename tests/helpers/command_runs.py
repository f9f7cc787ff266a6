"""The command nflows-spread in this process, and data for it."""

import numpy as np

NAMES = ["a", "b", "c"]


def arc(rows=120):
    t = np.random.default_rng(0).uniform(0.0, 3.0, rows)
    return np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


def run(*arguments):
    """The lines of both streams, and the exit status."""
    from click.testing import CliRunner

    from nflows_spread.cli.commands import main

    result = CliRunner().invoke(main, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout.splitlines(), result.stderr.splitlines(), result.exit_code
