"""The table of commands: what it names is there, and a command is added by a module and a line."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

import run
from shared.command import Command

pytest.importorskip("skdim")
pytest.importorskip("pandas")


@pytest.mark.parametrize("name", run.COMMANDS)
def test_every_command_has_the_name_that_it_is_called_by_and_the_same_frame(name, capsys):
    command = import_module(run.COMMANDS[name]).COMMAND
    assert command.name == name
    with pytest.raises(SystemExit) as stopped:
        run.main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"run.py {name}" in shown
    assert "--out OUT" in shown


def test_help_names_the_commands_with_options_of_their_own(capsys):
    with pytest.raises(SystemExit):
        run.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in run.COMMANDS)


def test_a_module_and_a_line_are_a_command(tmp_path, monkeypatch, capsys):
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--number", type=int, default=1)

    toy = Command("toy", "A toy.", add_options, lambda options, line: lambda: print(options.number, line))
    monkeypatch.setitem(sys.modules, "toy_command", SimpleNamespace(COMMAND=toy))
    monkeypatch.setitem(run.COMMANDS, "toy", "toy_command")
    assert run.main(["toy", "--number", "7", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "7 python benchmarks/run.py toy --number 7\n"
