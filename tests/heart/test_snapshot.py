"""The picture breakers see: plain units, and what is not known is None."""

from __future__ import annotations

import math

from rig import Rig, calm, hold, instrument_table

from hedgegridd.heart.snapshot import picture, plain
from hedgegridd.kernel import ledger
from hedgegridd.model import Leg, Level, Mark, Role


def test_nothing_seen_is_nothing_known() -> None:
    rig = Rig().start()
    assert picture(rig.engine).instruments == (), "a symbol without data, position or order can be no risk"
    view = rig.desk().view(rig.engine.now, 60_000)
    assert (view.mark_price, view.last_price, view.bid, view.funding_rate, view.data_age_ms) == (None,) * 5


def test_units_are_coins_and_usdt() -> None:
    rig = hold(calm(), "long", "short")
    snapshot = picture(rig.engine)
    view, books = snapshot.instruments[0], rig.desk().books
    assert math.isclose(view.mark_price, 49_749.0)
    assert math.isclose(view.long.qty, books.long_qty * 0.001) and math.isclose(view.long.entry_price, books.long_entry * 0.1)
    assert math.isclose(view.long.notional_usdt, view.long.qty * view.mark_price)
    assert math.isclose(view.short.unrealized_usdt, view.short.qty * (view.short.entry_price - view.mark_price))
    assert view.long.protected and view.long.stop_price < view.long.entry_price
    openers = [order for order in rig.resting(Role.ENTRY) if order.leg == Leg.LONG]
    assert math.isclose(view.long.openers_usdt, sum(order.qty * order.price * 1e-4 for order in openers))
    assert math.isclose(snapshot.equity, snapshot.wallet + snapshot.unrealized)
    assert math.isclose(snapshot.wallet, 10_000.0 + snapshot.realized - snapshot.fees - snapshot.funding + snapshot.transfers)


def test_margins_are_two_measures() -> None:
    """E3: maintenance margin / margin balance, and initial margin / margin balance with openers counted."""
    rig = hold(calm(), "long", "short")
    view, equity = picture(rig.engine).instruments[0], rig.engine.account.equity
    held = view.long.notional_usdt + view.short.notional_usdt
    snapshot = picture(rig.engine)
    assert math.isclose(snapshot.maint_margin_ratio, held * 0.004 / equity)
    assert math.isclose(snapshot.initial_margin_use, (held + view.long.openers_usdt + view.short.openers_usdt) / 10 / equity)


def test_the_maintenance_margin_of_each_leg_is_that_of_its_bracket() -> None:
    table = instrument_table("BTCUSDT")
    brackets = [{"notional_floor_usdt": 0, "maint_margin_pct": 0.4}, {"notional_floor_usdt": 60, "maint_margin_pct": 20.4}]
    rig = hold(calm(instrument=[{**table, "brackets": brackets}]), "long", "short")
    view, equity = picture(rig.engine).instruments[0], rig.engine.account.equity
    legs = view.long.notional_usdt, view.short.notional_usdt
    assert min(legs) > 60
    assert math.isclose(picture(rig.engine).maint_margin_ratio, sum(0.204 * leg - 12 for leg in legs) / equity)
    pit = rig.exchange.pits["BTCUSDT"]
    assert math.isclose(rig.exchange.wallet + pit.excess(), equity - sum(0.204 * leg - 12 for leg in legs) + ledger.net(pit.books))


def test_without_equity_there_is_no_ratio() -> None:
    rig = calm()
    rig.engine.account.charge(20_000.0)
    snapshot = picture(rig.engine)
    assert (snapshot.maint_margin_ratio, snapshot.initial_margin_use) == (None, None)


def test_age_is_counted_beyond_the_feed_s_cadence() -> None:
    rig = calm()
    rig.timer(50)
    assert picture(rig.engine).instruments[0].data_age_ms == 0
    rig.timer(15)
    assert picture(rig.engine).instruments[0].data_age_ms == 5_000


def test_plain_is_json_all_the_way_down() -> None:
    assert plain(Mark("A", 1, 2.0)) == {"symbol": "A", "time": 1, "price": 2.0, "index": None, "funding_rate": None, "next_funding": None}
    assert plain([Level.HALT, (1, Leg.SHORT)]) == [2, [1, 1]]
