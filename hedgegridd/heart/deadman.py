"""The operator's dead man's switch. One law: no sign of a person for the timeout means stop, by the wall clock.

A confirmation is a verb (`hedgegridctl confirm`); it is journaled like every other.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_MS = 60_000


@dataclass(slots=True)
class DeadMan:
    """When a person was last heard of; times are wall clock."""

    enabled: bool
    timeout_ms: int
    warning_ms: int
    confirmed_at: int = 0
    warned: bool = False
    acted: bool = False

    def confirm(self, wall: int) -> None:
        """A person is there."""
        self.confirmed_at, self.warned, self.acted = wall, False, False

    def look(self, wall: int) -> str:
        """ "warn" once at timeout - warning (E15), "act" once at the timeout, else ""."""
        if not self.enabled or self.acted:
            return ""
        if not self.confirmed_at:
            self.confirmed_at = wall
        self.confirmed_at = min(self.confirmed_at, wall)  # a clock that was set back lengthens nobody's silence beyond the timeout
        silent = wall - self.confirmed_at
        if silent >= self.timeout_ms:
            self.acted = True
            return "act"
        if silent >= self.timeout_ms - self.warning_ms and not self.warned:
            self.warned = True
            return "warn"
        return ""

    def left_ms(self, wall: int) -> int | None:
        """Milliseconds until it acts; None where it is off."""
        return max(0, self.confirmed_at + self.timeout_ms - wall) if self.enabled and self.confirmed_at else None
