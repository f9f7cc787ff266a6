"""The import graph of a folder, read from its source: which module or subpackage imports which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imports_of(file: Path) -> Iterator[str]:
    """The full names of all that a file imports, inside functions and for annotations too."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} has a relative import, which the table cannot read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(file: Path, folder: Path) -> str:
    """The module or subpackage of a folder that a file belongs to."""
    return file.relative_to(folder).parts[0].removesuffix(".py")


def parts_imported_by(file: Path, folder: Path, package: str = "") -> Iterator[str]:
    """The modules and subpackages of a folder that a file imports; names of the package itself are ``__init__``'s.

    Args:
        file: the one that imports.
        folder: where the modules are.
        package: by what name the folder is imported; none where it is itself on the path.
    """
    for name in imports_of(file):
        first, _, rest = name.partition(".") if package else ("", "", name)
        if first == package:
            part = rest.partition(".")[0]
            known = part and ((folder / part).is_dir() or (folder / f"{part}.py").exists())
            if known or package:
                yield part if known else "__init__"


def import_graph(folder: Path, package: str = "") -> dict[str, set[str]]:
    """For each module or subpackage of a folder the others that it imports."""
    graph: dict[str, set[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        part = part_of(file, folder)
        graph.setdefault(part, set()).update(set(parts_imported_by(file, folder, package)) - {part})
    return graph


def without_shortcuts(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The transitive reduction of a graph without circles: no arrow where a longer way leads to the same place."""

    def reached(start: str) -> set[str]:
        return graph.get(start, set()).union(*(reached(part) for part in graph.get(start, set())))

    return {
        part: {other for other in others if not any(other in reached(third) for third in others - {other})}
        for part, others in graph.items()
    }
