"""A backtest that is journaled as the daemon does it, so that what reads a journal can be held to what really was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from research.cases import Case
from rig import REGISTRY

from hedgegridd.heart.effects import Write
from hedgegridd.journal import Journal
from hedgegridd.research.full import _PERFORM, FullRun
from hedgegridd.research.outcome import Mute


class Kept(FullRun):
    """A full run that is journaled as the daemon does it."""

    def __init__(self, case: Case, folder: Path, recorder: Any = None) -> None:
        super().__init__(case.config, REGISTRY, case.feed, recorder or Mute())
        self.journal = Journal(folder)
        self.journal.open()
        self.marks: dict[str, int] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        traits = {"carries": sorted(self.feed.carries), "cadence_ms": self.feed.cadence_ms}
        self.journal.rotate(
            {"version": "0", "config": self.config.raw, "feed": traits, "engine": json.loads(json.dumps(self.engine.dump()))}
        )

    def _take(self, event: Any) -> None:
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        self.journal.input(event)
        was = self.engine.kill.active
        for effect in self.engine.handle(event):
            if isinstance(effect, Write):
                self.journal.act(effect.kind, self.engine.now, effect.data)
            if type(effect) in _PERFORM:
                _PERFORM[type(effect)](self, effect)
        if self.engine.kill.active and not was:
            self.rows = {name: guard.row() for name, guard in self.engine.panel.guards.items()}
            self.marks["kill"] = self.engine.sync_mark
