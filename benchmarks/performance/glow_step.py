"""What a step of a Glow costs over its convolutional net alone: forward and backward, ours beside nflows and normflows.

Run ``python benchmarks/performance/glow_step.py``; it prints one table and writes ``glow_step.json``. All
contenders take turns in one process, so that they meet the same machine. A cost is the median over rounds of the
time of a contender over that of the net in the same round: ``GlowNet`` (kernels 3, 1, 3) on half of the
channels, with gradients for its inputs, in torch's default layout. Costs over the same net in ``channels_last``
stand beside it, because a faster layout makes everything else count for more. ``nflows`` is its ``ActNorm``,
``OneByOneConvolution`` and ``AffineCouplingTransform`` with the same net; ``normflows`` its ``GlowBlock``, which brings
its own. A stack of steps shows what checkpointing saves in memory and costs in time. ``--compile`` adds the compiled
step.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nflows import transforms as nflows
from torch import Tensor, nn

from nflows_spread.models import volume_preserving_glow
from nflows_spread.models.nets import GlowNet
from nflows_spread.transforms import (
    GlowStep,
    MeanCentredAffineCouplingTransform,
    TanhLogScale,
    VolumePreservingActNorm,
    VolumePreservingOneByOneConvolution,
)

if not __package__:  # run as a script: the benchmarks' own modules are one folder up
    sys.path.insert(0, str(Path(__file__).parents[1]))
import records
from performance.timing import Measured, Step, compare

NET = "the net alone"
NET_LAST = "the net alone, channels_last"
LAST = "channels_last"


def contenders(channels: int, hidden_channels: int, size: int, batch: int, compiled: bool) -> dict[str, Step]:
    """A forward and backward pass of each, on images of the same shape."""
    net = partial(GlowNet, hidden_channels=hidden_channels)
    x = torch.randn(batch, channels, size, size)
    half = x[:, : channels // 2].contiguous()
    found = {
        NET: step_of(net(channels // 2, channels), half),
        NET_LAST: step_of(net(channels // 2, channels), half, channels_last=True),
        "ours": step_of(ours(channels, net), x),
        f"ours, {LAST}": step_of(ours(channels, net), x, channels_last=True),
        f"ours, {LAST}, nets in bf16": step_of(ours(channels, net), x, channels_last=True, autocast=True),
        "nflows": step_of(nflows_parts(channels, net), x),
    }
    try:
        from normflows.flows import GlowBlock
    except ModuleNotFoundError:
        print("normflows is not installed and sits out")
    else:
        found["normflows"] = step_of(GlowBlock(channels, hidden_channels), x)
    if compiled:
        found["ours, compiled"] = step_of(torch.compile(ours(channels, net)), x)
        found[f"ours, {LAST}, compiled"] = step_of(torch.compile(ours(channels, net)), x, channels_last=True)
    return found


def ours(channels: int, net: Callable[..., nn.Module]) -> GlowStep:
    """The step as ``volume_preserving_glow`` builds it."""
    return GlowStep(
        VolumePreservingActNorm(channels),
        VolumePreservingOneByOneConvolution(channels),
        MeanCentredAffineCouplingTransform(mask(channels), net, log_scale=TanhLogScale(channels // 2)),
    )


def nflows_parts(channels: int, net: Callable[..., nn.Module]) -> nn.Module:
    """The same out of nflows' own transforms."""
    return nflows.CompositeTransform(
        [
            nflows.ActNorm(channels),
            nflows.OneByOneConvolution(channels),
            nflows.AffineCouplingTransform(mask(channels), net),
        ]
    )


def mask(channels: int) -> list[int]:
    """The second half is transformed."""
    return [0] * (channels // 2) + [1] * (channels - channels // 2)


def step_of(module: nn.Module, x: Tensor, *, channels_last: bool = False, autocast: bool = False) -> Step:
    """Forward and backward, with gradients for the inputs, as every step of a flow but the first needs them."""
    perturb(module)
    if channels_last:
        module.to(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last and isinstance(module, GlowNet) else torch.contiguous_format
    x = x.clone(memory_format=layout).requires_grad_(True)

    def step() -> None:
        module.zero_grad()
        x.grad = None
        with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
            found = module(x)
        outputs, logabsdet = found if isinstance(found, tuple) else (found, torch.zeros(()))
        (outputs.sum() + logabsdet.sum()).backward()

    return step


@torch.no_grad()
def perturb(module: nn.Module) -> None:
    """Off the start, where the last convolution is zero."""
    for parameter in module.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.02)


def stacks(channels: int, hidden_channels: int, size: int, batch: int, layers: int) -> dict[str, Step]:
    """A block of steps as one transform, with and without checkpointing."""
    shape = (channels // 4, 2 * size, 2 * size)
    x = torch.randn(batch, *shape)
    build = partial(volume_preserving_glow, shape, blocks=1, layers=layers, hidden_channels=hidden_channels)
    return {
        name: step_of(build(checkpointing=name == "checkpointing"), x) for name in ("no checkpointing", "checkpointing")
    }


def as_json(measured: dict[str, Measured], references: Sequence[str]) -> dict[str, Any]:
    """Each contender's seconds and peak memory, and its cost over the references."""
    rows = {}
    for name, found in measured.items():
        cost = {
            reference: statistics.median(a / b for a, b in zip(found.seconds, measured[reference].seconds))
            for reference in references
        }
        rows[name] = {**found.as_json(None), "cost": cost}
    return rows


def printed(rows: dict[str, Any]) -> str:
    """The lines of the table."""
    lines = []
    for name, row in rows.items():
        costs = "  ".join(f"{cost:5.2f}×" for cost in row["cost"].values())
        low, high = row["quartiles"]
        lines.append(
            f"{name:36}{1e3 * row['seconds']:9.2f} ms  ({1e3 * low:.2f} to {1e3 * high:.2f})  "
            f"{row['peak_bytes'] / 2**20:8.1f} MiB  {costs}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=12, help="channels of the images, after the squeeze")
    parser.add_argument("--size", type=int, default=16, help="height and width of the images, after the squeeze")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden-channels", type=int, default=64)
    parser.add_argument("--layers", type=int, default=8, help="steps of the stack")
    parser.add_argument("--rounds", type=int, default=15, help="how often the contenders take turns")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one contender in one round")
    parser.add_argument(
        "--compile", action="store_true", help="measure the compiled step too; compiling takes a minute"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results", help="folder for the result")
    options = parser.parse_args(given)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    shape = (options.channels, options.hidden_channels, options.size, options.batch)
    single = as_json(compare(contenders(*shape, options.compile), options.rounds, options.seconds), [NET, NET_LAST])
    print(f"one step, its peak memory, and its cost over {NET} and over {NET_LAST}\n{printed(single)}", flush=True)
    stack = as_json(compare(stacks(*shape, options.layers), options.rounds, options.seconds), ["no checkpointing"])
    print(f"{options.layers} steps\n{printed(stack)}")
    shown = [text for text in given if text != "--out" and text != str(options.out)]
    record = records.provenance(shlex.join(["python", "benchmarks/performance/glow_step.py", *shown]))
    sizes = dict(zip(("channels", "hidden_channels", "size", "batch"), shape))
    records.write(options.out / "glow_step.json", {**record, **sizes, "step": single, "stack": stack})
    return 0


if __name__ == "__main__":
    sys.exit(main())
