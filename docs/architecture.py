"""The picture of the architecture: modules and subpackages on their layers, and the imports between them.

``python docs/architecture.py`` reads the imports from the source and the layers from the tables of
``tests/project/test_architecture.py``, and writes ``docs/architecture.json``, the whole graph, and
``docs/architecture.png``, without the arrows that a longer way makes superfluous. It needs matplotlib, of the extra
``bench``.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from import_graph import import_graph, tree_of, without_shortcuts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

DOCS = Path(__file__).parent
ROOT = DOCS.parent
TABLES = ROOT / "tests" / "project" / "test_architecture.py"
TREES = {
    "benchmarks": (ROOT / "benchmarks", "", "OF_THE_BENCHMARKS"),
    "nflows_spread": (ROOT / "nflows_spread", "nflows_spread", "LAYERS"),
}
"""What is drawn, from top to bottom: the folder, the name that it is imported by, and its table of layers."""
TITLES = {"benchmarks": "benchmarks/, which imports the package below", "nflows_spread": "nflows_spread/"}
OWN_NAMES = {"__init__": "public names"} | {part: f"{part} (old)" for part in ("manifold", "recipe", "units")}
SWEEPS = 24
BENDS = (0.06, -0.06, 0.15, -0.15, 0.25, -0.25, 0.35, -0.35, 0.5, -0.5)
POINTS_OF_AN_ARROW = 60
COLOURS = ("#4c78a8", "#e45756", "#54a24b", "#b279a2", "#f58518", "#439894", "#9d755d", "#79706e", "#d67195")


def table(name: str) -> list[list[str]]:
    """The layers that a table names, the lowest first."""
    for node in tree_of(TABLES).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return [sorted(layer) for layer in ast.literal_eval(node.value)]
    raise ValueError(f"{TABLES.relative_to(ROOT)} must have a table {name}, got none")


def graph() -> dict[str, Any]:
    """Layers and imports of both trees: what the picture shows, and what a test compares with the source.

    Raises:
        ValueError: a module has no layer.
    """
    found = {}
    for tree, (folder, package, name) in TREES.items():
        imports = import_graph(folder, package)
        layers = [[part for part in layer if part in imports] for layer in table(name)]
        lost = set(imports).difference(*layers)
        if lost:
            raise ValueError(
                f"every module must have a layer in {TABLES.relative_to(ROOT)}, got none of {sorted(lost)}"
            )
        found[tree] = {
            "layers": [layer for layer in layers if layer],
            "imports": {part: sorted(imports[part]) for part in sorted(imports)},
        }
    return found


def text_of(found: dict[str, Any]) -> str:
    """The graph as it is written to ``architecture.json``."""
    return json.dumps(found, indent=1) + "\n"


def digest(text: str) -> str:
    """What the picture has in its description, by which it is known which graph it shows."""
    return hashlib.sha256(text.encode()).hexdigest()


def places(layers: list[list[str]], arrows: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Where the boxes are: layers below each other, the order within each such that few arrows cross."""
    order = [list(layer) for layer in layers]
    beside = {part: set(others) for part, others in arrows.items()}
    for part, others in arrows.items():
        for other in others:
            beside.setdefault(other, set()).add(part)

    def across() -> dict[str, float]:
        return {part: (i + 1) / (len(layer) + 1) for layer in order for i, part in enumerate(layer)}

    for sweep in range(SWEEPS):
        for layer in order if sweep % 2 else reversed(order):
            x = across()
            middle = {p: sum(x[q] for q in beside[p]) / len(beside[p]) if beside.get(p) else x[p] for p in layer}
            layer.sort(key=lambda part: (middle[part], part))
    height = {part: float(i) for i, layer in enumerate(order) for part in layer}
    return {part: (x, height[part]) for part, x in across().items()}


def draw(found: dict[str, Any], path: Path, description: str) -> None:
    """One picture of both trees, the benchmarks above the package that they import."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    heights = [len(tree["layers"]) for tree in found.values()]
    figure, axes = plt.subplots(
        len(found), 1, figsize=(12, 0.8 * sum(heights)), height_ratios=heights, layout="constrained"
    )
    drawn = [_boxes(ax, name, tree["layers"], drawn_arrows(tree)) for ax, (name, tree) in zip(axes, found.items())]
    figure.canvas.draw()  # which gives the boxes their sizes, where arrows end
    for ax, boxes, tree in zip(axes, drawn, found.values()):
        _arrows(ax, boxes, drawn_arrows(tree))
    figure.savefig(path, dpi=90, metadata={"Description": description, "Software": None})
    plt.close(figure)


def drawn_arrows(tree: dict[str, Any]) -> dict[str, set[str]]:
    """The arrows that are drawn."""
    return without_shortcuts({part: set(others) for part, others in tree["imports"].items()})


def _boxes(ax: Axes, name: str, layers: list[list[str]], arrows: dict[str, set[str]]) -> dict[str, Text]:
    for i in range(len(layers)):
        ax.axhspan(i - 0.5, i + 0.5, color="#f1f1f1" if i % 2 else "#fafafa", zorder=-1)
        ax.text(0.004, i, str(i), ha="left", va="center", fontsize=10, color="#888888")
    ax.set(xlim=(0, 1), ylim=(-0.5, len(layers) - 0.5), xticks=[], yticks=[])
    ax.set_title(TITLES[name], loc="left", fontsize=11, family="monospace")
    place = places(layers, arrows)
    return {
        part: ax.text(
            *place[part],
            OWN_NAMES.get(part, part),
            ha="center",
            va="center",
            fontsize=10,
            bbox={"boxstyle": "round,pad=0.35", "fc": "white", "ec": colour},
        )
        for part, colour in zip(sorted(place), cycle(COLOURS))
    }


def _arrows(ax: Axes, boxes: dict[str, Text], arrows: dict[str, set[str]]) -> None:
    extents = {part: box.get_bbox_patch().get_window_extent() for part, box in boxes.items()}
    for part, others in arrows.items():
        start = boxes[part].get_bbox_patch()
        for other in sorted(others):
            ends = {"patchA": start, "patchB": boxes[other].get_bbox_patch(), "shrinkA": 0, "shrinkB": 1}
            between = [extent for name, extent in extents.items() if name not in (part, other)]
            bend = _bend(extents[part], extents[other], between, ax.get_window_extent())
            style = {"arrowstyle": "-|>,head_width=0.25,head_length=0.5", "connectionstyle": f"arc3,rad={bend}"}
            ax.annotate(
                "",
                xy=boxes[other].get_position(),
                xytext=boxes[part].get_position(),
                arrowprops={"color": start.get_edgecolor(), "lw": 1.1, "zorder": 2, **style, **ends},
            )


def _bend(start: Bbox, end: Bbox, others: list[Bbox], room: Bbox) -> float:
    """How far an arrow leaves the straight line, in its length: as little as avoids most of the boxes."""

    def boxes_on_the_way(bend: float) -> int:
        (x, y), (to_x, to_y) = (0.5 * (box.min + box.max) for box in (start, end))
        over = 0.5 * (x + to_x) + bend * (to_y - y), 0.5 * (y + to_y) - bend * (to_x - x)
        at = [i / POINTS_OF_AN_ARROW for i in range(POINTS_OF_AN_ARROW + 1)]
        points = [
            [(1 - s) ** 2 * a + 2 * s * (1 - s) * c + s**2 * b for a, c, b in ((x, over[0], to_x), (y, over[1], to_y))]
            for s in at
        ]
        outside = not all(room.contains(*point) for point in points)
        return sum(any(box.contains(*point) for point in points) for box in others) + len(others) * outside

    return min(BENDS, key=lambda bend: (boxes_on_the_way(bend), abs(bend)))


def main() -> None:
    """Read, draw, write."""
    text = text_of(graph())
    (DOCS / "architecture.json").write_text(text, encoding="utf-8")
    draw(json.loads(text), DOCS / "architecture.png", digest(text))


if __name__ == "__main__":
    main()
