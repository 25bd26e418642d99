"""The exchange plugin as every start sees it: it keeps the whole contract, and costs nothing where nothing trades there."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from hedgegridd.hookspecs import Health, NetworkExchange
from hedgegridd.plugins import load_shipped

EXCHANGE = load_shipped().exchanges["binance"].thing
CONTRACT = [name for name, thing in inspect.getmembers(NetworkExchange) if inspect.isfunction(thing) and not name.startswith("_")]


@pytest.mark.parametrize("name", CONTRACT)
def test_it_has_every_method_of_the_contract_as_it_is_called(name: str) -> None:
    mine, theirs = getattr(EXCHANGE, name), getattr(NetworkExchange, name)
    assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(theirs)
    assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)


def test_before_a_start_it_is_not_connected_and_may_be_stopped() -> None:
    exchange = EXCHANGE()
    exchange.stop()
    assert exchange.health() == Health(False)
    assert exchange.orders_cost_network and not exchange.trading


def test_no_library_is_loaded_before_a_line_is_opened() -> None:
    program = """
import sys
from hedgegridd.plugins import load_shipped
load_shipped().exchanges["binance"].thing()
print(sorted({name.split(".")[0] for name in sys.modules} & {"binance", "aiohttp", "websockets", "requests", "numpy"}))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
