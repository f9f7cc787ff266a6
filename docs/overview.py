"""The first picture of the README: data on a curve, what a plain flow makes of it, what a spread flow makes of it.

``python docs/overview.py`` runs the README's first block of code as it stands, trains the same network with a fixed
Gaussian prior on the same noisy data for as many steps, draws ``docs/overview.png``, and writes ``docs/overview.json``:
the hash of that code, what it printed, the numbers in the picture, and command, commit, versions and machine. It needs
the extra ``bench``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import Tensor

from nflows_spread import plots, project
from nflows_spread.models import coupling_flow

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
STEPS = 2000
NOISE = 0.1
SHOWN = 1000
WIDTH, HEIGHT, RESOLUTION = 8.0, 2.75, 200
"""Inches, and dots an inch: twice the 800 dots that a README has room for, so that it is sharp there."""


def first_block() -> str:
    """The first block of Python in the README."""
    found = re.search(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("README.md must have a block of Python, got none")
    return found[1]


def run(code: str) -> tuple[dict[str, Any], str]:
    """The names that a block of code leaves behind, and what it printed."""
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), names)
    return names, printed.getvalue()


def fixed_prior(x: Tensor, steps: int = STEPS) -> Flow:
    """The same couplings with free scales and a Gaussian prior, by maximum likelihood on the same noisy data."""
    torch.manual_seed(0)
    flow = coupling_flow(2, layers=4, volume_preserving=False, base=StandardNormal([2]))
    optimizer = torch.optim.Adam(flow.parameters(), lr=2e-3)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (200,))]
        loss = -flow.log_prob(batch + NOISE * torch.randn_like(batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimizer.step()
    return flow.eval()


def distance(points: Tensor) -> float:
    """The median distance of points to the curve."""
    t = torch.linspace(-5.0, 5.0, 8000)
    curve = torch.stack([t, torch.sin(2.0 * t)], dim=1)
    return float(torch.cdist(points, curve).min(dim=1).values.median())


def draw(path: Path, x: Tensor, fixed: Tensor, spread: Tensor, coordinates: Tensor, said: str) -> None:
    """Three panels in a row, over the curve itself in grey.

    Args:
        path: where to.
        x: the data, (n, 2).
        fixed: samples of the plain flow, (m, 2).
        spread: samples of the spread flow, (m, 2).
        coordinates: of the latter on the curve, (m,), for their colours.
        said: what the spread flow says of the dimension.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(WIDTH, HEIGHT), layout="constrained")
    t = torch.linspace(-3.0, 3.0, 500)
    for axes, title, below, points, style in zip(
        panels,
        ("data on a curve", "samples of a plain flow", "samples of a spread flow"),
        ("in the plane", "about the curve, not on it", said),
        (x, fixed, spread),
        ({"c": plots.DATA_COLOUR}, {"c": plots.MODEL_COLOUR}, {"c": coordinates.numpy(), "cmap": "viridis"}),
    ):
        axes.plot(t, torch.sin(2.0 * t), c="0.85", lw=1.0, zorder=0)
        axes.scatter(*points.T.numpy(), s=6, linewidths=0, **style)
        axes.set(xlim=(-3.3, 3.3), ylim=(-1.9, 1.9), xticks=[], yticks=[])
        axes.set_title(title, fontsize=13)
        axes.set_xlabel(below, fontsize=12)
        for side in axes.spines.values():
            side.set_color("0.8")
    figure.savefig(path, dpi=RESOLUTION)
    plt.close(figure)


def main() -> None:
    """Run, draw, record."""
    sys.path.insert(0, str(DOCS.parent / "benchmarks"))
    from shared import records

    origin = records.provenance("python docs/overview.py")  # before the picture changes the tree
    code = first_block()
    names, printed = run(code)
    x, dimension, spread = names["x"], names["dimension"], names["samples"]
    fixed = fixed_prior(x).sample(SHOWN).detach()
    spectrum = dimension.spectrum.signal_to_noise
    found = spread.detach()[:SHOWN]
    along = project(names["flow"], found, rank=1).detach()[:, 0]
    said = f"on the curve: dimension {int(dimension)}"
    draw(DOCS / "overview.png", x[:SHOWN], fixed, found, along, said)
    record = {
        **origin,
        "seed": 0,
        "code": hashlib.sha256(code.encode()).hexdigest(),
        "printed": printed.splitlines(),
        "training": {"steps": STEPS, "batch_size": 200, "data_noise": NOISE, "for": "both flows"},
        "signal_to_noise": [round(value, 5) for value in spectrum.tolist()],
        "median_distance": {
            "fixed prior": round(distance(fixed), 4),
            "spread flow": round(distance(spread.detach()), 4),
        },
    }
    records.write(DOCS / "overview.json", record)
    print(printed, record["median_distance"], sep="")


if __name__ == "__main__":
    main()
