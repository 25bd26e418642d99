"""The two engines tell the same: every order, fill, payment, trip and bar, bit for bit, on random cases and on recorded data.

`pytest tests/research/test_parity.py --cases 10000` plays that many random cases (compiled against the heart); CI plays fewer. With
`--first-case S` they begin elsewhere.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from research.cases import REGISTRY, Case, Told, difference, recorded

from hedgegridd.config import Config, load
from hedgegridd.plugins import shipped
from hedgegridd.research import compiled
from hedgegridd.research.fastrun import FastRun
from hedgegridd.research.full import FullRun

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[2] / ".." / "shared")) / "data" / "klines"
STRATEGY = REGISTRY.strategies["hedge_grid"].thing
#: Found by random cases, kept for good. 22: an emergency stop and its withdrawal chased each other for ever. 28: a refused order
#: whose cancel was on its way was taken for an amend that was refused. 46: a fourth pause within an hour. 277: blind from the start.
#: 108174: an amend that the exchange refuses was asked for again and again.
SEEDS = (22, 28, 46, 91, 277, 966, 108_174)


@pytest.fixture(scope="session")
def code() -> compiled.Code:
    return compiled.bind(STRATEGY)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_once_differed_is_the_same(seed: int, code: compiled.Code) -> None:
    case = Case(seed)
    full = case.full()
    assert difference(full, case.fast(compiled.plain(STRATEGY))) == ""
    assert difference(full, case.fast(code)) == ""


@pytest.mark.slow
def test_random_cases_come_out_the_same(code: compiled.Code, seeds: range) -> None:
    fills, trips = 0, set()
    for seed in seeds:
        case = Case(seed)
        full = case.full()
        found = difference(full, case.fast(code))
        assert not found, f"seed {seed}: {found}"
        fills += full[1].fills
        trips |= {row[3] for row in full[0].log if row[0] == "trip"}
    assert fills > 5 * len(seeds) and len(trips) > 3, "the cases have grown too tame"


def test_how_the_events_are_cut_up_changes_nothing(code: compiled.Code) -> None:
    case = Case(4)
    assert difference(case.fast(compiled.plain(STRATEGY), 7), case.fast(compiled.plain(STRATEGY), 1000)) == ""


def test_compiled_and_plain_tell_the_same(code: compiled.Code) -> None:
    for seed in range(200, 240):
        case = Case(seed)
        assert difference(case.fast(code), case.fast(compiled.plain(STRATEGY))) == "", f"seed {seed}"


# --- recorded data --------------------------------------------------------------------------------------------------------


def example(symbol: str, model: str, guarded: bool) -> Config:
    """etc/backtest.toml for one symbol."""
    config = load(shipped("etc") / "backtest.toml")
    paper = replace(config.exchange.paper, fill_model=model)
    kill = replace(config.kill_switch, enabled=guarded)
    chosen = tuple(item for item in config.instrument if item.symbol == symbol)
    return replace(config, exchange=replace(config.exchange, paper=paper), kill_switch=kill, instrument=chosen)


WINDOWS = [("1m", "BTCUSDT", "trade_through"), ("1m", "ETHUSDT", "queue"), ("5m", "BTCUSDT", "touch"), ("5m", "ETHUSDT", "trade_through"),
           ("15m", "BTCUSDT", "queue"), ("15m", "ETHUSDT", "touch")]  # fmt: skip
ALL = [(interval, symbol, model, guarded) for interval, symbol, _ in WINDOWS for model in ("touch", "trade_through", "queue")
       for guarded in (True, False)]  # fmt: skip
#: Every file once in CI; each with every model, with and without breakers, by HEDGEGRIDD_PARITY=all.
CHOSEN = ALL if os.environ.get("HEDGEGRIDD_PARITY") == "all" else [(*row, at % 3 != 2) for at, row in enumerate(WINDOWS)]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="HEDGEGRIDD_SHARED: no recorded data there")
@pytest.mark.parametrize(("interval", "symbol", "model", "guarded"), CHOSEN)
def test_a_recording_comes_out_the_same(interval: str, symbol: str, model: str, guarded: bool, code: compiled.Code) -> None:
    config, told = example(symbol, model, guarded), (Told(), Told())
    feed = recorded(SHARED / interval / f"{symbol}.parquet", config)
    full = FullRun(config, REGISTRY, feed, told[0]).run(lambda _: None)
    fast = FastRun(config, REGISTRY, feed, told[1], code).run(lambda _: None)
    assert difference((told[0], full), (told[1], fast)) == ""
    assert full.bars > 50_000 and full.fills > 50
