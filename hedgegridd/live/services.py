"""Services: each is handed the newest status document, about once a second, in a process of its own.

One law: a service sees the status and nothing else, and nothing waits for it: while its last document is unanswered it gets no
other. One that ships with the package runs where its table asks for it; a foreign one runs unless its table says no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hedgegridd.live import log
from hedgegridd.live.errands import Errands
from hedgegridd.live.hostchannel import in_force
from hedgegridd.model import PluginChanged
from hedgegridd.plugins import Registry, Source
from hedgegridd.schema import Config

EVERY_SECONDS = 1.0


class Hosts(Protocol):
    """What services need of `PluginFolder`."""

    def pin(self, source: Source) -> None: ...
    def unpin(self, file: Path) -> None: ...
    def note(self, kind: str, name: str, why: str) -> None: ...
    def facts(self, host: str) -> list[dict[str, Any]]: ...


def tables(config: Config) -> dict[str, dict[str, Any]]:
    """`[service.NAME]` by name; the Prometheus endpoint has a table of its own, `[metrics]`, and its settings from there."""
    metrics = config.metrics
    endpoint = {"enabled": metrics.enabled, "host": metrics.host, "port": metrics.port}
    named = config.service.get("prometheus")
    return {**config.service, "prometheus": endpoint if named is None else {**endpoint, "enabled": True, **named}}


class Services:
    """Which services there are, and their documents. Every method must be called in the loop's thread."""

    def __init__(self, hosts: Hosts, errands: Errands, registry: Registry, status: Callable[[], dict[str, Any]], config: Config) -> None:
        self._hosts, self._errands, self._shipped, self._status = hosts, errands, registry.services, status
        self._tables = tables(config)
        self._offered: dict[str, str] = {}  # service -> the file that registers it
        self._busy: set[str] = set()  # those whose last document is unanswered
        self._failing: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Have the shipped ones hosted that are asked for, and begin."""
        self._settle()
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def changed(self, event: PluginChanged) -> None:
        """A plugin file came, changed or went."""
        offers = in_force(event, self._hosts.facts, "service")
        if offers is not None:
            self._offered = {name: file for name, file in self._offered.items() if file != event.file or name in offers}
            self._offered |= dict.fromkeys(offers, event.file)

    def configure(self, config: Config) -> None:
        """A new configuration is in force."""
        self._tables = tables(config)
        self._settle()

    def close(self) -> None:
        """No more documents; the hosts are ended with all the others."""
        if self._task is not None:
            self._task.cancel()

    def update(self) -> None:
        """Hand each service that is free the newest document."""
        free = [name for name in self._offered if name not in self._busy and self._wanted(name)]
        document = self._status() if free else {}
        for name in free:
            self._busy.add(name)
            self._errands.run(self._offered[name], "update", name, document, lambda why, name=name: self._done(name, why))  # type: ignore[misc]

    async def _serve(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.update()

    def _wanted(self, name: str) -> bool:
        table = self._tables.get(name)
        return bool(table.get("enabled", True)) if table is not None else name not in self._shipped

    def _settle(self) -> None:
        """Have each shipped service hosted that is asked for, and no other."""
        for name, plugin in self._shipped.items():
            if self._wanted(name):
                self._hosts.pin(Source(plugin.file, plugin.sha256, plugin.file.read_bytes()))
            else:
                self._hosts.unpin(plugin.file)

    def _done(self, name: str, why: str) -> None:
        self._busy.discard(name)
        if why != self._failing.get(name, ""):
            log.event("WARNING" if why else "INFO", f"service {name}: {why or 'works again'}")
            self._failing[name] = why
            self._hosts.note("service", name, why)
