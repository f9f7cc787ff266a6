"""A declaration as plain values, so that a result says what it was made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial

from experiment import Experiment

_COMPARISON = {"variants", "profiles", "measures", "panels", "together", "samples", "rule", "rank", "watch"}


def settings_of(experiment: Experiment) -> dict[str, object]:
    """What decides the parameters of one of its flows, as JSON has it."""
    return {f.name: _plain(getattr(experiment, f.name)) for f in fields(experiment) if f.name not in _COMPARISON}


def digest(experiment: Experiment) -> str:
    """Eight letters that are others as soon as one of the settings is."""
    return hashlib.sha256(json.dumps(settings_of(experiment), sort_keys=True).encode()).hexdigest()[:8]


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, partial):
        named = {name: _plain(item) for name, item in value.keywords.items()}
        return {
            "call": _plain(value.func),
            **({"with": [_plain(item) for item in value.args]} if value.args else {}),
        } | named
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return getattr(value, "__qualname__", type(value).__qualname__)
