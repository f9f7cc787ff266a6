"""The command nflows-spread: each command on small data, in this process, and once as a program."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pandas = pytest.importorskip("pandas")
pytest.importorskip("lightning_fabric")

from command_runs import NAMES, arc, ramps, run  # noqa: E402
from nflows_spread.cli import program  # noqa: E402
from nflows_spread.dimension import dimension_of  # noqa: E402
from nflows_spread.estimator import annealing  # noqa: E402


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "arc.csv"
    kinds = np.where(arc()[:, 0] > 0, "right", "left")
    pandas.DataFrame(arc(), columns=NAMES).assign(kind=kinds).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(table):
    folder = table.parent / "run"
    out, _, status = run("fit", table, "--drop", "kind", "--out", folder, "--steps", 20, "--seed", 3)
    assert status == 0
    assert out[0].startswith("dimension 1 (interval 1 to ")
    assert out[1].startswith("chart of 1 coordinate: ")
    return folder


def test_the_dimension_is_that_of_dimension_of(tmp_path):
    np.save(tmp_path / "arc.npy", arc())
    out, err, status = run("dimension", tmp_path / "arc.npy")
    found = dimension_of(arc())
    assert status == 0
    assert err == []
    assert out[0] == f"dimension {int(found)} (interval {found.interval[0]} to {found.interval[1]})"
    assert out[1] == f"of all 120 rows, 3 columns; by neighbours {found.value:.2f}"
    assert out[2:] == [f"but {reservation}" for reservation in found.reservations]


def test_a_run_says_what_was_fitted(fitted, table):
    facts = json.loads((fitted / "run.json").read_text(encoding="utf-8"))
    assert facts["data"] == str(table)
    assert (facts["rows"], facts["names"], facts["item_shape"], facts["dimension"]) == (120, NAMES, [3], 1)


def test_coordinates_samples_and_reconstructions_are_written(fitted, table, tmp_path):
    coordinates, samples, back = tmp_path / "z.csv", tmp_path / "s.parquet", tmp_path / "r.npy"
    assert run("transform", fitted, table, "--out", coordinates)[2] == 0
    found = pandas.read_csv(coordinates)
    assert list(found.columns) == ["coordinate1"]
    assert len(found) == 120
    assert run("sample", fitted, "-n", 7, "--out", samples, "--seed", 5)[2] == 0
    drawn = pandas.read_parquet(samples)
    assert list(drawn.columns) == NAMES
    assert run("sample", fitted, "-n", 7, "--out", tmp_path / "again.npz", "--seed", 5)[2] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "again.npz")["rows"], drawn.to_numpy())
    out, _, status = run("reconstruct", fitted, table, "--out", back)
    assert status == 0
    error = np.sqrt(np.square(np.load(back) - arc()).sum(1).mean() / arc().var(0).sum())
    assert f"120 rows from 1 coordinate, {error:.3g} of their standard deviation left" in out[0]


def test_samples_are_fresh_each_time_and_the_printed_seed_draws_them_again(fitted, tmp_path):
    drawn = []
    for name in ("one", "two"):
        (line,), _, status = run("sample", fitted, "-n", 5, "--out", tmp_path / f"{name}.npy")
        assert status == 0
        seed = re.search(r"5 samples of the \w+, --seed (\d+): ", line)[1]
        assert run("sample", fitted, "-n", 5, "--out", tmp_path / "again.npy", "--seed", seed)[2] == 0
        drawn.append(np.load(tmp_path / f"{name}.npy"))
        np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), drawn[-1])
    assert bool((drawn[0] != drawn[1]).any(1).all())


def test_an_array_without_names_has_the_columns_of_the_fit_in_their_order(fitted, table, tmp_path):
    np.save(tmp_path / "arc.npy", arc())
    run("transform", fitted, tmp_path / "arc.npy", "--out", tmp_path / "z1.npy")
    run("transform", fitted, table, "--out", tmp_path / "z2.npy")
    np.testing.assert_allclose(np.load(tmp_path / "z1.npy"), np.load(tmp_path / "z2.npy"), rtol=1e-12)


def test_images_come_back_as_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = ramps(tmp_path / "images")
    assert run("fit", folder, "--grey", "--out", tmp_path / "run", "--steps", 5)[2] == 0
    assert run("reconstruct", tmp_path / "run", folder, "--out", tmp_path / "back")[2] == 0
    names = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert names == [f"{number:02d}.png" for number in range(60)]
    with image.open(tmp_path / "back" / "30.png") as back:
        assert (back.mode, back.size) == ("L", (4, 4))


def errors(table, fitted, folder):
    np.save(folder / "two.npy", arc()[:, :2])
    return {
        ("fit", table): "Missing option '--out'.",
        (
            "fit",
            table,
            "--drop",
            "kind",
            "--out",
            fitted,
        ): f"--out must be a new folder, got {fitted}, which holds a run; ",
        ("fit", table, "--drop", "kind", "--out", folder / "two.npy"): "--out must be a folder, got ",
        (
            "fit",
            table,
            "--out",
            folder / "new",
        ): "columns of arc.csv must hold numbers, got kind (left in row 1); mend these rows, or leave them out with ",
        ("dimension", folder / "none.npy"): "DATA must be a file or a folder of images, got ",
        ("dimension", folder / "two.npy", "--max-points", 0): "Invalid value for '--max-points': 0 is not in the range",
        (
            "transform",
            folder,
            table,
            "--out",
            folder / "z.csv",
        ): "RUN must be a folder that nflows-spread fit has left, ",
        ("transform", fitted, table, "--out", folder / "z.doc"): "--out must end in .npy, .npz, .csv, .tsv, .parquet, ",
        ("transform", fitted, folder / "two.npy", "--out", folder / "z.csv"): "X has 2 features, but SpreadFlow",
        (
            "sample",
            fitted,
            "--out",
            folder / "images",
        ): "--out must end in .npy, .npz, .csv, .tsv, .parquet, as the rows",
        ("sample", fitted, "--out", folder / "no" / "z.csv"): "--out must lie in a folder that exists, got ",
        (
            "reconstruct",
            fitted,
            table,
            "--components",
            2,
            "--out",
            folder / "z.csv",
        ): "--components must be between 1 and",
        ("draw", fitted): "No such command 'draw'.",
        ("--quick",): "No such option",
    }


def test_an_error_is_a_line_and_leaves_nothing(table, fitted, tmp_path):
    for arguments, words in errors(table, fitted, tmp_path).items():
        out, err, status = run(*arguments)
        assert status == 2, arguments
        assert out == []
        assert len(err) == 1, err
        assert err[0].startswith(f"nflows-spread: {words}"), err
    assert [path.name for path in tmp_path.iterdir()] == ["two.npy"]


def test_a_warning_is_a_line(tmp_path):
    np.save(tmp_path / "few.npy", arc(20))
    _, err, status = run("fit", tmp_path / "few.npy", "--out", tmp_path / "run", "--steps", 5)
    assert status == 0
    assert any(line.startswith("warning: a dimension is told from 50 distinct rows or more") for line in err)
    assert all(line.startswith("warning: ") for line in err)


def test_a_fit_that_is_interrupted_goes_on_by_the_same_command(tmp_path, monkeypatch):
    np.save(tmp_path / "arc.npy", arc())
    steps, whole = [], ("fit", tmp_path / "arc.npy", "--out", tmp_path / "whole", "--steps", 30)
    original = annealing.fit

    def observed(*args, callbacks, **options):
        def after_step(state):
            steps.append(state.step)
            if len(steps) == 9:
                signal.raise_signal(signal.SIGINT)

        return original(*args, callbacks=[*callbacks, after_step], **options)

    assert run(*whole)[2] == 0
    monkeypatch.setattr(annealing, "fit", observed)
    command = (*whole[:3], tmp_path / "run", *whole[4:])
    out, err, status = run(*command)
    assert (out, status) == ([], 130)
    assert err == [f"nflows-spread: interrupted; the same command goes on from what is in {tmp_path / 'run'}"]
    assert run(*command)[2] == 0
    assert len(steps) == 30
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["estimator.pickle", "rows.npz", "run.json"]
    for name in ("whole", "run"):
        run("transform", tmp_path / name, tmp_path / "arc.npy", "--out", tmp_path / f"{name}.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "run.npy"), np.load(tmp_path / "whole.npy"))


def test_help_lists_the_commands_and_a_fault_of_the_program_is_not_hidden(monkeypatch, tmp_path):
    out, _, status = run("--help")
    assert status == 0
    for name in ("dimension", "fit", "transform", "sample", "reconstruct"):
        assert any(line.startswith(f"  {name} ") for line in out)

    def broken(*_, **__):
        raise AssertionError("a fault")

    monkeypatch.setattr("nflows_spread.cli.commands.dimension_of", broken)
    np.save(tmp_path / "arc.npy", arc())
    with pytest.raises(AssertionError):
        run("dimension", tmp_path / "arc.npy")


def test_it_is_a_program_that_ends_with_its_status(tmp_path):
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    module, name = re.search(r'^nflows-spread = "([\w.]+):(\w+)"$', text, flags=re.MULTILINE).groups()
    code = f"from {module} import {name}; {name}()"
    command = [sys.executable, "-c", code, "dimension", "no.npy"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nflows-spread: DATA must be a file or a folder of images, got no.npy, which does not exist\n"


def test_a_program_without_its_packages_says_which(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "nflows_spread.cli.commands")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as ended:
        program()
    assert ended.value.code == 2
    assert capsys.readouterr().err == 'nflows-spread: click is not installed; pip install "nflows-spread[cli]"\n'
