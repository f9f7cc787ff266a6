"""What is written: never over the data or among other files, with a row for each that was read or a word about it."""

import json
import pickle
import shutil

import numpy as np
import pytest

pytest.importorskip("click")
pandas = pytest.importorskip("pandas")
pytest.importorskip("lightning_fabric")

from command_runs import NAMES, arc, ramps, run  # noqa: E402
from nflows_spread.cli import program  # noqa: E402
from nflows_spread.cli.data_files import ReadOptions, read_table  # noqa: E402
from support import refused  # noqa: E402


def with_a_gap(path):
    frame = pandas.DataFrame(arc(), columns=NAMES)
    frame.loc[7, "b"] = np.nan
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    table = with_a_gap(folder / "gap.csv")
    _, err, status = run("fit", table, "--drop-missing", "--out", folder / "run", "--steps", 5)
    assert (status, err) == (0, [])
    assert json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))["rows"] == 119
    return folder / "run"


@pytest.mark.parametrize("command", ["transform", "reconstruct"])
def test_the_data_are_not_written_over(command, fitted, tmp_path):
    data = tmp_path / "arc.npy"
    np.save(data, arc())
    out, err, status = run(command, fitted, data, "--out", tmp_path / "." / "arc.npy")
    assert (out, status) == ([], 2)
    assert err == [
        f"nflows-spread: --out must be another file or folder than DATA, got {data} for both; choose another name"
    ]
    np.testing.assert_array_equal(np.load(data), arc())


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_computed(fitted, tmp_path):
    (tmp_path / "z.csv").mkdir()
    _, err, status = run("sample", fitted, "--out", tmp_path / "z.csv")
    assert status == 2
    assert err == [
        f"nflows-spread: --out must be a file, got {tmp_path / 'z.csv'}, which is a folder; choose another name"
    ]


def test_rows_with_gaps_that_have_no_coordinates_are_counted(fitted, tmp_path):
    table = with_a_gap(tmp_path / "gap.csv")
    for command, name in (("transform", "z.npy"), ("reconstruct", "r.npy")):
        _, err, status = run(command, fitted, table, "--out", tmp_path / name)
        assert status == 0
        assert err == ["warning: 1 of 120 rows of gap.csv have missing numbers and are left out"]
        assert len(np.load(tmp_path / name)) == 119


def test_rows_with_gaps_are_left_out_of_results_where_that_is_asked_for_though_the_fit_had_none(tmp_path):
    pandas.DataFrame(arc(), columns=NAMES).to_csv(tmp_path / "arc.csv", index=False)
    table = with_a_gap(tmp_path / "gap.csv")
    assert run("fit", tmp_path / "arc.csv", "--out", tmp_path / "run", "--steps", 5)[2] == 0
    for command, name in (("transform", "z.npy"), ("reconstruct", "r.npy")):
        _, (err,), status = run(command, tmp_path / "run", table, "--out", tmp_path / name)
        assert status == 2
        assert "1 of 120 rows, the first at index 7, in column 'b'; leave these rows out with --drop-missing" in err
        _, err, status = run(command, tmp_path / "run", table, "--out", tmp_path / name, "--drop-missing")
        assert (status, len(np.load(tmp_path / name))) == (0, 119)
        assert err == ["warning: 1 of 120 rows of gap.csv have missing numbers and are left out"]


def test_images_are_not_written_among_other_files(tmp_path):
    folder = ramps(tmp_path / "images")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run("fit", folder, "--grey", "--out", tmp_path / "run", "--steps", 5)[2] == 0
    for command in (["sample", tmp_path / "run"], ["reconstruct", tmp_path / "run", folder]):
        _, err, status = run(*command, "--out", folder)
        assert (len(err), status) == (1, 2)
        assert err[0].startswith("nflows-spread: --out must be ")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert run("sample", tmp_path / "run", "-n", 5, "--out", tmp_path / "new")[2] == 0
    assert run("sample", tmp_path / "run", "-n", 3, "--out", tmp_path / "new")[2] == 2


def test_labels_of_annotated_data_stay_with_their_rows_where_some_are_left_out(tmp_path):
    anndata = pytest.importorskip("anndata")
    rows = arc(20)
    rows[3, 1] = np.nan
    data = anndata.AnnData(X=rows, var=pandas.DataFrame(index=NAMES))
    data.obs["number"] = np.arange(20)
    data.write_h5ad(tmp_path / "data.h5ad")
    table = read_table(tmp_path / "data.h5ad", ReadOptions(drop_missing=True))
    assert list(table.left_out["number"]) == [number for number in range(20) if number != 3]


def test_annotated_data_without_x_have_their_keys_named(tmp_path):
    anndata = pytest.importorskip("anndata")
    data = anndata.AnnData(obs=pandas.DataFrame(index=[str(number) for number in range(20)]))
    data.obsm["X_pca"] = arc(20)
    data.write_h5ad(tmp_path / "data.h5ad")
    with refused(ValueError, "--key must name a layer or an embedding of data.h5ad, which has no X, X_pca"):
        read_table(tmp_path / "data.h5ad", ReadOptions())


DAMAGED = {
    "estimator.pickle": [pickle.dumps({"a": 1}), b"cnosuchmodule\nfoo\n.", b"x", b""],
    "run.json": [b"{", b"{}", b"\xff"],
    "rows.npz": [b"x", b"", b"PK"],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_run_that_is_damaged_is_a_line(name, fitted, tmp_path):
    for content in DAMAGED[name]:
        shutil.copytree(fitted, tmp_path / "run", dirs_exist_ok=True)
        (tmp_path / "run" / name).write_bytes(content)
        out, err, status = run("report", tmp_path / "run")
        assert (out, len(err), status) == ([], 1, 2)
        assert err[0].startswith(
            f"nflows-spread: RUN must hold a run of this or an older version, got {tmp_path / 'run'}: "
        )


def test_infinite_numbers_are_left_out_with_missing_ones_whatever_the_file(tmp_path):
    frame = pandas.DataFrame(arc(20), columns=NAMES)
    frame.loc[2, "a"], frame.loc[5, "c"] = np.inf, np.nan
    frame.to_csv(tmp_path / "data.csv", index=False)
    np.save(tmp_path / "data.npy", frame.to_numpy())
    for name in ("data.csv", "data.npy"):
        assert len(read_table(tmp_path / name, ReadOptions(drop_missing=True)).rows) == 18


@pytest.mark.parametrize("where", ["read_table", "dimension_of"])
def test_ctrl_c_ends_any_command_with_a_line(where, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    np.save(tmp_path / "arc.npy", arc())
    monkeypatch.setattr(f"nflows_spread.cli.commands.{where}", interrupted)
    assert run("dimension", tmp_path / "arc.npy") == ([], ["nflows-spread: interrupted"], 130)


def test_ctrl_c_while_packages_are_imported_ends_with_a_line(monkeypatch, capsys):
    import builtins

    original = builtins.__import__

    def interrupted(name, *rest, **more):
        if name == "nflows_spread.cli.commands":
            raise KeyboardInterrupt
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        program()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "nflows-spread: interrupted\n"


def test_columns_named_twice_or_all_left_out_are_refused(tmp_path):
    pandas.DataFrame(arc(), columns=NAMES).to_csv(tmp_path / "arc.csv", index=False)
    out, err, status = run("dimension", tmp_path / "arc.csv", "--columns", "a,a")
    assert (out, err, status) == ([], ["nflows-spread: --columns must name a column once, got a, a"], 2)
    _, err, status = run("dimension", tmp_path / "arc.csv", "--columns", "a", "--drop", "a")
    assert (len(err), status) == (1, 2)
    assert err[0].startswith("nflows-spread: some columns of arc.csv must be left")


def test_images_of_several_sizes_are_refused_with_the_option_of_the_command(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for number, size in enumerate((4, 5)):
        image.new("RGB", (size, size)).save(tmp_path / f"{number}.png")
    _, err, status = run("dimension", tmp_path)
    assert (len(err), status) == (1, 2)
    assert err[0].endswith("; give --image-size")
