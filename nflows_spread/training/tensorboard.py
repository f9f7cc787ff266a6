"""Curves and pictures of a run for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.chart import sample
from nflows_spread.deprecation import RenamedAttribute, renamed_arguments
from nflows_spread.dimension import rules
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.hosts import decode, encode
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.training.callbacks import TrainingState
from nflows_spread.training.randomness import isolated_randomness

_CURVES = 16
"""Largest eigenvalues that are written. A choice."""

_ROWS = 256
"""Rows of the batch that spectrum and samples are taken from. A choice; not measured."""

_PIXELS = 64
"""A side of the histograms, in pixels, and the most images that are shown. A choice."""


@renamed_arguments({"look_every": "check_every"})
class TensorBoard:
    """A callback of ``fit`` that writes an event file.

    Loss, noise level, learning rate and gradient norm are written often; spectrum, dimension,
    invertibility error (the largest |f(g(x)) − x|) and a picture of samples, which cost more, seldom.
    None of it changes the run: it draws from generators of its own.

    Args:
        folder: of the event file. A resumed run may go on in the same one.
        every: steps between the cheap curves.
        check_every: steps between the rest.

    Raises:
        TypeError, ValueError: ``every`` or ``check_every`` is no integer of at least 1.
    """

    look_every = RenamedAttribute("check_every")

    @typed
    def __init__(self, folder: str | Path, *, every: int = 50, check_every: int = 1000) -> None:
        self.folder = str(folder)
        self.every = validation.positive_int("every", every)
        self.check_every = validation.positive_int("check_every", check_every)
        self._writer: Any = None
        self._evaluated = 0

    def __call__(self, state: TrainingState) -> None:
        """Write what is due after this step."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self.folder, purge_step=state.step)
        if state.step % self.every == 0:
            self._write_curves(state)
        if state.evaluation is not None and state.evaluation.step > self._evaluated:
            self._write_evaluation(state)
        if state.step % self.check_every == 0 and isinstance(state.objective, SpreadKLLoss):
            self._write_check(state, state.objective)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writer": None}

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write_curves(self, state: TrainingState) -> None:
        self._scalar("loss", state.loss, state.step)
        self._scalar("gradient_norm", state.gradient_norm, state.step)
        self._scalar("learning_rate", state.learning_rate, state.step)
        if state.data_noise is not None:
            self._scalar("data_noise", state.data_noise, state.step)

    def _write_evaluation(self, state: TrainingState) -> None:
        if state.evaluation is not None:
            self._evaluated = state.evaluation.step
            if state.evaluation.loss is not None:
                self._scalar("held_out_loss", state.evaluation.loss, state.step)

    @torch.no_grad()
    def _write_check(self, state: TrainingState, objective: SpreadKLLoss) -> None:
        flow, x = objective.flow, state.batch[0][:_ROWS]
        context = state.batch[1][:_ROWS] if len(state.batch) > 1 else None
        with evaluating(objective), isolated_randomness(objective):
            error = (decode(flow, encode(flow, x, context), context) - x).abs().max()
            self._scalar("invertibility_error", float(error), state.step)
            try:
                found = spectrum(flow, x, context=context)
            except ValueError:  # a batch too small or a flow too young for a spectrum
                return
            dimension = rules.decide(found)
            self._scalar("dimension", float(dimension), state.step)
            for k in range(min(_CURVES, len(found.eigenvalues))):
                self._scalar(f"spectrum/eigenvalue_{k + 1:02d}", float(found.eigenvalues[k]), state.step)
                self._scalar(f"spectrum/signal_to_noise_{k + 1:02d}", float(found.signal_to_noise[k]), state.step)
            self._write_samples(flow, x, context, int(dimension), state.step)
        self._writer.flush()

    def _write_samples(self, flow: nn.Module, x: Tensor, context: Tensor | None, rank: int, step: int) -> None:
        drawn = sample(flow, len(x), rank=max(rank, 1), context=context, order="eigenvalue")  # a matter of a moment
        if x.dim() == 4 and x.shape[1] in (1, 3):
            low, high = x.min(), x.max()
            self._writer.add_images("samples", ((drawn - low) / (high - low)).clamp(0.0, 1.0)[:_PIXELS].cpu(), step)
        elif x.dim() == 2 and x.shape[1] >= 2:
            self._writer.add_image("data_and_samples", _density_pictures(x, drawn), step)

    def _scalar(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)


def _density_pictures(x: Tensor, drawn: Tensor) -> Tensor:
    """The first two coordinates of data and samples as two histograms side by side, shape (1, h, 2h)."""
    points = x[:, :2].detach().double().cpu()
    low, high = points.min(0).values, points.max(0).values
    margin = 0.1 * (high - low) + 1e-6
    bounds = torch.stack([low - margin, high + margin], dim=1).flatten().tolist()
    pictures = []
    for rows in (points, drawn[:, :2].detach().double().cpu()):
        counts = torch.histogramdd(rows, bins=[_PIXELS, _PIXELS], range=bounds).hist
        pictures.append((counts / counts.max().clamp_min(1.0)).sqrt().mT.flip(0))
    return torch.cat(pictures, dim=1).unsqueeze(0)
