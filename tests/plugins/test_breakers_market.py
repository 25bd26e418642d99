"""The breakers of market and book, each on a market that must trip it and on one that must not; the first by the whole heart."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from rig import MINUTE, START, Rig, config_of

from hedgegridd.errors import Unknown
from hedgegridd.heart.breakers import judge
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.window import LONG, Window
from hedgegridd.model import Bar, Level, Mark, Quote, Role
from hedgegridd.plugins import equip, load_shipped
from hedgegridd.views import InstrumentView, LegView, Snapshot, WindowView

BREAKERS = load_shipped(Path(__file__).resolve().parents[2] / "plugins").breakers
LEG = LegView(0.0, 0.0, 0.0, 0.0, 0.0, None, True)
VIEW = InstrumentView("BTCUSDT", 100.0, 100.0, 100.0, 99.9, 100.1, None, None, None, 0.0001, 0, 28_800_000, 0, LEG, LEG)
LIVE = frozenset({"bars", "volume", "funding", "marks", "quotes", "index"})


def breaker(name: str, **values: Any) -> Any:
    one, problems = equip(BREAKERS[name].thing, values, name)
    assert not problems
    return one


def seen(*views: InstrumentView) -> Snapshot:
    return Snapshot(1, 1e4, 1e4, 0.0, 0.0, 0.0, 0.0, 0.0, 1e4, 1e4, 1e4, 1e4, 0.0, 0.0, 0, views)


def market(window: Window) -> Snapshot:
    return seen(VIEW._replace(window=window.view()))


def lively(seed: int = 1, bars: int = LONG + 1, quotes: bool = False) -> Window:
    """A market as it usually is: a minute moves it some bps, its volume varies threefold."""
    rng, window, price = random.Random(seed), Window(1e-4, quotes), 1_000_000
    for i in range(bars):
        price = round(price * (1 + rng.gauss(0, 0.0004)))
        window.bar(bar(i, price, volume=rng.randint(500, 1500)))
    return window


def bar(number: int, close: int, low: int = 0, high: int = 0, volume: int = 1000) -> Bar:
    return Bar("BTCUSDT", START + (number + 1) * MINUTE, close, high or close, low or close, close, volume, MINUTE)


def quoted(window: Window, steps: int, spread: int = 1, size: int = 5000, begin: int = 0) -> Window:
    """Quotes every half second, for so many steps of five."""
    for i in range(steps * 10):
        window.quote(Quote("BTCUSDT", START + begin * 5_000 + i * 500, 1_000_000, size, 1_000_000 + spread, size))
    return window


# --- pace -----------------------------------------------------------------------------------------------------------------


def test_volatility_trips_on_ten_wild_bars_and_not_on_usual_ones() -> None:
    one, window = breaker("volatility"), lively()
    assert one.measure(market(window)).trip() is None
    price = window.close
    for i in range(10):
        window.bar(bar(LONG + 1 + i, round(price * (1 + 0.003 * (-1) ** i))))
    measure = one.measure(market(window))
    assert measure.trip() is not None and measure.unit == "x" and "BTCUSDT" in measure.reason


def test_no_ratio_of_a_single_bar_exceeds_what_the_docstring_says() -> None:
    window = Window(1e-4, quotes=False)
    for i in range(LONG):
        window.bar(bar(i, 1_000_000))
    window.bar(bar(LONG, 900_000))
    assert breaker("volatility").measure(market(window)).value == pytest.approx((LONG / 10) ** 0.5)


def test_velocity_counts_the_wick_of_the_last_minutes_and_forgets_older_ones() -> None:
    one, window = breaker("price_velocity"), lively()
    price = window.close
    assert one.measure(market(window)).trip() is None
    window.bar(bar(LONG + 1, price, low=round(price * 0.94)))
    assert one.measure(market(window)).trip() is not None
    for i in range(5):
        window.bar(bar(LONG + 2 + i, price))
    assert one.measure(market(window)).trip() is None


def test_velocity_sees_marks_between_two_bars() -> None:
    one, window = breaker("price_velocity"), lively()
    window.price(START + (LONG + 1) * MINUTE + 2_000, window.close * 0.95)
    assert one.measure(market(window)).trip() is not None


def test_volume_trips_on_a_spike_and_on_none_at_all() -> None:
    one, window = breaker("volume"), lively()
    assert one.measure(market(window)).trip() is None
    window.bar(bar(LONG + 1, window.close, volume=60_000))
    assert one.measure(market(window)).unit == "x" and one.measure(market(window)).trip() is not None
    window.bar(bar(LONG + 2, window.close, volume=0))
    assert one.measure(market(window)).unit == "% missing" and one.measure(market(window)).trip() is not None
    one.settings.max_volume_missing_pct = None
    assert one.measure(market(window)).trip() is None


def test_what_is_not_known_is_unknown_and_what_is_not_complete_is_not_measured() -> None:
    empty = WindowView(None, None, None, None, None, None, None, None)
    for name in ("volatility", "price_velocity", "volume", "spread_widening", "depth_thinning"):
        with pytest.raises(Unknown):
            breaker(name).measure(seen(VIEW._replace(window=empty)))
        assert breaker(name).measure(seen(VIEW)) is None
        assert judge(breaker(name), seen(VIEW)).measure is None


# --- book -----------------------------------------------------------------------------------------------------------------


def test_spread_trips_when_it_is_wide_for_a_whole_step_and_not_for_a_moment() -> None:
    one, window = breaker("spread_widening"), quoted(lively(quotes=True), 40, spread=100)
    assert one.measure(market(window)).trip() is None
    window.quote(Quote("BTCUSDT", START + 200_000, 1_000_000, 5000, 1_000_900, 5000))
    quoted(window, 2, spread=100, begin=41)
    assert one.measure(market(window)).trip() is None, "one quote of ten"
    quoted(window, 3, spread=320, begin=43)
    assert one.measure(market(window)).trip() is not None


def test_three_ticks_are_no_danger_where_one_is_usual() -> None:
    window = quoted(quoted(lively(quotes=True), 40, spread=1), 3, spread=3, begin=40)
    assert breaker("spread_widening").measure(market(window)).trip() is None
    assert breaker("spread_widening", floor_bps=0.001).measure(market(window)).trip() is not None


def test_depth_trips_when_the_size_at_the_best_prices_is_gone() -> None:
    one, window = breaker("depth_thinning"), quoted(lively(quotes=True), 40)
    assert one.measure(market(window)).trip() is None
    quoted(window, 3, size=400, begin=40)
    measure = one.measure(market(window))
    assert measure.trip() is not None and measure.value == pytest.approx(92.0)


@pytest.mark.parametrize(("mark", "trips"), [(99.01, False), (98.9, True), (101.1, True)])
def test_mark_against_index(mark: float, trips: bool) -> None:
    measure = breaker("mark_index").measure(seen(VIEW._replace(mark_price=mark)))
    assert (measure.trip() is not None) is trips and measure.unit == "bps"


def test_without_an_index_the_distance_is_unknown_but_before_the_first_mark_nothing_is_at_stake() -> None:
    one, held = breaker("mark_index"), LEG._replace(qty=1.0)
    with pytest.raises(Unknown):
        one.measure(seen(VIEW._replace(index_price=None)))
    assert one.measure(seen(VIEW._replace(mark_price=None))) is None
    with pytest.raises(Unknown):
        one.measure(seen(VIEW._replace(mark_price=None, long=held)))


# --- by the whole heart ---------------------------------------------------------------------------------------------------


def rig(**options: Any) -> Rig:
    made = Rig(config_of(breaker={"price_velocity": {"enabled": True}}), **options)
    made.start()
    return made


def test_a_crash_of_a_minute_pauses_openers_and_nothing_else() -> None:
    it = rig()
    it.bars([1_000_000] * (LONG + 2))
    assert it.desk().ready and it.engine.panel.guards["price_velocity"].state == "armed"
    it.bars([940_000])
    assert it.engine.panel.guards["price_velocity"].state == "tripped"
    assert "price_velocity" in it.engine.gate.hold() and not it.engine.kill.active


def test_nothing_opens_before_the_figures_are_complete() -> None:
    it = rig()
    it.bars([1_000_000] * LONG)
    assert not it.desk().ready and not it.engine.counts["orders"]
    assert "have not seen enough" in it.desk().withheld[0][4]
    it.bars([1_000_000])
    assert it.desk().ready and it.engine.counts["orders"]


def test_figures_are_kept_only_where_a_breaker_in_force_needs_them() -> None:
    assert Rig().desk().window is None
    assert rig().desk().window is not None


def test_a_checkpoint_takes_the_figures_along() -> None:
    it, other = rig(), rig()
    it.bars([1_000_000 + 137 * (i * i % 31) for i in range(LONG + 9)])
    other.engine.load(it.engine.dump())
    assert other.engine.desks["BTCUSDT"].window.dump() == it.desk().window.dump()
    assert other.engine.dump() == it.engine.dump()


def test_one_that_is_armed_by_hand_has_its_figures_kept_from_then_on() -> None:
    it = Rig(config_of())
    it.start()
    it.bars([1_000_000] * 40)
    assert it.desk().ready
    it.verb("breakers.arm", name="volatility", reason="a wild week")
    assert it.desk().window is not None and not it.desk().ready and not it.resting(Role.ENTRY)
    it.bars([1_000_000] * (LONG + 1))
    assert it.desk().ready and it.engine.panel.guards["volatility"].state == "armed"


def test_a_hole_in_the_data_is_no_move() -> None:
    window = lively()
    usual = window.view()
    window.gap()
    window.bar(bar(LONG + 500, window_price := round(1_000_000 * 1.2)))
    now = window.view()
    assert usual is not None and now is not None
    assert now.volatility_long == usual.volatility_long and now.move_pct == 0.0 and window.close == window_price


def test_the_defaults_pause_and_those_that_lively_markets_trip_are_off() -> None:
    engine: Engine = Rig(config_of(), carries=LIVE).engine
    names = ("volatility", "price_velocity", "volume", "spread_widening", "depth_thinning")
    assert all(engine.panel.guards[name].state == "disarmed" for name in names)
    assert all(engine.panel.guards[name].on_trip == Level.PAUSE for name in (*names, "mark_index"))
    assert engine.panel.guards["mark_index"].state == "armed"


def test_mark_and_index_apart_pause_the_whole_heart() -> None:
    it = Rig(config_of(), carries=LIVE, cadence_ms=1000)
    it.start()
    it.market(Mark("BTCUSDT", START + 1000, 1_000_000.0, 1_000_000.0))
    assert it.engine.panel.guards["mark_index"].state == "armed"
    it.market(Mark("BTCUSDT", START + 2000, 1_000_000.0, 1_020_000.0))
    assert it.engine.panel.guards["mark_index"].state == "tripped"
