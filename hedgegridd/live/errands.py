"""What the shell itself asks of plugin hosts: an alert to send, a status to show. One law: none of it reaches the heart.

Its questions have negative numbers, so their answers are told from the heart's at a glance, and are not journaled: they decide
nothing. Every errand ends once, for every question of a host does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hedgegridd.model import Answer, Missed

Done = Callable[[str], None]  #: called with "" or why it failed


class Hosts(Protocol):
    """What errands need of `PluginFolder`."""

    def ask(self, host: str, seq: int, kind: str, name: str, payload: Any) -> None: ...


class Errands:
    """Errands under way. Every method must be called in the thread of the event loop."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._count = 0
        self._open: dict[int, Done] = {}

    def run(self, file: str, kind: str, name: str, payload: Any, done: Done) -> None:
        """Ask the version in force of a plugin file; `done` is called in this thread, perhaps before this returns."""
        self._count -= 1
        self._open[self._count] = done
        self._hosts.ask(file, self._count, kind, name, payload)

    def heard(self, event: Any) -> bool:
        """Is this the end of an errand? Then it is dealt with."""
        if not isinstance(event, Answer | Missed) or event.seq >= 0:
            return False
        if done := self._open.pop(event.seq, None):
            done(event.why if isinstance(event, Missed) else str(event.value.get("error") or ""))
        return True
