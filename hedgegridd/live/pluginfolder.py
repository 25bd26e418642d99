"""The plugin folders: a file dropped in, edited or removed while the daemon runs becomes a host, a second host, or a note.

One law: an edit never leaves a moment without the old guard. The old version stays in force until `armed` says that the new
one is; a file that was removed goes on guarding (and thinking) until `retire`; alerts and services end with it. Whether a breaker
is armed is decided by the heart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hedgegridd.errors import PluginError
from hedgegridd.live.pluginhost import Host, Tables, wall_ms
from hedgegridd.model import Missed, PluginChanged
from hedgegridd.plugins import Registry, Source, plugin_files, read

DEBOUNCE = 0.1  #: seconds of quiet after the last change, so that a file is read when its writer is done
LASTING = frozenset({"breaker", "strategy"})  #: kinds that a file goes on with though it was removed
RESCAN = 2.0  #: seconds; finds what the kernel's notices missed (network folders, no watches left, a folder made later)

Stamp = tuple[int, ...]
Found = dict[Path, tuple[Stamp, Source | str]]


class Entry:
    """One file: the version in force, the one about to replace it, and what was last seen on the disk."""

    def __init__(self) -> None:
        self.stamp: Stamp = ()
        self.current: Host | None = None
        self.candidate: Host | None = None
        self.removed = False
        self.pinned = False  # not of a watched folder: there until it is taken away
        self.refusal = ""

    @property
    def hosts(self) -> list[Host]:
        return [host for host in (self.current, self.candidate) if host is not None]


class PluginFolder:
    """Watches folders and keeps a `Host` for each version in use.

    `emit` receives PluginChanged, Answer and Missed. `registry` holds the names that are taken; `options` go to each Host
    (settings, deadline_seconds, hello_seconds, memory_bytes, now). Every method must be called in the thread of `loop`.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        emit: Callable[[Any], None],
        loop: asyncio.AbstractEventLoop,
        *,
        registry: Registry | None = None,
        now: Callable[[], int] = wall_ms,
        **options: Any,
    ) -> None:
        self.folders, self._emit, self._loop, self._now = list(folders), emit, loop, now
        self._registry, self._options = registry or Registry(), options
        self._entries: dict[Path, Entry] = {}
        self._hosts: dict[str, Host] = {}
        self._ended: list[Host] = []  # their children may not be reaped yet
        self._notes: dict[tuple[str, str], str] = {}  # (kind, name) -> what is wrong with it
        self._observer: Any = None
        self._watched: set[Path] = set()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin watching; the first scan begins at once."""
        self._wanted.set()
        self._task = self._loop.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching and end every child; returns when they are reaped."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._observer is not None:
            self._observer.stop()
            await self._loop.run_in_executor(None, self._observer.join)
        await asyncio.gather(*(host.stopped() for host in [*self._hosts.values(), *self._ended]))
        self._hosts.clear()

    def pin(self, source: Source) -> None:
        """Host a file that lies in no watched folder, such as a shipped service; it is there until `unpin`."""
        entry = self._entries.setdefault(source.file, Entry())
        entry.pinned = True
        if not any(host.source.sha256 == source.sha256 for host in entry.hosts):
            self._take(entry, source)

    def unpin(self, file: Path) -> None:
        """Take such a file away again, if it is there."""
        if (entry := self._entries.get(file)) is not None and entry.pinned:
            entry.pinned = False
            self._remove(file, entry)

    # --- asking ---

    def ask(self, host: str, seq: int, kind: str, name: str, payload: Any) -> None:
        """Ask one host, by its name or by the path of its file (then the version in force)."""
        entry = self._entries.get(Path(host))
        asked = self._hosts.get(host) or (entry.current if entry else None)
        if asked is None:
            self._emit(Missed(self._now(), host, seq, "there is no such host"))
        else:
            asked.ask(seq, kind, name, payload)

    def armed(self, host: str) -> None:
        """This version is in force now: the one before it ends."""
        entry = self._entry_of(host)
        if entry is not None and entry.candidate is not None and entry.candidate.name == host:
            old, entry.current, entry.candidate = entry.current, entry.candidate, None
            self._end(old)

    def retire(self, host: str) -> None:
        """End this version, e.g. a removed file's once its breakers are disarmed."""
        entry = self._entry_of(host)
        if entry is None:
            return
        if entry.current is not None and entry.current.name == host:
            self._end(entry.current)
            entry.current, entry.candidate = entry.candidate, None
        elif entry.candidate is not None:
            self._end(entry.candidate)
            entry.candidate = None
        if entry.removed and not entry.hosts:
            self._entries = {path: one for path, one in self._entries.items() if one is not entry}

    def configure(self, settings: Tables) -> None:
        """New configuration tables for every host; one whose own tables changed is replaced."""
        self._options["settings"] = settings
        for host in list(self._hosts.values()):
            host.configure(settings)

    def rows(self) -> list[dict[str, str]]:
        """The `plugins` rows of `status`: what runs inside the daemon, then every foreign file."""
        hosted = [row for path, entry in sorted(self._entries.items()) for row in _rows(path, entry)]
        for row in hosted:
            if row["state"] == "loaded" and (why := self._notes.get((row["kind"], row["name"]))):
                row |= {"state": "error", "reason": why}
        return [row for row in self._registry.rows() if Path(row["file"]) not in self._entries] + hosted

    def note(self, kind: str, name: str, why: str) -> None:
        """What is wrong with something that is loaded, for `rows`; "" = nothing any more."""
        self._notes[kind, name] = why

    def facts(self, host: str) -> list[dict[str, Any]]:
        """What a host's hello told: {kind, name, schema}, and a breaker's on_trip and needs."""
        return self._hosts[host].rows if host in self._hosts else []

    # --- watching ---

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESCAN):  # `wait_for` may swallow the cancel of `close`
                    await self._wanted.wait()
                await self._settle()
            seen = {path: entry.stamp for path, entry in self._entries.items() if not entry.removed}
            found = await self._loop.run_in_executor(None, self._scan, seen)
            await self._apply(found)

    async def _settle(self) -> None:
        """Let a writer finish, but wait for nobody who never does."""
        for _ in range(3):
            if not self._wanted.is_set():
                return
            self._wanted.clear()
            await asyncio.sleep(DEBOUNCE)

    def _stir(self, _event: object = None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested
            self._loop.call_soon_threadsafe(self._wanted.set)

    def _scan(self, seen: dict[Path, Stamp]) -> Found:
        """In a thread: every file there is, its text only where its stamp changed."""
        self._subscribe()
        found: Found = {}
        for folder in self.folders:
            for path in plugin_files(folder):
                stamp = _stamp(path)
                found[path] = (stamp, "" if seen.get(path) == stamp else _read(path))
        return found

    def _subscribe(self) -> None:
        """Ask the kernel for notices of each folder that is there and not watched yet; without them the rescan must do."""
        for folder in [f for f in self.folders if f not in self._watched and f.is_dir()]:
            try:
                self._notices().schedule(_Notices(self._stir), str(folder))
            except OSError:  # no watches left: the rescan still finds everything
                continue
            self._watched.add(folder)
            self._stir()  # for what changed between the scan and the watch

    def _notices(self) -> Any:
        if self._observer is None:
            from watchdog.observers import Observer

            self._observer = Observer()
            self._observer.daemon = True
            self._observer.start()
        return self._observer

    # --- what was found ---

    async def _apply(self, found: Found) -> None:
        for path, (stamp, news) in found.items():
            entry = self._entries.setdefault(path, Entry())
            back, entry.removed, changed = entry.removed, False, entry.stamp != stamp
            entry.stamp = stamp
            if isinstance(news, Source):
                self._take(entry, news)
                await asyncio.sleep(0.005)  # a process costs a millisecond or more: many files must not cost it in one piece
            elif changed and news:
                self._refuse(path, entry, "", news)
            elif back:
                self._tell(entry.hosts)
        for path in [p for p, entry in self._entries.items() if p not in found and not entry.removed and not entry.pinned]:
            self._remove(path, self._entries[path])

    def _take(self, entry: Entry, source: Source) -> None:
        entry.refusal = ""
        if entry.candidate is not None and entry.candidate.source.sha256 != source.sha256:
            self._end(entry.candidate)
            entry.candidate = None
        if same := [host for host in entry.hosts if host.source.sha256 == source.sha256]:
            self._tell(same)
            return
        host = Host(source, self._emit, self._loop, now=self._now, changed=self._changed, admit=self._name_fault, **self._options)
        self._hosts[host.name] = host
        entry.candidate = host
        host.start()

    def _remove(self, path: Path, entry: Entry) -> None:
        entry.removed, entry.stamp = True, ()
        for host in entry.hosts:
            self._say(host, "removed", "the file is gone; what it guards stays guarded until it is disarmed")
        if not entry.hosts:
            self._emit(PluginChanged(self._now(), str(path), "", "", (), "removed", "the file is gone"))
        if not any(kind in LASTING for host in entry.hosts for kind, _ in host.names):
            for host in entry.hosts:
                self._end(host)
            del self._entries[path]

    def _changed(self, host: Host) -> None:
        """A host says that it is loaded, refused, quarantined or being replaced."""
        entry = self._entry_of(host.name)
        if entry is None:
            return
        if host.state == "refused":
            self._refuse(host.source.file, entry, host.source.sha256, host.reason, host)
        elif host.state == "loaded" and not host.announced:
            host.announced = True
            self._say(host, "loaded", "")
            if entry.current is None or not any(row["kind"] == "breaker" for row in entry.current.rows):
                entry.current, old = host, entry.current
                entry.candidate = None
                self._end(old)
        elif host.state == "quarantined":
            self._say(host, "quarantined", host.reason)

    def _name_fault(self, host: Host) -> str:
        others = [one for one in self._hosts.values() if one.source.file != host.source.file and one.state != "refused"]
        for kind, name in host.names:
            if kind == "exchange":
                return f"exchange {name!r}: a foreign exchange is never hot-loaded; name its file in the configuration and restart"
            owner = self._registry.of(kind)[name].file if name in self._registry.of(kind) else None
            owner = None if owner == host.source.file else owner  # a file of the package's own, in a process of its own
            owner = owner or next((one.source.file for one in others if (kind, name) in one.names), None)
            if owner is not None:
                return f"{kind} {name!r} is already registered by {owner}; choose another name"
        return ""

    def _refuse(self, path: Path, entry: Entry, sha256: str, why: str, host: Host | None = None) -> None:
        entry.refusal = why
        if host is not None:
            self._end(host, stop=False)
            entry.candidate = None if entry.candidate is host else entry.candidate
            entry.current = None if entry.current is host else entry.current
            if entry.current is None and entry.candidate is not None and entry.candidate.announced:
                entry.current, entry.candidate = entry.candidate, None
        self._emit(PluginChanged(self._now(), str(path), sha256, "", (), "refused", why))

    def _tell(self, hosts: list[Host]) -> None:
        for host in hosts:
            if host.state == "loaded":
                self._say(host, "loaded", "")

    def _say(self, host: Host, state: str, reason: str) -> None:
        """One PluginChanged per kind that the file registers; one without a kind where it never said hello."""
        kinds = list(dict.fromkeys(kind for kind, _ in host.names)) or [""]
        for kind in kinds:
            rows = [row for row in host.rows if row["kind"] == kind]
            names = tuple(str(row["name"]) for row in rows)
            levels = tuple(str(row.get("on_trip") or "") for row in rows)
            needs = tuple(sorted({str(need) for row in rows for need in row.get("needs") or ()}))
            self._emit(PluginChanged(self._now(), str(host.source.file), host.source.sha256, kind, names, state, reason, levels, needs))

    def _entry_of(self, host: str) -> Entry | None:
        return next((entry for entry in self._entries.values() if any(one.name == host for one in entry.hosts)), None)

    def _end(self, host: Host | None, *, stop: bool = True) -> None:
        if host is not None:
            self._hosts.pop(host.name, None)
            if stop:
                host.stop()
            self._ended = [one for one in [*self._ended, host] if not one.reaped]


class _Notices:
    """What watchdog calls, in its own thread, for each change in a folder; reading a file is no change."""

    def __init__(self, stir: Callable[[], None]) -> None:
        self._stir = stir

    def dispatch(self, event: Any) -> None:
        if not event.event_type.endswith(("opened", "no_write")):
            self._stir()


def _stamp(path: Path) -> Stamp:
    """What changes when a file, its target, its owner or its rights change. () = it cannot be seen."""
    try:
        return tuple(
            part
            for info in (path.stat(), path.lstat())
            for part in (info.st_ino, info.st_mtime_ns, info.st_size, info.st_mode, info.st_uid)
        )
    except OSError:
        return (0,)


def _read(path: Path) -> Source | str:
    try:
        return read(path)
    except PluginError as refusal:
        return str(refusal)


def _rows(path: Path, entry: Entry) -> list[dict[str, str]]:
    rows = [
        {"name": name, "kind": kind, "file": str(path), "state": "removed" if entry.removed else host.state, "reason": _why(entry, host)}
        for host in entry.hosts
        for kind, name in host.names or (("", path.stem),)
    ]
    if entry.refusal:
        rows.append({"name": path.stem, "kind": "", "file": str(path), "state": "refused", "reason": entry.refusal})
    return rows


def _why(entry: Entry, host: Host) -> str:
    waits = host is entry.candidate and entry.current is not None and host.state == "loaded"
    return "edited: takes over when it is armed" if waits else host.reason
