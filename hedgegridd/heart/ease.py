"""Which breakers need a look, and which are at ease: asked of what moved alone, and found so far from their lines that they say nothing.

A shipped breaker says what it looks at: `sees = "account"` where that is all, vitals where it needs nothing else, or `each(view)`:
then its measure is the worst of what that says of every symbol, which may only grow with a view's age. Of any other, and wherever one
symbol's measure is not a plain number below its line, the whole picture is judged as ever.

One law: a guard hears, and shows, what it would have heard from the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from hedgegridd.heart.breakers import Guard, Panel, Verdict, judge
from hedgegridd.heart.sights import Sights
from hedgegridd.views import InstrumentView, Measure, Snapshot, Vitals

Listed = list[tuple[Guard, "Rows | Whole | None"]]
Heard = list[tuple[Guard, Verdict | None]]  # None: the whole picture is to be judged


class Rows:
    """What one breaker measures of each symbol."""

    check = None

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


class Whole:
    """What one breaker said last of all that it looks at."""

    basis: object = ()
    verdict = Verdict()


class Ease:
    """What every shipped breaker said last, and of what."""

    def __init__(self, panel: Panel, sights: Sights) -> None:
        self._panel, self._sights = panel, sights
        self._asked: dict[str, Rows | Whole] = {}  # of the shipped ones, which stay
        for name, guard in panel.guards.items():
            each = getattr(guard.breaker, "each", None)
            if each is not None:
                rows = self._asked[name] = Rows(each, len(sights.views))
                sights.remade.append(rows.due)
            elif guard.of_vitals or getattr(guard.breaker, "sees", "") == "account":
                self._asked[name] = Whole()
        self._of: tuple[Mapping[str, Guard], Mapping[str, Guard]] = {}, {}
        self._all: Listed = []
        self._at_ticks: Listed = []  # what machine and lines are like, no tick of the market changes

    def _list(self) -> None:
        """Every guard with the way it is asked."""
        guards, candidates = self._of = self._panel.guards, self._panel.candidates
        shipped = {name: self._asked.get(name) for name, guard in guards.items() if guard.breaker is not None}
        self._all = [(guard, shipped.get(name)) for name, guard in guards.items()] + [(guard, None) for guard in candidates.values()]
        self._at_ticks = [(guard, asked) for guard, asked in self._all if not guard.of_vitals]

    def restless(self, now: int, errors: int, vitals: Vitals | None, asked: Collection[tuple[str, str]], tick: bool) -> Heard:
        """Look, and let those that are at ease have their figures; the others, in order, with what they said. A foreign one says it
        in its host, where it is not `asked` already."""
        sights, found = self._sights, Heard()
        sights.look(now)
        sums = sights.sums(errors)
        if self._of[0] is not self._panel.guards or self._of[1] is not self._panel.candidates:
            self._list()
        for guard, way in self._at_ticks if tick else self._all:
            if guard.state == "disarmed" and not guard.disarmed_until:
                continue
            if way is None:
                if guard.breaker is not None or (guard.host, guard.name) not in asked:
                    found.append((guard, None))
                continue
            verdict = way.worst(sights.views) if isinstance(way, Rows) else _said(guard, way, sums, vitals)
            if verdict is None or not rests(guard, verdict):
                found.append((guard, verdict))
        return found


def _said(guard: Guard, last: Whole, sums: Snapshot, vitals: Vitals | None) -> Verdict:
    """What it says of what it looks at, or said when that was the same."""
    basis = vitals if guard.of_vitals else sums
    if last.basis is not basis:
        last.basis, last.verdict = basis, judge(guard.breaker, sums._replace(vitals=vitals) if guard.of_vitals else sums)
    return last.verdict


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
