"""The command-line frame: what is refused before the work, what during it, and the exit codes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from shared.command import DONE, INTERRUPTED, REFUSED, Command, UsageError


def no_options(parser: argparse.ArgumentParser) -> None:
    """Those that all have."""


def command(work=lambda: None, *, prepare=None, resumes=False) -> Command:
    return Command("toy", "A toy.", no_options, prepare or (lambda options, line: work), resumes=resumes)


def fail(error: BaseException):
    def work(*given: object) -> None:
        raise error

    return work


def refusal(toy: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of the message of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        toy(["--out", str(folder)])
    assert stopped.value.code == REFUSED
    return capsys.readouterr().err.splitlines()[-1]


def test_work_is_done_in_a_folder_that_was_made_and_left_empty(tmp_path: Path) -> None:
    seen: list[bool] = []
    folder = tmp_path / "deep" / "out"
    assert command(lambda: seen.append(folder.is_dir()))(["--out", str(folder)]) == DONE
    assert seen == [True]
    assert not list(folder.iterdir())


@pytest.mark.parametrize("error", [ValueError("no such thing"), OSError("no such thing")], ids=repr)
def test_what_cannot_be_followed_is_refused_and_no_folder_made(error, tmp_path, capsys) -> None:
    toy = command(prepare=fail(error))
    assert refusal(toy, tmp_path / "out", capsys) == "run.py toy: error: no such thing"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(when, tmp_path, capsys) -> None:
    missing = fail(ModuleNotFoundError("No module named 'skdim'", name="skdim"))
    toy = command(prepare=missing) if when == "before" else command(missing)
    message = refusal(toy, tmp_path, capsys)
    assert message.endswith("the benchmark needs skdim: pip install 'nflows-spread[bench]'")


def test_an_error_with_advice_of_its_own_keeps_it(tmp_path, capsys) -> None:
    for error in (ModuleNotFoundError("pip install it"), FileNotFoundError("fetch it"), UsageError("repair it")):
        assert refusal(command(fail(error)), tmp_path, capsys).endswith(f"error: {error}")


def test_a_mistake_in_the_work_is_no_mistake_of_the_user(tmp_path) -> None:
    with pytest.raises(ValueError, match="a bug"):
        command(fail(ValueError("a bug")))(["--out", str(tmp_path)])


@pytest.mark.parametrize("resumes", [True, False])
def test_ctrl_c_says_whether_the_same_command_goes_on(resumes, tmp_path, capsys) -> None:
    assert command(fail(KeyboardInterrupt()), resumes=resumes)(["--out", str(tmp_path)]) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted" + "; the same command goes on from here" * resumes + "\n"


def test_where_nothing_is_left_to_do_no_folder_is_made(tmp_path) -> None:
    toy = command(prepare=lambda options, line: None)
    assert toy(["--out", str(tmp_path / "out")]) == DONE
    assert not (tmp_path / "out").exists()


def test_the_command_line_for_the_record_leaves_the_folder_out(tmp_path) -> None:
    seen: list[str] = []
    toy = command(prepare=lambda options, line: seen.append(line))
    for given in (["--out", str(tmp_path)], [f"--out={tmp_path}"]):
        toy(given)
    assert seen == ["python benchmarks/run.py toy"] * 2
