"""The report of a run: one page that asks for nothing from elsewhere, with all numbers, pictures and doubts."""

import base64
import contextlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

testing = pytest.importorskip("click.testing")
pandas = pytest.importorskip("pandas")
pytest.importorskip("lightning_fabric")
pytest.importorskip("matplotlib")

from nflows_spread import plots  # noqa: E402 - needs matplotlib
from nflows_spread.cli import report_pictures  # noqa: E402 - needs matplotlib
from nflows_spread.cli.commands import main  # noqa: E402
from nflows_spread.cli.report_page import distrusted, report_page  # noqa: E402
from nflows_spread.cli.run_folder import kept_rows, read_run  # noqa: E402
from nflows_spread.dimension import IntrinsicDimension, dimension_of  # noqa: E402
from support import refused  # noqa: E402

VOID = {"meta", "img"}


class Page(HTMLParser):
    """The text of a page, its links and its pictures; tags that are not closed are an error."""

    def __init__(self, source):
        super().__init__()
        self.open, self.words, self.links, self.pictures = [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            assert found["alt"]
            self.pictures.append(found["src"])
        self.links += [value for name, value in attrs if name in ("href", "src") and not value.startswith("data:")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def surface(rows=150):
    u = np.random.default_rng(0).uniform(size=(rows, 2))
    return np.stack([np.sin(2 * u[:, 0]), np.cos(2 * u[:, 0]), u[:, 1], u[:, 1] ** 2], axis=1), u


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    x, u = surface()
    kinds = np.where(u[:, 0] > 0.5, "<late> & later", "early")
    pandas.DataFrame(x, columns=["a", "b", "c", "d"]).assign(kind=kinds, age=u[:, 1]).to_csv(
        folder / "x.csv", index=False
    )
    arguments = [
        "fit",
        "x.csv",
        "--drop",
        "kind",
        "--drop",
        "age",
        "--out",
        "run",
        "--steps",
        "20",
        "--components",
        "2",
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert testing.CliRunner().invoke(main, arguments).exit_code == 0
    return folder / "run"


@contextlib.contextmanager
def drawn_figures():
    """Those that are written."""
    from matplotlib.figure import Figure

    figures, savefig = [], Figure.savefig
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Figure, "savefig", lambda own, *args, **how: figures.append(own) or savefig(own, *args, **how))
        yield figures


def page_of(run, **options):
    return Page(report_page(*read_run(run), *kept_rows(run), **options))


def test_the_command_writes_a_page_that_asks_for_nothing(fitted):
    result = testing.CliRunner().invoke(main, ["report", str(fitted)])
    assert (result.exit_code, result.output) == (0, f"{fitted / 'report.html'}\n")
    page = Page((fitted / "report.html").read_text(encoding="utf-8"))
    assert page.links == []
    assert not re.search(r"url\(|@import|<script", (fitted / "report.html").read_text(encoding="utf-8"))


def test_the_page_has_the_dimension_the_doubts_and_every_estimate(fitted):
    estimator, facts = read_run(fitted)
    page = page_of(fitted)
    text = page.text
    assert f"dimension {facts.dimension}" in text
    lowest, highest = facts.interval
    assert (f"plausible are {lowest} to {highest}" if lowest < highest else "no other is plausible") in text
    assert f"coordinates leave {estimator.reconstruction_error_:.3g}" in text
    for name, value in estimator.estimates_.by_name.items():
        assert name in text
        assert f"{value:.3g}" in text
    for message in facts.said:
        assert message in text
    for title in ("What to distrust", "Chart: 2 coordinates", "Samples of the "):
        assert title in text
    for words in ("Dimension", "Data, and beside them samples."):
        assert words in page.words


def test_every_picture_is_an_svg_file_with_names_on_its_axes(fitted, monkeypatch):
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")  # text as text
    texts = []
    for source in page_of(fitted).pictures:
        kind, _, code = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        root = ElementTree.fromstring(base64.b64decode(code))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        texts.append(" ".join(root.itertext()))
    assert len(texts) == 5
    for text, words in zip(texts, ("dimension", "direction", "coordinate 2", "coordinates", "principal component 2")):
        assert words in text
    assert "<late> & later" in texts[2]
    assert "samples" in texts[4]


def test_the_chart_is_coloured_by_the_column_that_is_named(fitted):
    assert "By kind." in page_of(fitted).text
    for column in ("age", "c"):
        assert f"By {column}." in page_of(fitted, colour=column).text
    with refused(ValueError, "--colour must be a column of the data, kind, age, a, b, c, d, got size"):
        page_of(fitted, colour="size")


def test_another_dimension_without_the_flow_is_said():
    estimator = SimpleNamespace(disagreement_={}, unreconstructed_=0.0, chart_obstruction_=None)
    facts, without = SimpleNamespace(said=["a warning"], interval=(3, 3), dimension=3), dimension_of(surface()[0])
    assert without.interval == (2, 2)
    assert "without the flow the dimension is 2 (2 to 2)" in distrusted(estimator, facts, without)
    facts.dimension = 2
    assert distrusted(estimator, facts, without) == ["a warning", *without.reservations]


@pytest.mark.parametrize("numbers", [True, False])
def test_a_chart_of_one_coordinate_is_drawn_beside_the_colour(numbers):
    colours = np.arange(20.0) if numbers else np.array(["a", "b"] * 10)
    assert "<svg" in report_pictures.of_chart(np.random.default_rng(0).normal(size=(20, 1)), colours, "age")


@pytest.mark.parametrize(("shape", "number"), [((3,), 1), ((5,), 1), ((1, 3, 3), 2), ((3, 2, 2), 2)])
def test_samples_are_drawn_for_rows_of_each_kind(shape, number):
    rows = np.random.default_rng(0).random((40, int(np.prod(shape))))
    assert len(report_pictures.of_samples(rows, rows, shape)) == number


@pytest.mark.parametrize(("features", "on"), [(3, [True, False, False]), (5, [True, True])])
def test_samples_of_scaled_columns_say_so_where_units_stand(features, on):
    rows = np.random.default_rng(0).random((40, features))
    with drawn_figures() as figures:
        report_pictures.of_samples(rows, rows, (features,), scaled=True)
    (axes,) = figures[0].axes
    labels = [getattr(axes, f"get_{name}label")() for name in "xyz"[: len(on)]]
    assert ["(scaled columns)" in label for label in labels] == on
    assert not any("units of the data" in label for label in labels)


def test_few_rows_have_a_page_without_the_dimension_against_scale(tmp_path):
    np.save(tmp_path / "few.npy", surface(20)[0])
    arguments = ["fit", str(tmp_path / "few.npy"), "--out", str(tmp_path / "run"), "--steps", "5"]
    assert testing.CliRunner().invoke(main, arguments).exit_code == 0
    page = page_of(tmp_path / "run")
    assert "told from 50 distinct rows or more, got fewer among 20" in page.text
    assert len(page.pictures) == 4


@pytest.fixture(scope="module")
def standardized(tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    x, _ = surface(300)
    np.save(folder / "x.npy", x * np.array([1e5, 1.0, 1e-3, 1.0]))  # whose first column hides the others
    arguments = ["fit", str(folder / "x.npy"), "--standardize", "--out", str(folder / "run"), "--steps", "20"]
    assert testing.CliRunner().invoke(main, arguments).exit_code == 0
    return folder / "run"


def test_a_standardized_fit_is_doubted_in_its_own_units(standardized):
    _, facts = read_run(standardized)
    rows, _ = kept_rows(standardized)
    assert facts.dimension == int(dimension_of(rows / rows.std(0))) == 2
    assert int(dimension_of(rows)) == 1
    text = page_of(standardized).text
    assert "without the flow the dimension is" not in text
    assert "the dimension falls from" not in text


def test_a_standardized_fit_is_drawn_in_its_own_units(standardized, monkeypatch):
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
    roots = [
        ElementTree.fromstring(base64.b64decode(source.partition(",")[2])) for source in page_of(standardized).pictures
    ]
    texts = [" ".join(root.itertext()) for root in roots]
    assert ["(scaled columns)" in text for text in texts] == [True, False, True, False, True]
    assert not any("units of the data" in text for text in texts)


def test_what_a_reconstruction_leaves_of_a_standardized_fit_is_in_its_own_units(standardized):
    x = str(standardized.parent / "x.npy")
    result = testing.CliRunner().invoke(
        main, ["reconstruct", str(standardized), x, "--out", str(standardized.parent / "r.npy")]
    )
    x, back = (np.load(standardized.parent / name) for name in ("x.npy", "r.npy"))
    error = np.sqrt(np.square((x - back) / x.std(0)).sum(1).mean() / x.shape[1])
    assert f"{error:.3g} of their standard deviation left" in result.output
    of_first = np.sqrt(np.square(x - back).sum(1).mean() / x.var(0).sum())  # which hides the others
    assert f"{of_first:.3g}" != f"{error:.3g}"


def test_the_line_of_the_dimension_is_in_the_picture_of_the_spectrum(fitted):
    estimator, _ = read_run(fitted)
    values = torch.logspace(0, -4, 60, dtype=torch.float64)
    spectrum = replace(estimator.spectrum_, eigenvalues=values, signal_to_noise=values)
    axes = plots.spectrum(IntrinsicDimension(40, "gap", 1.0, spectrum, (40, 40)))
    assert axes.get_xlim()[1] > 41.0
    assert "dimension 40" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_names_of_categories_lie_beside_the_points_and_are_short():
    with drawn_figures() as figures:
        kinds = np.array(["short", "a name that is longer than the picture of the points is wide"] * 10)
        report_pictures.of_chart(np.random.default_rng(0).normal(size=(20, 2)), kinds, "kind")
    (legend,), (axes,) = figures[0].legends, figures[0].axes
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    assert axes.get_window_extent().width > 0.4 * figures[0].get_window_extent().width
    assert all(mark.get_sizes()[0] > 3.0 * axes.collections[0].get_sizes()[0] for mark in legend.legend_handles)
