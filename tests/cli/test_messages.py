"""Warnings of the command: in its own words, with the options that it has, and each of them once."""

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("lightning_fabric")

from command_runs import run
from nflows_spread.cli.one_line_errors import in_options


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("X must have at least 6 rows", "DATA must have at least 6 rows"),
        ("columns of X must vary; take standardize=True", "columns of DATA must vary; take --standardize"),
        ("take more of them, by n_components; atlas_ has charts of its pieces", "take more of them, by --components"),
        ("stopped after max_minutes=2, allow more minutes", "stopped after --max-minutes 2, allow more --max-minutes"),
        ("row 3; drop or repair these rows", "row 3; leave these rows out with --drop-missing, or repair them"),
        ("SpreadFlowEstimator, which fits 6 or more", "nflows-spread fit, which takes 6 or more"),
        ("data.h5ad has no X, and a column MaX", "data.h5ad has no X, and a column MaX"),
    ],
)
def test_arguments_of_the_estimator_are_options_of_the_command(said, told):
    assert in_options(said) == told


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    x = np.random.default_rng(0).normal(size=(300, 3))
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.save(folder / "sphere.npy", np.concatenate([x, 1e-5 * x, 1e-5 * x[:, ::-1]], axis=1))
    _, err, status = run("fit", folder / "sphere.npy", "--components", 2, "--out", folder / "run", "--steps", 40)
    assert status == 0
    return folder, err


def test_a_fit_warns_in_lines_that_name_options_and_a_few_columns(sphere):
    _, err = sphere
    (thin,) = [line for line in err if "columns of DATA must vary" in line]
    assert "got 6 of 9 whose standard deviation is no larger: 3 (" in thin
    assert " and 1 more; where columns are in different units, give each its own scale by --standardize" in thin
    (chart,) = [line for line in err if "the chart of 2 coordinates " in line]
    assert "atlas_" not in chart
    assert not any(word in line for line in err for word in ("X must", "standardize=True", "n_components"))


def test_the_report_has_the_warnings_of_the_fit_and_does_not_print_them_again(sphere):
    folder, err = sphere
    _, printed, status = run("report", folder / "run")
    assert (printed, status) == ([], 0)
    page = (folder / "run" / "report.html").read_text(encoding="utf-8").replace("&#x27;", "'")
    assert len(err) >= 2
    for line in err:
        assert page.count(line.removeprefix("warning: ")) == 1
