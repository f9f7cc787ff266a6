"""What a checkpoint holds: the state of a run, to write it and to continue from it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from nflows_spread.training import randomness
from nflows_spread.training.callbacks import TrainingState
from nflows_spread.training.checkpoints import Checkpoints
from nflows_spread.training.comparison import architecture_of
from nflows_spread.training.evaluation import Evaluation
from nflows_spread.training.run_parts import Parts


class Resumable(Protocol):
    """What of a run changes while it trains."""

    parts: Parts
    settings: Mapping[str, str]
    checkpoints: Checkpoints | None
    state: TrainingState
    losses: array[float]
    evaluations: list[Evaluation]
    best: float
    seconds_before: float
    losses_at_checkpoint: int
    checkpoint: Path | None

    @property
    def seconds(self) -> float:
        """Time spent training."""


def shared_state(run: Resumable) -> dict[str, Any]:
    """All that is the same in every process, as tensors and plain values."""
    parts = run.parts
    return {
        "step": run.state.step,
        "objective": parts.objective.state_dict(),
        "parts": architecture_of(parts.objective),
        "optimizer": parts.optimizer.state_dict(),
        "schedules": {name: schedule.state_dict() for name, schedule in parts.schedules.items()},
        "average": None if parts.average is None else parts.average.state_dict(),
        "early_stop": None if parts.early_stop is None else parts.early_stop.state_dict(),
        "losses": _as_tensor(run.losses),
        "evaluations": [asdict(evaluation) for evaluation in run.evaluations],
        "best": run.best,
        "seconds": run.seconds,
        "settings": dict(run.settings),
    }


def _as_tensor(losses: array[float]) -> torch.Tensor:
    """A copy, without a list of all of them, whose memory would grow by four times as much with each checkpoint."""
    return torch.frombuffer(losses, dtype=torch.float64).clone() if losses else torch.empty(0, dtype=torch.float64)


def own_state(run: Resumable) -> dict[str, Any]:
    """What each process has for itself: its randomness and its place in the data."""
    return {"randomness": randomness.capture(run.parts.generators), "batches": run.parts.batches.state_dict()}


def continue_from(run: Resumable, content: Mapping[str, Any]) -> None:
    """Put a run where it was when a checkpoint was written."""
    parts = run.parts
    parts.objective.load_state_dict(content["objective"])
    parts.optimizer.load_state_dict(content["optimizer"])
    for name, schedule in parts.schedules.items():
        schedule.load_state_dict(content["schedules"][name])
    if parts.average is not None:
        parts.average.load_state_dict(content["average"])
    if parts.early_stop is not None:
        parts.early_stop.load_state_dict(content["early_stop"])
    run.state.step = content["step"]
    run.losses = array("d", content["losses"].tolist())
    run.evaluations = [Evaluation(**evaluation) for evaluation in content["evaluations"]]
    run.best, run.seconds_before = content["best"], content["seconds"]
    run.losses_at_checkpoint = len(run.losses)
    own = content["processes"][parts.processes.rank]
    parts.batches.load_state_dict(own["batches"])
    randomness.restore(own["randomness"], parts.generators)
    if run.checkpoints is not None:
        run.checkpoint = run.checkpoints.path_of(run.state.step)
