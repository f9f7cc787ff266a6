"""Device of the estimator's trainings: networks are trained there, all else is computed on the CPU."""

from __future__ import annotations

from typing import Any

import torch

CPU = torch.device("cpu")
"""Where a trained flow and its charts end up."""


def checked_device(value: Any) -> torch.device:
    """The device that an argument names; None is the CPU.

    Raises:
        TypeError: it is no name of a device.
        ValueError: there is no such device here, or it has no float64.
    """
    if value is None:
        return CPU
    if not isinstance(value, (str, torch.device)):
        raise TypeError(f"device must be a name such as 'cuda', or a torch.device, got {value!r}")
    try:
        device = torch.device(value)
        if device.type == "meta":
            raise ValueError("it holds no numbers")
        torch.zeros(1, dtype=torch.float64, device=device).add_(1.0)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(
            f"device must be one that is here and has float64, got {str(value)!r}: {first}; leave it out for the CPU"
        ) from error
    return device


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """The generator itself on its own device, else one of the same seed on another."""
    if device.type == generator.device.type:
        return generator
    return torch.Generator(device).manual_seed(generator.initial_seed())
