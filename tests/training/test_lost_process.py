"""One of two processes is killed: the other ends with an error, soon. This file is also the program that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from nflows_spread.training import Checkpoints, fit, read_checkpoint

ROOT = Path(__file__).parents[2]
WITHIN = 60.0
"""Seconds from the kill to the end of the other process; seen: 0.1 to 5, on a busy machine."""


class Mean(nn.Module):
    """Kills its process, the second one, in the middle of its twentieth step, and writes down when."""

    def __init__(self, folder):
        super().__init__()
        self.mean, self.calls, self.folder = nn.Parameter(torch.zeros(2)), 0, folder

    def forward(self, x):
        self.calls += 1
        if self.calls == 20 and os.environ.get("LOCAL_RANK") == "1":
            Path(self.folder, "killed").write_text(str(time.monotonic()))
            os.kill(os.getpid(), signal.SIGKILL)
        return (x - self.mean).square().mean()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
@pytest.mark.parametrize("launcher", ["fit", "torchrun"])
def test_a_process_that_is_killed_ends_the_other_with_an_error(launcher, tmp_path):
    module = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29481"]
    done = subprocess.run(
        [sys.executable, *(module if launcher == "torchrun" else []), __file__, launcher, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = json.loads((tmp_path / "found").read_text()) if (tmp_path / "found").exists() else done.stderr
    assert found["kind"] == "RuntimeError"
    assert found["seconds"] < WITHIN
    if launcher == "fit":
        assert done.returncode == 0
        assert found["said"].startswith("all processes must last until training ends, got one that died (")
        assert "resume=True) goes on from the last one" in found["said"]
    else:
        assert done.returncode != 0, "torchrun says that it failed"
        assert "Connection closed by peer" in found["said"] or "Connection reset" in found["said"]
    assert read_checkpoint(Checkpoints(tmp_path / "run").paths()[-1])["step"] in (15, 19)


if __name__ == "__main__":
    torch.set_num_threads(1)
    how, where = sys.argv[1:]
    try:
        fit(
            Mean(where),
            torch.randn(64, 2),
            steps=10**6,
            batch_size=8,
            device="cpu",
            checkpoints=Checkpoints(Path(where, "run"), every=5),
            processes=2 if how == "fit" else None,
            progress=False,
        )
    except RuntimeError as error:
        seconds = time.monotonic() - float(Path(where, "killed").read_text())
        told = {"kind": type(error).__name__, "said": str(error), "seconds": seconds}
        Path(where, "found").write_text(json.dumps(told))
