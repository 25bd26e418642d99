"""Scheduled maintenance: windows in which nothing opens, and at whose beginning more may be stopped. One law: the data's clock decides.

A window is daily (`02:00` to `03:00` UTC, perhaps on some days of the week) or happens once. Openers are withheld from `minutes_ahead`
before it until its end. At its beginning, once, `halt` and `flatten` do what they say (to the account by the kill switch, to named
symbols by the modes of their legs); after those only a person goes on, after `pause` the grid does by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from hedgegridd.errors import Problem
from hedgegridd.heart import notices
from hedgegridd.heart.breakers import LEVELS
from hedgegridd.model import Level
from hedgegridd.times import iso, ms

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

SOURCE = "maintenance"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MS, MINUTE_MS = 86_400_000, 60_000
THURSDAY = 3  # the first day there was
TIMES = '"HH:MM" UTC, or a moment such as 2026-01-31T02:00:00Z'


class Window(NamedTuple):
    """One `[[maintenance]]`. Daily: `start` is ms of the day; else of the epoch. `key` tells it from others through a reload."""

    key: str
    daily: bool
    start: int
    length: int
    days: tuple[int, ...]
    symbols: tuple[str, ...]
    level: Level
    ahead: int
    reason: str

    def starts(self, now: int) -> Iterator[int]:
        """When it starts, as far as that may matter now."""
        if not self.daily:
            yield self.start
            return
        today = now - now % DAY_MS
        for day in range(today - DAY_MS, today + 9 * DAY_MS, DAY_MS):
            if not self.days or (day // DAY_MS + THURSDAY) % len(DAYS) in self.days:
                yield day + self.start

    def at(self, now: int) -> tuple[str, int]:
        """("", 0), or "ahead" or "on" and when the window in question starts."""
        for start in self.starts(now):
            if start <= now < start + self.length:
                return "on", start
        return next((("ahead", start) for start in self.starts(now) if start - self.ahead <= now < start), ("", 0))

    def next(self, now: int) -> float:
        """When something changes next, ms; inf = never."""
        edges = (edge for start in self.starts(now) for edge in (start - self.ahead, start, start + self.length))
        return min((edge for edge in edges if edge > now), default=math.inf)


def windows(tables: Iterable[Any], symbols: Iterable[str]) -> tuple[list[Window], list[Problem]]:
    """The windows of the configuration, and everything that is wrong with them."""
    made, problems, known = [], [], set(symbols)
    for i, table in enumerate(tables):
        where = f"maintenance[{i}]"
        wrong = [Problem(f"{where}.days", day, f"one of {', '.join(DAYS)}") for day in table.days if day not in DAYS]
        wrong += [Problem(f"{where}.symbols", one, f"one of {', '.join(sorted(known))}") for one in table.symbols if one not in known]
        start, end = _time(table.start), _time(table.end)
        wrong += [Problem(f"{where}.{name}", getattr(table, name), TIMES) for name, one in (("start", start), ("end", end)) if one is None]
        if start and end and not wrong:
            wrong += _span_problems(where, table, start, end)
        if start and end and not wrong:
            length = (end[1] - start[1]) % DAY_MS if start[0] else end[1] - start[1]
            days = tuple(DAYS.index(day) for day in table.days)
            key = f"{table.start} {table.end} {' '.join(table.days)} {' '.join(table.symbols)} {table.level}"
            made.append(Window(key, start[0], start[1], length, days, tuple(table.symbols), LEVELS[table.level],
                               int(table.minutes_ahead * MINUTE_MS), table.reason))  # fmt: skip
        problems += wrong
    return made, problems


def _time(text: str) -> tuple[bool, int] | None:
    """(is it a time of day, ms); None where it is no time."""
    hours, colon, minutes = text.partition(":")
    if colon and len(text) == 5 and hours.isdigit() and minutes.isdigit():
        fine = int(hours) < 24 and int(minutes) < 60
        return (True, (int(hours) * 60 + int(minutes)) * MINUTE_MS) if fine else None
    try:
        return False, ms(text)
    except ValueError:
        return None


def _span_problems(where: str, table: Any, start: tuple[bool, int], end: tuple[bool, int]) -> list[Problem]:
    if start[0] != end[0]:
        return [Problem(f"{where}.end", table.end, f"of the same kind as start {table.start!r}: both times of day, or both moments")]
    if start[1] == end[1] or (not start[0] and end[1] < start[1]):
        return [Problem(f"{where}.end", table.end, f"after start {table.start}")]
    if table.days and not start[0]:
        return [Problem(f"{where}.days", list(table.days), "nothing: a window that begins at one moment has no days")]
    return []


class Maintenance:
    """All windows, and which of them are ahead or on."""

    def __init__(self, found: Iterable[Window]) -> None:
        self.windows = tuple(found)
        self.phases: dict[str, str] = {}  # key -> ahead|on
        self.struck: dict[str, int] = {}  # key -> start of the window that has acted
        self.until: float = 0.0 if self.windows else math.inf  # nothing changes before this

    def hold(self, symbol: str = "") -> str:
        """Why no opener may rest, anywhere or on this symbol; "" = it may."""
        for window in self.windows if self.phases else ():
            phase = self.phases.get(window.key)
            if phase and (symbol in window.symbols if window.symbols else not symbol):
                return f"maintenance window {'ahead' if phase == 'ahead' else 'is on'}: {window.reason or window.key}"
        return ""

    def look(self, engine: Engine) -> None:
        """Time passed: what begins and what ends."""
        now = engine.now
        for window in self.windows:
            phase, start = window.at(now)
            if phase != self.phases.get(window.key, ""):
                self._turn(engine, window, phase, start)
            if phase == "on" and self.struck.get(window.key) != start:
                self.struck[window.key] = start
                self._strike(engine, window)
        self.until = min((window.next(now) for window in self.windows), default=math.inf)

    def _turn(self, engine: Engine, window: Window, phase: str, start: int) -> None:
        self.phases.pop(window.key, None)
        if phase:
            self.phases[window.key] = phase
        what = {"ahead": f"maintenance from {iso(start)} on", "on": "maintenance begins", "": "maintenance is over"}[phase]
        engine.write("maintenance", window=window.key, phase=phase or "over", level=window.level.name.lower(), source=SOURCE)
        engine.tell(notices.state_change, f"{what}{': ' * bool(window.symbols)}{', '.join(window.symbols)}", window.reason or window.key)
        engine.stirred.update(engine.desks)

    def _strike(self, engine: Engine, window: Window) -> None:
        for symbol in window.symbols or ("",):
            engine.stop(window.level, f"maintenance: {window.reason or window.key}", SOURCE, symbol)

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {"phases": dict(self.phases), "struck": dict(self.struck)}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint; windows that are configured no more are forgotten, and the others looked at anew."""
        keys = {window.key for window in self.windows}
        self.phases = {key: phase for key, phase in data.get("phases", {}).items() if key in keys}
        self.struck = {key: start for key, start in data.get("struck", {}).items() if key in keys}
        self.until = 0.0 if self.windows else math.inf
