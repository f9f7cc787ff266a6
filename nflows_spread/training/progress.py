"""Progress bar of a training: one line with loss, dimension and noise level."""

from __future__ import annotations

import sys
import time

from torch import nn

from nflows_spread.training.evaluation import current_dimension
from nflows_spread.training.sources import Batch

_SHARE_OF_TIME = 0.02
"""Of the time, at most, goes into the dimension that is shown. A choice."""


class ProgressBar:
    """A tqdm bar. The dimension that it shows costs at most two hundredths of the time.

    Args:
        objective: what is trained.
        steps: number of steps in all.
        done: steps that were done before.
        visible: None shows the bar when the standard error is a terminal.
    """

    def __init__(self, objective: nn.Module, *, steps: int, done: int = 0, visible: bool | None = None) -> None:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        self._objective = objective
        self.visible = sys.stderr.isatty() if visible is None else visible
        self._bar = tqdm(total=steps, initial=done, disable=not self.visible, unit="step", dynamic_ncols=True)
        self._dimension: int | None = None
        self._due = time.perf_counter()

    def update(self, step: int, loss: float, batch: Batch) -> None:
        """Show a step.

        Args:
            step: steps done.
            loss: of the last step, in nats.
            batch: data, and context if there is one, to read the dimension off.
        """
        if not self.visible:
            return
        shown = {"loss": f"{loss:.4f}"}
        if self._measure(batch) is not None:
            shown["dim"] = str(self._dimension)
        if isinstance(noise := getattr(self._objective, "data_noise", None), float):
            shown["noise"] = f"{noise:.3g}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Leave the last line as it is."""
        self._bar.close()

    def _measure(self, batch: Batch) -> int | None:
        now = time.perf_counter()
        if now >= self._due:
            self._dimension = current_dimension(self._objective, *batch)
            finished = time.perf_counter()
            self._due = finished + (finished - now) / _SHARE_OF_TIME
        return self._dimension
