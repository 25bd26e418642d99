"""A breaker is written, tried and armed: over a real session's journal, over recorded data, and before it is put in force.

What a trial says of money is held against real sessions: the same session that had the breaker in force ends at the very equity.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journeys.daemon_process import DaemonProcess, held_and_quiet, settings, wave
from journeys.live_process import live
from live.hostile import at_check, at_import

ROOT = Path(__file__).resolve().parents[2]
Home = Callable[..., DaemonProcess]

HEIGHT = """
from hedgegridd import Measure, Unknown, hookimpl

class Height:
    name = "height"
    on_trip = "flatten"
    class Settings:
        max_price_usdt: float = {limit}
    def measure(self, snapshot):
        if not snapshot.instruments:
            raise Unknown("no market yet")
        return Measure(snapshot.instruments[0].last_price, self.settings.max_price_usdt, "USDT", "the price is high")

@hookimpl
def register_breakers(register):
    register(Height)
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> DaemonProcess:
    """Two days of minutes, played to their end and left as they are."""
    return played(tmp_path_factory.mktemp("try"))


def played(folder: Path, **tables: Any) -> DaemonProcess:
    daemon = DaemonProcess(folder, settings(wave(folder, 2_000), **tables))
    daemon.start(ready=False)
    assert daemon.ended() == 0, daemon.log[-2000:]
    return daemon


def tried(daemon: DaemonProcess, file: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """The command as a script runs it."""
    done = daemon.hedgegridd("plugins", "try", str(file), "--json", *words)
    assert done.returncode == code, (done.returncode, done.stdout[-500:], done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def over_journal(daemon: DaemonProcess, file: Path, *words: str, code: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = tried(daemon, file, "--state-dir", str(daemon.state), *words, code=code)["runs"][0]
    return row


def height(folder: Path, limit: float = 50_700.0) -> Path:
    path = folder / "breaker_height.py"
    path.write_text(HEIGHT.format(limit=limit))
    return path


def bars(daemon: DaemonProcess) -> list[tuple[int, float]]:
    """(time it completed, close) of each minute."""
    rows = [line.split(",") for line in next(daemon.home.glob("*.csv")).read_text().splitlines()[1:]]
    return [(int(row[6]) + 1, float(row[4])) for row in rows]


# --- when and on what -----------------------------------------------------------------------------------------------------


def test_it_names_the_moment_and_the_inputs(session: DaemonProcess, tmp_path: Path) -> None:
    found = over_journal(session, height(tmp_path))
    closes = bars(session)
    crossings = [at for (at, close), (_, before) in zip(closes[1:], closes, strict=False) if close >= 50_700 > before]
    assert [told["time"] for told in found["told"]] == [moment(at) for at in crossings][: len(found["told"])]
    assert found["trips"] == len(crossings) > 3
    first = found["told"][0]
    close = dict(closes)[crossings[0]]
    assert (first["level"], first["value"], first["threshold"], first["unit"]) == ("flatten", pytest.approx(close), 50_700, "USDT")
    assert first["held"][0]["mark_price"] == pytest.approx(close)
    assert first["held"][0]["long_qty"] > 0 and first["inputs"]["equity"] == first["equity_usdt"]
    assert first["time"][:10] in found["verdict"] and f"{found['trips']} times" in found["verdict"]
    assert found["asks"] > 2_000 and found["errors"] == 0 and found["unknowns"] > 0
    assert 0 < found["ask_ms_p50"] <= found["ask_ms_p99"]


def moment(time_ms: int) -> str:
    from hedgegridd.times import iso

    return str(iso(time_ms))


def test_looking_on_changes_no_decision_and_no_file(session: DaemonProcess, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in session.state.rglob("*")}
    found = over_journal(session, height(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in session.state.rglob("*")} == before
    assert not any("does not replay" in note for note in found["notes"])
    assert found["effect"]["kind"] == "rerun" and "comes to the session as it was" in found["effect"]["basis"]


def test_one_that_does_not_trip_says_how_near_it_came(session: DaemonProcess, tmp_path: Path) -> None:
    found = over_journal(session, height(tmp_path, 51_000.0))
    assert (found["trips"], found["effect"]["kind"]) == (0, "none")
    highest = max(close for _, close in bars(session))
    assert found["peak"]["fraction"] == pytest.approx(highest / 51_000)
    assert "would not have tripped" in found["verdict"] and found["now"]["state"] == "fine"


def test_its_settings_come_from_the_configuration(session: DaemonProcess, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(session.config_path.read_text() + '\n[breaker.height]\nmax_price_usdt = 51000.0\non_trip = "warn"\n')
    config.chmod(0o600)
    found = over_journal(session, height(tmp_path), "--config", str(config))
    assert (found["trips"], found["on_trip"]) == (0, "warn")


def test_a_person_reads_it(session: DaemonProcess, tmp_path: Path) -> None:
    done = session.hedgegridd("plugins", "try", str(height(tmp_path)), "--state-dir", str(session.state))
    assert done.returncode == 0 and not done.stderr
    assert "height: would have tripped" in done.stdout and "\x1b" not in done.stdout
    assert "would have" in done.stdout and "two runs with fills made anew" in done.stdout


# --- what it would have cost or saved, against sessions in which it was in force ------------------------------------------------


DEAR = 0.003  # USDT an hour: what the long leg pays when it holds some 240 USDT


@pytest.mark.parametrize("level", ["flatten", "halt", "pause"])
def test_the_money_is_what_a_session_with_it_in_force_ends_with(session: DaemonProcess, tmp_path: Path, level: str) -> None:
    """To the last digit: the same heart, the same fills, the same moment."""
    table = {"breaker": {"funding": {"max_funding_cost_1h_usdt": DEAR, "on_trip": level, "cooldown_seconds": 3600.0}}}
    real = played(tmp_path / "real", **table)
    config = tmp_path / "tight.toml"
    config.write_text(real.config_path.read_text())
    config.chmod(0o600)
    found = over_journal(session, ROOT / "plugins" / "breaker_funding.py", "--config", str(config))
    was = over_journal(real, ROOT / "plugins" / "breaker_session_loss.py")
    assert found["trips"] >= 1 and found["told"][0]["level"] == level
    assert found["effect"]["equity_end_usdt"] == was["equity_end_usdt"]
    assert found["effect"]["saved_usdt"] == pytest.approx(was["equity_end_usdt"] - found["equity_end_usdt"], abs=1e-6)
    assert found["effect"]["saved_usdt"] != 0


def test_what_was_in_force_itself_is_taken_out_to_compare(session: DaemonProcess, tmp_path: Path) -> None:
    table = {"breaker": {"funding": {"max_funding_cost_1h_usdt": DEAR}}}
    real = played(tmp_path / "real", **table)
    found, as_was = over_journal(real, ROOT / "plugins" / "breaker_funding.py"), over_journal(session, height(tmp_path, 60_000.0))
    assert found["effect"]["equity_end_usdt"] == found["equity_end_usdt"]
    assert found["effect"]["saved_usdt"] == pytest.approx(found["equity_end_usdt"] - as_was["equity_end_usdt"], abs=1e-6)
    assert any("was there in this session" in note for note in found["notes"])


def test_journal_and_data_of_one_session_come_to_the_same(session: DaemonProcess, tmp_path: Path) -> None:
    data = str(next(session.home.glob("*.csv")))
    words = ["--state-dir", str(session.state), "--config", str(session.config_path), "--data", data]
    journal, recorded = tried(session, height(tmp_path), *words)["runs"]
    assert (journal["over"], recorded["over"]) == ("journal", "data")
    assert [told["time"] for told in journal["told"]] == [told["time"] for told in recorded["told"]]
    assert journal["effect"]["saved_usdt"] == pytest.approx(recorded["effect"]["saved_usdt"], abs=1e-6)
    assert journal["equity_end_usdt"] == pytest.approx(recorded["equity_end_usdt"], abs=1e-6)


def test_a_session_killed_and_started_again_is_run_anew_from_end_to_end(home: Home, tmp_path: Path) -> None:
    daemon = home(minutes=2_000)
    daemon.start(speed="60000")
    daemon.until(lambda status: status["counts"]["fills"] > 20)
    daemon.kill()
    daemon.start(ready=False)
    assert daemon.ended() == 0
    found = over_journal(daemon, height(tmp_path))
    assert found["trips"] > 3 and found["effect"]["kind"] == "rerun"
    assert "comes to the session as it was" in found["effect"]["basis"]


HELD = """
from hedgegridd import Measure, hookimpl

class Held:
    name = "held"
    on_trip = "{level}"
    def measure(self, snapshot):
        both = [min(one.long.notional_usdt, one.short.notional_usdt) for one in snapshot.instruments]
        return Measure(max(both, default=0.0), 50.0, "USDT", "both legs are held")

@hookimpl
def register_breakers(register):
    register(Held)
"""


def test_a_live_session_is_estimated_and_says_so(tmp_path: Path) -> None:
    with live(tmp_path / "d") as daemon:
        daemon.both_held()
        assert daemon.stop() == 0
        path = tmp_path / "breaker_held.py"
        path.write_text(HELD.format(level="flatten"))
        found = over_journal(daemon, path)
        path.write_text(HELD.format(level="halt"))
        halted = over_journal(daemon, path)
    assert found["mode"] == "live" and found["trips"] >= 1 and found["effect"]["kind"] == "estimate"
    assert "live session" in found["effect"]["basis"] and "taker fee" in found["effect"]["basis"]
    first = found["told"][0]["inputs"]["instruments"][0]
    assert -50 < found["effect"]["saved_usdt"] < 50 and found["effect"]["saved_usdt"] != 0
    assert first["long"]["qty"] > 0 and first["short"]["qty"] > 0
    assert halted["effect"]["kind"] == "estimate" and halted["effect"]["saved_usdt"] is None


# --- files that misbehave ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (at_check("it", "while True: pass"), "no answer"),
        (at_check("it", "os._exit(4)"), "status 4"),
        (at_check("it", "1 / 0"), "ZeroDivisionError"),
        (at_import("it", "1 / 0"), "ZeroDivisionError"),
        (at_import("it", "import os\nos._exit(3)"), "status 3"),
        ("x = 1", "registers nothing"),
    ],
)
def test_a_file_that_fails_ends_with_1_and_says_why(session: DaemonProcess, tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "breaker_it.py"
    path.write_text(text)
    found = tried(session, path, "--state-dir", str(session.state), code=1)
    assert not found["ok"]
    assert why in found["failed"] + "".join(run["last_error"] for run in found["runs"])
    done = session.hedgegridd("plugins", "try", str(path), "--state-dir", str(session.state))
    assert done.returncode == 1 and why in done.stdout and "Traceback" not in done.stderr


def test_what_cannot_be_begun_is_usage_or_state(session: DaemonProcess, tmp_path: Path) -> None:
    path = height(tmp_path)
    for words, code in (((), 2), (("--data", str(next(session.home.glob("*.csv")))), 2), (("--state-dir", str(tmp_path)), 78)):
        done = session.hedgegridd("plugins", "try", str(path), *words)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
    assert session.hedgegridd("plugins", "try", str(tmp_path / "none.py"), "--state-dir", str(session.state)).returncode == 2


def test_in_haste_only_the_newest_part_is_asked_about(session: DaemonProcess, tmp_path: Path) -> None:
    begun = time.monotonic()
    found = over_journal(session, height(tmp_path), "--within", "4")
    assert time.monotonic() - begun < 60
    assert found["asks"] < 2_500
    if found["whole"]:
        assert found["from"] > "2025-01-01T06" and found["asks"]
    else:  # a machine that is busy enough gets nowhere in four seconds, or counts from where it was when half of them were gone
        assert "no time" in found["verdict"] + str(found["notes"])


def test_what_the_feed_does_not_carry_is_said(session: DaemonProcess, tmp_path: Path) -> None:
    path = tmp_path / "breaker_height.py"
    path.write_text(HEIGHT.format(limit=1.0).replace('    on_trip = "flatten"', '    needs = ("quotes",)'))
    found = over_journal(session, path)
    assert (found["asks"], found["verdict"]) == (0, "never asked: the feed does not carry quotes")


# --- before it is armed -----------------------------------------------------------------------------------------------------


def house(home: Home, file: str, name: str) -> DaemonProcess:
    """A daemon that holds both legs, with this breaker dropped in."""
    daemon = home(minutes=3_000, daemon={"plugin_dirs": ["plugins"]})
    (daemon.home / "plugins").mkdir()
    held_and_quiet(daemon)
    (daemon.home / "plugins" / f"breaker_{name}.py").write_text(file)
    daemon.until(lambda status: any(row["name"] == name for row in status["breakers"]))
    return daemon


def armed(daemon: DaemonProcess, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return daemon.ctl("breakers", "arm", name, "--reason", "tested", *words)


def test_arming_shows_first_what_it_would_have_done(home: Home) -> None:
    daemon = house(home, HEIGHT.format(limit=50_300.0), "height")
    preview = daemon.ctl("breakers", "preview", "height")
    assert preview.returncode == 0 and preview.stdout.startswith("now ")
    assert not daemon.status()["kill_switch"]["active"]
    done = armed(daemon, "height", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["name"] == "height" and found["preview"]["now"]["name"] == "height"
    lately = found["preview"]["lately"]
    assert lately["asks"] > 0 and lately["verdict"] and lately["whole"]
    if lately["trips"]:
        assert lately["first_trip"]["value"] >= 50_300


def test_arming_without_a_preview_is_as_it_was(home: Home) -> None:
    daemon = house(home, HEIGHT.format(limit=90_000.0), "height")
    begun = time.monotonic()
    done = armed(daemon, "height", "--json", "--no-preview")
    assert done.returncode == 0 and json.loads(done.stdout)["preview"] is None
    assert time.monotonic() - begun < 20
    assert "lately" in armed(daemon, "height").stdout
    assert daemon.ctl("breakers", "preview", "nothing").returncode == 1


def test_a_breaker_that_hangs_keeps_nobody_from_arming_and_the_daemon_quick(home: Home) -> None:
    daemon = house(home, at_check("it", "time.sleep(0.4)\nreturn None"), "it")
    done: list[subprocess.CompletedProcess[str]] = []
    arming = threading.Thread(target=lambda: done.append(armed(daemon, "it", "--json")))
    arming.start()
    took = []
    while arming.is_alive():
        begun = time.monotonic()
        assert daemon.status()["ready"]
        took.append(time.monotonic() - begun)
        time.sleep(0.02)
    arming.join()
    assert sorted(took)[len(took) // 2] < 0.5, sorted(took)[-5:]
    assert done[0].returncode == 0, done[0].stderr
    found = json.loads(done[0].stdout)
    assert found["state"] in ("armed", "check_error") and "preview" in found
    assert daemon.status()["loop_lag_ms_p99"] < 2_000
