"""The kill switch: a latch for the whole account. One law: it only rises by itself; only a person lets it go.

It knows nothing of files or orders. The engine writes what `as_file` says and starts the flatten that the level asks for.
Unreadable or contradictory state means active (`found`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hedgegridd.model import KillFile, Level

NAMED = ("regulatory", "market-wide")  # sources that a person names where it is not his own wish (row 11)
_LEVELS = {"halt": Level.HALT, "flatten": Level.FLATTEN}
DONE_PHASES = frozenset({"idle", "flat"})
LONGEST_REASON, LONGEST_NOTE, MOST_NOTES = 1_000, 200, 20  # strangers write these; file and status must stay readable


def level_of(name: str, default: Level) -> Level:
    """The level a word names; `default` where it names none."""
    return _LEVELS.get(name, default)


def source_of(file: KillFile) -> str:
    """Who stands behind the file: what it names, where that is a word of ours, else just the file."""
    return file.source if file.source in NAMED else "file"


@dataclass(slots=True)
class KillSwitch:
    """The latch and why it is engaged. `phase` is what its work has come to: see the interface's `status`."""

    enabled: bool = True
    on_activate: Level = Level.FLATTEN
    active: bool = False
    level: Level = Level.HALT
    phase: str = "idle"
    reason: str = ""
    source: str = ""
    actor: str = ""
    since: int = 0
    durable: bool = True
    env_engaged: bool = False
    later: list[str] = field(default_factory=list)

    def activate(self, level: Level, reason: str, source: str, actor: str, time: int) -> bool:
        """Engage, or raise the level. The first reason stays, later ones are appended. True where anything changed."""
        reason = reason[:LONGEST_REASON]
        if not self.active:
            self.active, self.level, self.phase, self.durable = True, level, "requested", False
            self.reason, self.source, self.actor, self.since, self.later = reason, source, actor, time, []
            return True
        note = f"{source}: {reason}"[:LONGEST_NOTE]
        rises, new = level > self.level, reason != self.reason and note not in self.later
        if new:
            self.later = [*self.later, note][-MOST_NOTES:]
        if rises:
            self.level, self.phase = level, "requested"
        if rises or new:
            self.durable = False
        return rises or new

    def found(self, file: KillFile, time: int) -> bool:
        """Obey the file as found on disk. True where the switch changed or the file must be written again."""
        if file.active is None:
            return self.activate(Level.HALT, file.reason or "the kill switch file cannot be read", "file", "", time) or self.active
        if file.active:
            if self.active and level_of(file.level, self.level) <= self.level:
                return False
            level, source = level_of(file.level, self.on_activate), source_of(file)
            return self.activate(level, file.reason or "kill switch file", source, "", time)
        return self.active  # gone, or an `active: false` that others wrote: write it again, a person deactivates

    def release(self) -> None:
        """A person let it go, and nothing stood against it."""
        self.active, self.phase, self.level, self.later = False, "idle", Level.HALT, []
        self.reason = self.source = self.actor = ""

    @property
    def busy(self) -> bool:
        """Work that the latch asked for is not finished."""
        return self.active and self.phase not in DONE_PHASES

    def as_file(self) -> dict[str, Any]:
        """What the kill switch file holds: times are written by the shell in ISO form."""
        return {
            "active": self.active,
            "level": self.level.name.lower(),
            "phase": self.phase,
            "reason": self.reason,
            "source": self.source,
            "actor": self.actor,
            "since": self.since,
            "later": list(self.later),
        }

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint or an act."""
        return asdict(self)

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint; `enabled` and `on_activate` stay as configured."""
        for item in fields(self):
            if item.name in data and item.name not in ("enabled", "on_activate"):
                setattr(self, item.name, data[item.name])
        self.level = Level(self.level)
