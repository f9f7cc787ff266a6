"""The commands of ``docs/command_line.md`` run as they stand, one after another, in a folder with its data."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

testing = pytest.importorskip("click.testing")
pandas = pytest.importorskip("pandas")
pytest.importorskip("lightning_fabric")
pytest.importorskip("matplotlib")

from nflows_spread.cli.commands import main  # noqa: E402 - needs click

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is in the source tree, and this is not one")


def commands():
    return re.findall(r"^\$ nflows-spread (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_commands_of_the_page_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    u = np.random.default_rng(0).uniform(size=(120, 2))
    x = np.stack([np.sin(2.0 * u[:, 0]), np.cos(2.0 * u[:, 0]), u[:, 1]], axis=1)
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    frame.to_csv("data.csv", index=False)
    frame.assign(kind=np.where(u[:, 0] > 0.5, "T", "B")).to_csv("cells.csv", index=False)
    assert len(commands()) == 8
    for command in commands():
        arguments = shlex.split(command)
        brief = ["--steps", "20"] if arguments[0] == "fit" else []
        result = testing.CliRunner().invoke(main, [*arguments, *brief])
        assert result.exit_code == 0, f"{command}: {result.output}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("cells", "cells.csv", "coordinates.csv", "data.csv", "reconstructed.csv", "run", "samples.csv")
    ]
    assert len(pandas.read_csv("samples.csv")) == 1000
    assert (tmp_path / "cells" / "report.html").exists()


def test_every_command_and_option_that_the_page_names_exists_and_every_command_is_named():
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+) ", text, flags=re.MULTILINE)) == set(main.commands)
    known = {name for command in main.commands.values() for option in command.params for name in option.opts}
    assert set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"} <= known
