"""A declaration as plain values, so that a result says what it was made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial

from paper.settings import Settings

_READ_OUT = {"samples", "rule", "rank", "watch"}
"""Settings that say what to look at, and change no parameter."""


def settings_of(settings: Settings) -> dict[str, object]:
    """What decides the parameters of a flow, as JSON has it."""
    return {f.name: _plain(getattr(settings, f.name)) for f in fields(Settings) if f.name not in _READ_OUT}


def digest(settings: Settings) -> str:
    """Eight letters that are others as soon as one of the settings is."""
    return hashlib.sha256(json.dumps(settings_of(settings), sort_keys=True).encode()).hexdigest()[:8]


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
