"""Fits of the estimator that are killed, kill -9, at random moments. This file is also the program that is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

KILLS = 10
EVERY = 3
"""Steps between checkpoints, so that many are written."""


def arc(rows=100):
    t = np.random.default_rng(0).uniform(0.0, 3.0, rows)
    return np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


def fitted(folder):
    from nflows_spread.estimator import Recipe, SpreadFlowEstimator

    recipe = Recipe(
        steps=60, layers=2, hidden_features=8, bins=4, first_check=10, check_every=5, patience=3, chart_steps=20
    )
    return SpreadFlowEstimator(random_state=0, recipe=recipe, checkpoints=folder).fit(arc())


def killed(folder):
    from nflows_spread.estimator import resumption
    from nflows_spread.training import Checkpoints, read_checkpoint

    resumption._EVERY = EVERY
    start = time.monotonic()
    expected = fitted(None)
    takes, draw, left = time.monotonic() - start, random.Random(0), []
    for _ in range(KILLS):
        child = os.fork()
        if child == 0:
            try:
                fitted(folder)
            finally:
                os._exit(0)
        time.sleep(draw.uniform(0.1, 0.8) * takes)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        parts = {path.parent for path in Path(folder).rglob("step-*.pt")}
        newest = {part.name: read_checkpoint(Checkpoints(part).paths()[-1])["step"] for part in parts}
        left.append(newest)
    found = fitted(folder)
    return {
        "left": left,
        "same": all(
            np.array_equal(getattr(found, name)(arc()), getattr(expected, name)(arc()))
            for name in ("transform", "score_samples")
        ),
        "files": [str(path) for path in Path(folder).iterdir()],
    }


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork are those of POSIX")
def test_a_fit_that_was_killed_again_and_again_ends_as_one_that_was_not(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["left"]) == KILLS
    assert any(found["left"]), "none of the kills came while there were checkpoints"
    assert found["same"], "the fit that was killed did not end where the fit that was not ended"
    assert found["files"] == []


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(killed(sys.argv[1])))
