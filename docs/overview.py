"""The picture of the README: data, samples of a fixed prior, samples of the spread flow, the gap in its spectrum.

``python docs/overview.py`` runs the README's first block of code as it stands, trains the same network with a fixed
Gaussian prior on the same noisy data, draws ``docs/overview.png``, and writes ``docs/overview.json``: the hash of that
code, what it printed, the numbers in the picture, and command, commit, versions and machine. It needs the extra
``bench``.
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

from nflows_spread.models import coupling_flow

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
STEPS = 2000
NOISE = 0.1
SHOWN = 1000
DATA_COLOUR, FIXED_COLOUR, SPREAD_COLOUR, NOISE_COLOUR = "#4c78a8", "#b08030", "#e45756", "#8a8a8a"


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


def fixed_prior(x: torch.Tensor, steps: int = STEPS) -> Flow:
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


def distance(points: torch.Tensor) -> float:
    """The median distance of points to the curve."""
    t = torch.linspace(-5.0, 5.0, 8000)
    curve = torch.stack([t, torch.sin(2.0 * t)], dim=1)
    return float(torch.cdist(points, curve).min(dim=1).values.median())


def draw(path: Path, x: torch.Tensor, fixed: torch.Tensor, spread: torch.Tensor, spectrum: torch.Tensor) -> None:
    """Four panels in a row."""
    import matplotlib.pyplot as plt

    figure, (*clouds, bars) = plt.subplots(
        1, 4, figsize=(13, 2.9), gridspec_kw={"width_ratios": [3, 3, 3, 2]}, layout="constrained"
    )
    for axes, title, points, colour in zip(
        clouds,
        ("data: a curve in the plane", "samples, fixed Gaussian prior", "samples, spread flow"),
        (x, fixed, spread),
        (DATA_COLOUR, FIXED_COLOUR, SPREAD_COLOUR),
    ):
        axes.scatter(*points.T.numpy(), s=5, c=colour, linewidths=0)
        axes.set(title=title, xlim=(-3.2, 3.2), ylim=(-1.7, 1.7), xticks=[], yticks=[])
    bars.bar(["1", "2"], spectrum.numpy(), color=[SPREAD_COLOUR, NOISE_COLOUR], width=0.6)
    bars.axhline(NOISE**2, color="k", lw=1, ls=":")
    bars.text(0.5, 1.15 * NOISE**2, "noise", ha="center", va="bottom", fontsize=9)
    bars.text(0.45, 0.3, "a gap after 1:\ndimension 1", ha="left", va="center", fontsize=10)
    bars.set(title="variances along its axes", yscale="log", ylim=(NOISE**2 / 3, 8.0), xlabel="axis")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Run, draw, record."""
    sys.path.insert(0, str(DOCS.parent / "benchmarks"))
    from shared import records

    code = first_block()
    names, printed = run(code)
    x, dimension, spread = names["x"], names["dimension"], names["samples"]
    fixed = fixed_prior(x).sample(SHOWN).detach()
    spectrum = dimension.spectrum.signal_to_noise
    draw(DOCS / "overview.png", x[:SHOWN], fixed, spread.detach()[:SHOWN], spectrum)
    record = {
        **records.provenance("python docs/overview.py"),
        "seed": 0,
        "code": hashlib.sha256(code.encode()).hexdigest(),
        "printed": printed.splitlines(),
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
