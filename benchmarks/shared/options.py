"""Command-line options that several benchmarks have, each checked before the work and not after it."""

from __future__ import annotations

import argparse
import math

import torch

from nflows_spread import validation


def add_max_minutes(parser: argparse.ArgumentParser, stops: str, *, default: float | None = None) -> None:
    """``--max-minutes``, with what stops after so long."""
    parser.add_argument("--max-minutes", type=minutes, default=default, help=stops)


def add_seeds(parser: argparse.ArgumentParser, *, default: list[int] | None, of: str) -> None:
    """``--seed``, one or more."""
    parser.add_argument("--seed", "--seeds", dest="seed", type=int, nargs="+", default=default, help=of)


def minutes(text: str) -> float:
    """A finite number above 0, for ``argparse``."""
    try:
        return validation.positive("the number of minutes", float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive_int(text: str) -> int:
    """A whole number above 0, for ``argparse``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def non_negative(text: str) -> float:
    """A finite number of at least 0, for ``argparse``."""
    number = float(text)
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, got {text}")
    return number


def device(text: str) -> str:
    """The name of a device of torch that is there, for ``argparse``."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"must be a device that torch can use, got {text}; {_first(error)}") from error
    return text


def _first(error: Exception) -> str:
    """The first line of a message."""
    return str(error).splitlines()[0]
