"""kill -9, whenever it may come: what was acknowledged stays, what was begun is finished, nothing is half."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from journeys.daemon_process import DaemonProcess, equity_adds_up, positions

KILLS = int(os.environ.get("HEDGEGRIDD_KILLS", "30"))
Home = Callable[..., DaemonProcess]


def test_at_random_moments_while_trading_at_full_speed(home: Home) -> None:
    daemon, draw = home(minutes=2_000 * KILLS), random.Random(KILLS)
    acknowledged = ""
    for number in range(KILLS):
        daemon.start(ready=draw.random() < 0.7)
        time.sleep(draw.random() * 0.6)
        if draw.random() < 0.3:
            daemon.wait_ready()
            acknowledged = acknowledged or f"kill {number}"
            assert daemon.call("activate", reason=f"kill {number}")["durable"]
            time.sleep(draw.random() ** 4 * 0.1)
        elif acknowledged and draw.random() < 0.7:
            found = daemon.wait_ready().flat()
            assert (found["kill_switch"]["active"], found["kill_switch"]["reason"]) == (True, acknowledged)
            daemon.call("deactivate", reason="on with it")
            acknowledged = ""
            time.sleep(draw.random() * 0.3)
        daemon.kill()
        if acknowledged:
            assert (daemon.engaged()["active"], daemon.engaged()["reason"]) == (True, acknowledged)
    found = daemon.start().status()
    assert found["kill_switch"]["active"] == bool(acknowledged)
    daemon.call("activate", reason="the end")
    equity_adds_up(daemon.flat())
    assert daemon.stop() == 0
    daemon.sound()
    fills = daemon.fills()
    assert len(fills) > 10 * KILLS
    assert positions(fills) == (0, 0)
