"""Lightning Fabric, the engine: devices, processes and what they say to each other. Imported nowhere else."""

from __future__ import annotations

try:
    from lightning_fabric import Fabric
except ImportError as error:
    raise ImportError(
        "nflows_spread.training needs Lightning Fabric, which is not installed; "
        'install it with: pip install "nflows-spread[train]"'
    ) from error

import torch

__all__ = ["Fabric", "engine_for"]


def engine_for(device: torch.device) -> Fabric:
    """A launched engine of one process on one device."""
    index = device.index or 0
    fabric = Fabric(accelerator=device.type, devices=1 if device.type == "cpu" else [index])
    fabric.launch()
    return fabric
