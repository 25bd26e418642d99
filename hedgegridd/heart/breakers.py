"""The breaker panel: asks every breaker, remembers what it said, and turns a breach into a trip.

`judge` is the one place where a breaker's code is called, in the daemon for shipped files and in the child for foreign ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hedgegridd.errors import Unknown
from hedgegridd.model import BOTH, Leg, Level
from hedgegridd.views import InstrumentView, Measure, Snapshot, Trip


class Verdict(NamedTuple):
    """What one breaker said of one snapshot. At most one of trip, unknown and error is set."""

    trip: Trip | None = None
    measure: Measure | None = None
    unknown: str = ""
    error: str = ""


def judge(breaker: Any, snapshot: Snapshot | InstrumentView) -> Verdict:
    """Call `measure` (where there is one) and `check`; a broken breaker becomes an error, never an exception.
    `heart.ease` asks of a part of the picture."""
    look, say = getattr(breaker, "measure", None), getattr(breaker, "check", None)
    try:
        measure = look(snapshot) if look is not None else None
        trip = say(snapshot) if say is not None else measure.trip() if measure else None
    except Unknown as unknown:
        return Verdict(unknown=str(unknown) or "an input is unknown")
    except Exception as error:  # a fence: plugin code
        return Verdict(error=f"{type(error).__name__}: {error}")
    if trip is not None and not isinstance(trip, Trip):
        return Verdict(error=f"check() returned {type(trip).__name__}, expected Trip or None")
    if measure is not None and not isinstance(measure, Measure):
        return Verdict(error=f"measure() returned {type(measure).__name__}, expected Measure")
    return believed(trip, measure)


def believed(trip: Trip | None, measure: Measure | None) -> Verdict:
    """Only numbers pass as numbers. A trip counts whatever its figures; a measure without a value is unknown, never fine (law 7)."""
    if trip is not None:
        if trip.leg is not None and trip.leg not in tuple(Leg):
            return Verdict(unknown=f"it tripped for leg {trip.leg!r:.40}, expected Leg.LONG, Leg.SHORT or None")
        level = trip.level if trip.level in LEVELS.values() else None
        figures = (number(trip.value), number(trip.threshold), level if level is None else Level(level))
        trip = Trip(str(trip.reason), *figures, str(trip.symbol), trip.leg if trip.leg is None else int(trip.leg))
    if measure is None or (number(measure.value) is not None and number(measure.threshold) is not None):
        return Verdict(trip, measure)
    if trip is not None:
        return Verdict(trip)
    return Verdict(unknown=f"it measured {measure.value!r:.40} of {measure.threshold!r:.40}, expected two numbers")


def number(value: Any) -> float | None:
    """The value, if it is a number that can be compared."""
    if type(value) is float:  # nearly always
        return value if value == value else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value == value else None


# --- the panel ----------------------------------------------------------------------------------------------------------

HOUR_MS = 3_600_000
PAUSES_TO_HALT = 3
BACK_AT = 0.8  # of the line that made openers smaller, they are of full size again
SILENT = frozenset({"armed", "disarmed"})  # states that withhold nothing
LEVELS = {"warn": Level.WARN, "pause": Level.PAUSE, "halt": Level.HALT, "flatten": Level.FLATTEN}


@dataclass(slots=True)
class Guard:
    """One breaker on the panel: its settings, and what it last said."""

    name: str
    file: str
    breaker: Any = None  # the object of a shipped file; None = asked through its host
    sha256: str = ""
    host: str = ""  # who is asked, for a foreign one
    on_trip: Level = Level.HALT
    warn_fraction: float = 0.8
    grace_ms: int = 30_000
    cooldown_ms: int = 300_000
    state: str = "armed"  # armed|tripped|disarmed|would_trip|check_error|unknown
    why: str = ""
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    since: int = 0
    warned: bool = False
    in_breach: bool = False
    unknown_since: int = 0
    pause_until: int = 0
    pauses: list[int] = field(default_factory=list)
    disarmed_until: int = 0  # 0 = until a person arms it
    trusted: bool = True  # a foreign breaker nobody armed by hand acts at most at halt in live
    first: bool = False  # never armed before: a breach on the first look is held back as would_trip
    size_factor: float = 1.0  # the part of every opener's quantity that it leaves
    acted: list[list[Any]] = field(default_factory=list)  # (symbol, leg, level) that this trip has stopped; "" and BOTH: all of them
    inputs: dict[str, Any] | None = None  # the snapshot that tripped it, for `explain`
    of_vitals: bool = False  # it looks at vitals alone
    switched_off: str = ""  # why the configuration keeps it out of force

    @property
    def fraction(self) -> float | None:
        """How much of the way to the threshold is used."""
        return self.value / self.threshold if self.value is not None and self.threshold else None

    def reaches(self, symbol: str, leg: int, level: int = 0) -> bool:
        """Has its trip stopped this place at this level or a higher one?"""
        return any(one in ("", symbol) and its in (BOTH, leg) and high >= level for one, its, high in self.acted)

    @property
    def everywhere(self) -> bool:
        """Is its trip one of the account?"""
        return not self.acted or self.reaches("", BOTH)

    def stopped(self, scope: list[tuple[str, int]]) -> bool:
        """Has it stopped one of these legs, or its symbol, and not the account?"""
        return not self.everywhere and any(self.reaches(symbol, leg) for symbol, leg in scope)

    def row(self) -> dict[str, Any]:
        """As `status` shows it."""
        return {
            "name": self.name,
            "state": self.state,
            "value": self.value,
            "threshold": self.threshold,
            "unit": self.unit,
            "fraction": self.fraction,
            "since": self.since,
            "on_trip": self.on_trip.name.lower(),
            "file": self.file,
            "reason": self.why,
            "size_factor": self.size_factor,
            "where": [place(one, its) for one, its, _ in self.acted],
        }


def place(symbol: str, leg: int) -> str:
    """Where a trip acted, in words."""
    if leg == BOTH:
        return symbol or "account"
    return f"{symbol or 'every symbol'} {Leg(leg).name.lower()}"


class Tripped(NamedTuple):
    """A guard tripped: what the engine must do about it."""

    guard: Guard
    level: Level
    trip: Trip


class Noticed(NamedTuple):
    """A guard has something to tell that stops nothing: kind near|unknown|error|cleared|would_trip."""

    guard: Guard
    kind: str
    text: str


class Panel:
    """All guards, in the order of their names."""

    def __init__(self, live: bool) -> None:
        self.live = live
        self.size_factor = 1.0  # in force: the smallest that a guard leaves (heart.size)
        self.guards: Mapping[str, Guard] = {}  # never changed in place: another one says that they are others
        self.candidates: Mapping[str, Guard] = {}  # new versions of foreign breakers, not yet in force
        self.armed_before: set[str] = set()  # "file sha256" of every foreign file the journal has armed

    def add(self, guard: Guard) -> None:
        """Put a guard on the panel. A new version of a foreign one waits as candidate: the old stays in force until it is armed."""
        old = self.guards.get(guard.name)
        if guard.breaker is None:
            guard.first = self._key(guard) not in self.armed_before
            if old is not None and old.sha256 != guard.sha256 and old.state != "check_error":
                self.candidates = dict(sorted({**self.candidates, guard.name: guard}.items()))
                return
        self._put(guard, old)

    def _put(self, guard: Guard, old: Guard | None) -> None:
        """Into force, with what its predecessor was found to be."""
        if guard.name in self.candidates:
            self.candidates = {name: one for name, one in self.candidates.items() if name != guard.name}
        if old is not None and old.state != "check_error":
            for name in self._INHERITED:
                setattr(guard, name, getattr(old, name))
        self.guards = dict(sorted({**self.guards, guard.name: guard}.items()))

    def hear_candidate(self, guard: Guard, verdict: Verdict, now: int) -> Noticed | None:
        """The first look of a new version: fine puts it in force; anything else is shown, and the old version goes on."""
        if not (verdict.error or verdict.unknown or verdict.trip):
            self.armed_before.add(self._key(guard))
            guard.first = False
            self._put(guard, self.guards.get(guard.name))
            return Noticed(guard, "armed", "the new version is in force")
        state = "would_trip" if verdict.trip else "check_error"
        text = verdict.trip.reason if verdict.trip else verdict.error or verdict.unknown
        told, guard.state, guard.why = guard.state, state, text
        return Noticed(guard, "would_trip" if verdict.trip else "error", text) if told != state else None

    @staticmethod
    def _key(guard: Guard) -> str:
        return f"{guard.file} {guard.sha256}"

    def hear(self, guard: Guard, verdict: Verdict, now: int) -> Tripped | Noticed | None:
        """Take in what a breaker said."""
        if guard.state == "disarmed":
            if not guard.disarmed_until or now < guard.disarmed_until:
                return None
            guard.state, guard.why, guard.disarmed_until = "armed", "", 0
        if verdict.error and guard.breaker is None:
            return self._broken(guard, verdict.error, now)
        if verdict.error or verdict.unknown:  # a shipped breaker that raises is blind, and nobody else looks in its place
            return self._unknown(guard, verdict.unknown or verdict.error, now)
        guard.unknown_since = 0
        self._read(guard, verdict)
        if verdict.trip is not None:
            return self._breach(guard, verdict.trip, now)
        return self._fine(guard, now)

    @staticmethod
    def _read(guard: Guard, verdict: Verdict) -> None:
        if verdict.measure is not None:
            guard.value, guard.threshold, guard.unit = verdict.measure.value, verdict.measure.threshold, verdict.measure.unit
            value, line, factor = verdict.measure.shrink or (0.0, 1.0, 1.0)
            guard.size_factor = factor if value >= line * (BACK_AT if guard.size_factor < 1.0 else 1.0) else 1.0
        elif verdict.trip is not None:
            guard.value, guard.threshold = verdict.trip.value, verdict.trip.threshold

    @staticmethod
    def _broken(guard: Guard, text: str, now: int) -> Noticed | None:
        """A breaker that raises guards nothing, and costs nothing but itself: shown and told once."""
        if guard.state in ("check_error", "tripped"):
            return None
        guard.state, guard.why, guard.since = "check_error", text, now
        return Noticed(guard, "error", text)

    def _unknown(self, guard: Guard, text: str, now: int) -> Tripped | Noticed | None:
        """Openers are withheld while a guard is blind; past its grace it trips at halt, whatever its level."""
        first = not guard.unknown_since
        if first:
            guard.unknown_since = now or 1
        tripped = guard.state == "tripped"
        if tripped and (not guard.acted or guard.reaches("", BOTH, Level.HALT)):
            return None  # all that blindness asks for is done; what it warned of, paused or stopped in one place leaves more to do
        if now - guard.unknown_since >= guard.grace_ms:
            guard.state, guard.since, guard.in_breach = "tripped", now, True
            guard.why = f"inputs unknown for {(now - guard.unknown_since) / 1000:.0f} s: {text}"
            guard.acted = [*guard.acted * tripped, ["", BOTH, int(Level.HALT)]]  # a breach that asks for no more is no second trip
            return Tripped(guard, Level.HALT, Trip(guard.why))
        if guard.state not in ("unknown", "tripped"):
            guard.state, guard.why, guard.since = "unknown", text, now
            return Noticed(guard, "unknown", text)
        return None

    def _breach(self, guard: Guard, trip: Trip, now: int) -> Tripped | Noticed | None:
        if guard.first:
            changed = guard.state != "would_trip"
            guard.state, guard.why, guard.since = "would_trip", trip.reason, guard.since if not changed else now
            return Noticed(guard, "would_trip", trip.reason) if changed else None
        level = max(guard.on_trip, trip.level) if trip.level is not None else guard.on_trip
        if self.live and not guard.trusted:
            level = min(level, Level.HALT)
        if level == Level.PAUSE:
            guard.pause_until = now + guard.cooldown_ms
        at = (trip.symbol, BOTH if trip.leg is None else trip.leg)
        if guard.in_breach and guard.state == "tripped" and (not guard.acted or guard.reaches(*at, level)):
            return None
        if guard.state != "tripped":
            guard.acted = []
        guard.in_breach = True
        guard.state, guard.why, guard.since = "tripped", trip.reason, now
        if level == Level.PAUSE:
            guard.pauses = [time for time in guard.pauses if now - time < HOUR_MS] + [now]
            if len(guard.pauses) >= PAUSES_TO_HALT:
                level, trip = Level.HALT, trip._replace(reason=f"{trip.reason}; {len(guard.pauses)} pauses within an hour")
                guard.why, guard.pause_until = trip.reason, 0
        if not guard.reaches(*at, level):
            guard.acted.append([*at, int(level)])
        return Tripped(guard, level, trip)

    def _fine(self, guard: Guard, now: int) -> Noticed | None:
        guard.in_breach = False
        if guard.first:
            guard.first = False
            self.armed_before.add(self._key(guard))
        if guard.state == "tripped":
            warned = guard.on_trip == Level.WARN
            cooled = guard.pause_until and now >= guard.pause_until
            if not warned and not cooled:
                return None  # a halt or flatten stays tripped until a person resets it
            guard.pause_until = 0
            halts = [] if warned else [row for row in guard.acted if row[2] >= Level.HALT]
            if halts:  # the pause beside it is over
                guard.acted = halts
                return None
            return self._clear(guard, now)
        if guard.state != "armed":
            return self._clear(guard, now)
        fraction = guard.fraction
        near = fraction is not None and fraction >= guard.warn_fraction
        if near and not guard.warned:
            guard.warned = True
            return Noticed(guard, "near", f"{fraction:.0%} of the threshold")
        guard.warned = near
        return None

    @staticmethod
    def _clear(guard: Guard, now: int) -> Noticed:
        guard.state, guard.why, guard.since, guard.acted = "armed", "", now, []
        return Noticed(guard, "cleared", "no longer in breach")

    def hold(self, symbol: str = "", leg: int = BOTH) -> str:
        """Why openers are withheld by a guard right now, in the whole account or on this leg; "" = by none."""
        for guard in self.guards.values():
            if guard.state in SILENT:
                continue
            if guard.state == "unknown" or (guard.state == "tripped" and guard.unknown_since):  # one that warned is no less blind
                return f"breaker {guard.name}: {'' if guard.state == 'unknown' else 'tripped, and now '}unknown: {guard.why}"
            if guard.state == "tripped" and guard.pause_until and (not guard.acted or guard.reaches(symbol, leg)):
                return f"breaker {guard.name}: paused: {guard.why}"
        return ""

    def in_breach(self) -> list[Guard]:
        """Guards that would stop the account again at once."""
        return [guard for guard in self.guards.values() if guard.in_breach and guard.state != "disarmed" and guard.everywhere]

    def reset(self, guard: Guard, now: int) -> None:
        """Let a tripped guard start anew; it trips again at once if its line is still crossed."""
        guard.state, guard.why, guard.since, guard.in_breach, guard.pause_until, guard.pauses = "armed", "", now, False, 0, []
        guard.unknown_since, guard.warned, guard.acted, guard.size_factor = 0, False, [], 1.0

    def arm(self, guard: Guard, now: int) -> Guard:
        """A person vouches for it; a new version that waits is put in force."""
        candidate = self.candidates.get(guard.name)
        if candidate is not None:
            self._put(candidate, None)
            guard = candidate
        self.reset(guard, now)
        guard.trusted, guard.first, guard.disarmed_until = True, False, 0
        if guard.breaker is None:
            self.armed_before.add(self._key(guard))
        return guard

    @staticmethod
    def disarm(guard: Guard, why: str, now: int, until: int = 0) -> None:
        """Take it out of force, for good or until a time; shown as degraded."""
        guard.state, guard.why, guard.since, guard.disarmed_until, guard.in_breach = "disarmed", why, now, until, False
        guard.acted, guard.size_factor = [], 1.0

    _INHERITED = ("state", "why", "since", "in_breach", "disarmed_until", "pause_until", "pauses", "trusted", "warned", "acted",
                  "size_factor")  # fmt: skip
    _KEPT = ("state", "why", "value", "threshold", "unit", "since", "warned", "in_breach", "unknown_since", "pause_until", "pauses",
             "disarmed_until", "trusted", "first", "file", "sha256", "host", "inputs", "acted", "size_factor")  # fmt: skip
    _FOREIGN = ("on_trip", "warn_fraction", "grace_ms", "cooldown_ms")  # a shipped one has these from the configuration

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        guards = {name: self._dumped(guard) for name, guard in self.guards.items()}
        candidates = {name: self._dumped(guard) for name, guard in self.candidates.items()}
        known = sorted(self.armed_before)
        return {"guards": guards, "candidates": candidates, "armed_before": known, "size_factor": self.size_factor}

    def _dumped(self, guard: Guard) -> dict[str, Any]:
        return {key: getattr(guard, key) for key in self._KEPT + (self._FOREIGN if guard.breaker is None else ())}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint; a foreign one is asked again once its host has said hello."""
        self.armed_before, self.size_factor = set(data["armed_before"]), data.get("size_factor", 1.0)
        known = dict(self.guards)
        for name, kept in data["guards"].items():
            if name not in known and "on_trip" not in kept:
                continue  # shipped once, and no more
            self._loaded(known.setdefault(name, Guard(name, kept["file"])), kept)
        self.guards = dict(sorted(known.items()))
        self.candidates = {name: self._loaded(Guard(name, kept["file"]), kept) for name, kept in data["candidates"].items()}

    def reconfigured(self, old: Panel) -> None:
        """What the configuration switched off, or on again, since `old`; what a person disarmed stays so."""
        for name, guard in self.guards.items():
            before = old.guards[name].switched_off if name in old.guards else guard.switched_off
            if guard.switched_off and not before:
                self.disarm(guard, guard.switched_off, 0)
            elif before and not guard.switched_off and guard.why == before:
                self.reset(guard, 0)

    @staticmethod
    def _loaded(guard: Guard, kept: dict[str, Any]) -> Guard:
        for key, value in kept.items():
            setattr(guard, key, Level(value) if key == "on_trip" else value)
        return guard


def heard(said: Any) -> Verdict:
    """What a host said of one breaker, as a verdict; nonsense is an error."""
    try:
        if said["error"] or said["unknown"]:
            return Verdict(unknown=str(said["unknown"] or ""), error=str(said["error"] or ""))
        trip, measure = said["trip"], said["measure"]
        if measure is not None:
            value, threshold, unit, *words = measure
            measure = Measure(value, threshold, str(unit), str(words[0]) if words else "")
        return believed(None if trip is None else Trip(*trip), measure)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return Verdict(error=f"the host's answer makes no sense: {error!r}")


def take_settings(guard: Guard, table: dict[str, Any], default: str) -> None:
    """The settings that every breaker has, from its table; `default` is its own level where the table names none."""
    guard.on_trip = LEVELS[str(table.get("on_trip", default))]
    guard.warn_fraction = float(table.get("warn_fraction", guard.warn_fraction))
    guard.grace_ms = int(float(table.get("grace_seconds", guard.grace_ms / 1000)) * 1000)
    guard.cooldown_ms = int(float(table.get("cooldown_seconds", guard.cooldown_ms / 1000)) * 1000)
