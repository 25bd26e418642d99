"""The simulator in a thread and as a process: the same moves from outside its loop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from exchange_simulator import running_simulator

ROOT = Path(__file__).parents[2]


def fetch(url: str, asked: Any = None) -> Any:
    """GET, or POST where something is asked."""
    data = None if asked is None else json.dumps(asked).encode()
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, data, timeout=10) as answer:
        return json.load(answer)


def test_in_a_thread() -> None:
    with running_simulator(balance_usdt=5_000.0, symbols={"ETHUSDT": 2_000.0}) as sim:
        sim.price("ETHUSDT", 2_100.0)
        assert fetch(f"{sim.rest_url}/fapi/v2/ticker/price?symbol=ETHUSDT")["price"] == "2100.00"
        sim.manual("ETHUSDT", "SHORT", 0.5)
        assert sim.show("positions")["ETHUSDT"]["SHORT"] == {"qty": 0.5, "entry": 2_100.0, "unrealized": 0.0}
        assert sim.show("account")["wallet"] == pytest.approx(5_000 - 0.525)
        sim.fault("unavailable", "GET */ping")
        sim.set(rtt_ms=1, orders_10s=7)
        assert sim.do(lambda inside: (inside.rtt_ms, inside.limits.orders_10s)) == (1, 7)
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"{sim.rest_url}/fapi/v1/ping")
        assert refused.value.code == 503
        refused.value.close()
        with pytest.raises(AttributeError):
            sim.nothing()


@contextmanager
def process(*options: str) -> Iterator[dict[str, Any]]:
    """A simulator in a process of its own; its addresses."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    command = [sys.executable, "-m", "exchange_simulator", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        try:
            assert child.stdout is not None
            yield json.loads(child.stdout.readline())
        finally:
            child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
        assert child.stdout.read() == ""


def test_as_a_process() -> None:
    with process("--seed", "3", "--symbol", "SOLUSDT=150", "--balance-usdt", "700", "--start-walk-per-s", "50") as urls:
        assert urls.keys() >= {"rest_url", "ws_url", "control_url", "api_key", "api_secret", "port"}
        control = urls["control_url"]
        assert fetch(control, {"do": "stop_walk", "symbol": "SOLUSDT"}) is None
        assert fetch(
            control, [{"do": "price", "symbol": "SOLUSDT", "price": 151.0}, {"do": "manual", "symbol": "SOLUSDT", "leg": "LONG", "qty": 2}]
        )
        shown = fetch(f"{control}?what=positions,account,prices")
        assert shown["positions"]["SOLUSDT"]["LONG"]["qty"] == 2.0
        assert shown["prices"]["SOLUSDT"]["last"] == 151.0
        assert shown["account"]["wallet"] < 700
        assert fetch(f"{urls['rest_url']}/fapi/v1/ping") == {}
