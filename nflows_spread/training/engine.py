"""Lightning Fabric, the engine: devices, processes and what they say to each other. Imported nowhere else."""

from __future__ import annotations

import atexit
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

try:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.strategies.single_device import SingleDeviceStrategy
except ImportError as error:
    raise ImportError(
        "nflows_spread.training needs Lightning Fabric, which is not installed; "
        'install it with: pip install "nflows-spread[train]"'
    ) from error

import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from nflows_spread import validation

__all__ = ["Fabric", "Processes", "check_engine", "engine_for", "launch", "launched_from_outside"]

_OF_THE_OTHERS = "Connection closed by peer"
"""What gloo says in a process when another one has died."""

_STRATEGIES = (SingleDeviceStrategy, DDPStrategy)


def launched_from_outside() -> bool:
    """Whether ``fabric run`` or ``torchrun`` has started this process, and decided about devices and processes."""
    return os.environ.get("LT_CLI_USED") == "1" or "TORCHELASTIC_RUN_ID" in os.environ


def engine_for(device: torch.device, processes: int | None) -> Fabric:
    """An engine on this machine, or the one that ``fabric run`` or ``torchrun`` describes.

    It is launched, unless it is to start processes on this machine. What a scheduler such as SLURM has put into the
    environment has no say: a job of several tasks is several programs until somebody asks for one.

    Args:
        device: kind of device, and which one where there is one process. Under ``fabric run`` it has no say.
        processes: 1 for this process alone, whatever has started it; more for so many, each on a device of its own
            (processes of a CPU share its cores). Under ``fabric run`` or ``torchrun`` None and more than 1 are all
            of the launcher's; elsewhere None is 1.

    Raises:
        RuntimeError: the device is not there.
    """
    if processes is not None:
        validation.positive_int("processes", processes)
    if processes == 1 or not (processes or launched_from_outside()):
        with _launcher_ignored():
            devices = 1 if device.type == "cpu" else [device.index or 0]
            fabric = Fabric(accelerator=device.type, devices=devices, plugins=[LightningEnvironment()])
            fabric.launch()
        return fabric
    if os.environ.get("LT_CLI_USED") == "1":
        atexit.register(_disconnect)
        return Fabric()
    if launched_from_outside():
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        fabric = Fabric(
            accelerator=device.type,
            devices=here,
            num_nodes=everywhere // here,
            strategy="ddp",
            plugins=[TorchElasticEnvironment()],
        )
        fabric.launch()
        atexit.register(_disconnect)
        return fabric
    return Fabric(
        accelerator=device.type, devices=cast(int, processes), strategy="ddp_spawn", plugins=[LightningEnvironment()]
    )


@contextmanager
def _launcher_ignored() -> Iterator[None]:
    """Inside, the environment does not tell Fabric that ``fabric run`` has started this process."""
    of_the_launcher = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("LT_")}
    try:
        yield
    finally:
        os.environ.update(of_the_launcher)


def launch(fabric: Fabric, function: Callable[..., object], *args: object) -> None:
    """Run ``function(fabric, *args)`` in each of the processes of an engine that is not launched yet.

    A Ctrl-C that reaches this process alone is passed on, and the processes may end in their own way.

    Raises:
        RuntimeError: one of them has died; the others are ended.
    """
    others = multiprocessing.active_children()
    try:
        fabric.launch(cast(Callable[[Fabric], Any], _run_and_part), function, *args)
    except KeyboardInterrupt:
        started = [process for process in multiprocessing.active_children() if process not in others]
        for process in started:
            process.terminate()
        for process in started:
            process.join()
        raise
    except (ProcessExitedException, ProcessRaisedException) as error:
        if isinstance(error, ProcessRaisedException) and _OF_THE_OTHERS not in str(error):
            raise
        said = str(error).strip().splitlines()[-1]
        raise RuntimeError(
            f"all processes must last until training ends, got one that died ({said}), perhaps as memory ran out; "
            "where there are checkpoints, fit(..., resume=True) goes on from the last one"
        ) from error


def _run_and_part(fabric: Fabric, function: Callable[..., object], *args: object) -> None:
    """Run the function, then end the connection: a process that exits with one open may abort.

    After an error it ends with the process, so that the others do not end before it and hide the cause.
    """
    function(fabric, *args)
    fabric.barrier()
    _disconnect()


def _disconnect() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def check_engine(fabric: Fabric) -> Fabric:
    """``ValueError`` unless the engine's strategy and precision are ones that the loop is right for."""
    if not isinstance(fabric.strategy, _STRATEGIES):
        raise ValueError(f"the strategy must be a single device or ddp, got {type(fabric.strategy).__name__}")
    precision = fabric.strategy.precision.precision
    if precision not in ("32-true", "64-true"):
        raise ValueError(
            f"the engine's precision must be '32-true', got {precision!r}: it would round the flow's own "
            "arithmetic; pass precision='bf16-mixed' to fit, which keeps to the nets"
        )
    return fabric


class Processes:
    """The processes that train together, as one of them sees them. One alone pays nothing for it."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = check_engine(fabric)
        self.count, self.rank, self.device = fabric.world_size, fabric.global_rank, fabric.device

    def wrap(self, objective: nn.Module) -> Callable[..., Tensor]:
        """The objective on its device, with gradients averaged over all processes where there are several."""
        if self.count == 1:
            self._fabric.to_device(objective)
            return objective
        return self._fabric.setup_module(objective)

    def backward(self, loss: Tensor) -> None:
        """Back-propagate."""
        if self.count == 1:
            loss.backward()
        else:
            self._fabric.backward(loss)

    def without_exchange(self, wrapped: Callable[..., Tensor], enabled: bool) -> Any:
        """A context in which gradients stay where they are, for all but the last part of an accumulation."""
        return self._fabric.no_backward_sync(cast(Any, wrapped), enabled=enabled)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, entry by entry."""
        return values if self.count == 1 else cast(Tensor, self._fabric.all_reduce(values, reduce_op="mean"))

    def largest(self, values: list[float]) -> list[float]:
        """The largest over all processes, entry by entry."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        return cast(list[float], cast(Tensor, self._fabric.all_reduce(tensor, reduce_op="max")).tolist())

    def from_first(self, value: Any) -> Any:
        """What the first process has."""
        return value if self.count == 1 else self._fabric.broadcast(value)

    def gather(self, value: Any) -> list[Any]:
        """What every process has, in order of rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values
