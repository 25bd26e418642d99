"""Plugin hosts with real processes: they answer, they are killed and replaced, and hostile files cost nothing but themselves."""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hedgegridd import codec
from hedgegridd.live.pluginfolder import PluginFolder
from hedgegridd.live.pluginhost import Host
from hedgegridd.model import Answer, Bar, Instrument, Missed, Severity
from hedgegridd.plugins import Source, load_shipped, read, sha256
from hedgegridd.views import Alert, InstrumentView, LegView, Snapshot

HOSTILE = runpy.run_path(str(Path(__file__).with_name("hostile.py")))
ROOT = Path(__file__).resolve().parents[2]

LEG = LegView(0.0, 0.0, 0.0, 0.0, 0.0, None, True)
VIEW = InstrumentView("BTCUSDT", 100.0, 100.0, 100.0, None, None, None, None, None, 0.0, 0, 28_800_000, 0, LEG, LEG)
SNAPSHOT = Snapshot(1, 1000.0, 1000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1000.0, 1000.0, 1000.0, 1000.0, 0.0, 0.0, 0, (VIEW,))
PAYLOAD = codec.encode(SNAPSHOT)

SPREAD = """
from hedgegridd import Measure, hookimpl

class Spread:
    name = "spread"
    on_trip = "pause"
    needs = ("quotes",)
    class Settings:
        max_equity: float = 5000.0
    def measure(self, snapshot):
        return Measure(snapshot.equity, self.settings.max_equity, "USDT")

@hookimpl
def register_breakers(register):
    register(Spread)
"""


def source(text: str, name: str = "spread.py") -> Source:
    return Source(Path("/somewhere") / name, sha256(text.encode()), text.encode())


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)


def run(body: Callable[[asyncio.AbstractEventLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(asyncio.get_running_loop())

    asyncio.run(main())


async def loaded(loop: asyncio.AbstractEventLoop, text: str, got: list[Any], **options: Any) -> Host:
    host = Host(source(text), got.append, loop, now=lambda: 7, **options)
    host.start()
    await until(lambda: host.state not in ("starting", "restarting"))
    return host


def test_hello_tells_name_schema_and_level_and_a_check_answers() -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, SPREAD, got)
        assert (host.state, host.names) == ("loaded", (("breaker", "spread"),))
        row = host.rows[0]
        assert (row["on_trip"], row["needs"]) == ("pause", ["quotes"])
        assert row["schema"] == {"max_equity": {"type": "float", "default": 5000.0}}
        host.ask(1, "check", "spread", SNAPSHOT)
        await until(lambda: got)
        assert got == [Answer(7, host.name, 1, {"trip": None, "measure": [1000.0, 5000.0, "USDT", ""], "unknown": "", "error": ""})]
        await host.stopped()

    run(body)


def test_settings_reach_the_breaker_without_the_panels_own_keys() -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        table = {"max_equity": 900.0, "on_trip": "halt", "enabled": True, "grace_seconds": 3}
        host = await loaded(loop, SPREAD, got, settings={"breaker": {"spread": table, "other": {"secret": "x"}}})
        host.ask(1, "check", "spread", PAYLOAD)
        await until(lambda: got)
        assert got[0].value["trip"] == ["1000 USDT >= 900 USDT", 1000.0, 900.0, None]
        old = host.pid
        host.configure({"breaker": {"spread": {"max_equity": 1100.0}}})
        await until(lambda: host.state == "loaded" and host.pid != old)
        host.ask(2, "check", "spread", PAYLOAD)
        await until(lambda: len(got) == 2)
        assert got[1].value["trip"] is None
        await host.stopped()

    run(body)


def test_a_wrong_setting_refuses_the_file_and_says_which() -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        host = await loaded(loop, SPREAD, [], settings={"breaker": {"spread": {"max_equty": 900.0}}})
        assert host.state == "refused"
        assert "max_equty" in host.reason
        assert host.pid is None
        await host.stopped()

    run(body)


def test_a_newer_snapshot_supersedes_a_waiting_one_and_every_question_is_accounted_for() -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, SPREAD, got)
        for seq in range(1, 6):
            host.ask(seq, "check", "spread", PAYLOAD)
        await until(lambda: len(got) == 5)
        assert sorted(one.seq for one in got) == [1, 2, 3, 4, 5]
        assert {one.seq for one in got if isinstance(one, Missed)} == {2, 3, 4}
        await host.stopped()
        host.ask(6, "check", "spread", PAYLOAD)
        assert got[-1] == Missed(7, host.name, 6, "the host is stopped")

    run(body)


def test_a_late_child_is_killed_replaced_and_after_three_deaths_quarantined() -> None:
    text = HOSTILE["at_check"]("spread", "if snapshot.equity < 0: time.sleep(3600)")
    bad = codec.encode(SNAPSHOT._replace(equity=-1.0))

    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, text, got, deadline_seconds=0.5)
        for death in (1, 2, 3):
            await until(lambda: host.state == "loaded")
            host.ask(10 * death, "check", "spread", PAYLOAD)
            host.ask(10 * death + 1, "check", "spread", bad)
            await until(lambda seq=10 * death + 1: any(one.seq == seq for one in got))
        assert host.state == "quarantined"
        assert "died 3 times" in host.reason
        assert [one.seq for one in got if isinstance(one, Answer)] == [10, 20, 30]
        assert all("no answer within 0.5 s" in one.why for one in got if isinstance(one, Missed))
        await host.stopped()

    run(body)


def test_an_alert_channel_sends_and_a_service_is_started_once() -> None:
    text = """
from hedgegridd import hookimpl
class Channel:
    name = "pigeon"
    def send(self, alert):
        if alert.severity != "CRITICAL" or alert.fields != {"a": 1}:
            raise ValueError(alert)
class Board:
    name = "board"
    n = 0
    def start(self): self.n += 1
    def update(self, status):
        if self.n != 1: raise ValueError(self.n)
@hookimpl
def register_alerts(register): register(Channel)
@hookimpl
def register_services(register): register(Board())
"""

    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, text, got)
        host.ask(1, "send", "pigeon", Alert(1, Severity.CRITICAL, "r", "t", "x", {"a": 1}))
        host.ask(2, "update", "board", {"pid": 1})
        await until(lambda: len(got) == 2)
        host.ask(3, "update", "board", {"pid": 1})
        host.ask(4, "send", "nobody", [])
        await until(lambda: len(got) == 4)
        assert [one.value for one in got[:3]] == [{"sent": True}, {}, {}]
        assert "KeyError" in got[3].value["error"]
        await host.stopped()

    run(body)


def test_a_foreign_strategy_steps_and_its_state_survives_its_process() -> None:
    text = """
from typing import NamedTuple
from hedgegridd import hookimpl
class Inner(NamedTuple):
    seen: list
    last: float
class Follow:
    name = "follow"
    class Settings: pass
    class Params(NamedTuple):
        n: int
    class State(NamedTuple):
        bars: int
        inner: Inner
    def params(self, settings, instrument): return self.Params(instrument.min_qty)
    def initial(self, params): return self.State(0, Inner([0, 0], 0.1))
    def warmup_bars(self, params): return 3
    def step(self, params, state, market, wish):
        state.inner.seen[0] += 1
        wish.count[0] = 1
        wish.price[0], wish.qty[0] = market.close, params.n
        return self.State(state.bars + 1, state.inner._replace(last=market.close / 3))
    def describe(self, params, state): return {"ready": 1}
@hookimpl
def register_strategies(register): register(Follow())
"""
    from hedgegridd.model import Market

    instrument = codec.encode(Instrument(0.1, 0.001, 5, 100, 100, 5.0, 2, 5))
    market = codec.encode(Market(0, 1, 9, 9, 9, 10, 9.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0, 0.0, 1.0, 1.0, 100.0))

    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, text, got)
        question = {"settings": {}, "instrument": instrument, "state": None, "market": None}
        host.ask(1, "step", "follow", question)
        await until(lambda: len(got) == 1)
        assert got[0].value["warmup_bars"] == 3
        host.ask(2, "step", "follow", question | {"state": got[0].value["state"], "market": market})
        await until(lambda: len(got) == 2)
        os.kill(host.pid or 0, signal.SIGKILL)
        await until(lambda: host.state == "restarting")
        await until(lambda: host.state == "loaded")
        host.ask(3, "step", "follow", question | {"state": got[1].value["state"], "market": market})
        await until(lambda: len(got) == 3)
        assert got[2].value["state"] == [2, [[2, 0], 10 / 3]]
        assert got[2].value["wish"] == [[0, 0, 10, 5]]
        await host.stopped()

    run(body)


def test_a_host_is_small(record_property: Any) -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, SPREAD, got)
        host.ask(1, "check", "spread", PAYLOAD)
        await until(lambda: got)
        rollup = Path(f"/proc/{host.pid}/smaps_rollup").read_text()
        pss = int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
        record_property("pss_mb", pss)
        assert pss < 40
        await host.stopped()

    run(body)


# --- the hostile set ---------------------------------------------------------------------------------------------------


def test_hostile_files_cost_nothing_but_themselves(tmp_path: Path) -> None:
    """All at once in one folder: the loop stays quick, the good host answers every time, nothing of them is left."""
    got: list[Any] = []
    gaps: list[float] = []
    pids: set[int] = set()

    async def beat() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            gaps.append(time.perf_counter() - before)

    async def body(loop: asyncio.AbstractEventLoop) -> None:
        heart = loop.create_task(beat())
        (tmp_path / "good.py").write_text(SPREAD)
        options = {"deadline_seconds": 1.5, "hello_seconds": 15.0, "memory_bytes": 256 << 20}
        folder = PluginFolder([tmp_path], got.append, loop, registry=load_shipped(ROOT / "plugins"), **options)
        folder.start()
        await until(lambda: states(folder).get("good") == "loaded")
        for name, (text, _, _) in HOSTILE["FILES"].items():
            (tmp_path / f"{name}.py").write_text(text)
        asked, end = 0, time.monotonic() + 150
        while wrong(folder) and time.monotonic() < end:
            pids.update(host.pid for host in folder._hosts.values() if host.pid)
            for row in [row for row in folder.rows() if row["state"] == "loaded"]:
                asked += 1
                folder.ask(row["file"], asked, "check", row["name"], PAYLOAD)
            await asyncio.sleep(0.1)
        assert not wrong(folder)
        good = [one for one in got if said_by(one, "good")]
        assert len(good) > 20
        assert not [one for one in good if isinstance(one, Missed) and "superseded" not in one.why]
        await folder.close()
        heart.cancel()

    def states(folder: PluginFolder) -> dict[str, str]:
        return {Path(row["file"]).stem: row["state"] for row in folder.rows()}

    def said_by(event: Any, stem: str) -> bool:
        return isinstance(event, Answer | Missed) and f"/{stem}.py@" in event.host

    def wrong(folder: PluginFolder) -> list[Any]:
        """Files that have not ended as they should, with what they said."""
        reasons = {Path(row["file"]).stem: row["reason"] for row in folder.rows()}
        faults = []
        for name, (_, state, words) in HOSTILE["FILES"].items():
            answers = str([one.value for one in got if said_by(one, name) and isinstance(one, Answer)])
            said = answers if state == "loaded" else reasons.get(name, "")
            if state and (states(folder).get(name) != state or words not in said):
                faults.append((name, states(folder).get(name), reasons.get(name), answers[:200]))
        return faults

    run(body)
    assert max(gaps) < 5.0, f"the loop stood still for {max(gaps):.3f} s"
    assert sorted(gaps)[int(len(gaps) * 0.9)] < 0.5
    deadline = time.monotonic() + 30
    while (left := [pid for pid in pids if alive_group(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def alive_group(pgid: int) -> bool:
    """Is any process of the group more than a zombie?"""
    import psutil

    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getpgid(process.pid) == pgid and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.Error):
            continue
    return False


@pytest.mark.parametrize("body", ["sum(range(10**13))", "if os.fork() == 0: time.sleep(3600)\ntime.sleep(3600)"])
def test_children_die_with_a_parent_that_is_killed(tmp_path: Path, body: str) -> None:
    """Even one that sits in a C loop and never looks at its socket, and one that forked."""
    (tmp_path / "it.py").write_text(HOSTILE["at_check"]("it", body))
    script = f"""
import asyncio
from pathlib import Path
from hedgegridd.live.pluginhost import Host
from hedgegridd.plugins import read
async def main():
    host = Host(read(Path({str(tmp_path / "it.py")!r})), print, asyncio.get_running_loop(), deadline_seconds=60)
    host.start()
    while host.state != "loaded":
        await asyncio.sleep(0.01)
    host.ask(1, "check", "it", {PAYLOAD!r})
    await asyncio.sleep(0.3)
    print(host.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive_group(child)
        parent.kill()
    deadline = time.monotonic() + 30
    while alive_group(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive_group(child)


def test_a_slow_hello_does_not_hold_up_another(tmp_path: Path) -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        slow = Host(source(HOSTILE["at_import"]("slow", "import time\ntime.sleep(3600)"), "slow.py"), print, loop, hello_seconds=60.0)
        slow.start()
        begin = time.monotonic()
        quick = await loaded(loop, SPREAD, [])
        assert quick.state == "loaded"
        assert time.monotonic() - begin < 30
        assert slow.state == "starting"
        await slow.stopped()
        await quick.stopped()

    run(body)


def test_the_source_is_run_as_it_was_read(tmp_path: Path) -> None:
    """What is on the disk later does not matter: the bytes that were verified are the bytes that run, after a restart too."""
    file = tmp_path / "spread.py"
    file.write_bytes("# -*- coding: latin-1 -*-\nWORD = '\xe9'\n".encode("latin-1") + SPREAD.encode())

    async def body(loop: asyncio.AbstractEventLoop) -> None:
        host = Host(read(file), print, loop)
        file.write_text("1 / 0")
        host.start()
        await until(lambda: host.state == "loaded")
        os.kill(host.pid or 0, signal.SIGKILL)
        await until(lambda: host.state == "restarting")
        assert "SIGKILL" in host.reason
        await until(lambda: host.state == "loaded")
        await host.stopped()

    run(body)


def test_a_bar_is_not_a_snapshot() -> None:
    async def body(loop: asyncio.AbstractEventLoop) -> None:
        got: list[Any] = []
        host = await loaded(loop, SPREAD, got)
        host.ask(1, "check", "spread", codec.encode(Bar("B", 1, 1, 1, 1, 1, 1, 1)))
        await until(lambda: got)
        assert got[0].value["error"] == "the question held no snapshot"
        await host.stopped()

    run(body)
