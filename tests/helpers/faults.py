"""Small faults of a module's functions, by mutmut's operators for LibCST, and how one is put into a living function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


@dataclass
class Fault:
    """A mutation of a node of a module's syntax tree, in a function."""

    file: Path
    wrapper: Any
    node: Any
    other: Any
    inside: Any

    @cached_property
    def lines(self) -> range:
        """Those of the node."""
        return self._lines(self.node)

    @cached_property
    def function(self) -> range:
        """The lines of the function that it is in."""
        return self._lines(self.inside)

    def _lines(self, node: Any) -> range:
        from libcst.metadata import PositionProvider

        place = self.wrapper.resolve(PositionProvider)[node]
        return range(place.start.line, place.end.line + 1)

    @cached_property
    def change(self) -> tuple[str, str]:
        """The code of the node before and after."""
        code = self.wrapper.module.code_for_node
        return code(self.node), code(self.other)

    @property
    def key(self) -> str:
        """What it is known by when other functions have changed."""
        return json.dumps(
            [
                f"{self.file.parent.name}/{self.file.name}",
                self.inside.name.value,
                self.lines[0] - self.function[0],
                *self.change,
            ]
        )

    def source(self) -> str:
        """The module with it."""
        return self.wrapper.module.deep_replace(self.node, self.other).code


def faults_of(file: Path) -> list[Fault]:
    """All faults of the functions of a module, but for types, decorators, defaults of arguments and texts of errors."""
    import libcst as cst
    from libcst.metadata import MetadataWrapper
    from mutmut.mutation.mutators import mutation_operators

    wrapper = MetadataWrapper(cst.parse_module(file.read_text(encoding="utf-8")), unsafe_skip_copy=True)
    found: list[Fault] = []

    class Visitor(cst.CSTVisitor):
        def __init__(self) -> None:
            super().__init__()
            self.functions: list[cst.CSTNode] = []

        def on_visit(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.Annotation | cst.Decorator | cst.Raise | cst.Param):
                return False
            if isinstance(node, cst.Call) and isinstance(node.func, cst.Name | cst.Attribute):
                name = node.func if isinstance(node.func, cst.Name) else node.func.attr
                if name.value in ("len", "isinstance", "warn", "cast"):
                    return False
            if isinstance(node, cst.FunctionDef):
                self.functions.append(node)
            elif self.functions:
                others = [other for kind, make in mutation_operators if isinstance(node, kind) for other in make(node)]
                found.extend(Fault(file, wrapper, node, other, self.functions[0]) for other in others)
            return True

        def on_leave(self, original_node: cst.CSTNode) -> None:
            if self.functions and original_node is self.functions[-1]:
                self.functions.pop()

    wrapper.module.visit(Visitor())
    return found


def functions_in(code: CodeType) -> Iterator[CodeType]:
    """The code of the functions and methods of a module, without those inside of them."""
    for const in code.co_consts:
        if isinstance(const, CodeType):
            if const.co_flags & 1:  # CO_OPTIMIZED: a function, where a class has none
                yield const
            else:
                yield from functions_in(const)


def put_in(fault: Fault, living: list[FunctionType]) -> bool:
    """Give the living functions the code with the fault; False where that is not of functions or does not fit."""
    name = str(fault.file)
    old = functions_in(compile(fault.file.read_text(encoding="utf-8"), name, "exec"))
    new = functions_in(compile(fault.source(), name, "exec"))
    changed = {(a.co_name, a.co_firstlineno): b for a, b in zip(old, new) if a != b}
    done = 0
    for function in living:
        code = function.__code__
        if code.co_filename == name and (code.co_name, code.co_firstlineno) in changed:
            try:
                function.__code__ = changed[code.co_name, code.co_firstlineno]
            except ValueError:
                return False
            done += 1
    return done > 0
