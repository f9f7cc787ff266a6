"""The folder of a run: which checkpoints are in it, and which stay. What one holds is in ``checkpoint_content``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.training.archives import read_archive, write_archive
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.comparison import check_same_architecture, check_same_shapes
from nflows_spread.whole_files import link_atomically, remove_unfinished

_KIND = "checkpoint"
_VERSION = 1
"""Of the format; newer ones than this are refused."""


@typed
@dataclass(frozen=True)
class Checkpoints:
    """Where ``fit`` leaves its checkpoints, how often, and how many it keeps.

    The last ``keep`` are called ``step-….pt``; ``best.pt`` is the one with the smallest held-out loss,
    or, without held-out data, with the smallest mean loss since the checkpoint before it. (While the
    noise level changes, losses of different steps are those of different densities.)

    Args:
        folder: made if need be.
        every: steps between checkpoints. There is one more when a run ends or is interrupted.
        keep: how many of the last to keep.

    Raises:
        TypeError, ValueError: ``every`` or ``keep`` is no integer of at least 1.
    """

    folder: str | Path
    every: int = 1000
    keep: int = 3

    def __post_init__(self) -> None:
        validation.positive_int("every", self.every)
        validation.positive_int("keep", self.keep)

    @property
    def best(self) -> Path:
        """The path of the best checkpoint."""
        return Path(self.folder) / "best.pt"

    def paths(self) -> list[Path]:
        """The checkpoints that are there, oldest first."""
        return sorted(Path(self.folder).glob("step-*.pt"))

    def path_of(self, step: int) -> Path:
        """The path of the checkpoint after ``step`` steps."""
        return Path(self.folder) / f"step-{step:010d}.pt"

    def prepare(self, *, resume: bool) -> None:
        """Make the folder, see that it can be written to, and clear what a killed run left half done.

        Raises:
            FileExistsError: it holds checkpoints, and this run is not meant to resume them.
            OSError: it cannot be made or written to.
        """
        folder = Path(self.folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".probe.unfinished"
            probe.write_bytes(b"probe")
            probe.unlink()
        except OSError as error:
            message = f"cannot write checkpoints to {folder}: {error.strerror}; choose another folder"
            raise type(error)(error.errno, message) from error
        if self.paths() and not resume:
            raise FileExistsError(
                f"the folder {folder} must hold no checkpoints, got {self.paths()[-1].name}; "
                "pass resume=True to continue that run, or choose another folder"
            )
        remove_unfinished(folder)

    def write(self, step: int, content: Mapping[str, Any], *, is_best: bool) -> Path:
        """Write one, then let go of the oldest."""
        path = self.path_of(step)
        write_archive(path, _KIND, _VERSION, content)
        if is_best:
            link_atomically(path, self.best)
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def read_latest(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read, or None where there is none.

        A damaged one is passed over with a warning.

        Raises:
            ValueError: there are checkpoints, and none can be read.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                content = read_archive(path, _KIND, _VERSION)
            except ValueError as error:
                validation.warn(f"{error}; the checkpoint before it is used")
                continue
            if content["is_best"]:  # the run may have been killed between the checkpoint and the link
                link_atomically(path, self.best)
            return content
        if paths:
            raise ValueError(
                f"none of the {len(paths)} checkpoints in {self.folder} can be read; choose another folder"
            )
        return None


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; see ``read_archive`` for what is refused."""
    return read_archive(path, _KIND, _VERSION)


def restore_objective(path: str | Path, objective: nn.Module, *, averaged: bool = False) -> int:
    """Give an objective the parameters of a checkpoint.

    Args:
        path: the checkpoint, ``checkpoints.best`` for example.
        objective: of the same architecture.
        averaged: take the moving average of the parameters.

    Returns:
        The number of steps after which the checkpoint was written.

    Raises:
        ValueError: the file is damaged or of another kind, the checkpoint is of another model, or has no average.
    """
    content = read_checkpoint(path)
    check_same_model(str(path), content, objective)
    if averaged and content["average"] is None:
        raise ValueError(f"{path} must hold a moving average, got none; pass average to fit")
    objective.load_state_dict(content["objective"])
    if averaged:
        average = MovingAverage(objective, decay=0.0)
        average.load_state_dict(content["average"])
        average.copy_to(objective)
    return int(content["step"])


def check_same_model(source: str, content: Mapping[str, Any], objective: nn.Module) -> None:
    """``ValueError`` unless a checkpoint is of this objective, by its tensors and by what its parts are."""
    check_same_shapes(source, content["objective"], objective)
    if "parts" in content:  # older versions did not write them
        check_same_architecture(source, content["parts"], objective)
