"""What the journal keeps in ticks and lots, people read as prices and coins."""

from __future__ import annotations

from typing import Any

import pytest
from rig import calm

from hedgegridd.live.units import plain

NAME = "hg-BTCUSDT-LE-497500-1"
ACTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("amend", {"t": 5, "client_id": NAME, "qty": 4}, {"t": 5, "client_id": NAME, "qty": 0.004}),
    ("order", {"symbol": "BTCUSDT", "price": 497_503, "qty": 2}, {"symbol": "BTCUSDT", "price": 49_750.3, "qty": 0.002}),
    ("fill", {"symbol": "BTCUSDT", "price": 0, "qty": 2, "fee": 0.1 + 0.2}, {"symbol": "BTCUSDT", "price": 0.0, "qty": 0.002, "fee": 0.3}),
    ("closing", {"symbol": "BTCUSDT", "lots": 3, "shown": None}, {"symbol": "BTCUSDT", "qty": 0.003, "shown": None}),
    ("closing", {"symbol": "BTCUSDT", "lots": 3, "shown": 40}, {"symbol": "BTCUSDT", "qty": 0.003, "shown": 0.04}),
    ("emergency_stop", {"symbol": "BTCUSDT", "trigger": 475_000}, {"symbol": "BTCUSDT", "trigger": 47_500.0}),
    ("signal", {"symbol": "BTCUSDT", "center": 500_000.0, "rungs": [[0, 0, 497_500, 2]]},
     {"symbol": "BTCUSDT", "center": 50_000.0, "rungs": [[0, 0, 49_750.0, 0.002]]}),
    ("reconciled", {"what": "drift", "symbol": "BTCUSDT", "believed": 3, "reported": 2},
     {"what": "drift", "symbol": "BTCUSDT", "believed": 0.003, "reported": 0.002}),
    ("reconciled", {"what": "entry", "symbol": "BTCUSDT", "believed": 500_000.0, "reported": 500_100.0},
     {"what": "entry", "symbol": "BTCUSDT", "believed": 50_000.0, "reported": 50_010.0}),
    ("reconciled", {"what": "gone", "client_id": NAME}, {"what": "gone", "client_id": NAME}),
    ("verb", {"name": "pause", "actor": ""}, {"name": "pause", "actor": "the daemon"}),
    ("amend", {"client_id": "hg-OLDUSDT-LE-497500-1", "qty": 4}, {"client_id": "hg-OLDUSDT-LE-497500-1", "qty": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "written", "shown"), ACTS)
def test_an_act_is_told_in_prices_and_coins(kind: str, written: dict[str, Any], shown: dict[str, Any]) -> None:
    assert plain(kind, written, calm().engine.desks) == shown
