"""Whom a trial asks: the breakers of one file. One law: a stranger's code runs in its plugin host, never in this process.

A shipped file is asked here, as the daemon does it. Each pass has a breaker of its own, which remembers nothing of another pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hedgegridd.config import own
from hedgegridd.errors import ConfigError, PluginError
from hedgegridd.heart.breakers import Verdict, heard, judge
from hedgegridd.live.pluginhost import Host
from hedgegridd.model import Answer, Missed
from hedgegridd.plugins import Plugin, Registry, Source, equip, read
from hedgegridd.schema import Config
from hedgegridd.views import Snapshot

UNSETTLED = frozenset({"starting", "restarting"})


class Facts(NamedTuple):
    """What a file says of one of its breakers."""

    name: str
    on_trip: str
    needs: tuple[str, ...]


class Asked(Protocol):
    """The breakers of a file, ready to be asked."""

    facts: list[Facts]

    def judge(self, name: str, snapshot: Snapshot) -> Verdict:
        """What this breaker says. PluginError where nobody is left to ask."""

    def close(self) -> None:
        """Nothing of it is left."""


class File(NamedTuple):
    """One breaker file, and how to get somebody to ask about it."""

    path: Path
    sha256: str
    shipped: bool
    open: Callable[[Config], Asked]  #: PluginError or ConfigError where the file does not load


def file_of(path: Path, registry: Registry) -> File:
    """The file at `path`. PluginError where it may not be run."""
    ours = [plugin for plugin in registry.breakers.values() if plugin.file.resolve() == path.resolve()]
    if ours:
        return File(path, ours[0].sha256, True, lambda config: InHouse(ours, config))
    source = read(path.absolute())
    return File(path, source.sha256, False, lambda config: Hosted(source, config))


class InHouse:
    """A shipped file's breakers."""

    def __init__(self, plugins: list[Plugin], config: Config) -> None:
        self._things: dict[str, Any] = {}
        for plugin in plugins:
            table = own("breaker", config.breakers.get(plugin.name, {}))
            self._things[plugin.name], wrong = equip(plugin.thing, table, f"breaker.{plugin.name}")
            if wrong:
                raise ConfigError(wrong)
        self.facts = [Facts(name, getattr(one, "on_trip", "halt"), tuple(getattr(one, "needs", ()))) for name, one in self._things.items()]

    def judge(self, name: str, snapshot: Snapshot) -> Verdict:
        """Call it here."""
        return judge(self._things[name], snapshot)

    def close(self) -> None:
        """There is nothing to end."""


class Hosted:
    """A stranger's file in its plugin host, which is waited for: here nothing else has to go on meanwhile."""

    def __init__(self, source: Source, config: Config) -> None:
        self._loop = asyncio.new_event_loop()
        self._said: Answer | Missed | None = None
        self._seq = 0
        tables = {"breaker": {name: own("breaker", table) for name, table in config.breakers.items()}}
        self._host = Host(
            source, self._hear, self._loop, settings=tables, deadline_seconds=config.daemon.plugin_deadline_seconds,
            memory_bytes=config.daemon.plugin_memory_mb << 20, changed=lambda _: self._loop.stop(),
        )  # fmt: skip
        try:
            self._host.start()
            self._until(lambda: self._host.state != "starting")  # one that dies before it says hello does not load
            self._there()
        except BaseException:
            self.close()
            raise
        rows = [row for row in self._host.rows if row["kind"] == "breaker"]
        self.facts = [Facts(row["name"], row["on_trip"], tuple(row["needs"])) for row in rows]

    def judge(self, name: str, snapshot: Snapshot) -> Verdict:
        """Ask the host, as often as it can be replaced."""
        self._settle()
        self._seq, self._said = self._seq + 1, None
        self._host.ask(self._seq, "check", name, snapshot)
        self._until(lambda: self._said is not None)
        said = self._said
        return heard(said.value) if isinstance(said, Answer) else Verdict(error=said.why if said is not None else "no answer")

    def close(self) -> None:
        """End the child, and wait until it is gone."""
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._host.stopped())
            self._loop.close()

    def _hear(self, said: Answer | Missed) -> None:
        self._said = said
        self._loop.stop()

    def _settle(self) -> None:
        """Until the host is there, or will never be."""
        self._until(lambda: self._host.state not in UNSETTLED)
        self._there()

    def _there(self) -> None:
        if self._host.state != "loaded":
            raise PluginError(f"{self._host.source.file}: {self._host.state}: {self._host.reason}")

    def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._loop.run_forever()
