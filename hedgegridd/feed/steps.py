"""Turning recorded prices and quantities into ticks and lots.

One law: a value that is not on the instrument's grid is refused, with file, row and value; it is never silently moved to the
nearest step, for then fills and fees would be computed on a price that never was. A bar's volume alone is counted in what lots are
full: the filters of today are coarser or finer than those the bar was traded by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hedgegridd.errors import FeedError

OFF_STEP = 1e-6  #: of one step: more than this is off the grid
FLOAT_NOISE = 1e-11  #: of the value: what a sum of floats may be off (a day's volume in lots is a large number)


class Place:
    """Where a value was read, for messages: the file and the number of its row, from 1."""

    __slots__ = ("path", "row")

    def __init__(self, path: Path, row: int) -> None:
        self.path, self.row = path, row

    def error(self, text: str, offset: int = 0) -> FeedError:
        """A FeedError that names file and row."""
        return FeedError(f"{self.path}, row {self.row + offset}: {text}")


def to_steps(values: Sequence[Any], step: float, name: str, place: Place) -> list[int]:
    """A column in whole steps. Raises FeedError for a value off the grid, absent or not finite."""
    counts: list[int] = []
    add = counts.append
    try:
        for value in values:
            exact = value / step
            count = round(exact)
            if abs(exact - count) > OFF_STEP + FLOAT_NOISE * exact:
                raise place.error(_off(name, value, step), len(counts))
            add(count)
    except (TypeError, ValueError, OverflowError):
        raise place.error(f"{name} is {values[len(counts)]!r}, expected a number", len(counts)) from None
    return counts


def to_step(value: float, step: float, name: str, place: Place) -> int:
    """One value in whole steps; errors as `to_steps`."""
    exact = value / step
    if exact - exact == 0.0:  # neither nan nor infinite
        count = round(exact)
        if abs(exact - count) <= OFF_STEP + FLOAT_NOISE * exact:
            return count
    return to_steps((value,), step, name, place)[0]


def to_lots(values: Sequence[Any], lot: float, name: str, place: Place) -> list[int]:
    """A column of volumes in whole lots, rounded down: a sum that nothing is priced by may have been traded in finer lots."""
    counts: list[int] = []
    try:
        for value in values:
            exact = value / lot
            counts.append(math.floor(exact + OFF_STEP + FLOAT_NOISE * exact))
    except (TypeError, ValueError, OverflowError):
        raise place.error(f"{name} is {values[len(counts)]!r}, expected a number", len(counts)) from None
    return counts


def _off(name: str, value: float, step: float) -> str:
    size = "lot_size" if name in ("volume", "quantity") else "tick_size"
    return f"{name} {value!r} is not a multiple of {size} {step:g}: wrong instrument, or wrong [instrument.filters] for these data"


def to_times(values: Sequence[Any], name: str, place: Place) -> list[int]:
    """A column of times in ms. Microseconds, as some archives have them, are recognised by their size."""
    try:
        times = [int(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        bad = next(i for i, value in enumerate(values) if not _whole(value))
        raise place.error(f"{name} is {values[bad]!r}, expected milliseconds since 1970", bad) from None
    if times and times[0] > 10**14:
        times = [time // 1000 for time in times]
    if times and not 10**11 < times[0] < 10**14:
        raise place.error(f"{name} is {values[0]!r}, expected milliseconds since 1970")
    return times


def _whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value - value == 0.0)
