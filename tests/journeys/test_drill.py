"""Drills with real processes: the twin is stopped, killed and starved of its disk, while the daemon beside it trades on untouched."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_grid
from figures import note, percentile
from journeys.daemon_process import DaemonProcess, held, holding, settings
from journeys.live_process import LiveProcess, live

from hedgegridd.control.client import Client
from hedgegridd.control.protocol import Fault
from hedgegridd.live.scenarios import SCENARIOS

Home = Callable[..., DaemonProcess]
TWIN = b"hedgegridd.live.twin"


def twins(parent: int) -> set[int]:
    """The twin processes of this one, and theirs."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ours = TWIN in (path / "cmdline").read_bytes() and int((path / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent
        except (OSError, ValueError):
            continue
        if ours:
            found |= {int(path.name)} | twins(int(path.name))
    return found


def gone(processes: set[int], seconds: float = 30.0) -> bool:
    """Are they all gone, in time?"""
    end = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def left(daemon: DaemonProcess) -> list[Path]:
    """Folders of twins."""
    return list((daemon.state / "drills").glob(".twin-*"))


class Drill:
    """`hedgegridctl drill` on its way."""

    def __init__(self, daemon: DaemonProcess, *words: str) -> None:
        self.daemon = daemon
        program = [sys.executable, "-c", "from hedgegridd.control.cli import main; main()", "--socket", str(daemon.socket), "drill", *words]
        hearing = ["env", "--default-signal=INT"]  # a job in the background is born deaf to Ctrl-C
        self.process = subprocess.Popen(
            [*hearing, *program], env=daemon._environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def under_way(self, scenario: str) -> set[int]:
        """Until this scenario's twin runs; its processes."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            running = self.daemon.status()["drill"]["running"] or {}
            found = twins(self.daemon.pid)
            if running.get("scenario") == scenario and found and left(self.daemon):
                return found
            time.sleep(0.01)
        raise AssertionError(f"{scenario} never ran: {self.daemon.log[-2000:]}")

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


def pinged(daemon: DaemonProcess, while_: Callable[[], bool]) -> list[float]:
    """How long the daemon's loop lets a reader wait, again and again, seconds."""
    waits = []
    with Client(str(daemon.socket)) as client:
        while while_():
            begun = time.perf_counter()
            client.call("ping", {}, 10.0)
            waits.append(time.perf_counter() - begun)
            time.sleep(0.01)
    return waits


# --- paper ----------------------------------------------------------------------------------------------------------------


def test_every_drill_passes_and_live_is_as_it_was(home: Home) -> None:
    daemon = held(home(minutes=3_000)).start(speed="0.6")
    before = daemon.status()
    done = daemon.ctl("drill", seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(next((daemon.state / "drills").glob("*.json")).read_text())
    assert [row["scenario"] for row in report["scenarios"]] == list(SCENARIOS)
    assert report["result"] == "pass" and all(row["result"] == "pass" for row in report["scenarios"])
    papers = [one for row in report["scenarios"] for one in row["certificates"]]
    assert len(papers) == 8 and all(one["proof"]["reads"] and one["legs"] for one in papers)
    text = next((daemon.state / "drills").glob("*.txt")).read_text()
    assert done.stdout.endswith(text) and "kill: pass" in done.stdout, "progress, then the report"
    after = daemon.status()
    assert before["kill_switch"] == after["kill_switch"]
    if before["counts"]["bars"] == after["counts"]["bars"]:
        assert before["decisions_hash"] == after["decisions_hash"], "the market stood still: so did live"
    assert not daemon.kill_file.exists() and not left(daemon) and not twins(daemon.pid)
    record = daemon.acts("verb")[-1]
    assert (record["name"], record["params"]["result"], record["params"]["id"]) == ("drill", "pass", report["id"])
    assert record["actor"].startswith("uid=") and after["drill"] == {"running": None, "last": after["drill"]["last"]}
    assert (after["drill"]["last"]["id"], after["drill"]["last"]["failed"]) == (report["id"], [])
    listed = json.loads(daemon.ctl("drill", "--list", "--json").stdout)["drill"]
    assert [(row["id"], row["result"]) for row in listed] == [(report["id"], "pass")]
    assert daemon.stop() == 0
    daemon.sound()


def test_the_loop_of_live_feels_little_of_it(home: Home) -> None:
    daemon = held(home(minutes=3_000)).start(speed="1")
    end = time.monotonic() + 2
    before = pinged(daemon, lambda: time.monotonic() < end)
    drill = Drill(daemon)
    during = pinged(daemon, lambda: drill.process.poll() is None)
    assert drill.ended()[0] == 0
    note("a reader's wait before a drill", before)
    note("a reader's wait during all drills", during)
    assert percentile(during, 0.99) < 1.0, "a wide sanity bound: what is measured is told"


def test_live_trades_on_meanwhile(home: Home) -> None:
    daemon = holding(home(minutes=40_000), speed="600")
    before = daemon.status()["counts"]
    report = daemon.call("drill", 60, name="thin")
    assert report["ok"], report["text"]
    assert daemon.status()["counts"]["bars"] > before["bars"], "live stood still meanwhile"
    daemon.until(lambda status: status["counts"]["orders"] > before["orders"])
    daemon.kill()
    daemon.sound()
    assert not any("drill" in row["reason"] for row in daemon.acts("kill"))


def test_a_deadline_that_a_ban_outlasts_is_a_failed_drill(home: Home) -> None:
    """Nothing is wrong with the twin; its deadline is too short for what happens, and the drill says so."""
    daemon = held(home(minutes=3_000, flatten={"deadline_seconds": 1.0})).start(speed="1")
    done = daemon.ctl("drill", "ban")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL  ban" in done.stdout and "flat in time: not flat within 1 s" in done.stdout
    assert daemon.status()["drill"]["last"]["failed"] == ["ban"]
    daemon.until(lambda _: daemon.acts("verb") and daemon.acts("verb")[-1]["params"]["result"] == "fail")
    daemon.until(lambda _: "did not pass" in daemon.log)  # a page went out
    assert json.loads(daemon.ctl("drill", "ban", "--json").stdout)["ok"] is False
    assert daemon.ctl("drill", "--list").returncode == 0


def test_one_drill_at_a_time_and_none_by_another_name(home: Home) -> None:
    daemon = held(home(minutes=3_000)).start(speed="1")
    drill = Drill(daemon, "ban")
    drill.under_way("ban")
    with pytest.raises(Fault, match="a drill is under way"):
        daemon.call("drill", name="kill")
    assert drill.ended()[0] == 0
    wrong = daemon.ctl("drill", "bann")
    assert wrong.returncode == 1 and "did you mean 'ban'" in wrong.stderr


def test_the_order_to_stop_live_comes_before_any_drill(home: Home) -> None:
    daemon = held(home(minutes=3_000)).start(speed="1")
    drill = Drill(daemon, "ban")
    processes = drill.under_way("ban")
    assert daemon.ctl("activate", "--reason", "the real one").returncode == 0
    daemon.flat()
    drill.ended()
    assert gone(processes)
    daemon.until(lambda status: status["drill"]["running"] is None)
    assert not left(daemon)
    assert daemon.engaged()["reason"] == "the real one"


@pytest.mark.parametrize("scenario", ["ban", "crash"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_an_interrupted_drill_leaves_nothing_behind(home: Home, number: int, scenario: str) -> None:
    daemon = held(home(minutes=3_000)).start(speed="1")
    drill = Drill(daemon, scenario)
    processes = drill.under_way(scenario)
    daemon.signal(number)
    daemon.ended()
    assert drill.ended()[0] in (1, 3)
    assert gone(processes), "the twin outlived its daemon"
    if number == signal.SIGKILL:  # nobody was left to tidy up: the next start does
        daemon.start(speed="1")
    assert not left(daemon)
    if daemon.runs:
        assert daemon.call("drill", 60, name="kill")["ok"]


def test_whoever_stops_looking_does_not_stop_the_drill(home: Home) -> None:
    daemon = held(home(minutes=3_000)).start(speed="1")
    drill = Drill(daemon, "ban")
    drill.under_way("ban")
    drill.process.send_signal(signal.SIGINT)
    code, _, err = drill.ended()
    assert code == 130 and "goes on in the daemon" in err
    daemon.until(lambda status: (status["drill"]["last"] or {}).get("result") == "pass")


@pytest.mark.parametrize("mode", ["monitor", "dry_run"])
def test_a_mode_that_trades_nothing_is_drilled_with_legs_of_its_own(home: Home, mode: str) -> None:
    daemon = home(minutes=3_000, mode=mode).start(speed="600")
    daemon.until(lambda status: status["instruments"][0]["last_bar_at"])
    report = daemon.call("drill", 60, name="gap")
    assert report["ok"], report["text"]
    assert "2 of them opened for the drill" in report["text"]
    assert daemon.status()["mode"] == mode


BREAKER = """
from hedgegridd import hookimpl
class Quiet:
    name = "quiet"
    def check(self, snapshot): return None
@hookimpl
def register_breakers(register): register(Quiet)
"""


def test_an_account_that_strangers_think_for_is_drilled_without_them(home: Home) -> None:
    instrument = settings(None)["instrument"][0] | {"strategy": "tiny", "params": {"grid": {"step_bps": 30.0}}}
    daemon = home(minutes=20_000, instrument=[instrument], daemon={"plugin_dirs": ["plugins"]})
    (daemon.home / "plugins").mkdir()
    shutil.copy(tiny_grid.__file__, daemon.home / "plugins" / "strategy_tiny.py")
    (daemon.home / "plugins" / "breaker_quiet.py").write_text(BREAKER)
    daemon.start(speed="600")
    daemon.until(lambda status: status["counts"]["fills"] and any(row["name"] == "quiet" for row in status["breakers"]))
    report = daemon.call("drill", 60, name="thin")
    assert report["ok"], report["text"]


# --- live -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trader(tmp_path: Path) -> Iterator[LiveProcess]:
    with live(tmp_path / "d", start_walk_per_s=0.0) as made:
        yield made


def test_live_is_drilled_and_its_exchange_hears_nothing_of_it(trader: LiveProcess) -> None:
    trader.both_held()
    held = trader.truth()[0]
    report = trader.call("drill", 120)
    assert report["ok"] and report["mode"] == "live", report["text"]
    assert trader.truth()[0] == held and not trader.status()["kill_switch"]["active"]
    assert not [row for row in trader.requests("POST") if re.search(r"\bMARKET\b", json.dumps(row["params"]))], "no close"
    text = json.dumps(report)
    assert not [secret for secret in (trader.sim.api_key, trader.sim.api_secret) if secret in text]
    assert quiet_drill(trader) == []
    trader.until_sound()
    assert trader.stop() == 0
    trader.sound()


def quiet_drill(trader: LiveProcess) -> list[str]:
    """What trading reached the exchange during a drill in which live itself decided nothing: a new bar may move its grid."""
    for _ in range(5):
        settle(trader)
        before, asked = trader.status()["decisions_hash"], len(trader.requests())
        assert trader.call("drill", 120, name="thin")["ok"]
        if trader.status()["decisions_hash"] == before:
            made = [f"{row['method']} {row['path']}" for row in trader.requests()[asked:]]
            return [line for line in made if line[:4] != "GET " and "listenKey" not in line and "countdown" not in line.lower()]
    raise AssertionError("live never rested")


def settle(trader: LiveProcess) -> None:
    """Until nothing is decided any more for a second."""
    begun = since = time.monotonic()
    last = ""
    while time.monotonic() - since < 1.0:
        assert time.monotonic() - begun < 60, "the grid never rests"
        if (now := trader.status()["decisions_hash"]) != last:
            since, last = time.monotonic(), now
        time.sleep(0.05)


def test_the_twin_of_a_live_daemon_knows_no_secret(trader: LiveProcess) -> None:
    trader.both_held()
    drill = Drill(trader, "ban")
    processes = drill.under_way("ban")
    for pid in processes:
        assert (Path(f"/proc/{pid}") / "environ").read_bytes() == b""
    fork: Any = next(trader.state.glob("drills/.twin-*/fork.json"))
    assert fork.parent.stat().st_mode & 0o777 == 0o700
    text = fork.read_text()
    assert not [word for word in (trader.sim.api_key, trader.sim.api_secret, trader.sim.rest_url, "api_key") if word in text]
    assert drill.ended()[0] == 0
