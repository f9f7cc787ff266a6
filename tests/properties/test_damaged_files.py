"""Damaged data files: right data or an error that names the file, never a crash, a hang or memory without bound."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

import damaged_files

pytest.importorskip("click")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by what Linux says of a process")

HELPERS = Path(damaged_files.__file__).parent
OF_A_KIND = settings.default.max_examples
"""Seeds of each kind of file: 10 in every run, 900 by ``--hypothesis-profile thorough``."""


@pytest.fixture(scope="module")
def outcomes():
    """What became of each case, by its kind; read by one process, or others after those that it ended with."""
    names, found = damaged_files.available(), []
    places = [str(HELPERS.parents[1]), str(HELPERS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "damaged_files", "|".join(names), "0", str(OF_A_KIND)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    for line in done.stdout.splitlines():
        found.append(json.loads(line))
    ended = found[-1] if found and found[-1]["got"] == "about to be read" else None
    hung = done.returncode == -signal.SIGALRM
    assert done.returncode == 0, (
        f"{'a hang' if hung else 'a crash'} in {ended}: {done.returncode}, {done.stderr[-2000:]}"
    )
    return [case for case in found if case["got"] != "about to be read"]


@pytest.mark.parametrize("name", damaged_files.KINDS)
def test_a_damaged_file_is_right_data_or_an_error_that_names_it(name, outcomes):
    if name not in damaged_files.available():
        pytest.skip(f"{damaged_files.KINDS[name].needs} is not installed")
    mine = [case for case in outcomes if case["kind"] == name]
    assert len(mine) == damaged_files.cases_of(name, OF_A_KIND)
    assert [case for case in mine if case["wrong"]] == []
    assert [case for case in mine if case["got"] == "memory" and name not in MORE_THAN_IT_HAS] == []
    assert len(mine) < 5 or any(case["got"] in ("ValueError", "OSError") for case in mine)  # some damage shows


MORE_THAN_IT_HAS = {"parquet", "h5ad"}
"""Files whose library may ask for what a header claims, and is refused it."""


@pytest.mark.parametrize("name", damaged_files.KINDS)
def test_damage_is_damage_and_a_seed_makes_it_again(name, tmp_path):
    import numpy as np

    if name not in damaged_files.available():
        pytest.skip(f"{damaged_files.KINDS[name].needs} is not installed")
    kind = damaged_files.KINDS[name]
    kind.write(tmp_path)
    content = (tmp_path / kind.name).read_bytes()
    made = [[damaged_files.damaged(content, np.random.default_rng(seed)) for seed in range(40)] for _ in range(2)]
    assert made[0] == made[1]
    assert sum(each != content for each in made[0]) >= 30
    assert len(set(made[0])) >= 30
