"""The command nflows-spread in this process, and data for it."""

import numpy as np
import pytest

NAMES = ["a", "b", "c"]


def arc(rows=120):
    t = np.random.default_rng(0).uniform(0.0, 3.0, rows)
    return np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


def ramps(folder):
    """A new folder with sixty grey images of 4 × 4 pixels."""
    image = pytest.importorskip("PIL.Image")
    folder.mkdir()
    for number in range(60):
        ramp = np.clip(np.add.outer(np.arange(4), np.arange(4)) * 20 + 2 * number, 0, 255).astype(np.uint8)
        image.fromarray(ramp).save(folder / f"{number:02d}.png")
    return folder


def run(*arguments):
    """The lines of both streams, and the exit status."""
    from click.testing import CliRunner

    from nflows_spread.cli.commands import main

    result = CliRunner().invoke(main, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout.splitlines(), result.stderr.splitlines(), result.exit_code
