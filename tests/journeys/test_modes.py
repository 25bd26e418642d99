"""The modes of a leg, through kill -9 and a reload: what was acknowledged stays, and the other leg trades on."""

from __future__ import annotations

import signal
from collections.abc import Callable

from journeys.daemon_process import DaemonProcess, equity_adds_up, held_and_quiet, holding

Home = Callable[..., DaemonProcess]


def modes(status: dict) -> tuple[str, str]:  # type: ignore[type-arg]
    row = status["instruments"][0]
    return row["long"]["mode"], row["short"]["mode"]


def test_a_mode_is_as_it_was_after_a_kill_and_a_reload(home: Home) -> None:
    daemon = holding(home(minutes=20_000))
    daemon.call("mode", mode="take-profit-only", leg="long", reason="too long already")
    daemon.call("mode", mode="graceful", leg="short", reason="the end of it")
    daemon.kill()
    found = daemon.start(speed="6000").status()
    assert modes(found) == ("take-profit-only", "graceful")
    long = found["instruments"][0]["long"]
    assert (long["mode_reason"], long["mode_source"], found["degraded"]) == ("too long already", "ctl", [])
    daemon.until(lambda status: not status["instruments"][0]["short"]["qty"])
    daemon.signal(signal.SIGHUP)
    found = daemon.until(lambda status: status["counts"]["bars"] > found["counts"]["bars"] + 500)
    assert modes(found) == ("take-profit-only", "graceful")
    row = found["instruments"][0]
    assert (row["ladders"], row["short"]["qty"]) == ({"long": 0, "short": 0}, 0)
    screen = daemon.ctl("status")
    assert "mode graceful" in screen.stdout and "mode take-profit-only" in screen.stdout
    daemon.call("resume")
    daemon.until(lambda status: all(status["instruments"][0][leg]["qty"] for leg in ("long", "short")))
    daemon.kill()
    daemon.sound()


def test_a_leg_that_was_flattened_stays_closed_while_the_other_trades(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=9_000))
    done = daemon.ctl("mode", "flatten", "--leg", "long", "--reason", "out of it")
    assert done.returncode == 0, done.stderr
    daemon.until(lambda status: not status["instruments"][0]["long"]["qty"])
    daemon.kill()
    found = daemon.start(speed="6000").status()
    assert modes(found) == ("flatten", "normal") and not found["kill_switch"]["active"]
    bars, fills = found["counts"]["bars"], len([fill for fill in daemon.fills() if fill.leg == 1])
    found = daemon.until(lambda status: status["counts"]["bars"] > bars + 500)
    assert (found["instruments"][0]["long"]["qty"], found["instruments"][0]["ladders"]["long"]) == (0, 0)
    equity_adds_up(found)
    daemon.kill()
    assert len([fill for fill in daemon.fills() if fill.leg == 1]) > fills, "the short leg traded on"
    assert [act["mode"] for act in daemon.acts("mode")] == ["flatten"]
    daemon.sound()
