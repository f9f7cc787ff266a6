"""Registry: a table of things by their names that users can extend, and whose additions can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

Entry = TypeVar("Entry", bound=Callable[..., Any])


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Functions by their names, in the order in which they came. What it is made with stays, what is added can go.

    It holds for the process in which something is registered.

    Args:
        kind: what an entry is, for messages.
        entries: those that are always there.
        reserved: other names that no entry may have.

    Example:
        >>> shapes = Registry("a shape", {"cube": lambda side: side**3})
        >>> with shapes.register("ball", lambda radius: 4.19 * radius**3):
        ...     list(shapes)
        ['cube', 'ball']
        >>> list(shapes)
        ['cube']
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry], *, reserved: Sequence[str] = ()) -> None:
        self._kind, self._entries, self._reserved = kind, dict(entries), tuple(reserved)

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self._kind!r}, {self._entries!r})"

    def register(self, name: str, entry: Entry) -> Registration:
        """Add an entry.

        Returns:
            What takes it back: by its ``remove()``, or at the end of a ``with``.

        Raises:
            TypeError: the name is no text or the entry no function.
            ValueError: the name is empty or taken.
        """
        if not isinstance(name, str):
            raise TypeError(f"the name of {self._kind} must be a str, got {type(name).__name__}")
        if not callable(entry):
            raise TypeError(f"{self._kind} must be a function, got {type(entry).__name__} as {name!r}")
        taken = (*self._entries, *self._reserved)
        if not name or name in taken:
            raise ValueError(
                f"the name of {self._kind} must be new, got {name!r} beside {', '.join(taken)}; "
                "take another, or remove() what was registered under it"
            )
        self._entries[name] = entry
        return Registration(self._entries, name)


class Registration:
    """Takes back what was added to a ``Registry``: when it is asked to, or at the end of a ``with``."""

    def __init__(self, entries: dict[str, Any], name: str) -> None:
        self._entries, self._name, self._entry = entries, name, entries[name]

    def remove(self) -> None:
        """Take the entry out, if it still is this one."""
        if self._entries.get(self._name) is self._entry:
            del self._entries[self._name]

    def __enter__(self) -> Registration:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
