"""The staged return after a stop (row 16). One law: each step up is a person's, and not before its time.

Stages: monitor opens nothing, paper only on paper (heart.rehearsal), reduced at a part of the size, full at all of it. What else stands
in the way of a step is `heart.checklist`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hedgegridd.errors import Refused

STAGES = ("monitor", "paper", "reduced", "full")


@dataclass(slots=True)
class Recovery:
    """Where the return stands. Off (everywhere but in live) means always full."""

    enabled: bool
    reduced_size: float
    wait_ms: int
    stage: str = "full"
    since: int = 0

    def begin(self, time: int) -> None:
        """A kill was let go: start at the bottom."""
        if self.enabled:
            self.stage, self.since = STAGES[0], time

    def advance(self, time: int) -> str:
        """One step up; refused at the top, or before the stage has lasted `recovery_time_minutes`."""
        if self.stage == STAGES[-1]:
            raise Refused("the return is complete: stage is already full")
        left = self.since + self.wait_ms - time
        if left > 0:
            raise Refused(f"stage {self.stage} must last {self.wait_ms // 60_000} minutes, {left // 1000 + 1} s are left")
        self.stage, self.since = STAGES[STAGES.index(self.stage) + 1], time
        return self.stage

    def due(self) -> int:
        """When the next step may be taken at the earliest, ms; 0 = there is none."""
        return 0 if self.stage == STAGES[-1] else self.since + self.wait_ms

    @property
    def wished_factor(self) -> float:
        """The part of every opener's quantity that the strategy is asked for: in the stage paper that of the next one."""
        return self.reduced_size if self.stage == "paper" else self.size_factor

    @property
    def size_factor(self) -> float:
        """The part of every opener's quantity that is allowed now."""
        if self.stage == "full":
            return 1.0
        return self.reduced_size if self.stage == "reduced" else 0.0
