"""What the processes of the worker tests do, where they can import it, and what takes the place of processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any


def perform(task: str) -> float:
    """The number that the text is, or what a bad task does: sleep for too long, or kill its process."""
    if task == "sleep":
        time.sleep(60.0)
    if task == "die":
        os._exit(1)
    return float(task)


def in_this_process(work: Callable[[Any], Any], tasks: Iterable[Any], **_: object) -> list[tuple[Any, Any]]:
    """``run_tasks`` without a process, and so without limits of time."""
    return [(task, work(task)) for task in tasks]
