"""What the market says, taken in."""

from __future__ import annotations

from rig import BARS, MINUTE, Rig, calm, config_of, hold, settle, steady

from hedgegridd.model import Bar, FeedEnd, Funding, Gap, Mark, Quote, Role, Trade, Warmup


def test_counts_how_many_events_share_a_time() -> None:
    rig = calm()
    now = rig.engine.now
    rig.market(Mark("BTCUSDT", now + 5, 500_000.0))
    assert rig.engine.cursor == (now + 5, 1)
    rig.market(Mark("BTCUSDT", now + 5, 500_001.0))
    assert rig.engine.cursor == (now + 5, 2)


def test_without_marks_the_last_price_is_the_mark() -> None:
    rig = calm()
    rig.market(Trade("BTCUSDT", rig.engine.now + 1, 500_050, 1, True))
    assert rig.desk().mark == 500_050.0
    marked = Rig(config_of(), BARS | {"marks"}).start()
    marked.market(Mark("BTCUSDT", marked.engine.now + 1, 499_000.0))
    marked.bars([500_000])
    assert marked.desk().mark == 499_000.0


def test_an_unchanged_market_costs_the_exchange_nothing() -> None:
    rig = calm()
    before = len(rig.sent), len(rig.of("cancel")), len(rig.of("amend"))
    for price in (500_000, 500_010, 500_000, 499_990) * 5:
        rig.bars([price])
        rig.timer(20)
    assert (len(rig.sent), len(rig.of("cancel")), len(rig.of("amend"))) == before


def test_a_funding_tells_rate_and_next_time_and_its_money_comes_apart() -> None:
    rig = hold(calm(), "long")
    before = rig.engine.account.wallet
    settle(rig, 0.001)
    desk = rig.desk()
    assert desk.funding_rate == 0.001 and desk.next_funding == rig.engine.now + 28_800_000
    paid = rig.of("funding")[-1]["amount"]
    assert paid > 0 and abs(rig.engine.account.wallet - (before - paid)) < 1e-9 and desk.funding_cost[0] == paid


def test_high_funding_is_told_of_the_leg_that_pays() -> None:
    rig = hold(calm(), "long")
    settle(rig, -0.01)
    assert "high_funding" not in [alert.rule for alert in rig.alerts], "the long receives"
    settle(rig, 0.01)
    assert rig.alerts[-1].rule == "high_funding"


def test_a_gap_withdraws_openers_until_it_is_warm_again_and_keeps_closers() -> None:
    rig = hold(calm(), "long")
    now = rig.engine.now
    rig.market(Gap("BTCUSDT", now + 2 * 3600_000, now))
    assert not rig.resting(Role.ENTRY) and rig.resting(Role.STOP) and rig.resting(Role.TAKE_PROFIT)
    assert not rig.desk().ready and rig.desk().books.long_qty
    rig.bars([497_500])
    assert not rig.resting(Role.ENTRY)
    steady(rig, 498_000)
    assert rig.desk().ready and rig.resting(Role.ENTRY)


def test_history_is_learnt_from_and_not_traded_on() -> None:
    rig = Rig().start()
    bars = tuple(Bar("BTCUSDT", MINUTE * i, 500_000, 500_020, 499_980, 500_000, 10, MINUTE) for i in range(1, 60))
    rig.take(Warmup("BTCUSDT", bars[-1].time, bars))
    assert rig.desk().ready and not rig.sent
    rig.bars([500_000])
    assert rig.sent


def test_nothing_opens_before_it_is_warm() -> None:
    rig = Rig().start()
    need = rig.desk().strategy.warmup_bars(rig.desk().params)
    rig.bars([500_000] * (need - 1))
    assert not rig.sent and not rig.desk().ready
    rig.bars([500_000])
    assert rig.sent and rig.desk().ready


def test_a_quote_is_what_openers_must_not_cross() -> None:
    rig = calm()
    price = max(order.price for order in rig.resting(Role.ENTRY) if order.leg == 0)
    rig.verb("pause")
    rig.market(Quote("BTCUSDT", rig.engine.now + 1, price - 1, 10, price, 10))
    rig.verb("resume")
    assert price not in [order.price for order in rig.resting(Role.ENTRY)]
    assert any("would take" in row[4] for row in rig.desk().withheld)


def test_the_end_of_the_feed_is_written() -> None:
    rig = calm()
    rig.take(FeedEnd(rig.engine.now))
    assert rig.of("feed_end") == [{}]


def test_a_day_s_baseline_is_the_equity_before_midnight() -> None:
    rig = hold(calm(), "long")
    rig.bars([496_000])
    before = rig.engine.account.equity
    rig.market(Funding("BTCUSDT", rig.engine.now // 86_400_000 * 86_400_000 + 86_400_000, 0.01, 28_800_000))
    assert rig.engine.account.day.start == before > rig.engine.account.equity
    assert rig.of("day")[-1]["start_equity_usdt"] == before


def test_an_opener_that_would_have_taken_rests_once_the_quotes_have_left_its_price() -> None:
    """A fill is often heard before the quotes that follow it; the rung must not wait for the next bar."""
    rig = calm()
    near = min(order.price for order in rig.resting(Role.ENTRY) if order.leg)
    rig.take(Quote("BTCUSDT", rig.engine.now, near + 10, 1, near + 11, 1))
    rig.verb("pause", symbol="", leg="both")
    rig.verb("resume", symbol="", leg="both")
    assert near not in {order.price for order in rig.resting(Role.ENTRY)}
    assert any(row[2] == near and row[4].startswith("would take") for row in rig.desk().withheld)
    rig.take(Quote("BTCUSDT", rig.engine.now + 10, near - 2, 1, near - 1, 1))
    assert near in {order.price for order in rig.resting(Role.ENTRY)}
