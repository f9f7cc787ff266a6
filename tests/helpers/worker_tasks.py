"""What the processes of the worker tests do; it lives where they can import it."""

from __future__ import annotations

import os
import time


def perform(task: str) -> float:
    """The number that the text is, or what a bad task does: sleep for too long, or kill its process."""
    if task == "sleep":
        time.sleep(60.0)
    if task == "die":
        os._exit(1)
    return float(task)
