"""The standard deviation of the noise added to the data, σ_x: who owns it, and what is taken where nobody knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nflows.distributions import Distribution
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.deprecation import replaced_by


class DataNoiseOwner(Distribution):
    """A base distribution that owns σ_x, the standard deviation of the noise on the data that it is the prior of.

    AAᵀ is the covariance of the latents of *noisy* data and cannot be read without σ_x, so the number is where A is:
    in a buffer, which is saved, loaded, copied, moved and broadcast with the parameters. All others ask for it here.
    """

    _data_noise: Tensor

    def __init__(self) -> None:
        super().__init__()
        # a weight and weight · σ_x: averages of buffers, those from before it was set included, keep the quotient
        self.register_buffer("_data_noise", torch.zeros(2, dtype=torch.float64))
        self._last_read = _LastRead()

    @property
    def data_noise(self) -> float | None:
        """σ_x under which the prior is trained, in data units, or None where nobody has said; assign to change it.

        ``SpreadKLLoss`` and the noise schedules set it.
        """
        record = self._data_noise
        if torch.compiler.is_compiling() or record.is_meta:  # no numbers to be read: what was set or loaded last
            return self._last_read.number
        return self._last_read.of(record)

    @data_noise.setter
    def data_noise(self, value: float) -> None:
        number, record = validation.non_negative("data_noise", value), self._data_noise
        if record.is_inference() and not torch.is_inference_mode_enabled():  # it cannot be written to here
            self._data_noise = record = record.clone()
        with torch.no_grad():
            record.fill_(1.0).select(0, 1).fill_(number)  # assigned by index, they take a training step's fiftieth
        self._last_read.keep(record, number)

    @replaced_by("an assignment, data_noise = value")
    def record_data_noise(self, value: float) -> None:
        """The old name of an assignment to ``data_noise``."""
        self.data_noise = value

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From a pickle, of an older version too, which kept the buffer alone."""
        super().__setstate__(state)
        self.__dict__.setdefault("_last_read", _LastRead())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As ``nn.Module`` does it, but a state that does not know σ_x leaves it as it is.

        In older versions the record was a single number, or NaN.
        """
        name = f"{prefix}_data_noise"
        record = state_dict.get(name)
        if record is not None and record.dim() == 0:
            known = torch.isfinite(record)
            record = torch.stack([known.to(record), torch.where(known, record, 0.0)])
        if record is not None and not record.is_meta and float(record[0]) <= 0.0 and self.data_noise is not None:
            record = torch.tensor([1.0, self.data_noise], dtype=torch.float64, device=record.device)
        if record is not None:
            state_dict[name] = record
        super()._load_from_state_dict(state_dict, prefix, *args)
        _ = self.data_noise  # read once here, for compiled functions

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DataNoiseOwner:
        """As ``nn.Module`` does it, but σ_x stays in float64, in which it is the number that was set."""
        before = self._data_noise
        super()._apply(fn, recurse)
        now = self._data_noise
        if now.dtype != before.dtype:
            self._data_noise = before.to(now.device)
        return self


def known_data_noise(flow: nn.Module) -> float | None:
    """The σ_x that the bases of a flow know, or None where none does or they know several."""
    owners = (module for module in flow.modules() if isinstance(module, DataNoiseOwner))
    known = {owner.data_noise for owner in owners} - {None}
    return known.pop() if len(known) == 1 else None


def hand_on_data_noise(flow: nn.Module, base: nn.Module) -> None:
    """Tell a base that does not know σ_x that of the flow that it comes to."""
    known = known_data_noise(flow)
    if isinstance(base, DataNoiseOwner) and base.data_noise is None and known is not None:
        base.data_noise = known


def data_noise_of_fit(flow: nn.Module, given: float | None) -> float:
    """σ_x for a fit to noisy latents: what the caller gives, else what the base knows, or 0, as before a training.

    Raises:
        ValueError: ``given`` is negative.
    """
    return known_data_noise(flow) or 0.0 if given is None else validation.non_negative("data_noise", given)


def data_noise_of(base: nn.Module, given: float | None) -> float:
    """σ_x for a read-out, in data units: what the caller gives, else what the base knows.

    Raises:
        ValueError: ``given`` is negative.

    Warns:
        UserWarning: nobody knows it, and 0 is taken.
    """
    if given is not None:
        return validation.non_negative("data_noise", given)
    known = base.data_noise if isinstance(base, DataNoiseOwner) else None
    if known is None:
        remedy = "assign base_of(flow).data_noise = ..." if isinstance(base, DataNoiseOwner) else "pass data_noise=..."
        validation.warn(
            "a read-out must know data_noise, the σ_x that the flow was trained with, got none from the caller and "
            f"none from the base, which is a {type(base).__name__}; {remedy}; 0 is taken"
        )
        return 0.0
    return known


class _LastRead:
    """The number in a record as it was last read.

    To read a tensor of an accelerator is to wait for it, which a training step must not do: there the number holds as
    long as nobody has changed the record in a way that torch counts, as by all that does not go through ``.data``.
    Copies and pickles, whose record is another tensor, read it again.
    """

    def __init__(self, number: float | None = None) -> None:
        self.number = number
        self._key: tuple[Tensor, int] | None = None

    def of(self, record: Tensor) -> float | None:
        """σ_x, or None where the weight is 0."""
        if torch._C._functorch.is_functorch_wrapped_tensor(record):  # one of many, in which no number can be read
            return self.number
        key = self._key
        if key is None or key[0] is not record or key[1] != record._version or not _reading_waits(record):
            self.keep(record, _quotient(record))
        return self.number

    def keep(self, record: Tensor, number: float | None) -> None:
        """What is in the record now."""
        self.number = number
        self._key = None if record.is_inference() else (record, record._version)

    def __reduce__(self) -> tuple[type[_LastRead], tuple[float | None]]:
        return _LastRead, (self.number,)


def _reading_waits(record: Tensor) -> bool:
    return record.device.type != "cpu"


def _quotient(record: Tensor) -> float | None:
    weight, weighted = record.tolist()
    return weighted / weight if weight > 0.0 else None
