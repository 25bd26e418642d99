"""What systemd adds to the layers: a hung or killed daemon comes back by itself, and takes up what it left."""

from __future__ import annotations

import json
from typing import Any

import pytest
from systemd.test_daemon import OPT, under_systemd


def driven(name: str) -> dict[str, Any]:
    """What `layers` says of this, run in a private systemd."""
    source = "/opt/base-source"
    said = under_systemd(f"PYTHONPATH={source}:{source}/tests {OPT}/bin/python {source}/tests/systemd/layers.py {name}\n")
    return dict(json.loads(said.strip().splitlines()[-1]))


def test_a_hung_loop_is_replaced_and_stays_stopped() -> None:
    """The row "the daemon's loop hangs": the watchdog kills it, systemd starts another, which finds the kill switch engaged and closes."""
    found = driven("hung")
    assert found["watchdog"] and found["held"] == [0, 0]
    assert (found["kill"]["active"], found["kill"]["reason"]) == (True, "it hangs")
    assert found["seconds"] < 30, "2 s of watchdog here, 8 s in the unit"
    print(f"a hung loop, 2 s of watchdog: flat after {found['seconds']} s")


def test_a_killed_daemon_comes_back_to_both_legs() -> None:
    """The row "the daemon is killed": stops rest meanwhile, systemd starts another, which knows both legs."""
    found = driven("killed")
    legs = {f"BTCUSDT {leg}" for leg in ("long", "short")}
    assert set(found["before"]) == legs and found["after"] == pytest.approx(found["before"])
    assert found["stops_meanwhile"] == found["stops"] == dict.fromkeys(legs, 1)
    assert found["seconds"] < 30
    print(f"killed, RestartSec 0.1 s: both legs known and protected after {found['seconds']} s")
