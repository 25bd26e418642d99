"""kill -9 on the road to flat in live: at the n-th system call of a flatten, by the kernel's tracer; the exchange's books judge.

`tests/simulation/crashpoints` strikes every point in one process; here a few of them are struck for good, on real sockets and files. All
with HEDGEGRIDD_KILLS=200.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from journeys.live_process import LiveProcess, live
from journeys.test_killed import KILLS, Order, dies, traced

STEPS = {"sendto": 5, "write": 15, "fsync": 3, "fdatasync": 2, "rename": 1}  # every so many, unless all are asked for
MOST = 60  # then the work is done, and only time is written

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to kill at a system call")


def closed(daemon: LiveProcess, seen: int) -> dict[str, float]:
    """What was closed since so many trades, coins by leg; nothing may have been opened."""
    coins: dict[str, float] = {}
    for fill in daemon.sim.show("fills")[seen:]:
        assert (fill["side"] == "BUY") != (fill["positionSide"] == "LONG"), f"opened after the stop: {fill}"
        key = f"{fill['symbol']} {fill['positionSide'].lower()}"
        coins[key] = round(coins.get(key, 0.0) + float(fill["qty"]), 9)
    return coins


def killed_at(daemon: LiveProcess, call: str, number: int, folder: Path) -> bool:
    """One flatten that is killed at this call, taken up again; False = there is no such call."""
    held, seen = daemon.both_held().truth()[0], len(daemon.sim.show("fills"))
    order = Order(daemon)
    with traced(daemon, call, number, folder):
        order.send()
        survived = not dies(daemon, 1.0)
    acknowledged = order.acknowledged()
    daemon.kill()
    daemon.start()
    kill = daemon.status()["kill_switch"]
    assert kill["active"] or not acknowledged
    if not kill["active"]:  # the order never got as far as the journal
        daemon.call("activate", reason="the test")
    assert daemon.flat()["kill_switch"]["reason"] == "the test"
    assert daemon.truth()[:2] == ({}, set())
    if kill["active"]:
        assert closed(daemon, seen) == {key: round(qty, 9) for key, qty in held.items()}
    return not survived


@pytest.mark.parametrize("call", STEPS)
def test_at_every_system_call_of_a_flatten_in_live(call: str, tmp_path: Path) -> None:
    number, more = 1, True
    while number < MOST and more:
        with live(tmp_path / f"{number}") as daemon:
            more = killed_at(daemon, call, number, tmp_path)
        number += STEPS[call] if KILLS < 200 else 1
