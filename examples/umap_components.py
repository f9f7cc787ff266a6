"""How many components for UMAP? The intrinsic dimension says so, and trustworthiness checks the answer.

A solid of three dimensions, bent by random waves into 12 columns. ``dimension_of`` finds the dimension K in a second;
UMAP is then asked for 1, 2, … K + 2 components, and trustworthiness says how many neighbours of an embedding are
neighbours in the data: it rises up to K components and not beyond.

Run it: ``python examples/umap_components.py``; it needs umap-learn (``pip install umap-learn``) and prints the
dimension, the trustworthiness at each number of components, and whether the answer holds. It draws both into ``--out``.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.manifold import trustworthiness
from umap import UMAP

from nflows_spread import dimension_of, plots

TRUTH, COLUMNS = 3, 12
LITTLE = 0.25
"""The share of the way from one component to K that one more than K may gain and be called nothing: a choice."""


def bent_solid(rows: int) -> Any:
    """A cube of three dimensions in 12 columns, each a sum of waves across it: (rows, 12)."""
    rng = np.random.default_rng(0)
    inside = rng.uniform(-1.0, 1.0, (rows, TRUTH))
    waves = np.sin(inside @ rng.normal(size=(TRUTH, COLUMNS)) + rng.uniform(0.0, 2.0 * np.pi, COLUMNS))
    return waves + 0.5 * inside @ rng.normal(size=(TRUTH, COLUMNS))


def main(rows: int = 1500, epochs: int | None = None, out: Path | None = None) -> int:
    """Find the dimension, embed at each number of components, print the verdict, and return the dimension."""
    x = bent_solid(rows)
    found = dimension_of(x)
    print(f"dimension {int(found)}, plausible {found.interval[0]} to {found.interval[1]} (made of {TRUTH})")

    components = range(1, int(found) + 3)
    trust = []
    for number in components:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed means one thread
            embedded = UMAP(n_components=number, n_epochs=epochs, random_state=0).fit_transform(x)
        trust.append(float(trustworthiness(x, embedded, n_neighbors=10)))
        print(f"  UMAP with {number} component{'s' * (number > 1):1} trustworthiness {trust[-1]:.3f}")

    at = int(found) - 1
    beyond = trust[at + 1] - trust[at]
    before = trust[at] - trust[0]
    holds = before > 0.0 and beyond < LITTLE * before
    print(
        f"{int(found)} components are {'enough' if holds else 'not shown to be enough'}: "
        f"they gain {before:+.3f} over one, one more gains {beyond:+.3f}"
    )
    if out is not None:
        draw(out, found, list(components), trust)
    return int(found)


def draw(out: Path, found: Any, components: list[int], trust: list[float]) -> None:
    """What the dimension is read off, and the check."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    plots.scale(found, ax=left)
    left.set_title(f"before UMAP: dimension {int(found)}")
    right.plot(components, trust, "o-", c=plots.DATA_COLOUR)
    right.axvline(int(found), c=plots.MODEL_COLOUR, ls="--", lw=1, label=f"the dimension found: {int(found)}")
    right.set(xlabel="components of UMAP", ylabel="trustworthiness", xticks=components, title="after UMAP: enough")
    right.legend()
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1500, help="points (default 1500)")
    parser.add_argument("--out", type=Path, default=Path("umap_components.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.rows, out=arguments.out)
