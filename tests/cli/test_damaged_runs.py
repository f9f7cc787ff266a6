"""Folders of runs that were cut, altered, or made by somebody who wants code to run: refused in one line."""

import json
import os
import pickle
import random
import shutil

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("pandas")
pytest.importorskip("lightning_fabric")

import torch

from command_runs import arc, run
from nflows_spread.cli.estimator_files import unpickled
from nflows_spread.cli.run_folder import kept_rows, read_run
from nflows_spread.estimator import Recipe, SpreadFlowEstimator

FEW, MANY = 60, 2_000


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    np.save(folder / "arc.npy", arc())
    assert run("fit", folder / "arc.npy", "--out", folder / "run", "--steps", 5)[2] == 0
    return folder / "run"


def told(folder):
    """What a run tells: coordinates, and what was fitted."""
    estimator, facts = read_run(folder)
    return estimator.transform(arc()[:5]).tolist(), facts


def kept(folder):
    """The rows that it keeps."""
    return kept_rows(folder)[0].tolist()


READ = {"estimator.pickle": told, "run.json": told, "rows.npz": kept}


@pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", READ)
def test_a_damaged_run_is_refused_or_reads_as_it_was_written(name, number, fitted, tmp_path):
    folder, draw, expected = tmp_path / "run", random.Random(number), READ[name](fitted)
    shutil.copytree(fitted, folder)
    whole, refusals = (fitted / name).read_bytes(), []
    for _ in range(number):
        altered = bytearray(whole)
        if draw.random() < 0.3:
            del altered[draw.randrange(len(altered)) :]
        else:
            altered[draw.randrange(len(altered))] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(altered)
        try:
            assert READ[name](folder) == expected
        except ValueError as error:
            refusals.append(str(error))
    assert all("RUN must hold a run of this or an older version" in said for said in refusals)
    assert len(refusals) > 0.9 * number


class Bomb:
    def __init__(self, call, *arguments):
        self.parts = (call, arguments)

    def __reduce__(self):
        return self.parts


def bombs(target):
    """Pickles that would make a folder."""
    inner = pickle.dumps(Bomb(os.mkdir, str(target)))
    yield "a call of the system", inner
    yield "eval", pickle.dumps(Bomb(eval, f"__import__('os').mkdir({str(target)!r})"))
    yield "a pickle within a tensor", pickle.dumps(Bomb(torch.storage._load_from_bytes, inner))
    yield "torch.load", pickle.dumps(Bomb(torch.load, str(target)))
    name = "nflows_spread.whole_files"
    yield (
        "a way out of the package",
        b"\x80\x04\x8c"
        + bytes([len(name)])
        + name.encode()
        + (b"\x8c\x08os.mkdir\x93\x8c" + bytes([len(str(target))]) + str(target).encode() + b"\x85R."),
    )
    yield "another module by way of one of ours", (b"cnflows_spread.whole_files\nshutil\n.")
    yield "a function of the package", b"cnflows_spread.whole_files\nremove_unfinished\n."


KINDS = [name for name, _ in bombs("/nowhere")]


@pytest.mark.parametrize("kind", KINDS)
def test_no_code_of_a_run_runs(kind, fitted, tmp_path):
    target, folder = tmp_path / "made", tmp_path / "run"
    shutil.copytree(fitted, folder)
    content = dict(bombs(target))[kind]
    facts = (folder / "run.json").read_text(encoding="utf-8")
    (folder / "estimator.pickle").write_bytes(content)
    _, error, status = run("sample", folder, "--out", tmp_path / "s.npy")
    assert (len(error), status) == (1, 2)
    assert "its checksum is wrong" in error[0]
    # one who can write the pickle can write its checksum as well
    older = {k: v for k, v in json.loads(facts).items() if k not in ("digest", "estimator_digest")}
    (folder / "run.json").write_text(json.dumps(older), encoding="utf-8")
    _, error, status = run("sample", folder, "--out", tmp_path / "s.npy")
    assert status == 2  # a line before it may be torch's warning of an old way to write
    assert error[-1].startswith(f"nflows-spread: RUN must hold a run of this or an older version, got {folder}: ")
    assert not target.exists()
    assert not (tmp_path / "s.npy").exists()


def test_a_run_of_an_older_version_without_checksums_is_read(fitted, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(fitted, folder)
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    del facts["digest"], facts["estimator_digest"]
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    assert told(folder)[0] == told(fitted)[0]


def circle(rows=200):
    t = np.random.default_rng(0).uniform(0.0, 2.0 * np.pi, rows)
    return np.stack([np.cos(t), np.sin(t), 0.01 * np.random.default_rng(1).normal(size=rows)], axis=1)


SETTINGS = {
    "as it is": {},
    "standardized": {"standardize": True},
    "of one coordinate": {"n_components": 1},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [pytest.param(settings, marks=[pytest.mark.slow] * bool(settings)) for settings in SETTINGS.values()],
    ids=SETTINGS,
)
@pytest.mark.parametrize(
    "rows",
    [arc(), pytest.param(circle(), marks=pytest.mark.slow), pytest.param(arc()[:20], marks=pytest.mark.slow)],
    ids=["arc", "circle, by an atlas", "few"],
)
def test_an_estimator_is_read_as_pickle_reads_it(rows, settings, tmp_path):
    """Whatever fits are made of: a class that is missing in the list of those known would be refused."""
    recipe = Recipe(steps=5, layers=2, hidden_features=8, bins=4, chart_steps=5)
    estimator = SpreadFlowEstimator(random_state=0, recipe=recipe, checkpoints=tmp_path, **settings).fit(rows)
    found = unpickled(pickle.dumps(estimator))
    np.testing.assert_array_equal(found.transform(rows), estimator.transform(rows))
    np.testing.assert_array_equal(found.score_samples(rows), estimator.score_samples(rows))
    np.testing.assert_array_equal(found.sample(5, random_state=0), estimator.sample(5, random_state=0))
