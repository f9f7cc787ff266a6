"""The first pages of docs/ do what they say: each section of start.md by itself, and what the code prints."""

import re
import shlex
from pathlib import Path

import pytest

from page_code import blocks, run, sections, train_briefly

DOCS = Path(__file__).parents[2] / "docs"
START = DOCS / "start.md"
READING = DOCS / "reading_the_dimension.md"
BRIEFLY = {", 2000)": ", 300)", ", 1000)": ", 300)", "range(1000)": "range(5)"}
BRIEFLY |= {"max_num_epochs=60": "max_num_epochs=1", "sample((5000,))": "sample((500,))"}
"""What makes the code of a section quick, by what the page has in its place."""
NEEDS = {
    "An array": ("lightning_fabric", "sklearn", "matplotlib"),
    "A table in scikit-learn": ("lightning_fabric", "sklearn", "pandas", "matplotlib"),
    "A terminal": ("lightning_fabric", "click", "pandas", "matplotlib"),
    "An nflows model": (),
    "A normflows model": ("normflows",),
    "A zuko model": ("zuko",),
    "A simulator and sbi": ("sbi",),
}

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="docs/ is in the source tree, and this is not one")


def run_section(title, shortened=BRIEFLY):
    """What each block of a section printed, beside what the page says of it."""
    for package in NEEDS[title]:
        pytest.importorskip(package)
    names, printed = {}, []
    for code, said in blocks(sections(START)[title]):
        for long, short in shortened.items():
            code = code.replace(long, short)
        printed.append((run(code, names, START), said))
    return printed


def without_numbers(text):
    return re.sub(r"\d+", "0", text)


def without_ends_in_hundreds(text):
    """Ends of intervals that wide depend on how a processor rounds distances that are tied."""
    return re.sub(r"(plausible \d+) \d{3}$", r"\1 hundreds", text, flags=re.MULTILINE)


def test_every_section_of_the_page_is_tried():
    assert list(sections(START)) == list(NEEDS)
    silent = [title for title, text in sections(START).items() if not any(said for _, said in blocks(text))]
    assert silent == ["A terminal"]


@pytest.mark.parametrize("title", NEEDS)
def test_a_section_can_be_copied_by_itself(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_briefly(monkeypatch)
    for printed, said in run_section(title):
        assert without_numbers(printed) == without_numbers(said)
    if title == "An array":
        assert (tmp_path / "roll.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("title", NEEDS)
def test_a_section_prints_what_the_page_says(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for printed, said in run_section(title, shortened={}):
        assert printed == said


def test_the_commands_of_the_page_leave_a_report_on_the_file_that_it_makes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_briefly(monkeypatch)
    run_section("A terminal")
    testing, cli = pytest.importorskip("click.testing"), pytest.importorskip("nflows_spread.cli.commands")
    commands = re.findall(r"^\$ nflows-spread (.+)$", sections(START)["A terminal"], flags=re.MULTILINE)
    results = [testing.CliRunner().invoke(cli.main, shlex.split(command)) for command in commands]
    assert [result.exit_code for result in results] == [0, 0, 0], results[-1].output
    assert results[0].output.startswith("dimension 2 (interval ")
    assert (tmp_path / "run" / "report.html").exists()


def test_what_dimension_of_says_of_data_that_deceives_is_what_the_page_says():
    names = {}
    found = [(run(code, names, READING), said) for code, said in blocks(READING.read_text(encoding="utf-8"))]
    assert [said for _, said in found if not said] == []
    for printed, said in found:
        assert without_ends_in_hundreds(printed) == without_ends_in_hundreds(said)
