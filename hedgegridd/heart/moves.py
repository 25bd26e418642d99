"""Which desks moved since somebody looked: whoever keeps figures of them makes anew only those.

One law: nobody can forget to tell. Each field that such figures are made of is a `Told`, whose every assignment tells; the open
orders tell by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hedgegridd.heart.desk import Desk


class Told:
    """A field of a desk whose every new value is told; its values are not to be changed in place."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, desk: Any, value: Any) -> None:
        desk.__dict__[self.name] = value
        desk.moved.add(desk.row)


def told() -> Any:
    """A `Told`, of whatever type its field is said to be."""
    return Told()


class Reader:
    """One who keeps figures of desks."""

    def __init__(self, moves: Moves) -> None:
        self._moves, self.due = moves, set(range(len(moves.desks)))

    def take(self) -> set[int]:
        """The rows that moved since the last time."""
        if self._moves.fresh:
            self._moves.spread()
        due = self.due
        if due:
            self.due = set()
        return due


class Moves:
    """All desks of an engine by row, in its order. To begin with, all have moved."""

    def __init__(self, desks: Iterable[Desk]) -> None:
        self.desks = list(desks)
        self.fresh = set[int]()  # what no reader has yet
        self._readers: list[Reader] = []
        for row, desk in enumerate(self.desks):
            desk.join(self.fresh, row)

    def reader(self) -> Reader:
        """One more who looks."""
        made = Reader(self)
        self._readers.append(made)
        return made

    def spread(self) -> None:
        """Let every reader have what was told."""
        for reader in self._readers:
            reader.due |= self.fresh
        self.fresh.clear()
