"""What the fast engine was not made for is said in one line, and the full engine plays it; what is off by default changes nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rig import BARS, Rig, config_of

from hedgegridd.research import compiled
from hedgegridd.research.fastrun import refuses


def refused(**tables: Any) -> str:
    config = config_of(**tables)
    return refuses(config, Rig(config).engine, SimpleNamespace(symbols=("BTCUSDT",), carries=BARS))


@pytest.mark.skipif(bool(compiled.available()), reason="numba is not installed")
@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({}, ""),
        ({"maintenance": [{"start": "02:00", "end": "03:00"}]}, "[[maintenance]]"),
        ({"breaker": {"drawdown": {"reduce_drawdown_pct": 4.5}}}, "reduce_drawdown_pct"),
        ({"breaker": {"drawdown": {"smoothing_minutes": 30.0}}}, "smoothing_minutes"),
    ],
)
def test_what_it_does_not_know_is_named(tables: dict[str, Any], told: str) -> None:
    found = refused(**tables)
    assert told in found and bool(found) == bool(told)
