"""The staged return of a real daemon on paper: each stage acknowledged, its time kept, through kill -9, to the full size."""

from __future__ import annotations

import re
from collections.abc import Callable

from journeys.daemon_process import DaemonProcess, holding

Home = Callable[..., DaemonProcess]


def advance(daemon: DaemonProcess, why: str = "looks fine") -> tuple[int, str]:
    done = daemon.ctl("advance", "--reason", why)
    return done.returncode, done.stdout + done.stderr


def to(daemon: DaemonProcess, stage: str) -> None:
    """Ask until nothing stands in the way any more."""

    def climbed(_: object) -> bool:
        return advance(daemon)[0] == 0

    daemon.until(climbed)
    assert daemon.status()["recovery"]["stage"] == stage


def test_from_a_kill_to_the_full_size(home: Home) -> None:
    daemon = holding(home(minutes=20_000, recovery={"enabled": True, "recovery_time_minutes": 30, "reduced_size_factor": 0.5}))
    assert daemon.ctl("activate", "--reason", "drill").returncode == 0
    daemon.flat()
    daemon.call("deactivate", reason="over")
    assert daemon.status()["recovery"]["stage"] == "monitor"
    daemon.kill()
    back = daemon.start(speed="1").status()["recovery"]
    assert (back["stage"], back["size_factor"]) == ("monitor", 0.0) and back["next_stage_at"]
    code, told = advance(daemon)
    assert (code == 1 and "must last 30 minutes" in told) or "put right" in told
    daemon.kill()
    daemon.start(speed="6000")
    to(daemon, "paper")
    found = daemon.until(lambda status: status["recovery"]["paper"] and status["recovery"]["paper"]["fills"])
    assert not found["instruments"][0]["long"]["qty"] and not found["instruments"][0]["short"]["qty"], "paper is paper"
    fills = len(daemon.fills())
    daemon.kill()
    assert daemon.start(speed="6000").status()["recovery"]["stage"] == "paper"
    assert len(daemon.fills()) == fills
    to(daemon, "reduced")
    assert daemon.status()["recovery"]["size_factor"] == 0.5
    daemon.until(lambda status: status["instruments"][0]["long"]["qty"] or status["instruments"][0]["short"]["qty"])
    to(daemon, "full")
    assert daemon.status()["recovery"] == {"stage": "full", "size_factor": 1.0, "next_stage_at": None, "blocked_by": [], "paper": None}
    daemon.kill()
    stages = daemon.acts("stage")
    assert [act["stage"] for act in stages] == ["paper", "reduced", "full"] and all(act["reason"] == "looks fine" for act in stages)
    daemon.sound()


def test_what_blocks_a_step_is_in_the_answer_and_in_status(home: Home) -> None:
    daemon = home(minutes=6_000, recovery={"enabled": True, "recovery_time_minutes": 0}).start(speed="1")
    daemon.call("activate", reason="drill", level="halt")
    code, told = advance(daemon)
    assert code == 1 and re.search(r"already full|kill switch is active", told), told
    daemon.call("deactivate", reason="over")
    daemon.until(lambda status: status["recovery"]["stage"] == "monitor")
    found = daemon.status()["recovery"]["blocked_by"]
    if found:  # the strategy is still warming up
        assert found == ["BTCUSDT: the strategy is not warm yet"]
        code, told = advance(daemon)
        assert code == 1 and "not warm yet" in told
    daemon.kill()
    daemon.sound()
