"""Single cells: what can be said of the dimension of a real table, and a map of it in the plane.

The 700 blood cells that scanpy brings along, in the 50 principal components that one works with there. Noise fills all
of these, so no single number is their dimension: it falls with the distance at which one looks, and the two ways to ask
for it disagree. The answer to report is that curve with its interval. A map in the plane needs no such number: two
coordinates of the estimator, beside the first two principal components and scanpy's UMAP.

Run it: ``python examples/single_cells.py``; it needs scanpy (``pip install scanpy``), prints the dimension with what
speaks against it and the trustworthiness of the three maps, and draws curve and map into ``--out``.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import scanpy
from sklearn.manifold import trustworthiness

from nflows_spread import dimension_of, plots
from nflows_spread.dimension import PointDimension
from nflows_spread.estimator import Recipe, SpreadFlowEstimator


def main(steps: int = 500, out: Path | None = None) -> PointDimension:
    """Print what the dimension is and is not, map the cells, and return the former."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the format of the file
        cells = scanpy.datasets.pbmc68k_reduced()
    x, kinds = cells.obsm["X_pca"].astype(float), cells.obs["bulk_labels"].astype(str)

    found = dimension_of(x)
    scales = found.scales
    print(
        f"dimension of {len(x)} cells in {x.shape[1]} components: {found.interval[0]} to {found.interval[1]} plausible"
    )
    print(
        f"  at distances of {scales.scales[0]:.0f} it is {scales.dimensions[0]:.0f}, at {scales.scales[-1]:.0f} ",
        end="",
    )
    print(f"{scales.dimensions[-1]:.0f}")
    for reservation in found.reservations:
        print(f"  {reservation}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same reservations, of the fit
        estimator = SpreadFlowEstimator(random_state=0, n_components=2, recipe=Recipe(steps=steps)).fit(x)
        mapped = estimator.transform(x)
    fitted = estimator.intrinsic_dimension_
    print(f"  the estimator, with its flow, says {int(fitted)} ({fitted.interval[0]} to {fitted.interval[1]})")
    sure = found.interval[0] == found.interval[1] == int(fitted)
    print(
        "verdict: " + (f"dimension {int(found)}" if sure else "no single dimension; report the curve and the interval")
    )

    maps = {"two principal components": x[:, :2], "scanpy's UMAP": cells.obsm["X_umap"], "two coordinates": mapped}
    for name, embedded in maps.items():
        print(f"  trustworthiness of {name:25} {trustworthiness(x, embedded, n_neighbors=10):.3f}")
    if out is not None:
        draw(out, found, mapped, kinds)
    return found


def draw(out: Path, found: PointDimension, mapped: Any, kinds: Any) -> None:
    """Dimension against scale, and the cells at two coordinates by their kind."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    plots.scale(found, ax=left)
    left.set_title(f"{found.interval[0]} to {found.interval[1]}: a matter of scale")
    plots.chart(mapped, colour=kinds, label="kind of cell", ax=right)
    right.set_title("two coordinates of the estimator")
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="training steps (default 500)")
    parser.add_argument("--out", type=Path, default=Path("single_cells.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.steps, out=arguments.out)
