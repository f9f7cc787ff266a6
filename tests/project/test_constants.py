"""Each module constant that decides a dimension has a line: what it is, its unit, and where its value comes from."""

import ast
import re
from pathlib import Path

import pytest

import nflows_spread

PACKAGE = Path(nflows_spread.__file__).parent
FILES = sorted([*(PACKAGE / "dimension").glob("*.py"), *(PACKAGE / "estimator").glob("*.py"), PACKAGE / "losses.py"])
NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")
FEWEST_WORDS = 4
SOURCE = re.compile("choice|convention|trials|worked out|measured|paper|equation|tests|benchmark|random sets|docs/")
"""What a line says where a number comes from: somebody chose it, or one of these knows."""


def constants_of(source):
    """The names of constants that a module sets, the words after, beside or right above each, and its value."""
    body, lines = ast.parse(source).body, source.splitlines()
    for node, after in zip(body, [*body[1:], None]):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        if not names or not all(map(NAME.fullmatch, names)):
            continue
        said = [lines[node.end_lineno - 1].partition("#")[2]]
        if node.lineno > 1 and (above := lines[node.lineno - 2].strip()).startswith("#"):
            said.append(above)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            said.append(after.value.value)
        yield ", ".join(names), " ".join(said), node.value


def is_a_number(value):
    return any(isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) for node in ast.walk(value))


def complaints(source):
    for name, said, value in constants_of(source):
        if len(said.split()) < FEWEST_WORDS:
            yield f"{name}: a line below it must say what it is and its unit"
        elif is_a_number(value) and not SOURCE.search(said.lower()):
            yield f"{name}: its line must say where the value comes from, or that it is a choice"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_constant_says_what_it_is_and_where_its_value_comes_from(file):
    assert list(complaints(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ('A = 3\n"""Rows that are used: a choice."""\n', 0),
        ("_B, _C = 1, 2  # rows and columns, by trials\n", 0),
        ("# a share of all the rows, from the paper\nD: float = 0.1\nE = 2\n", 1),
        ('F = 3\n"""Rows that are used at the most."""\n', 1),
        ('G = ("a", "b")\n"""The names of two columns."""\n', 0),
        ("made = 1\nclass H: I = 2\n", 0),
    ],
)
def test_a_line_is_found_wherever_it_stands_and_missed_where_there_is_none(source, number):
    assert len(list(complaints(source))) == number
