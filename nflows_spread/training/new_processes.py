"""Training in newly started processes: the arguments go there as a pickle, the state comes home as a file."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

from nflows_spread.training.archives import read_archive, write_archive
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.checkpoint_content import shared_state
from nflows_spread.training.engine import Fabric, check_engine, launch
from nflows_spread.training.evaluation import Evaluation
from nflows_spread.training.fit_arguments import Job, given_schedules
from nflows_spread.training.one_process import train
from nflows_spread.training.result import FitResult, NotFiniteError


def train_in_new_processes(fabric: Fabric, job: Job) -> FitResult:
    """Train in processes of their own, and bring the state home through a file.

    The arguments are pickled here, so that each process has its own copy of all tensors and not, as
    torch's way of passing tensors has it, one memory for all.
    """
    check_engine(fabric)
    try:
        packed = pickle.dumps(job)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise TypeError(
            f"with processes above 1 all arguments must be picklable, got one that is not ({error}); "
            "use functions of a module and functools.partial in place of lambdas"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.pt"
        launch(fabric, _train_and_write, packed, path)
        content = read_archive(path, "result", 1)
    if content["not_finite"] is not None:
        raise NotFiniteError(content["not_finite"])
    state = content["state"]
    job.objective.load_state_dict(state["objective"])
    if job.optimizer is not None:
        job.optimizer.load_state_dict(state["optimizer"])
    for name, schedule in given_schedules(job).items():
        schedule.load_state_dict(state["schedules"][name])
    average = None if job.average is None else MovingAverage(job.objective, job.average)
    if average is not None:
        average.load_state_dict(state["average"])
    return FitResult(
        losses=state["losses"].tolist(),
        steps=state["step"],
        seconds=state["seconds"],
        stopped=content["stopped"],
        evaluations=tuple(Evaluation(**evaluation) for evaluation in state["evaluations"]),
        average=average,
        checkpoint=None if content["checkpoint"] is None else Path(content["checkpoint"]),
        processes=content["processes"],
    )


def _train_and_write(fabric: Fabric, packed: bytes, path: Path) -> None:
    """What a new process runs. The first one writes the result."""
    content: dict[str, Any] = {
        "not_finite": None,
        "state": None,
        "stopped": "",
        "checkpoint": None,
        "processes": fabric.world_size,
    }
    try:
        run, result = train(fabric, pickle.loads(packed))
        content |= {
            "state": shared_state(run),
            "stopped": result.stopped,
            "checkpoint": None if result.checkpoint is None else str(result.checkpoint),
        }
    except NotFiniteError as error:
        content["not_finite"] = str(error)
    if fabric.global_rank == 0:
        write_archive(path, "result", 1, content)
