"""What a person sees while a flow is trained: one line with loss, dimension and noise level."""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor, nn

from nflows_spread import SpreadKLLoss, rules, spectrum
from nflows_spread.distributions import DegenerateGaussian

_ROWS = 256
_SHARE_OF_TIME = 0.02
_LARGEST_MEASURED = 64


class ProgressBar:
    """A tqdm bar. The dimension costs at most two hundredths of the time.

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

    def update(self, step: int, loss: float, x: Tensor) -> None:
        """Show a step.

        Args:
            step: steps done.
            loss: of the last step, in nats.
            x: a batch of data, to read the dimension off.
        """
        if not self.visible:
            return
        shown = {"loss": f"{loss:.4f}"}
        if self._measure(x) is not None:
            shown["dim"] = str(self._dimension)
        if isinstance(noise := getattr(self._objective, "data_noise", None), float):
            shown["noise"] = f"{noise:.3g}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Leave the last line as it is."""
        self._bar.close()

    def _measure(self, x: Tensor) -> int | None:
        now = time.perf_counter()
        if now >= self._due:
            self._dimension = current_dimension(self._objective, x[:_ROWS])
            spent = time.perf_counter() - now
            self._due = now + spent / _SHARE_OF_TIME
        return self._dimension


def current_dimension(objective: nn.Module, x: Tensor) -> int | None:
    """The intrinsic dimension as it stands, or None for an objective that has none to show.

    By the signal-to-noise rule for up to 64 features; above, by the largest gap among the
    eigenvalues of AAᵀ, which costs no pass through the flow. It draws from a generator of its own.
    """
    if not isinstance(objective, SpreadKLLoss):
        return None
    base = objective.base
    try:
        if base.features <= _LARGEST_MEASURED:
            with evaluating(objective):
                generator = torch.Generator(x.device).manual_seed(0)
                return int(rules.decide(spectrum(objective.flow, x, generator=generator)))
        return int(rules.decide(_spectrum_of_base(base), "gap"))
    except (ValueError, RuntimeError):  # a flow that is not finite or not invertible yet has no dimension
        return None


def _spectrum_of_base(base: DegenerateGaussian) -> rules.Spectrum:
    values, variance = base.eigenvalues.detach().cpu(), float(base.spread_variance)
    return rules.Spectrum(values, values + variance, variance, base.data_noise or 0.0)


class evaluating:  # noqa: N801
    """A context in which a module is in evaluation mode."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._was_training = self._module.training
        self._module.eval()

    def __exit__(self, *_: object) -> None:
        self._module.train(self._was_training)
