"""What is looked at before trading: sizes and fees, the account's settings, the far stop; and what puts a stop to it all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exchange_simulator import Simulator
from plugins.binance.harness import BTC, STOP, TERMS, L, run, running, settings

from hedgegridd.errors import ExchangeError
from hedgegridd.hookspecs import Fact, Terms
from hedgegridd.model import Bracket, Trouble
from plugins._binance import probe, survey, watch
from plugins._binance.wire import urls_of
from plugins.exchange_binance import BinanceExchange

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ROUND_S", 0.02)
    monkeypatch.setattr(probe, "COUNTDOWN_MS", 50)


def look(setup: Callable[[Simulator], object] = lambda sim: None, **changes: Any) -> dict[str, Fact]:
    """The facts of a preflight, in order."""
    found: list[Fact] = []

    async def test() -> None:
        async with Simulator(symbols={BTC: 50_000.0}) as sim:
            exchange = BinanceExchange()
            exchange.trading = True
            try:
                known = settings(sim, **changes)
                instruments = await exchange.instruments(TERMS, settings(sim))
                setup(sim)
                if changes:  # another key than the one that read the sizes
                    exchange.stop()
                    await exchange.closed()
                    exchange = BinanceExchange()
                found.extend(await exchange.preflight(instruments, TERMS, known))
                assert not [one for one in sim.venue.open_algos(BTC) if one.client_id.startswith(probe.PREFIX)]
                assert not sim.venue.pits[BTC].countdown
            finally:
                exchange.stop()
                await exchange.closed()

    run(test)
    return {fact.name: fact for fact in found}


def test_a_good_account() -> None:
    facts = look()
    assert list(facts) == ["clock", "key", "position mode", "multi-asset mode", f"symbol {BTC}", f"leverage {BTC}", f"margin type {BTC}",
                           f"far stop {BTC}", "countdown", "balance", "foreign orders", "positions"]  # fmt: skip
    assert all(fact.ok for fact in facts.values()) and float(facts["balance"].found) == 10_000
    assert facts["countdown"].found == "spares stops"


def test_what_may_be_put_right_is() -> None:
    def wrong(sim: Simulator) -> None:
        sim.set_position_mode(False)
        sim.set_leverage(BTC, 5)
        sim.venue.pits[BTC].margin_type = "isolated"

    facts = look(wrong)
    assert all(fact.ok for fact in facts.values())
    assert (facts["position mode"].found, facts[f"leverage {BTC}"].found, facts[f"margin type {BTC}"].found) == ("hedge", "20", "cross")


def test_a_countdown_that_takes_stops_is_told() -> None:
    assert look(lambda sim: setattr(sim, "countdown_takes_algos", True))["countdown"].found == "takes stops"


@pytest.mark.parametrize(("fault", "options", "fact"), [
    ("error", {"path": "GET /fapi/v2/account", "code": -2015, "status": 401}, "key"),
    ("error", {"path": "POST /fapi/v1/algoOrder", "code": -4120, "times": -1}, f"far stop {BTC}"),
    ("empty", {"path": "GET /fapi/v1/premiumIndex"}, f"far stop {BTC}"),
])  # fmt: skip
def test_what_cannot_be_had_is_not_ok(fault: str, options: dict[str, Any], fact: str) -> None:
    found = look(lambda sim: sim.faults.add(fault, **options))
    assert not found[fact].ok and found[fact].found


@pytest.mark.parametrize(("fault", "options"), [
    ("html", {"path": "GET /fapi/v1/positionSide/dual"}),
    ("error", {"path": "GET /fapi/v1/multiAssetsMargin", "code": -1000, "status": 500}),
    ("reset_executed", {"path": "POST /fapi/v1/algoOrder"}),
    ("banned", {"path": "GET /fapi/v3/balance"}),
])  # fmt: skip
def test_what_passes_is_no_fact_of_the_account(fault: str, options: dict[str, Any]) -> None:
    """It is raised, so that the whole is asked again: no start is refused for good by one lost answer."""
    with pytest.raises(ExchangeError) as caught:
        look(lambda sim: sim.faults.add(fault, **options))
    assert not caught.value.permanent


def test_a_wrong_key_ends_it() -> None:
    facts = look(api_secret="y" * 64)
    assert list(facts) == ["clock", "key"] and not facts["key"].ok and "api_secret" in facts["key"].advice
    assert not any("y" * 64 in repr(fact) for fact in facts.values())


def test_others_are_told() -> None:
    def others(sim: Simulator) -> None:
        sim.foreign_order(BTC, "LONG", "BUY", 0.01, 40_000.0)
        sim.manual(BTC, "SHORT", 0.004)

    facts = look(others)
    assert facts["foreign orders"].found == f"1 on {BTC}" and facts["positions"].found == f"{BTC} SHORT 0.004"
    assert facts["countdown"].found == "not tried: orders rest"


def test_a_far_stop_beside_a_leg_that_has_its_stop() -> None:
    def held(sim: Simulator) -> None:
        sim.manual(BTC, "LONG", 0.004)
        sim.foreign_algo(BTC, "LONG", 40_000.0)

    assert look(held)[f"far stop {BTC}"].ok


def test_sizes_fees_and_brackets() -> None:
    async def test() -> None:
        async with running() as it:
            one = it.instruments[BTC]
            assert (one.tick_size, one.lot_size, one.min_qty, one.market_max_qty, one.min_notional) == (0.1, 0.001, 1, 120_000, 100.0)
            assert (one.maker_bps, one.taker_bps, one.leverage) == (2.0, 5.0, 20.0)
            assert one.brackets[0] == Bracket(0.0, one.maint_margin_pct, 0.0) and len(one.brackets) > 3
        async with running(trading=False) as it:
            assert it.instruments[BTC].brackets == () and it.instruments[BTC].maint_margin_pct == 0.4

    run(test)


def test_a_symbol_that_does_not_trade_is_told_and_may_be_held() -> None:
    facts = look(lambda sim: sim.set_status(BTC, "SETTLING"))
    assert not facts[f"symbol {BTC}"].ok and facts[f"symbol {BTC}"].found == "SETTLING"


def test_a_symbol_nobody_knows() -> None:
    async def test() -> None:
        async with Simulator(symbols={BTC: 50_000.0}) as sim:
            exchange = BinanceExchange()
            with pytest.raises(ExchangeError, match="not known") as caught:
                await exchange.instruments({"NOSUCHUSDT": TERMS[BTC]}, settings(sim))
            assert caught.value.permanent
            exchange.stop()
            await exchange.closed()

    run(test)


def test_rules_that_change_halt() -> None:
    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            looked = watch.Watch(line.wire, it.log.append, it.instruments)
            await looked.look()
            assert not it.log.of(Trouble)
            it.sim.set_status(BTC, "SETTLING")
            await looked.look()
            assert [(event.kind, event.symbol) for event in it.log.of(Trouble)] == [("halt", BTC)]
            other = it.instruments[BTC]._replace(tick_size=0.01)
            row = {
                "status": "TRADING",
                "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}],
            }
            assert "restart" in watch.changed(row, other) and not watch.changed(row, it.instruments[BTC])
            assert "unknown" in watch.changed(None, other)

    run(test)


def test_the_countdown_is_armed_for_each_symbol() -> None:
    async def test() -> None:
        async with running() as it:
            it.exchange.countdown([BTC], 120_000)
            await it.log.until(lambda: it.sim.venue.pits[BTC].countdown)
            it.exchange.countdown([BTC], 0)
            await it.log.until(lambda: not it.sim.venue.pits[BTC].countdown)

    run(test)


def test_a_stop_that_rests_already_is_no_obstacle_to_a_restart() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            stop = it.order(L, STOP, 450_000, 4)
            it.exchange.place([stop])
            await it.log.until(lambda: it.log.told(stop))
            facts = await it.exchange.preflight(it.instruments, TERMS, settings(it.sim))
            assert all(fact.ok for fact in facts)
            assert [order.client_id for order in (await it.report()).orders] == [stop.client_id]

    run(test)


# --- pure -------------------------------------------------------------------------------------------------------------


def test_fees_are_exact() -> None:
    assert survey.bps("0.0002") == 2.0 and survey.bps("-0.00005") == -0.5 and survey.bps("0.00036") == 3.6


def test_sizes_come_from_the_filters_and_not_from_the_precision() -> None:
    row = {
        "pricePrecision": 4,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.05"},
            {"filterType": "LOT_SIZE", "stepSize": "1", "minQty": "1", "maxQty": "9"},
        ],
    }
    assert survey.sizes_of(row) == (Decimal("0.05"), Decimal(1))
    made = survey.instrument_of(row, Terms(3.0, "cross", 1.0, 2.0, 0.5), (1.0, 2.0), ())
    assert (made.max_qty, made.market_max_qty, made.min_notional, made.maint_margin_pct) == (9, 9, 0.0, 0.5)


@pytest.mark.parametrize(("given", "rest", "ws"), [
    ({}, "https://fapi.binance.com", "wss://fstream.binance.com"),
    ({"testnet": True}, "https://testnet.binancefuture.com", "wss://fstream.binancefuture.com"),
    ({"rest_url": "http://127.0.0.1:1/", "ws_url": "ws://127.0.0.1:2/"}, "http://127.0.0.1:1", "ws://127.0.0.1:2"),
    ({"rest_url": "http://h:1/fapi", "ws_url": "ws://h:2/ws"}, "http://h:1", "ws://h:2"),
    ({"rest_url": "http://h:1/fapi/v1", "ws_url": "ws://h:2/stream/"}, "http://h:1", "ws://h:2"),
])  # fmt: skip
def test_where_it_points(given: dict[str, Any], rest: str, ws: str) -> None:
    from types import SimpleNamespace

    urls = urls_of(SimpleNamespace(**{"testnet": False, "rest_url": "", "ws_url": "", "ws_api_url": "", **given}))
    assert (urls.rest, urls.ws) == (rest, ws)
    assert "binance.com" not in urls.ws_api or not given.get("rest_url")


def test_no_address_of_the_library_is_left_as_it_was() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            line: Any = it.exchange._line
            client = line.wire.client
            uris = [client._create_futures_api_uri("x"), client._create_futures_data_api_uri("x"), client._create_api_uri("x"),
                    client.FSTREAM_URL, client.ws_future._url, client.ws_api._url]  # fmt: skip
            assert all(f"127.0.0.1:{it.sim.port}" in uri for uri in uris), uris

    run(test)


def test_the_plugin_file_loads_nothing_heavy() -> None:
    code = (
        "import sys; from hedgegridd.plugins import load_shipped; found = load_shipped();"
        "assert 'binance' in found.exchanges, found.refused;"
        "assert not {'binance', 'aiohttp', 'websockets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_private_key_that_is_none() -> None:
    async def test() -> None:
        async with Simulator(symbols={BTC: 50_000.0}) as sim:
            with pytest.raises(ExchangeError) as raised:
                await BinanceExchange().instruments(
                    TERMS, settings(sim, api_secret="-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----")
                )
            assert "SECRET" not in str(raised.value)

    run(test)


def test_probes_of_several_symbols_keep_apart() -> None:
    """Made in the same millisecond, they must not take each other's stop for their own."""
    scales = [SimpleNamespace(symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT", "1000000MOGUSDT", "BTCUSDT_250328")]
    names = {probe.Probe(None, by, {}).name for by in scales}  # type: ignore[arg-type]
    assert len(names) == len(scales) and all(len(name) <= 36 for name in names)


def test_the_far_stop_does_not_need_the_mark_price() -> None:
    async def test() -> None:
        async with Simulator(symbols={BTC: 50_000.0}) as sim:
            sim.faults.add("html", "GET /fapi/v1/premiumIndex", times=-1, status=404)
            exchange = BinanceExchange()
            exchange.trading = True
            instruments = await exchange.instruments(TERMS, settings(sim))
            facts = {fact.name: fact for fact in await exchange.preflight(instruments, TERMS, settings(sim))}
            exchange.stop()
            await exchange.closed()
            assert facts[f"far stop {BTC}"].ok and not sim.venue.open_algos()

    run(test)
