"""Callbacks that change the pieces of a prior, in two processes (gloo, CPU). This file is also the program of these."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nflows_spread import DegenerateGaussianMixture, SpreadKLLoss, base_of
from nflows_spread.models import coupling_flow
from nflows_spread.training import LatePieces, RestartedPieces, fit
from nflows_spread.training.engine import Fabric, launch

ROOT = Path(__file__).parents[2]


def in_each_process(fabric, folder):
    """Pieces that part at the third step, and one that is far away from all before the next check."""
    torch.manual_seed(0)
    x = torch.randn(300, 2) + 6.0 * (torch.arange(300) % 3).unsqueeze(1)
    flow = coupling_flow(2, layers=2, hidden_features=(8,), base=DegenerateGaussianMixture([2], 3))
    base = base_of(flow)
    part = LatePieces(flow, x, step=3, generator=torch.Generator().manual_seed(1))
    restart = RestartedPieces(flow, x, every=5)

    def push_away(state):
        if state.step == 4:
            with torch.no_grad():
                base.locs[1] += 1000.0

    push_away.in_every_process = True
    fit(
        SpreadKLLoss(flow, data_noise=0.1, generator=torch.Generator().manual_seed(2)),
        x,
        steps=8,
        batch_size=20,
        callbacks=[part, push_away, restart],
        generator=torch.Generator().manual_seed(3),
        engine=fabric,
        progress=False,
    )
    found = {"parameters": nn.utils.parameters_to_vector(flow.parameters()).detach(), "restarted": restart.restarted}
    torch.save(found, folder / f"rank{fabric.global_rank}.pt")


@pytest.mark.slow
def test_the_pieces_part_and_come_alive_in_each_process_and_stay_the_same(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert first["restarted"] == second["restarted"] == [(5, 1)]
    assert torch.equal(first["parameters"], second["parameters"])
    assert first["parameters"].abs().max() < 100.0


if __name__ == "__main__":
    torch.set_num_threads(1)
    launch(Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn"), in_each_process, Path(sys.argv[1]))
