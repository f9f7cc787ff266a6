"""Data files of every kind are read into rows, and what cannot be read is refused by name."""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from nflows_spread.cli.data_files import ReadOptions, read_table
from support import refused

pandas = pytest.importorskip("pandas")

NAMES = ["length", "width", "height"]


def rows(count=20):
    return np.random.default_rng(0).normal(size=(count, 3))


def frame(**more):
    return pandas.DataFrame(rows(), columns=NAMES).assign(**more)


def as_npy(path):
    np.save(path, rows())


def as_npz(path):
    np.savez(path, rows=rows())


def as_csv(path):
    frame().to_csv(path, index=False)


def as_tsv(path):
    frame().to_csv(path, index=False, sep="\t")


def as_parquet(path):
    pytest.importorskip("pyarrow")
    frame().to_parquet(path, index=False)


def as_h5ad(path):
    anndata = pytest.importorskip("anndata")
    with pandas.option_context("future.infer_string", False):  # texts that older readers know, too
        data = anndata.AnnData(X=rows(), var=pandas.DataFrame(index=NAMES))
        data.obs["cell type"] = ["a", "b"] * 10
        data.layers["doubled"] = 2.0 * rows()
        data.obsm["X_pca"] = rows()[:, :2]
        data.write_h5ad(path)


WRITERS = {
    ".npy": as_npy,
    ".npz": as_npz,
    ".csv": as_csv,
    ".tsv": as_tsv,
    ".parquet": as_parquet,
    ".h5ad": as_h5ad,
    ".CSV": as_csv,
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_of_each_kind_is_read(suffix, tmp_path):
    path = tmp_path / f"data{suffix}"
    WRITERS[suffix](path)
    table = read_table(path, ReadOptions())
    np.testing.assert_allclose(np.asarray(table.rows), rows(), rtol=1e-12)
    assert table.item_shape == (3,)
    assert table.names == (None if suffix in (".npy", ".npz") else NAMES)


def test_columns_are_taken_or_left_out_by_name(tmp_path):
    path = tmp_path / "data.csv"
    frame(kind="a").to_csv(path, index=False)
    taken = read_table(path, ReadOptions(columns=("height", "length")))
    assert taken.names == ["height", "length"]
    assert set(taken.left_out) == {"width", "kind"}
    left = read_table(path, ReadOptions(drop=("kind", "length")))
    assert left.names == ["width", "height"]


@pytest.mark.parametrize("drop", [("kind,length",), ("kind, length",), ("kind", "length")])
def test_columns_are_left_out_one_by_one_or_with_commas_between(drop, tmp_path):
    frame(kind="a").to_csv(tmp_path / "data.csv", index=False)
    assert read_table(tmp_path / "data.csv", ReadOptions(drop=drop)).names == ["width", "height"]


def test_a_name_with_a_comma_is_the_name_of_one_column(tmp_path):
    frame(**{"weight, kg": 1.0, "kg": 2.0}).to_csv(tmp_path / "data.csv", index=False)
    assert read_table(tmp_path / "data.csv", ReadOptions(drop=("weight, kg",))).names == [*NAMES, "kg"]


def test_a_table_without_names_is_one_of_numbers(tmp_path):
    np.savetxt(tmp_path / "data.csv", rows(), delimiter=",")
    table = read_table(tmp_path / "data.csv", ReadOptions())
    assert table.names is None
    np.testing.assert_allclose(table.rows, rows())


def test_rows_with_gaps_are_left_out_where_that_is_asked_for(tmp_path):
    gaps = frame()
    gaps.loc[3, "width"] = np.nan
    gaps.to_csv(tmp_path / "data.csv", index=False)
    np.save(tmp_path / "data.npy", gaps.to_numpy())
    for name in ("data.csv", "data.npy"):
        assert len(read_table(tmp_path / name, ReadOptions()).rows) == 20
        np.testing.assert_allclose(
            np.asarray(read_table(tmp_path / name, ReadOptions(drop_missing=True)).rows), np.delete(rows(), 3, axis=0)
        )


def test_entries_of_any_shape_are_one_row_each(tmp_path):
    images = np.random.default_rng(0).random((5, 4, 6))
    np.save(tmp_path / "data.npy", images)
    table = read_table(tmp_path / "data.npy", ReadOptions())
    assert table.item_shape == (4, 6)
    np.testing.assert_array_equal(table.rows, images.reshape(5, 24))


def test_images_of_a_folder_are_rows_with_their_class_beside(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        folder = tmp_path / ("cats", "dogs")[number % 2]
        folder.mkdir(exist_ok=True)
        image.fromarray(each).save(folder / f"{number}.png")
    table = read_table(tmp_path, ReadOptions())
    in_order = pixels[[0, 2, 1, 3]].transpose(0, 3, 1, 2) / 255.0
    np.testing.assert_allclose(table.rows.reshape(4, 3, 6, 6), in_order, rtol=1e-6)
    assert table.item_shape == (3, 6, 6)
    assert table.left_out["class"].tolist() == [0, 0, 1, 1]
    assert read_table(tmp_path, ReadOptions(grey=True, image_size=3)).item_shape == (1, 3, 3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_images_have_one_channel_whatever_their_mode_unless_colours_were_fitted(tmp_path, mode):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 6), dtype=np.uint8)
    for number, each in enumerate(pixels):
        image.fromarray(each).convert(mode).save(tmp_path / f"{number}.png")
    table = read_table(tmp_path, ReadOptions())
    assert table.item_shape == (1, 6, 6)
    np.testing.assert_allclose(table.rows.reshape(4, 6, 6), pixels / 255.0, rtol=1e-6)
    assert read_table(tmp_path, ReadOptions().as_fitted(None, None)).item_shape == (3, 6, 6)


def test_layers_and_embeddings_of_annotated_data_are_read_by_their_key(tmp_path):
    as_h5ad(tmp_path / "data.h5ad")
    doubled = read_table(tmp_path / "data.h5ad", ReadOptions(key="doubled"))
    np.testing.assert_allclose(doubled.rows.to_numpy(), 2.0 * rows())
    embedding = read_table(tmp_path / "data.h5ad", ReadOptions(key="X_pca"))
    assert embedding.names == ["X_pca_0", "X_pca_1"]
    assert list(embedding.left_out["cell type"][:2]) == ["a", "b"]
    with refused(ValueError, "--key must be a layer or an embedding of data.h5ad, doubled, X_pca, got tripled"):
        read_table(tmp_path / "data.h5ad", ReadOptions(key="tripled"))


def test_the_columns_of_a_fit_are_taken_from_a_file_with_names_and_without(tmp_path):
    as_npy(tmp_path / "data.npy")
    frame(kind="a").to_csv(tmp_path / "data.csv", index=False)
    options = ReadOptions(drop=("kind",)).as_fitted(["width", "height"], None)
    assert read_table(tmp_path / "data.csv", options).names == ["width", "height"]
    assert read_table(tmp_path / "data.npy", options).rows.shape == (20, 3)  # which the estimator refuses or takes


def files_that_are_refused(folder):
    (folder / "data.txt").write_text("1 2 3")
    np.save(folder / "flat.npy", np.zeros(5))
    np.savez(folder / "two.npz", a=rows(), b=rows())
    frame(kind="a", group="b").to_csv(folder / "text.csv", index=False)
    as_npy(folder / "data.npy")
    (folder / "twice.parquet").write_bytes(b"")


REFUSED = {
    "nothing": ("none.csv", {}, FileNotFoundError, "DATA must be a file or a folder of images, got ", "does not exist"),
    "a suffix": ("data.txt", {}, ValueError, "end in .npy, .npz, .csv, .tsv, .parquet, .h5ad or .zip, got data.txt"),
    "one dimension": ("flat.npy", {}, ValueError, "flat.npy must hold a matrix, one row a point, got shape (5,)"),
    "two arrays": ("two.npz", {}, ValueError, "--key must name one array of two.npz, got none; it has a, b"),
    "another key": ("two.npz", {"key": "c"}, ValueError, "--key must be an array of two.npz, a, b, got c"),
    "text": (
        "text.csv",
        {},
        ValueError,
        "must hold numbers, got kind (",
        " in row 1), group (",
        "--drop kind --drop group",
    ),
    "a column": ("text.csv", {"columns": ("depth",)}, ValueError, "columns must be of text.csv, length", "got depth"),
    "a key of one array": (
        "data.npy",
        {"key": "a"},
        ValueError,
        "--key must be of a file that ends in .npz or .h5ad",
        "data.npy",
    ),
    "a key of a table": ("text.csv", {"key": "a"}, ValueError, "--key must be of a file that ends in", "got text.csv"),
    "a size of an array": ("data.npy", {"image_size": 4}, ValueError, "--image-size must be of images, got data.npy"),
    "grey levels of a table": ("text.csv", {"grey": True}, ValueError, "--grey and --image-size must be", "text.csv"),
    "names of none": ("data.npy", {"drop": ("a",)}, ValueError, "columns must have names", "got data.npy"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(case, tmp_path):
    files_that_are_refused(tmp_path)
    name, options, error, *words = REFUSED[case]
    with refused(error, *words):
        read_table(tmp_path / name, ReadOptions(**options))


def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch):
    (tmp_path / "data.h5ad").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with refused(ImportError, ".h5ad files need anndata, which is not installed; pip install anndata"):
        read_table(tmp_path / "data.h5ad", ReadOptions())
    for name, missing in (("data.parquet", "pyarrow"), ("data.csv", "pandas")):
        monkeypatch.setitem(sys.modules, missing, None)
        said = f'{Path(name).suffix} files need {missing}, which is not installed; pip install "nflows-spread[cli]"'
        (tmp_path / name).write_bytes(b"")
        with refused(ImportError, said):
            read_table(tmp_path / name, ReadOptions())


def test_numbers_among_objects_are_taken_and_the_first_entry_that_is_none_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    values = [Decimal(str(round(value, 3))) for value in rows()[:, 0]]
    frame(length=values).to_parquet(tmp_path / "exact.parquet")
    table = read_table(tmp_path / "exact.parquet", ReadOptions())
    np.testing.assert_allclose(np.asarray(table.rows, dtype=float)[:, 0], rows()[:, 0], atol=5e-4)
    odd = frame()
    odd["length"] = odd["length"].astype(str)
    odd.loc[7, "length"] = "?"
    odd.to_csv(tmp_path / "odd.csv", index=False)
    said = (
        "columns of odd.csv must hold numbers, got length (? in row 8); mend these rows, or leave them out with --drop"
    )
    with refused(ValueError, said):
        read_table(tmp_path / "odd.csv", ReadOptions())
