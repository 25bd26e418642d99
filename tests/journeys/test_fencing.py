"""Only one acts: `hedgegridd flatten` beside a daemon that is alive, hung, dead, coming back or lives elsewhere, on real processes.

The exchange's own list of trades is the judge: what was closed is what was held, and nothing was opened after.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journeys.daemon_process import SYMBOL, DaemonProcess, held_and_quiet
from journeys.live_process import LiveProcess, live

Home = Callable[..., DaemonProcess]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[LiveProcess]:
    with live(tmp_path / "d") as made:
        yield made


def break_glass(daemon: LiveProcess, state: Path | None = None, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["--config", str(daemon.config_path), "--state-dir", str(state or daemon.state), *more]
    return daemon.hedgegridd("flatten", *words, "--yes", **daemon.env)


def opens(row: dict[str, object]) -> bool:
    return (row["side"] == "BUY") == (row["positionSide"] == "LONG")


def closed_once(daemon: LiveProcess, before: dict[str, float]) -> None:
    """Flat on the exchange, and since `begun` was noted exactly what was held was closed."""
    held, own, _, _ = daemon.truth()
    assert (held, own) == ({}, set())
    closed: dict[str, float] = {}
    for fill in daemon.sim.show("fills")[daemon.seen :]:  # type: ignore[attr-defined]
        assert not opens(fill), f"opened after the stop: {fill}"
        key = f"{fill['symbol']} {fill['positionSide'].lower()}"
        closed[key] = round(closed.get(key, 0.0) + float(fill["qty"]), 9)
    assert closed == {key: round(qty, 9) for key, qty in before.items()}


def noted(daemon: LiveProcess) -> dict[str, float]:
    """What is held, and how many trades there were until now."""
    daemon.both_held()
    daemon.seen = len(daemon.sim.show("fills"))  # type: ignore[attr-defined]
    return daemon.truth()[0]


def test_a_healthy_daemon_is_given_the_work(daemon: LiveProcess) -> None:
    """The row "the daemon is well, and a person runs `hedgegridd flatten`"."""
    before = noted(daemon)
    words = ["--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--socket", str(daemon.socket), "--yes"]
    done = daemon.hedgegridd("flatten", *words, **daemon.env)
    assert done.returncode == 0 and "closed by the daemon" in done.stdout, done.stdout + done.stderr
    assert daemon.runs
    closed_once(daemon, before)
    daemon.kill()
    daemon.sound()


def test_a_stopped_daemon_is_ended_before_anything_is_closed_and_does_not_thaw(daemon: LiveProcess) -> None:
    """The row "the daemon hangs, and a person runs `hedgegridd flatten`"."""
    before = noted(daemon)
    daemon.signal(signal.SIGSTOP)
    done = break_glass(daemon, None, "--socket", str(daemon.socket))
    assert done.returncode == 0 and "killing it" in done.stdout, done.stdout + done.stderr
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.process.wait(5) == -signal.SIGKILL
    closed_once(daemon, before)
    found = daemon.start().flat()["kill_switch"]
    assert (found["active"], found["reason"]) == (True, "hedgegridd flatten")
    closed_once(daemon, before)


def test_stopped_in_the_middle_of_its_own_flatten_it_closes_nothing_twice(daemon: LiveProcess) -> None:
    """Its closes are on their way while it is stopped and replaced."""
    before = noted(daemon)
    daemon.sim.fault("delay", "POST /fapi/v1/order", times=-1, ms=400)
    daemon.call("activate", reason="the end")
    daemon.signal(signal.SIGSTOP)
    done = break_glass(daemon, None, "--socket", str(daemon.socket))
    assert done.returncode == 0, done.stdout + done.stderr
    closed_once(daemon, before)


@pytest.mark.parametrize("how", ["alive", "stopped"])
def test_a_daemon_with_another_state_directory_is_found_and_stopped(daemon: LiveProcess, tmp_path: Path, how: str) -> None:
    """The row "the daemon lives in another state directory, and a person runs `hedgegridd flatten`"."""
    before = noted(daemon)
    if how == "stopped":
        daemon.signal(signal.SIGSTOP)
    done = break_glass(daemon, tmp_path / "elsewhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(daemon.state) in done.stdout
    assert daemon.runs == (how == "alive"), done.stdout
    assert daemon.engaged()["active"] and (tmp_path / "elsewhere" / "killswitch.json").exists()
    closed_once(daemon, before)
    if how == "stopped":
        daemon.start()
    assert daemon.flat()["kill_switch"]["active"]
    closed_once(daemon, before)


def test_one_that_is_halted_and_has_another_state_directory_is_told_to_close(daemon: LiveProcess, tmp_path: Path) -> None:
    before = noted(daemon)
    daemon.call("activate", reason="only halted", level="halt")
    begun = time.monotonic()
    done = break_glass(daemon, tmp_path / "elsewhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "closed by that daemon" in done.stdout and daemon.runs and time.monotonic() - begun < 20
    closed_once(daemon, before)
    found = daemon.flat()["kill_switch"]
    assert (found["level"], found["reason"]) == ("flatten", "only halted")


def test_that_it_was_flat_before_it_hung_proves_nothing(daemon: LiveProcess, tmp_path: Path) -> None:
    noted(daemon)
    daemon.call("activate", reason="long ago", level="flatten")
    daemon.until(lambda status: status["kill_switch"]["phase"] == "flat" and status["kill_switch"]["durable"])
    daemon.until(lambda _: daemon.engaged().get("phase") == "flat")
    daemon.signal(signal.SIGSTOP)
    daemon.sim.manual(SYMBOL, "LONG", 0.003)
    done = break_glass(daemon, tmp_path / "elsewhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "closed by that daemon" not in done.stdout
    assert not any(leg["qty"] for leg in daemon.sim.show("positions")[SYMBOL].values())


def test_a_daemon_that_is_starting_meanwhile_acts_before_or_not_at_all(daemon: LiveProcess) -> None:
    before = noted(daemon)
    daemon.kill()
    for delay in (0.0, 0.5, 1.0):
        daemon.start(ready=False)
        time.sleep(delay)
        done = break_glass(daemon, None, "--socket", str(daemon.socket))
        assert done.returncode == 0, done.stdout + done.stderr
        daemon.clean_up()
    closed_once(daemon, before)


def test_nobody_is_killed_for_a_number_in_a_file(daemon: LiveProcess) -> None:
    """The journal's note names a process that has nothing to do with it."""
    before = noted(daemon)
    daemon.signal(signal.SIGSTOP)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (daemon.journal / "lock").write_text(f"{bystander.pid}\n")
        done = break_glass(daemon, None, "--socket", str(daemon.socket))
        assert done.returncode == 0, done.stdout + done.stderr
        assert bystander.poll() is None
        closed_once(daemon, before)
    finally:
        bystander.kill()
        bystander.wait(10)


def test_a_state_directory_that_is_deleted_is_noticed_at_once(home: Home) -> None:
    """The row "the state directory is deleted under the running daemon"."""
    daemon = held_and_quiet(home(minutes=3_000))
    shutil.rmtree(daemon.state)
    found = daemon.until(lambda status: any("disk" in text or "journal" in text for text in status["degraded"]), 5)
    assert found["instruments"][0]["long"]["protected"]
    answer = daemon.call("activate", reason="and now")
    assert (answer["active"], answer["durable"]) == (True, False)
    daemon.flat()
    daemon.kill()
