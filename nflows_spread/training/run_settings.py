"""The settings of a run, as a checkpoint holds them, and their comparison when the run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread.chart import ChartLoss
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.training.run_parts import Limits, Parts, Schedule

_NOT_SETTINGS = ("params", "lr", "initial_lr", "fused", "foreach", "capturable", "differentiable")
"""Of an optimizer's groups: how a step is computed, or what schedules change."""

_PROGRESS = ("last_epoch", "optimizer", "best", "num_bad_epochs", "cooldown_counter")
"""Of torch's schedules: how far they are."""


def settings_of(parts: Parts, limits: Limits, *, batch_size: int, precision: str) -> dict[str, str]:
    """All that decides what the parameters become, but for how long training lasts.

    ``steps`` and ``max_minutes`` may change when a run is resumed, and so may what only observes.
    """
    objective = parts.objective
    settings: dict[str, Any] = {
        "objective": type(objective).__name__,
        "entropy": getattr(objective, "entropy", None),
        "data_noise": "scheduled" if "noise" in parts.schedules else getattr(objective, "data_noise", None),
        "spread_variance": "scheduled" if "spread_variance" in parts.schedules else _spread_variance(objective),
        "data": parts.batches.describe(),
        "batch_size": batch_size,
        "accumulate": limits.accumulate,
        "gradient_clip": limits.gradient_clip,
        "optimizer": _describe_optimizer(parts.optimizer),
        "precision": precision,
        "processes": parts.processes.count,
        "average": None if parts.average is None else parts.average.decay,
        "held_out": None if parts.held_out is None else f"{len(parts.held_out[0])} rows",
        "evaluate_every": None if parts.held_out is None and parts.early_stop is None else limits.evaluate_every,
        "early_stop": parts.early_stop,
        **{f"{name}_schedule": _describe_schedule(schedule) for name, schedule in parts.schedules.items()},
    }
    if isinstance(objective, ChartLoss):  # of which older versions know nothing
        settings["weight"] = "scheduled" if "weight" in parts.schedules else objective.weight
    return {name: str(value) for name, value in settings.items()}


def check_same_settings(where: str, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """``ValueError`` that names all settings that differ."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if names:
        shown = "; ".join(f"{name} was {then.get(name, 'none')} and is {now.get(name, 'none')}" for name in names)
        raise ValueError(f"{where} must be resumed with the settings of its start, got others: {shown}")


def _spread_variance(objective: nn.Module) -> float | None:
    base = getattr(objective, "base", None)
    return float(base.spread_variance) if isinstance(base, DegeneratePrior) else None


def _describe_optimizer(optimizer: Optimizer) -> str:
    groups = [
        {"lr": group.get("initial_lr", group["lr"])} | {k: v for k, v in group.items() if k not in _NOT_SETTINGS}
        for group in optimizer.param_groups
    ]
    return f"{type(optimizer).__name__} {groups}"


def _describe_schedule(schedule: Schedule) -> str:
    if not isinstance(schedule, LRScheduler):
        return repr(schedule)
    plain = {name: value for name, value in _plain(schedule.state_dict()).items() if name not in _PROGRESS}
    return f"{type(schedule).__name__} {plain}"


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts that do not start with an underscore, as those that count steps do."""
    kinds = (int, float, str, list)
    return {name: value for name, value in state.items() if isinstance(value, kinds) and not name.startswith("_")}
