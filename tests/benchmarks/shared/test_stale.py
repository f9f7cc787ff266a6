"""Digests of code, and which reference results are stale: what a change of code, or of words alone, does to them."""

import json

import pytest

import run
from shared import code_digest, records, refresh, stale
from shared.code_digest import changed_code, digest_of, loaded_code


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """One of two folders."""
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    digest_of.cache_clear()
    for folder in ("nflows_spread/linalg", "benchmarks/paper"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "some.py").write_text("def f(x):\n    return x\n")
    yield tmp_path
    digest_of.cache_clear()


def rewritten(repository, source, folder="nflows_spread/linalg"):
    (repository / folder / "some.py").write_text(source)
    digest_of.cache_clear()


def test_words_and_blank_lines_change_no_digest_and_code_does(repository):
    made_by = {folder: digest_of(folder) for folder in ("nflows_spread/linalg", "benchmarks/paper")}
    rewritten(repository, '"""A file."""\n\n# why\ndef f(x):\n    """What it returns."""\n    return (x)\n')
    assert changed_code(made_by) == []
    rewritten(repository, "def f(x):\n    return x + 1\n")
    assert changed_code(made_by) == ["nflows_spread/linalg"]
    (repository / "benchmarks/paper/some.py").unlink()
    digest_of.cache_clear()
    assert changed_code(made_by) == ["benchmarks/paper", "nflows_spread/linalg"]


def test_the_code_of_a_run_is_that_which_was_loaded():
    found = loaded_code()
    assert {"benchmarks/shared", "benchmarks/run.py", "nflows_spread/linalg", "nflows_spread/validation.py"} <= set(
        found
    )
    assert changed_code(found) == []
    assert records.provenance("x")["code"] == found


def test_stale_results_are_listed_with_what_changed(repository, monkeypatch, capsys):
    reference = repository / "reference"
    reference.mkdir()
    digests = {"nflows_spread/linalg": digest_of("nflows_spread/linalg")}
    plain = {"command": "python benchmarks/run.py sine", "commit": "abc", "processor_seconds": 60.0}
    for name, content in {
        "fresh": plain | {"code": digests},
        "old": plain,
        "changed": plain | {"code": digests | {"benchmarks/paper": "0" * 12}},
        "of-many-runs": {"runs": [plain, plain | {"code": digests | {"gone": "0"}, "processor_seconds": 600.0}]},
    }.items():
        (reference / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr(stale, "REFERENCE", reference)
    found = list(stale.stale_results(reference))
    assert [(each.name, each.changed) for each in found] == [
        ("changed.json", ("benchmarks/paper",)),
        ("of-many-runs.json", ("gone",)),
        ("old.json", ()),
    ]
    assert [refresh.refreshable(each, 120.0) for each in found] == [True, False, True]
    rewritten(repository, "def f(x):\n    return x + 1\n")
    assert len(list(stale.stale_results(reference))) == 4


def test_both_commands_run(tmp_path, capsys):
    assert run.main(["stale", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    known = [path.name for path in stale.REFERENCE.glob("*.json")]
    assert said[-1].endswith(f"of {len(known)} reference results are stale")
    assert all(line.partition(" (")[0] in known for line in said[:-1])
    assert run.main(["refresh", "--seconds", "0", "--out", str(tmp_path)]) == 0
    assert "0 made again" in capsys.readouterr().out
