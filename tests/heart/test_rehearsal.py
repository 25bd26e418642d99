"""The stage paper: what would be opened rests and fills on paper, and nothing of it reaches the exchange."""

from __future__ import annotations

import json

from rig import Rig, calm

from hedgegridd.heart.desk import pack, rows
from hedgegridd.heart.rehearsal import Rehearsal, Sheet
from hedgegridd.model import Mark, Quote, Role, Trade


def rehearsing() -> Rig:
    rig = calm(recovery={"enabled": True, "recovery_time_minutes": 0.0, "reduced_size_factor": 0.5})
    rig.verb("activate", reason="drill")
    rig.verb("deactivate", reason="over")
    reply = rig.verb("advance", reason="looks fine", journal="sound")
    assert reply and reply.result and reply.result["stage"] == "paper"
    rig.bars([500_000])
    return rig


def rungs(rig: Rig) -> dict[tuple[int, int], int]:
    return {(leg, price): qty for leg, role, price, qty, _ in sheet(rig).rungs.values() if role == Role.ENTRY}


def sheet(rig: Rig) -> Sheet:
    return rig.engine.rehearsal.sheets["BTCUSDT"]


def closers(rig: Rig) -> dict[int, tuple[int, int]]:
    """The take-profit and the stop of the long leg, as role -> (price, lots)."""
    return {role: (price, qty) for leg, role, price, qty, _ in sheet(rig).rungs.values() if leg == 0 and role != Role.ENTRY}


def bought(rig: Rig) -> int:
    """Let the nearest rung of the long leg fill on paper; its price."""
    nearest = max(price for leg, price in rungs(rig) if leg == 0)
    rig.bars([nearest - 30], reach=0)
    assert [fill["role"] for fill in rig.of("paper_fill")] == [Role.ENTRY]
    return nearest


def test_what_would_open_rests_on_paper_at_the_next_stages_size() -> None:
    rig = rehearsing()
    sent = len(rig.sent)
    on_paper = rungs(rig)
    assert on_paper and not rig.resting(Role.ENTRY) and len(rig.sent) == sent
    assert rig.engine.rehearsal.summary()["resting"] == len(on_paper)
    rig.verb("advance", reason="looks fine", journal="sound")
    rested = {(order.leg, order.price): order.qty for order in rig.resting(Role.ENTRY)}
    assert rested == on_paper, "the stage `reduced` places what was rehearsed"


def test_it_fills_where_the_market_trades_through_once_a_rung_and_reaches_nothing() -> None:
    rig = rehearsing()
    sent, nearest = len(rig.sent), max(price for leg, price in rungs(rig) if leg == 0)
    rig.bars([nearest + 5], reach=0)
    assert not rig.of("paper_fill"), "touched is not traded through"
    rig.bars([nearest - 30, nearest + 200, nearest - 30], reach=0)
    fills = rig.of("paper_fill")
    assert [(fill["symbol"], fill["leg"], fill["price"]) for fill in fills] == [("BTCUSDT", 0, nearest)]
    found = rig.engine.rehearsal.summary()
    assert found["fills"] == 1 and found["pnl_usdt"] < 0
    assert len(rig.sent) == sent and rig.desk().held(0) == 0 and not rig.of("fill")


def test_quotes_and_trades_fill_it_too() -> None:
    rig = rehearsing()
    rig.market(Quote("BTCUSDT", rig.engine.now + 1, 499_990, 10, 500_010, 10))
    nearest = max(price for leg, price in rungs(rig) if leg == 0)
    rig.market(Trade("BTCUSDT", rig.engine.now + 1, nearest - 1, 1_000, True))
    assert [fill["price"] for fill in rig.of("paper_fill")] == [nearest]
    above = min(price for leg, price in rungs(rig) if leg == 1)
    rig.market(Quote("BTCUSDT", rig.engine.now + 1, above + 1, 10, above + 20, 10))
    rig.market(Mark("BTCUSDT", rig.engine.now + 1, float(above)))
    assert {fill["leg"] for fill in rig.of("paper_fill")} == {0, 1}


def test_a_kill_or_a_pause_withdraws_it_from_the_paper_too() -> None:
    rig = rehearsing()
    rig.verb("pause", leg="long")
    assert {leg for leg, _ in rungs(rig)} == {1}
    rig.verb("activate", reason="x", level="halt")
    assert not rungs(rig)


def test_a_restart_goes_on_with_the_same_sheets() -> None:
    rig = rehearsing()
    nearest = max(price for leg, price in rungs(rig) if leg == 0)
    rig.bars([nearest - 30, nearest + 200], reach=0)
    assert rig.engine.rehearsal.summary()["fills"] == 1
    kept = json.loads(json.dumps(rig.engine.rehearsal.dump()))
    other = Rehearsal(rig.engine.desks.values())
    other.load(kept)
    assert other.dump() == kept and other.summary() == rig.engine.rehearsal.summary()
    again = rig.restarted()
    again.bars([nearest + 200, nearest - 30], reach=0)
    assert not again.of("paper_fill"), "the same rung does not fill twice"


def test_elsewhere_nothing_is_rehearsed() -> None:
    rig = calm()
    rig.bars([500_000, 495_000])
    assert not rig.engine.rehearsal.sheets and rig.engine.rehearsal.dump() == {}


def test_a_take_profit_closes_on_paper_what_was_opened_there_and_the_rung_rests_again() -> None:
    rig = rehearsing()
    nearest = bought(rig)
    price, qty = closers(rig)[Role.TAKE_PROFIT]
    assert price > nearest and qty == sheet(rig).books.long_qty and (0, nearest) not in rungs(rig)
    rig.bars([price + 10], reach=0)
    assert [(fill["role"], fill["price"]) for fill in rig.of("paper_fill")][1:] == [(Role.TAKE_PROFIT, price)]
    found = rig.engine.rehearsal.summary()
    assert (found["fills"], found["closed"]) == (2, 1) and found["realized_pnl_usdt"] == found["pnl_usdt"] > 0
    assert not sheet(rig).books.long_qty and not closers(rig) and (0, nearest) in rungs(rig)


def test_a_stop_loses_on_paper_what_it_would_have_lost() -> None:
    rig = rehearsing()
    bought(rig)
    price, _ = closers(rig)[Role.STOP]
    rig.bars([price - 10], reach=0)
    assert not sheet(rig).books.long_qty and rig.of("paper_fill")[-1]["role"] == Role.STOP
    found = rig.engine.rehearsal.summary()
    assert found["realized_pnl_usdt"] == found["pnl_usdt"] < 0 and found["closed"] >= 1


def test_a_stop_that_the_market_has_passed_closes_at_once() -> None:
    rig = rehearsing()
    bought(rig)
    (ticket,) = [ticket for ticket, rung in sheet(rig).rungs.items() if rung[1] == Role.STOP]
    sheet(rig)._drop(ticket)
    price = min(row[2] for row in wished(rig) if row[1] == Role.STOP and row[0] == 0)
    rig.engine.rehearsal.desks = {}  # the strategy hears of the fall only after it
    sheet(rig).take(Mark("BTCUSDT", rig.engine.now + 1, price - 50.0), rig.engine.rehearsal._tape(), 10_000.0)
    rig.engine.rehearsal.desks = rig.engine.desks
    rig.engine.rehearsal.wish(rig.engine, rig.desk())
    assert not sheet(rig).books.long_qty and sheet(rig).closed == 1


def wished(rig: Rig) -> list[tuple[int, ...]]:
    return rows(sheet(rig).wish)


def walk(rig: Rig) -> None:
    """Up and down through rungs, take-profits and stops."""
    price = 500_000
    for step in (-30, 25, 40, -60, -55, 80, 30, -20, 45, -90, 60):
        price += step * 100
        rig.bars([price])


def test_the_live_strategy_knows_nothing_of_the_paper() -> None:
    rig, other = rehearsing(), rehearsing()
    other.engine.rehearsal.sheets = {}
    for one in (rig, other):
        walk(one)
    assert len(rig.of("paper_fill")) > 4 and {fill["role"] for fill in rig.of("paper_fill")} > {Role.ENTRY}
    assert pack(rig.desk().state) == pack(other.desk().state) and rig.desk().wish == other.desk().wish
    assert [act for act in rig.acts if act.kind != "paper_fill"] == other.acts and rig.sent == other.sent


def test_a_checkpoint_in_the_middle_changes_no_fill_on_paper() -> None:
    rig = rehearsing()
    bought(rig)
    again = rig.restarted()
    for one in (rig, again):
        del one.acts[:]
        walk(one)
    assert rig.of("paper_fill") == again.of("paper_fill") != []
    assert rig.engine.rehearsal.summary() == again.engine.rehearsal.summary()


def test_of_a_strategy_in_a_host_the_openers_alone_are_rehearsed() -> None:
    rig = rehearsing()
    sheet(rig).state = None
    bought(rig)
    assert not closers(rig)
    rig.bars([500_000, 497_000], reach=0)
    assert len(rig.of("paper_fill")) == len({fill["price"] for fill in rig.of("paper_fill")}), "each rung once"


def test_a_sheet_of_another_version_begins_anew() -> None:
    rig = rehearsing()
    other = Rehearsal(rig.engine.desks.values())
    other.load({"BTCUSDT": [[0] * 7, [], [], 1, 1, False, [0] * 7, None], "GONEUSDT": {}})
    assert list(other.sheets) == ["BTCUSDT"] and other.summary()["fills"] == 0 and other.sheets["BTCUSDT"].thinks
