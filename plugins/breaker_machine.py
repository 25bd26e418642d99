"""Breakers of the machine and of the daemon in it: lag, journal, backlog, disk, memory, clock, components. Level: pause, with cooldown.

Sources: requirements row 30, E31. The shell measures (`live.vitals`, psutil) and the heart journals what it measured; only a live feed
has these figures, so elsewhere they are disarmed. `components` is off by default: an alert channel that is down delays no trading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, Unknown, Vitals, hookimpl


class LoopLag:
    """How late the loop that trades was at worst; unit: ms, window 10 s. Default 2000."""

    name = "loop_lag"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_loop_lag_ms: Annotated[float, {"above": 0}] = 2000.0  #: at worst within 10 s

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return figure(snapshot.vitals, "loop_lag_ms", self.settings.max_loop_lag_ms, "ms", "the loop was late by {:.0f} ms")


class JournalTime:
    """The slowest write of the journal to the disk, one under way included; unit: ms, window 10 s. Default 5000."""

    name = "journal_time"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_journal_ms: Annotated[float, {"above": 0}] = 5000.0  #: at worst within 10 s; openers wait for the disk in any case

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return figure(snapshot.vitals, "journal_ms", self.settings.max_journal_ms, "ms", "the disk took {:.0f} ms for the journal")


class Backlog:
    """Events that wait for the heart and records that wait for the disk; unit: entries, now. Default 5000."""

    name = "backlog"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_backlog: Annotated[int, {"min": 1}] = 5000  #: events and records

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return figure(snapshot.vitals, "backlog", self.settings.max_backlog, "entries", "{:.0f} events and records wait")


class DiskFree:
    """How full the disk with the state directory is, for whom the daemon runs as; unit: %, now. Default 97."""

    name = "disk_free"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_disk_used_pct: Annotated[float, {"above": 0, "max": 100}] = 97.0  #: a full disk stops every opener in any case

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return figure(snapshot.vitals, "disk_used_pct", self.settings.max_disk_used_pct, "%", "the disk is {:.1f} % full")


class Memory:
    """How much of the machine's memory is taken; unit: %, now. Default 95."""

    name = "memory"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_memory_used_pct: Annotated[float, {"above": 0, "max": 100}] = 95.0  #: what caches hold does not count

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return figure(snapshot.vitals, "memory_used_pct", self.settings.max_memory_used_pct, "%", "{:.1f} % of the memory is taken")


class ClockSkew:
    """The exchange's clock against ours, either way; unit: ms, as measured last. Default 30000: requests are put right for it."""

    name = "clock_skew"
    on_trip = "pause"
    needs = ("vitals", "requests")

    class Settings:
        max_clock_skew_ms: Annotated[float, {"above": 0}] = 30_000.0  #: either way

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return figure(snapshot.vitals, "clock_offset_ms", self.settings.max_clock_skew_ms, "ms", "the exchange's clock is {:.0f} ms off")


class Components:
    """How long a plugin host or an alert channel has not worked; unit: s. Default 60."""

    name = "components"
    on_trip = "pause"
    enabled = False
    needs = ("vitals",)

    class Settings:
        max_unresponsive_seconds: Annotated[float, {"above": 0}] = 60.0  #: the longest of all

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        name = snapshot.vitals.unresponsive if snapshot.vitals else ""
        words = f"{name} has not worked for".replace("{", "").replace("}", "") + " {:.0f} s"
        return figure(snapshot.vitals, "unresponsive_seconds", self.settings.max_unresponsive_seconds, "s", words)


def figure(vitals: Vitals | None, name: str, limit: float, unit: str, words: str) -> Measure | None:
    """One figure against its limit, whatever its sign; none before the first measurement."""
    if vitals is None:
        return None
    value = getattr(vitals, name)
    if value is None or value != value:
        raise Unknown(f"{name} is not known")
    return Measure(abs(float(value)), float(limit), unit, words.format(value))


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    for breaker in (LoopLag, JournalTime, Backlog, DiskFree, Memory, ClockSkew, Components):
        register(breaker)
