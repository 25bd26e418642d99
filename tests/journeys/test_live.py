"""Real money's road, on the wire: a daemon in mode live against the simulator, with python-binance's sockets and the real process."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from journeys.daemon_process import SYMBOL, settings
from journeys.live_process import PRICE, LiveProcess, live, live_settings

TRADING = ("POST /fapi/v1/order", "POST /fapi/v1/batchOrders", "POST /fapi/v1/algoOrder", "DELETE", "PUT /fapi/v1/order")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[LiveProcess]:
    with live(tmp_path / "d") as made:
        yield made


def trading(daemon: LiveProcess) -> list[dict[str, Any]]:
    return [row for row in daemon.requests() if f"{row['method']} {row['path']}".startswith(TRADING)]


# --- a day ----------------------------------------------------------------------------------------------------------------


def test_it_trades_and_is_protected_and_stops(daemon: LiveProcess) -> None:
    daemon.both_held()
    found = daemon.status()
    assert found["mode"] == "live" and found["exchange"]["name"] == "binance" and found["exchange"]["connected"]
    row = daemon.row(found)
    assert row["long"]["protected"] and row["short"]["protected"]
    assert row["long"]["stop_price"] < row["long"]["entry_price"] and row["short"]["stop_price"] > row["short"]["entry_price"]
    assert daemon.ctl("activate", "--reason", "rumour").returncode == 0
    daemon.flat()
    held, own, _, _ = daemon.truth()
    assert (held, own) == ({}, set())
    assert daemon.stop() == 0
    daemon.sound()


def test_killed_with_both_legs_held_it_takes_them_up_again(daemon: LiveProcess) -> None:
    before = daemon.both_held().row(daemon.status())
    daemon.kill()
    daemon.reach("long")  # something fills while nobody listens
    begun = time.monotonic()
    daemon.start()
    daemon.until_sound()
    assert time.monotonic() - begun < 45
    after = daemon.row(daemon.status())
    assert after["long"]["qty"] > before["long"]["qty"] and after["long"]["protected"]
    daemon.until(lambda status: not status["degraded"])


def test_a_killed_daemon_goes_on_with_its_flatten(daemon: LiveProcess) -> None:
    daemon.both_held()
    daemon.sim.fault("unavailable", "POST /fapi/v1/order", times=-1)  # no close gets through
    assert daemon.call("activate", reason="the end")["durable"]
    daemon.kill()
    daemon.sim.do(lambda sim: sim.faults.clear())
    daemon.start()
    daemon.flat()
    assert daemon.truth()[:2] == ({}, set())


def test_a_bounded_flatten_sends_immediate_or_cancel_orders_and_a_certificate(tmp_path: Path) -> None:
    slow = {"use_market_orders": False, "method": "ioc"}
    with live(tmp_path / "d", lambda sim: live_settings(sim, flatten=slow)) as daemon:
        row = daemon.row(daemon.both_held().status())
        entry = {leg: row[leg]["qty"] for leg in ("long", "short")}
        daemon.call("activate", reason="bounded")
        daemon.flat()
        closes = [row for row in daemon.requests() if row["path"] == "/fapi/v1/order" and row["method"] == "POST"]
        sent = [row["params"] for row in closes if row["params"]["newClientOrderId"].split("-")[2].endswith("C")]
        kinds = {(row["type"], row.get("timeInForce")) for row in sent}
        assert kinds == {("LIMIT", "IOC")}, f"{sent} {daemon.log[-3000:]}"
        assert daemon.truth()[:2] == ({}, set())
        assert daemon.stop() == 0
        (flat,) = daemon.acts("flat")
        told = flat["certificate"]
        assert {row["leg"]: row["qty"] for row in told["legs"]} == entry
        assert all(abs(row["slippage_bps"]) < 100 and row["fees_usdt"] > 0 for row in told["legs"])
        assert told["proof"]["reads"] >= 1
        daemon.sound()


def test_sigterm_leaves_stops_and_closers_and_takes_the_countdown_off(daemon: LiveProcess) -> None:
    daemon.both_held()
    daemon.until(lambda _: daemon.sim.show("account")["countdowns"])
    assert daemon.stop() == 0
    held, own, _, stops = daemon.truth()
    assert len(held) == 2 and stops == dict.fromkeys(held, 1)
    assert not any("E-" in name for name in own), "openers are gone"
    assert not daemon.sim.show("account")["countdowns"]


def test_break_glass_closes_with_the_daemon_dead(daemon: LiveProcess) -> None:
    daemon.both_held().kill()
    done = daemon.hedgegridd("flatten", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--yes", **daemon.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert daemon.truth()[:2] == ({}, set())


def test_break_glass_closes_where_the_secret_of_an_alert_is_not_there(tmp_path: Path) -> None:
    def telling(sim: Any) -> dict[str, Any]:
        return live_settings(sim, alert={"telegram": {"token": "${SIM_TOKEN}", "chat_id": "1", "min_severity": "CRITICAL"}})

    with live(tmp_path, telling) as daemon:  # a credential of the service is none of the shell of somebody in a hurry
        daemon.env["SIM_TOKEN"] = "1:a"
        daemon.both_held().kill()
        del daemon.env["SIM_TOKEN"]
        done = daemon.hedgegridd("flatten", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--yes")
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert not daemon.truth()[0] and daemon.engaged()["active"]


def test_break_glass_hears_no_prices_and_closes_at_market(tmp_path: Path) -> None:
    slow = {"use_market_orders": False, "method": "twap", "over_seconds": 20.0}
    with live(tmp_path / "d", lambda sim: live_settings(sim, flatten=slow)) as daemon:
        daemon.both_held().kill()
        done = daemon.hedgegridd("flatten", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--yes", **daemon.env)
        assert done.returncode == 0, done.stdout + done.stderr
        closes = [row for row in daemon.requests() if row["path"] == "/fapi/v1/order" and row["method"] == "POST"]
        sent = [row["params"] for row in closes if row["params"]["newClientOrderId"].split("-")[2].endswith("C")]
        assert {row["type"] for row in sent} == {"MARKET"}, "a bound about the price of when the daemon died says nothing"
        assert daemon.truth()[:2] == ({}, set())


def test_break_glass_closes_without_the_state_directory(daemon: LiveProcess) -> None:
    daemon.both_held().kill()
    shutil.rmtree(daemon.state)
    done = daemon.hedgegridd("flatten", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--yes", **daemon.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert daemon.truth()[:2] == ({}, set())


def test_sigterm_while_the_account_is_looked_over_takes_the_far_stop_back(daemon: LiveProcess) -> None:
    daemon.start(ready=False)
    end = time.monotonic() + 60
    while not daemon.sim.show("algos"):
        assert time.monotonic() < end, daemon.log
        time.sleep(0.02)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(60) == 0 and not daemon.sim.show("algos")


# --- what goes wrong ------------------------------------------------------------------------------------------------------

Hurt = Callable[[LiveProcess], None]


def fault(kind: str, path: str, **options: Any) -> Hurt:
    return lambda daemon: daemon.sim.fault(kind, path, **options)


def event(what: str, kind: str, **options: Any) -> Hurt:
    return lambda daemon: daemon.sim.do(lambda sim: sim.faults.event(what, kind, **options))


ANY_ORDER = "POST /fapi/v1/*rder*"
WRONGS: dict[str, Hurt] = {
    "answers lost, executed": fault("reset_executed", ANY_ORDER, times=3),
    "requests lost": fault("reset_not_executed", ANY_ORDER, times=3),
    "done after the line was torn": fault("reset_executed_late", ANY_ORDER, times=2, ms=300),
    "503 unknown, executed": fault("unknown_executed", ANY_ORDER, times=3),
    "503 unknown, not executed": fault("unknown_not_executed", ANY_ORDER, times=3),
    "503 unavailable": fault("unavailable", ANY_ORDER, times=3),
    "503 internal error": fault("internal", ANY_ORDER, times=2),
    "-1007, executed": fault("timeout_executed", ANY_ORDER, times=3),
    "-1007, not executed": fault("timeout_not_executed", ANY_ORDER, times=3),
    "-1008": fault("overloaded", ANY_ORDER, times=3),
    "429": fault("too_many", ANY_ORDER, times=1, seconds=1),
    "-1015": fault("too_many_orders", ANY_ORDER, times=1, seconds=1),
    "418": fault("banned", "*", times=1, seconds=2),
    "403": fault("forbidden", ANY_ORDER, times=3),
    "-1021": fault("clock", "*", times=2),
    "-5028": fault("expired_at_engine", ANY_ORDER, times=2),
    "HTML": fault("html_executed", ANY_ORDER, times=2),
    "empty answers": fault("empty_executed", ANY_ORDER, times=2),
    "slow answers": fault("delay", "*", times=30, after_ms=300),
    "cancels lost": fault("reset_not_executed", "DELETE *", times=2),
    "cancels done, not told": fault("reset_executed", "DELETE *", times=2),
    "reports fail": fault("html", "GET /fapi/v3/positionRisk", times=4),
    "fills lost": event("drop", "ORDER_TRADE_UPDATE", times=4),
    "fills twice": event("duplicate", "*", times=8),
    "fills late": event("late", "ORDER_TRADE_UPDATE", times=4, ms=900),
    "events out of order": event("reorder", "*", times=10),
    "stop events lost": event("drop", "ALGO_UPDATE", times=4),
    "listen key expired": lambda daemon: daemon.sim.expire_listen_key(),
    "listen key gone in silence": lambda daemon: daemon.sim.expire_listen_key(False),
    "user stream torn": lambda daemon: daemon.sim.cut("private"),
    "every socket torn": lambda daemon: daemon.sim.cut("*"),
    "frozen": lambda daemon: daemon.sim.freeze(2.0),
    "gone for a while": lambda daemon: daemon.sim.down(1.5),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_whatever_goes_wrong_the_books_agree_again(daemon: LiveProcess, wrong: str) -> None:
    """The fault strikes while rungs fill on both legs; then the market rests, and nothing may differ."""
    daemon.grid()
    WRONGS[wrong](daemon)
    for leg in ("short", "long", "long", "short", "long"):
        daemon.reach(leg)
        time.sleep(0.15)
    time.sleep(0.5)
    daemon.until_sound()
    assert not daemon.status()["kill_switch"]["active"], daemon.log[-2000:]
    assert "halted" not in str(daemon.status()["degraded"]), daemon.status()["degraded"]
    daemon.call("activate", reason="enough")
    daemon.flat()
    assert daemon.truth()[:2] == ({}, set())
    daemon.kill()
    daemon.sound()


def test_a_firewall_that_opens_again_keeps_no_flatten_waiting(daemon: LiveProcess) -> None:
    daemon.both_held()
    fault("forbidden", "*", times=-1)(daemon)
    daemon.call("activate", reason="behind a wall")
    time.sleep(2.0)
    assert daemon.truth()[0], "nothing could be closed"
    daemon.sim.do(lambda sim: sim.faults.clear())
    opened = time.monotonic()
    daemon.flat()
    assert time.monotonic() - opened < 30, "a wide sanity bound; the wall keeps openers back for a minute"
    assert daemon.truth()[:2] == ({}, set())


def test_silent_sockets_are_noticed_and_made_anew(daemon: LiveProcess) -> None:
    daemon.grid().sim.silence()
    daemon.reach("short")
    daemon.until(lambda status: daemon.row(status)["short"]["qty"] > 0, 30.0)  # by report, at the latest
    daemon.sim.speak()
    daemon.until_sound()


# --- behind our back ------------------------------------------------------------------------------------------------------


def test_a_stop_that_another_hand_cancels_is_put_back_within_a_second(daemon: LiveProcess) -> None:
    daemon.both_held()
    stop = next(row for row in daemon.sim.show("algos") if row["positionSide"] == "LONG")
    begun = time.monotonic()
    daemon.sim.foreign_cancel(SYMBOL, stop["clientAlgoId"])
    while not daemon.truth()[3].get(f"{SYMBOL} long"):
        assert time.monotonic() - begun < 6, "a wide sanity bound for a busy machine"
        time.sleep(0.02)
    daemon.until_sound()


def test_a_leg_closed_by_hand_is_seen_and_halts_the_symbol(daemon: LiveProcess) -> None:
    daemon.both_held().sim.manual(SYMBOL, "LONG", -0.001)
    daemon.until(lambda status: "halted" in str(status["degraded"]))
    daemon.until(lambda status: not any(row["role"] == "entry" for row in daemon.call("orders")["orders"]))
    assert daemon.status()["kill_switch"]["active"] is False


def test_foreign_orders_stay_until_they_stand_in_the_way(daemon: LiveProcess) -> None:
    daemon.both_held()
    far = daemon.sim.foreign_order(SYMBOL, "LONG", "BUY", 0.004, PRICE * 0.9)
    daemon.call("activate", reason="flat, please")
    daemon.flat()
    assert [row["clientOrderId"] for row in daemon.sim.show("orders")] == [far.client_id]


def test_liquidation_is_recognised(daemon: LiveProcess) -> None:
    daemon.both_held().sim.liquidate(SYMBOL)
    daemon.until(lambda status: "liquidation" in str(status["degraded"]))
    assert any(fill["client_id"].startswith("autoclose") for fill in daemon.call("fills")["fills"])


def test_money_moved_is_no_gain_and_funding_is_income(daemon: LiveProcess) -> None:
    daemon.both_held()
    before = daemon.status()
    daemon.sim.deposit(1_000.0)
    daemon.sim.funding(SYMBOL, 0.001)
    after = daemon.until(lambda status: status["account"]["wallet_usdt"] > before["account"]["wallet_usdt"] + 900)
    daemon.until_sound()
    after = daemon.status()
    assert abs(after["session"]["daily_pnl_usdt"] - before["session"]["daily_pnl_usdt"]) < 50
    paid = -sum(float(row["income"]) for row in daemon.sim.show("income") if row["incomeType"] == "FUNDING_FEE")
    assert after["account"]["funding_paid_usdt"] == pytest.approx(paid, abs=1e-9)


# --- may it start? --------------------------------------------------------------------------------------------------------


def test_live_takes_two_acts(daemon: LiveProcess) -> None:
    run = ("run", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--socket", str(daemon.socket))
    for words in ((), ("--confirm-live", "another")):
        done = daemon.hedgegridd(*run, *words, **daemon.env)
        assert done.returncode == 78 and "second act" in done.stderr
    daemon.configure({**live_settings(daemon.sim), "allow_live_trading": False})
    assert daemon.hedgegridd(*run, "--confirm-live", "test", **daemon.env).returncode == 78
    assert not daemon.requests(), "not one request before both are given"


def test_a_second_daemon_on_the_account_is_refused(daemon: LiveProcess, tmp_path: Path) -> None:
    daemon.grid()
    other = LiveProcess(tmp_path / "other", daemon.sim)
    other.start(ready=False)
    assert other.ended() == 75
    assert "this account" in other.log
    assert daemon.until_sound().runs


@pytest.mark.parametrize(
    ("hurt", "word"),
    [
        (lambda sim: setattr(sim, "api_secret", "another"), "key"),
        (lambda sim: sim.manual(SYMBOL, "LONG", 0.01) and sim.set_position_mode(False), "position mode"),
        (lambda sim: sim.faults.add("error", "POST /fapi/v1/algoOrder", times=-1, code=-4120), "far stop"),
        (lambda sim: sim.withdraw(9_500.0), ""),
    ],
)
def test_an_account_that_is_not_fit_is_refused_with_the_fact(daemon: LiveProcess, hurt: Any, word: str) -> None:
    daemon.sim.do(hurt)
    daemon.start(ready=False)
    assert daemon.ended() == 78, daemon.log
    assert f"preflight: {word}" in daemon.log if word else "equity" in daemon.log, daemon.log


def test_a_position_that_no_journal_explains_halts_at_the_start(daemon: LiveProcess) -> None:
    daemon.sim.manual(SYMBOL, "LONG", 0.01)
    daemon.start()
    found = daemon.until(lambda status: status["kill_switch"]["active"])
    assert found["kill_switch"]["level"] == "halt" and "journal is new" in found["kill_switch"]["reason"]
    daemon.until(lambda status: daemon.row(status)["long"]["protected"])


# --- modes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["monitor", "paper", "dry_run"])
def test_without_live_nothing_signed_leaves(tmp_path: Path, mode: str) -> None:
    """No key, the exchange's own market data, and not one request that needs a signature."""
    with live(tmp_path / "d", lambda sim: _keyless(sim, mode)) as daemon:
        daemon.env = {}
        daemon.sim.start_walk(SYMBOL, 20.0)
        super(LiveProcess, daemon).start(speed="1")
        daemon.until(lambda status: status["exchange"]["connected"] and daemon.row(status)["mark_price"])
        if mode != "monitor":
            daemon.until(lambda status: daemon.row(status)["open_orders"] >= 10)
        time.sleep(1.0)
        assert not trading(daemon)
        assert not [row for row in daemon.requests() if "signature" in str(row) or "timestamp" in str(row["params"])]
        assert not daemon.requests("POST /fapi/v1/listenKey")


def _keyless(sim: Any, mode: str) -> dict[str, Any]:
    table = live_settings(sim)
    binance = {key: value for key, value in table["exchange"]["binance"].items() if key.endswith("url")}
    return {**table, "mode": mode, "allow_live_trading": False, "exchange": {"name": "binance", "binance": binance}}


def test_paper_on_live_data_takes_the_exchanges_own_sizes(tmp_path: Path) -> None:
    """`feed.kind = "live"` beside the paper exchange, with no filters written down."""

    def config(sim: Any) -> dict[str, Any]:
        table = settings(None)
        del table["instrument"][0]["filters"], table["instrument"][0]["reference_price"]
        urls = {"rest_url": sim.rest_url, "ws_url": sim.ws_url}
        return {**table, "feed": {"kind": "live"}, "exchange": {"name": "paper", "binance": urls}}

    with live(tmp_path / "d", config) as daemon:
        daemon.env = {}
        super(LiveProcess, daemon).start(speed="1")
        daemon.until(lambda status: daemon.row(status)["open_orders"] >= 10 and daemon.row(status)["mark_price"])
        daemon.sim.price(SYMBOL, daemon.row(daemon.status())["mark_price"] * 1.006)
        daemon.until(lambda status: daemon.row(status)["short"]["qty"] > 0)
        assert not trading(daemon)


def test_the_countdown_is_beaten_again_after_a_restart_and_off_where_it_takes_stops(daemon: LiveProcess, tmp_path: Path) -> None:
    """Tried once over a far stop; a later life, in whose way orders rest, believes the first."""
    daemon.both_held()
    daemon.until(lambda _: daemon.sim.show("account")["countdowns"])
    daemon.kill()
    daemon.sim.do(lambda sim: setattr(sim.venue.pits[SYMBOL], "countdown", 0))
    daemon.start()
    daemon.until(lambda _: daemon.sim.show("account")["countdowns"])
    daemon.kill()
    with live(tmp_path / "other", countdown_takes_algos=True) as other:
        other.grid()
        assert other.ctl("reload").returncode == 0
        time.sleep(1.5)
        assert not other.sim.show("account")["countdowns"] and "countdown stays off" in other.log


def test_break_glass_needs_no_journal(daemon: LiveProcess) -> None:
    """A position of this account, a new state directory, and nobody who ever ran here."""
    daemon.sim.manual(SYMBOL, "SHORT", 0.01)
    done = daemon.hedgegridd("flatten", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--yes", **daemon.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert daemon.truth()[:2] == ({}, set())


def test_a_preflight_leaves_a_trading_daemon_alone(daemon: LiveProcess) -> None:
    daemon.grid()
    done = daemon.hedgegridd("preflight", "--config", str(daemon.config_path), **daemon.env)
    assert done.returncode == 75 and "this account" in done.stderr
    assert daemon.stop() == 0
    done = daemon.hedgegridd("preflight", "--config", str(daemon.config_path), "--json", **daemon.env)
    assert done.returncode == 0 and '"far stop BTCUSDT"' in done.stdout
    assert daemon.truth()[1] == set()


@pytest.mark.parametrize("hurt", ["down", "a passing fault"])
def test_an_exchange_that_does_not_answer_at_the_start_is_waited_for(daemon: LiveProcess, hurt: str) -> None:
    """Neither refused for good nor given up: a fault that passes is no fact of the account."""
    if hurt == "down":
        daemon.sim.down(3.0)
    else:
        for path in ("GET /fapi/v1/multiAssetsMargin", "GET /fapi/v3/balance", "POST /fapi/v1/algoOrder", "GET /fapi/v1/openOrders"):
            daemon.sim.fault("unavailable", path, times=2)
    daemon.grid()
    assert "asked again" in daemon.log
    assert not [row for row in daemon.sim.show("algos") if row["clientAlgoId"].startswith("hgprobe")]
