"""The stage paper: what would be opened rests and fills on paper, and nothing of it reaches the exchange."""

from __future__ import annotations

import json

from rig import Rig, calm

from hedgegridd.heart.rehearsal import Rehearsal
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
    return {(leg, price): qty for leg, price, qty, _ in rig.engine.rehearsal.sheets["BTCUSDT"].rungs.values()}


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
