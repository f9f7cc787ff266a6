"""Mixed precision, bf16 where it is harmless: inside the nets of the flow, and nowhere in its own arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nflows_spread.hosts.registry import nets_of
from nflows_spread.training.overridden_forward import Forward, overridden_forward

Precision = Literal["32-true", "bf16-mixed"]


@contextmanager
def nets_in(precision: Precision, objective: nn.Module, device_type: str) -> Iterator[None]:
    """Inside, the nets of the flow's layers compute in this precision and return float32.

    Shifts, scales, linear maps, log-determinants and the prior's density keep the dtype of the data: an
    invertible map that rounds to 8 bits is none.

    Args:
        precision: ``"32-true"`` changes nothing, ``"bf16-mixed"`` runs the nets under autocast.
        objective: what is trained.
        device_type: ``"cpu"``, ``"cuda"``.

    Raises:
        ValueError: ``precision`` is none of the two, or there is no net to which it could apply.
    """
    if precision not in ("32-true", "bf16-mixed"):
        raise ValueError(f"precision must be '32-true' or 'bf16-mixed', got {precision!r}")
    if precision == "32-true":
        yield
        return
    nets = nets_of(objective)
    if not nets:
        raise ValueError(
            "precision 'bf16-mixed' needs a flow whose layers have nets, as couplings and autoregressive layers do, "
            f"got none in {type(objective).__name__}; use '32-true'"
        )
    with overridden_forward([(net, "forward") for net in nets], partial(_autocast, device_type=device_type)):
        yield


def _autocast(net: nn.Module, forward: Forward, *, device_type: str) -> Forward:
    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Tensor:
        with torch.autocast(device_type, torch.bfloat16):
            output: Tensor = forward(*args, **kwargs)
        return output.to(args[0].dtype)

    return run
