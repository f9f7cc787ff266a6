"""One script for a laptop and a cluster: a spread flow on the S-curve, with checkpoints, that goes on where it was.

On one processor or GPU: ``python examples/train_distributed.py``; in two processes on this machine: add
``--processes 2``; on machines of a cluster see ``docs/training.md``. Start it again with the same folder and it
continues from its last checkpoint.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from nflows_spread import SpreadKLLoss, intrinsic_dimension
from nflows_spread.models import TABLE_2, coupling_flow
from nflows_spread.training import Checkpoints, FitResult, Geometric, fit


def s_curve(rows: int, generator: torch.Generator) -> torch.Tensor:
    """Points of the S-curve, shape (rows, 3); a sampler, so that every process draws its own data."""
    t = 3.0 * torch.pi * (torch.rand(rows, generator=generator) - 0.5)
    height = 2.0 * torch.rand(rows, generator=generator)
    return torch.stack([torch.sin(t), height, torch.sign(t) * (torch.cos(t) - 1.0)], dim=1)


def main(
    steps: int = 2000, folder: str | None = None, processes: int | None = None, device: str | None = None
) -> FitResult:
    """Train, or go on training, and print what was found.

    Args:
        steps: number of optimizer steps in all.
        folder: where checkpoints are; None for none.
        processes: how many to start here; one if None. Under ``fabric run`` and ``torchrun`` they are there already.
        device: ``"cuda"`` or ``"cpu"``; by default a GPU where there is one.
    """
    torch.manual_seed(0)
    objective = SpreadKLLoss(coupling_flow(**TABLE_2))
    result = fit(
        objective,
        s_curve,
        steps=steps,
        learning_rate=2e-3,
        learning_rate_schedule=partial(CosineAnnealingLR, T_max=steps),
        noise_schedule=Geometric(0.3, 0.05, steps=steps),
        gradient_clip=10.0,
        checkpoints=None if folder is None else Checkpoints(folder, every=max(1, steps // 4)),
        resume=folder is not None,
        processes=processes,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
    )
    x = s_curve(1000, torch.Generator().manual_seed(1)).to(next(objective.parameters()).device)
    if result.rank == 0:
        print(f"{result.steps} steps in {result.processes} processes, loss {result.losses[-1]:.3f}")
        print(f"intrinsic dimension: {intrinsic_dimension(objective.flow, x)!r}")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--folder", help="of the checkpoints")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--device", help="cpu or cuda")
    main(**vars(parser.parse_args()))
