"""Drills: the daemon's live state, forked into a twin in a child process, which is stopped there under a fault. One law: live goes on.

The daemon's loop writes the fork down once, starts the child and listens to it; everything else happens there (`live.twin`), at low
priority, bounded in memory and time. The child gets no key, no address and no environment. Its folder and its processes are gone
when the drill is over, however it ends. The report stays under `drills/`; who drilled, when, and how it went is journaled.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hedgegridd.control.protocol import SCHEMA, did_you_mean
from hedgegridd.errors import Refused
from hedgegridd.live.pluginprocess import Process
from hedgegridd.live.scenarios import SCENARIOS, Finding, text_of
from hedgegridd.savefile import save
from hedgegridd.times import iso

if TYPE_CHECKING:
    from hedgegridd.live.daemon import Daemon

FOLDER, TWINS = "drills", ".twin-"
TWIN = "hedgegridd.live.twin"
MEMORY_BYTES = 1 << 30  # of address space; what it uses is about a tenth
GRACE_SECONDS = 30.0  # for one scenario, beside the flatten's own deadline for each of its faults
LONGEST_DEADLINE = 60.0  # seconds; a drill does not wait longer for flat, whatever flatten.deadline_seconds says
LISTED = 50
TICKS = 4  # of the daemon's loop in a second, see `Daemon.lags`
MOST_RECORDS = 50_000  # of live's journal since the fork that are replayed: a feed played as fast as it goes makes more
_WITHOUT = ("alert", "service", "metrics", "http", "backtest", "optimize")  # tables that a twin has no use for
Json = dict[str, Any]


class Lost(Exception):
    """The child is dead, silent, or says that it failed."""


class Child:
    """A process of ours and its lines, for `async with`: killed with its whole group when that ends."""

    def __init__(self, module: str, memory_bytes: int) -> None:
        self._module, self._memory = module, memory_bytes
        self._lines: asyncio.Queue[bytes | str] = asyncio.Queue()

    async def __aenter__(self) -> Child:
        loop = asyncio.get_running_loop()
        self._process = Process(loop, self._memory, self._lines.put_nowait, self._lines.put_nowait, self._module)
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.kill()
        while not self._process.gone:
            await asyncio.sleep(0.002)

    def say(self, message: Json) -> None:
        """One line to it."""
        self._process.write(json.dumps(message).encode() + b"\n")

    async def line(self, seconds: float) -> Json:
        """The next line from it. Lost where there is none in time."""
        try:
            async with asyncio.timeout(seconds):  # `wait_for` may swallow a cancel that comes with the line
                said = await self._lines.get()
        except TimeoutError:
            raise Lost(f"it said nothing for {seconds:g} s") from None
        if isinstance(said, str):
            raise Lost(f"it {said}")
        message: Json = json.loads(said)
        return message


class Drills:
    """The drills of one daemon. `fork` answers what a segment of its journal opens with."""

    def __init__(self, daemon: Daemon, state: Path, fork: Callable[[], Json]) -> None:
        self.daemon, self.folder, self._fork = daemon, state / FOLDER, fork
        self._busy = ""
        for left in self.folder.glob(f"{TWINS}*"):  # of a daemon that was killed in a drill
            shutil.rmtree(left, ignore_errors=True)
        self._show_last()

    # --- asked ------------------------------------------------------------------------------------------------------

    async def listed(self) -> Json:
        """Past drills, newest first."""
        return {"schema": SCHEMA, "drill": await asyncio.get_running_loop().run_in_executor(None, self._past, LISTED)}

    async def run(self, name: str, actor: str) -> Json:
        """One scenario, or all of them where `name` is ""; the report. Refused where it cannot be done now."""
        names = [name] if name else list(SCENARIOS)
        self._may_begin(name)
        now = time.time_ns() // 1_000_000
        ident = (iso(now) or "").translate({ord(sign): None for sign in "-:."})
        self._busy = ident
        self.daemon.drill["running"] = {"id": ident, "actor": actor, "scenario": names[0], "done": []}
        try:
            report = await self._drill(ident, names, actor, now)
        except (Lost, OSError) as error:
            await self._note(ident, actor, "failed", str(error))
            raise Refused(f"drill {ident} could not be finished: {error}") from None
        finally:
            self._busy, self.daemon.drill["running"] = "", None
        await self._note(ident, actor, report["result"], report["report"])
        self._show_last()
        return {**report, "text": text_of(report)}

    def _may_begin(self, name: str) -> None:
        if name and name not in SCENARIOS:
            raise Refused(f"no drill {name!r:.40}{did_you_mean(name, SCENARIOS)}; there are {', '.join(SCENARIOS)}")
        if self._busy:
            raise Refused(f"a drill is under way ({self._busy}): one at a time")
        engine = self.daemon.engine
        if engine.active():
            raise Refused("a flatten is under way: drill when it is done")
        bare = [desk.symbol for desk in engine.desks.values() if not (desk.mark or desk.traded or desk.bar)]
        if bare or not self.daemon.ready:
            raise Refused(f"no price of {', '.join(bare) or 'the account'} is known yet: there is nothing to fork")

    async def _note(self, ident: str, actor: str, result: str, text: str) -> None:
        """Into the journal, by the heart; a page where it did not pass."""
        await self.daemon.ask("drill", {"id": ident, "result": result, "text": text}, actor)

    # --- done -------------------------------------------------------------------------------------------------------

    async def _drill(self, ident: str, names: list[str], actor: str, now: int) -> Json:
        self.folder.mkdir(mode=0o750, exist_ok=True)
        deadline = min(self.daemon.engine.config.flatten.deadline_seconds, LONGEST_DEADLINE)
        begun, before = time.monotonic(), self._live()
        home = Path(tempfile.mkdtemp(prefix=TWINS, dir=self.folder))
        try:
            await self._write_fork(home)
            rows, again = await self._watched(home, names, deadline)
        finally:  # off the loop: to take away what was synced may take the disk a while
            await asyncio.get_running_loop().run_in_executor(None, _remove, home)
        took = time.monotonic() - begun
        live = _verdict("live", "untouched", [*self._judge_live(before, again), *_lag(list(self.daemon.lags), before["lags"], took)])
        passed = all(row["result"] == "pass" for row in (*rows, live))
        report = {"schema": SCHEMA, "id": ident, "ok": passed, "result": "pass" if passed else "fail", "at": iso(now), "actor": actor,
                  "mode": self.daemon.engine.mode.value, "deadline_seconds": deadline, "seconds": round(took, 3),
                  "scenarios": rows, "live": live, "report": str(self.folder / f"{ident}.json")}  # fmt: skip
        await asyncio.get_running_loop().run_in_executor(None, self._keep, report)
        return report

    async def _write_fork(self, home: Path) -> None:
        """The state as it is between two events; brought to text in this thread, for the heart goes on right after."""
        wall = time.time_ns() // 1_000_000
        checkpoint = self._fork()
        fork = {"now": self.daemon.engine.now, "wall": wall, "checkpoint": {**checkpoint, "config": for_twin(checkpoint["config"])}}
        text = json.dumps(fork)
        await asyncio.get_running_loop().run_in_executor(None, (home / "fork.json").write_text, text)

    async def _watched(self, home: Path, names: list[str], deadline: float) -> tuple[list[Json], Json]:
        """Listen to the child, but no longer than live has no trouble of its own."""
        drilling = asyncio.ensure_future(self._listen(home, names, deadline))
        trouble = asyncio.ensure_future(self._trouble())
        try:
            await asyncio.wait({drilling, trouble}, return_when=asyncio.FIRST_COMPLETED)
            if not drilling.done():
                raise Lost("live itself is being stopped, which comes first")
            return await drilling
        finally:
            for one in (drilling, trouble):
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await one

    async def _trouble(self) -> None:
        """Until live has something to stop or to close."""
        kill = self.daemon.engine.kill
        was = (kill.active, kill.since)
        while not self.daemon.engine.active() and (self.daemon.engine.kill.active, self.daemon.engine.kill.since) == was:
            await asyncio.sleep(0.05)

    async def _listen(self, home: Path, names: list[str], deadline: float) -> tuple[list[Json], Json]:
        """The scenarios' verdicts, and what the replay of live's own journal meanwhile says."""
        rows: list[Json] = []
        book = self.daemon.disk.journal
        frm, running = book.seq, self.daemon.drill["running"]
        async with Child(TWIN, MEMORY_BYTES) as child:
            child.say({"folder": str(home), "scenarios": names, "deadline": deadline})
            while "done" not in (line := _sound(await child.line(GRACE_SECONDS + 2 * deadline))):
                if "begun" in line:
                    running["scenario"] = line["begun"]
                    continue
                name = line["scenario"]
                rows.append(_verdict(name, SCENARIOS[name].happens, [Finding(**one) for one in line["findings"]]))
                rows[-1]["certificates"] = line["certificates"]
                running["done"].append({"scenario": name, "result": rows[-1]["result"]})
            child.say({"journal": str(book.folder), "frm": frm, "to": min(book.seq, frm + MOST_RECORDS)})
            return rows, _sound(await child.line(GRACE_SECONDS + deadline))

    # --- live, meanwhile --------------------------------------------------------------------------------------------

    def _live(self) -> Json:
        engine = self.daemon.engine
        kill = engine.kill
        return {"kill": (kill.active, kill.level, kill.since), "file": _mark(self.daemon.disk.latch.path), "hash": engine.decisions.hash,
                "orders": engine.counts["orders"], "lags": list(self.daemon.lags)}  # fmt: skip

    def _judge_live(self, before: Json, again: Json) -> list[Finding]:
        """The live daemon may trade meanwhile, but its kill switch is as it was, and all it decided comes of its own inputs."""
        after = self._live()
        same = all(before[key] == after[key] for key in ("kill", "file"))
        latch = Finding("live kill switch untouched", same, "its state and its file are as before" if same else "it changed meanwhile")
        quiet = before["hash"] == after["hash"]
        traded = (
            f"decisions hash {after['hash'][:12] or '-'} as before" if quiet else f"{after['orders'] - before['orders']} orders meanwhile"
        )
        text = f"{traded}; {again['acts']} acts made again from its journal, {again['mismatches']} differ"
        return [latch, Finding("live decided by its own inputs", again["mismatches"] == 0, text)]

    # --- kept -------------------------------------------------------------------------------------------------------

    def _keep(self, report: Json) -> None:
        save(self.folder / f"{report['id']}.txt", text_of(report))
        save(self.folder / f"{report['id']}.json", json.dumps(report, indent=1) + "\n")

    def _reports(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"), reverse=True)

    def _past(self, most: int) -> list[Json]:
        rows = (_read(path) for path in self._reports())
        return list(islice((row for row in rows if row is not None), most))

    def _show_last(self) -> None:
        self.daemon.drill["last"] = next(iter(self._past(1)), None)


def _sound(line: Json) -> Json:
    """What the child says, unless it says that it failed."""
    if "failed" in line:
        raise Lost(f"the twin failed: {line['failed']}")
    return line


def for_twin(config: Json) -> Json:
    """A configuration, as plain data, with everything taken out that leads out of the process: keys, addresses, channels, files."""
    kept = {key: value for key, value in config.items() if key not in _WITHOUT}
    mode = kept["mode"] if kept["mode"] == "live" else "paper"  # monitor and dry run have no kill path of their own to try
    exchange = {"name": "paper", "paper": config.get("exchange", {}).get("paper", {})}
    daemon = {key: value for key, value in config.get("daemon", {}).items() if key not in ("plugin_dirs", "socket", "state_dir")}
    return {**kept, "mode": mode, "exchange": exchange, "daemon": daemon, "feed": {"kind": "synthetic"}}


def _verdict(name: str, happens: str, findings: list[Finding]) -> Json:
    held = bool(findings) and all(one.held for one in findings)
    return {"scenario": name, "happens": happens, "result": "pass" if held else "fail", "findings": [one._asdict() for one in findings]}


def _read(path: Path) -> Json | None:
    """A report in short; None where it is none any more: nobody's start or status may fail for it."""
    try:
        return _summary(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _summary(report: Json) -> Json:
    failed = [row["scenario"] for row in (*report["scenarios"], report["live"]) if row["result"] != "pass"]
    keys = ("id", "at", "actor", "mode", "result", "seconds")
    return {**{key: report[key] for key in keys}, "scenarios": len(report["scenarios"]), "failed": failed}


def _lag(lags: list[float], before: list[float], seconds: float) -> list[Finding]:
    """How late the live loop's own ticks came, before and meanwhile; a figure, not a rule: the machine may be another's as well."""
    fresh = lags[-max(1, int(seconds * TICKS)) :]
    if not fresh or not before:
        return []
    text = f"worst {max(fresh):.1f} ms in {len(fresh)} ticks; before {max(before):.1f} ms in {len(before)}"
    return [Finding("live loop lag", True, text)]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _remove(home: Path) -> None:
    """A process killed just now may still have been making a file."""
    for _ in range(20):
        shutil.rmtree(home, ignore_errors=True)
        if not home.exists():
            return
        time.sleep(0.005)
