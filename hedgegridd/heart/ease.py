"""Which breakers need a look, and which are at ease: asked of what moved alone, and found so far from their lines that they say nothing.

A shipped breaker says what it looks at: `sees = "account"` where that is all, vitals where it needs nothing else, or `each(view)`:
then its measure is the worst of what that says of every symbol, which may only grow with a view's age. Of any other, and wherever one
symbol's measure is not a plain number below its line, the whole picture is judged as ever.

One law: a guard hears, and shows, what it would have heard from the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from hedgegridd.heart.breakers import Guard, Panel, Verdict, judge
from hedgegridd.heart.sights import Sights
from hedgegridd.views import InstrumentView, Measure, Snapshot, Vitals

Heard = list[tuple[Guard, Verdict | None]]  # None: the whole picture is to be judged


class Rows:
    """What one breaker measures of each symbol."""

    def __init__(self, each: Callable[[InstrumentView], Measure | None], count: int) -> None:
        self.measure = each  # what `judge` asks
        self.due = set(range(count))
        self._worst: Verdict | None = None
        self._found: list[Measure | None] = [None] * count
        self._parts = [-math.inf] * count  # of the threshold
        self._odd: set[int] = set()  # rows that trip, or are blind

    def worst(self, views: list[InstrumentView | None]) -> Verdict | None:
        """The measure nearest to its threshold, the first of such; None where only the whole picture can tell."""
        if self.due:
            for row in self.due:
                self._ask(row, views[row])
            self.due.clear()
            found = None if self._odd else self._found[self._parts.index(max(self._parts))]
            self._worst = None if found is None else Verdict(measure=found)
        return self._worst

    def _ask(self, row: int, view: InstrumentView | None) -> None:
        verdict = Verdict() if view is None else judge(self, view)
        found = self._found[row] = verdict.measure
        fine = not (verdict.trip or verdict.unknown or verdict.error) and (found is None or found.threshold > 0)
        self._parts[row] = found.value / found.threshold if found is not None and fine else -math.inf
        if fine:
            self._odd.discard(row)
        else:
            self._odd.add(row)


class Ease:
    """What every shipped breaker said last, and of what."""

    def __init__(self, panel: Panel, sights: Sights) -> None:
        self._panel, self._sights = panel, sights
        self._rows: dict[str, Rows] = {}
        self._last: dict[str, tuple[object, Verdict]] = {}
        for name, guard in panel.guards.items():
            each = getattr(guard.breaker, "each", None)
            if each is not None:
                self._rows[name] = Rows(each, len(sights.views))
                sights.remade.append(self._rows[name].due)

    def restless(self, now: int, errors: int, vitals: Vitals | None, asked: Collection[tuple[str, str]], tick: bool) -> Heard:
        """Look, and let those that are at ease have their figures; the others, in order, with what they said. A foreign one says it
        in its host, where it is not `asked` already."""
        sights, found = self._sights, []
        sights.look(now)
        sums = sights.sums(errors)
        for guard in [*self._panel.guards.values(), *self._panel.candidates.values()]:
            if (guard.state == "disarmed" and not guard.disarmed_until) or (tick and guard.of_vitals):
                continue  # what machine and lines are like, no tick of the market changes
            if guard.breaker is None and (guard.host, guard.name) in asked:
                continue
            verdict = self._said(guard, sums, vitals) if guard.breaker is not None else None
            if verdict is None or not rests(guard, verdict):
                found.append((guard, verdict))
        return found

    def _said(self, guard: Guard, sums: Snapshot, vitals: Vitals | None) -> Verdict | None:
        rows = self._rows.get(guard.name)
        if rows is not None:
            return rows.worst(self._sights.views)
        if guard.of_vitals or getattr(guard.breaker, "sees", "") == "account":
            return self._judged(guard, vitals if guard.of_vitals else sums, sums, vitals)
        return None

    def _judged(self, guard: Guard, basis: object, sums: Snapshot, vitals: Vitals | None) -> Verdict:
        """What it said when `basis` was the same, else what it says now."""
        last = self._last.get(guard.name)
        if last is None or last[0] is not basis:
            last = self._last[guard.name] = basis, judge(guard.breaker, sums._replace(vitals=vitals))
        return last[1]


def rests(guard: Guard, verdict: Verdict) -> bool:
    """Is this guard at ease, and its measure far from every line? Then the figures are all that it takes from it."""
    measure = verdict.measure
    if measure is None or verdict.trip or guard.state != "armed" or guard.size_factor != 1.0:
        return False
    if guard.warned or guard.in_breach or guard.unknown_since or guard.first:
        return False
    value, threshold, unit, _, shrink = measure
    if not (threshold > 0 and value < threshold and value / threshold < guard.warn_fraction):
        return False
    if shrink is not None and not shrink[0] < shrink[1]:
        return False
    guard.value, guard.threshold, guard.unit = value, threshold, unit
    return True
