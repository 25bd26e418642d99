"""Alert channels of foreign files: a lane like every other, whose sending is done by the file's host.

One law: the lane's own thread waits, nobody else does. A file that is edited goes on under the same lane, one that is removed
leaves it; what was not delivered stays in the spool. Which severities it gets, and whether it is used at all, is `[alert.NAME]`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

from hedgegridd.errors import PluginError
from hedgegridd.live import log
from hedgegridd.live.alerts import Alerts
from hedgegridd.live.errands import Errands
from hedgegridd.model import Alert, PluginChanged, Severity

LONGEST_SECONDS = 60.0  # a host ends every question sooner; this is for a loop that is gone

Table = dict[str, Any]
Facts = Callable[[str], list[dict[str, Any]]]  #: what a host registered, by the host's name


def in_force(event: PluginChanged, facts: Facts, kind: str) -> list[str] | None:
    """The names of one kind that a plugin file offers after this event; None = as before."""
    if event.state == "removed":
        return []
    if event.state != "loaded":
        return None
    return [str(row["name"]) for row in facts(f"{event.file}@{event.sha256[:12]}") if row["kind"] == kind]


class HostChannel:
    """One alert channel that lives in a plugin host."""

    def __init__(self, name: str, file: str, errands: Errands, loop: asyncio.AbstractEventLoop) -> None:
        self.name, self.file = name, file
        self._errands, self._loop = errands, loop

    def send(self, alert: Alert) -> None:
        """Have the host send it, and wait; raises PluginError with its reason. Called in the lane's thread."""
        outcome: Future[str] = Future()
        self._loop.call_soon_threadsafe(self._errands.run, self.file, "send", self.name, alert, outcome.set_result)
        try:
            why = outcome.result(LONGEST_SECONDS)
        except TookTooLong:
            why = f"no answer within {LONGEST_SECONDS:g} s"
        if why:
            raise PluginError(why)


class HostChannels:
    """Keeps a lane for each foreign channel that `[alert.NAME]` asks for. Every method must be called in the loop's thread."""

    def __init__(self, alerts: Alerts, errands: Errands, facts: Facts, tables: dict[str, Table], loop: asyncio.AbstractEventLoop) -> None:
        self._alerts, self._errands, self._facts, self._tables, self._loop = alerts, errands, facts, tables, loop
        self._offered: dict[str, str] = {}  # channel -> the file that registers it
        self._used: dict[str, Table] = {}  # channel -> the table it was added with
        self._hand = ThreadPoolExecutor(1, "alert-channels")  # a lane begins by reading its spool

    def changed(self, event: PluginChanged) -> None:
        """A plugin file came, changed or went."""
        offers = in_force(event, self._facts, "alert")
        if offers is None:
            return
        self._offered = {name: file for name, file in self._offered.items() if file != event.file or name in offers}
        self._offered |= dict.fromkeys(offers, event.file)
        self._settle()

    def configure(self, tables: dict[str, Table]) -> None:
        """New `[alert.NAME]` tables are in force."""
        self._tables = tables
        self._settle()

    def close(self) -> None:
        """No more changes; lanes are closed with all the others."""
        self._hand.shutdown(wait=False, cancel_futures=True)

    def _settle(self) -> None:
        """Make the lanes what tables and files ask for."""
        wanted = {name: self._tables[name] for name in self._offered if self._tables.get(name, {"enabled": False}).get("enabled", True)}
        self._leave(name for name in list(self._used) if name not in wanted)
        for name, table in wanted.items():
            if self._used.get(name) != table:
                self._used[name] = table
                channel = HostChannel(name, self._offered[name], self._errands, self._loop)
                self._do(self._alerts.add, channel, Severity(str(table.get("min_severity", "INFO")).upper()))

    def _leave(self, names: Iterable[str]) -> None:
        for name in names:
            del self._used[name]
            self._do(self._alerts.drop, name)

    def _do(self, work: Callable[..., None], *what: Any) -> None:
        self._hand.submit(work, *what).add_done_callback(_tell)


def _tell(done: Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.event("ERROR", f"an alert channel could not be set up: {error}")
