"""Alert channels of foreign files: a lane like every other, whose sending is done by the file's host.

One law: the lane's own thread waits, nobody else does. A file that is edited goes on under the same lane, one that is removed
leaves it; what was not delivered stays in the spool. Which severities it gets, and whether it is used at all, is `[alert.NAME]`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any, Protocol

from hedgegridd.errors import PluginError
from hedgegridd.live import log
from hedgegridd.live.alerts import Alerts
from hedgegridd.live.errands import Done, Errands
from hedgegridd.model import PluginChanged, Severity
from hedgegridd.views import Alert

LONGEST_SECONDS = 60.0  # a host ends every question sooner; this is for a loop that is gone

Table = dict[str, Any]
Facts = Callable[[str], list[dict[str, Any]]]  #: what a host registered, by the host's name


class Hosts(Protocol):
    """What channels need of `PluginFolder`."""

    def facts(self, host: str) -> list[dict[str, Any]]: ...


def in_force(event: PluginChanged, facts: Facts, kind: str) -> list[str] | None:
    """The names of one kind that a plugin file offers after this event; None = as before."""
    if event.state == "removed":
        return []
    if event.state != "loaded":
        return None
    return [str(row["name"]) for row in facts(f"{event.file}@{event.sha256[:12]}") if row["kind"] == kind]


class HostChannel:
    """One alert channel that lives in a plugin host. `run` starts the errand, in the loop's thread."""

    def __init__(self, name: str, run: Callable[[str, Alert, Done], None], loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self._run, self._loop = run, loop

    def send(self, alert: Alert) -> None:
        """Have the host send it, and wait; raises PluginError with its reason. Called in the lane's thread."""
        outcome: Future[str] = Future()
        self._loop.call_soon_threadsafe(self._run, self.name, alert, outcome.set_result)
        try:
            why = outcome.result(LONGEST_SECONDS)
        except TookTooLong:
            why = f"no answer within {LONGEST_SECONDS:g} s"
        if why:
            raise PluginError(why)


class HostChannels:
    """Keeps a lane for each channel that `[alert.NAME]` asks for and the package does not bring.

    A lane is there before its file is, so that what is told at the start is not lost. Every method must be called in the loop's
    thread.
    """

    def __init__(self, alerts: Alerts, errands: Errands, hosts: Hosts, shipped: Collection[str], loop: asyncio.AbstractEventLoop) -> None:
        self._alerts, self._errands, self._hosts, self._shipped, self._loop = alerts, errands, hosts, shipped, loop
        self._tables: dict[str, Table] = {}  # of every channel that is not shipped and not switched off
        self._offered: dict[str, str] = {}  # channel -> the file that registers it
        self._awaited: set[str] = set()  # channels whose file has not come yet
        self._used: dict[str, Table] = {}  # channel -> the table its lane was made with
        self._hand = ThreadPoolExecutor(1, "alert-channels")  # a lane begins by reading its spool

    def configure(self, tables: dict[str, Table]) -> None:
        """These `[alert.NAME]` tables are in force now."""
        foreign = {name: table for name, table in tables.items() if name not in self._shipped and table.get("enabled", True)}
        self._awaited |= foreign.keys() - self._tables.keys()
        self._tables = foreign
        self._settle()

    def changed(self, event: PluginChanged) -> None:
        """A plugin file came, changed or went."""
        offers = in_force(event, self._hosts.facts, "alert")
        if offers is None:
            return
        self._offered = {name: file for name, file in self._offered.items() if file != event.file or name in offers}
        self._offered |= dict.fromkeys(offers, event.file)
        self._awaited.difference_update(offers)
        self._settle()

    def close(self) -> None:
        """No more changes; lanes are closed with all the others."""
        self._hand.shutdown(wait=False, cancel_futures=True)

    def _send(self, name: str, alert: Alert, done: Done) -> None:
        if name in self._offered:
            self._errands.run(self._offered[name], "send", name, alert, done)
        else:
            done("no plugin file that registers it is loaded")

    def _settle(self) -> None:
        """Make the lanes what tables and files ask for."""
        wanted = {name: table for name, table in self._tables.items() if name in self._offered or name in self._awaited}
        for name in self._used.keys() - wanted.keys():
            self._do(self._alerts.drop, name)
        for name, table in wanted.items():
            if self._used.get(name) != table:
                channel = HostChannel(name, self._send, self._loop)
                self._do(self._alerts.add, channel, Severity(str(table.get("min_severity", "INFO")).upper()))
        self._used = wanted

    def _do(self, work: Callable[..., None], *what: Any) -> None:
        self._hand.submit(work, *what).add_done_callback(_tell)


def _tell(done: Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.event("ERROR", f"an alert channel could not be set up: {error}")
