"""Signal handling (Ctrl-C, SIGTERM): deferred until the run has left a checkpoint, then passed on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptions:
    """The signal that has arrived, 0 for none."""

    def __init__(self) -> None:
        self.received = 0

    @contextmanager
    def deferred(self, *, enabled: bool) -> Iterator[None]:
        """Inside, a first Ctrl-C or SIGTERM is only remembered; a second one acts as ever.

        Outside the main thread, where Python lets nobody handle signals, nothing changes.
        """
        if not enabled or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def remember(number: int, _: FrameType | None) -> None:
            self.received = number
            signal.signal(number, before[signal.Signals(number)])

        for number in _SIGNALS:
            signal.signal(number, remember)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self) -> None:
        """Let the signal do what it does without us: KeyboardInterrupt, or the end of the process."""
        if self.received:
            signal.raise_signal(self.received)
