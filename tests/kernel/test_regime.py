"""The regime detector against slow, plain recomputations, and its promises: the band, the warm-up, the clamp, the day ago."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import regime
from hedgegridd.kernel.regime import DOWN, SIDEWAYS, UP, RegimeParams

PARAMS = RegimeParams(21, 50, 14, 14, 10.0, 25.0)


def walk(count, seed, start=500_000, sd=300.0):
    rng, price, bars = random.Random(seed), start, []
    for _ in range(count):
        close = max(price + round(rng.gauss(0, sd)), 1000)
        spread = round(abs(rng.gauss(0, sd)))
        bars.append((max(price, close) + spread, min(price, close) - spread, close))
        price = close
    return bars


def learn(params, bars, state=None):
    state = state or regime.new_regime()
    for high, low, close in bars:
        state = regime.update(params, state, high, low, close)
    return state


def reference_ema(closes, length):
    alpha, value = 2 / (length + 1), closes[0]
    for close in closes[1:]:
        value = alpha * close + (1 - alpha) * value
    return value


def reference_wilder(values, length):
    value = sum(values[:length]) / length
    out = [value]
    for x in values[length:]:
        value = (value * (length - 1) + x) / length
        out.append(value)
    return out


def reference_adx_atr(bars, adx_len, atr_len):
    ranges, plus, minus = [], [], []
    for (h0, l0, c0), (h, low, _) in itertools.pairwise(bars):
        ranges.append(max(h - low, abs(h - c0), abs(low - c0)))
        plus.append(h - h0 if h - h0 > l0 - low and h > h0 else 0)
        minus.append(l0 - low if l0 - low > h - h0 and l0 > low else 0)
    dx = []
    for t, p, m in zip(*(reference_wilder(x, adx_len) for x in (ranges, plus, minus)), strict=True):
        up, down = 100 * p / t, 100 * m / t
        dx.append(100 * abs(up - down) / (up + down) if up + down else 0.0)
    return reference_wilder(dx, adx_len)[-1], reference_wilder(ranges, atr_len)[-1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("params", [PARAMS, RegimeParams(5, 20, 7, 30, 10.0, 25.0)])
def test_indicators_equal_the_reference(params, seed):
    bars = walk(300, seed)
    state = learn(params, bars)
    adx, atr = reference_adx_atr(bars, params.adx_len, params.atr_len)
    closes = [bar[2] for bar in bars]
    assert state.fast == pytest.approx(reference_ema(closes, params.ema_fast), rel=1e-12)
    assert state.slow == pytest.approx(reference_ema(closes, params.ema_slow), rel=1e-12)
    assert state.atr == pytest.approx(atr, rel=1e-9)
    assert state.adx == pytest.approx(adx, rel=1e-9)
    assert state.bars == 300


@given(st.sampled_from([UP, SIDEWAYS, DOWN]), st.floats(-10, 10), st.floats(0, 100))
def test_nothing_changes_inside_the_band(before, gap, adx):
    assert regime.turn(PARAMS, before, gap, adx) == before


@given(st.sampled_from([UP, SIDEWAYS, DOWN]), st.floats(10.01, 500), st.booleans())
def test_outside_the_band_adx_decides(before, gap, up):
    trend, gap = (UP, gap) if up else (DOWN, -gap)
    assert regime.turn(PARAMS, before, gap, 25.0) == trend
    assert regime.turn(PARAMS, before, gap, 19.9) == SIDEWAYS
    assert regime.turn(PARAMS, before, gap, 22.0) == (trend if before == trend else SIDEWAYS)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_regime_changes_only_where_the_averages_are_apart(seed):
    state = regime.new_regime()
    for bar in walk(300, seed):
        after = regime.update(PARAMS, state, *bar)
        if after.regime != state.regime:
            assert abs(after.fast - after.slow) / after.slow * 1e4 > PARAMS.hysteresis_bps
        assert 0.0 <= regime.confidence(PARAMS, after) <= 1.0
        state = after


@pytest.mark.parametrize(("slope", "trend"), [(400, UP), (-400, DOWN), (0, SIDEWAYS)])
def test_a_plain_trend_is_seen(slope, trend):
    bars = [(500_000 + slope * i + 50, 500_000 + slope * i - 50, 500_000 + slope * i) for i in range(200)]
    state = learn(PARAMS, bars)
    assert state.regime == trend
    assert (regime.confidence(PARAMS, state) > 0.8) == (trend != SIDEWAYS)


def test_strength_is_clamped_at_both_ends():
    assert regime.strength(PARAMS, 0.0, 0.0, 0.0) == 0.0
    assert regime.strength(PARAMS, 1e9, 100.0, 100.0) == 1.0
    assert regime.strength(PARAMS._replace(hysteresis_bps=0.0, adx_threshold=0.0), -5.0, 5.0, 5.0) <= 1.0


@given(st.integers(1, 30), st.integers(31, 200), st.integers(2, 60), st.integers(1, 60))
def test_warmup_leaves_less_than_one_percent_of_a_seed(fast, slow, adx_len, atr_len):
    bars = regime.warmup_bars(RegimeParams(fast, slow, adx_len, atr_len, 10.0, 25.0))
    assert (1 - 2 / (slow + 1)) ** (bars - 1) < 0.01
    assert (1 - 1 / atr_len) ** (bars - 1 - atr_len) < 0.01
    once = twice = 1.0  # a seed of 1 in both smoothings of the ADX, nothing after it
    for _ in range(bars - 2 * adx_len):
        once *= 1 - 1 / adx_len
        twice += (once - twice) / adx_len
    assert twice < 0.01


def test_warmup_of_the_defaults_is_not_a_bar_longer_than_needed():
    assert regime.warmup_bars(PARAMS) == 118
    assert regime.warmup_bars(PARAMS._replace(ema_slow=400)) == 1 + math.ceil(math.log(0.01) / math.log(399 / 401))


@pytest.mark.parametrize("seed", range(5))
def test_two_pasts_agree_once_warm(seed):
    bars = walk(regime.warmup_bars(PARAMS), seed)
    a, b = learn(PARAMS, [(503_000, 500_000, 502_000), *bars]), learn(PARAMS, [(500_000, 497_000, 497_500), *bars])
    assert abs(a.slow - b.slow) < 0.01 * 4500
    assert abs(a.atr - b.atr) < 0.01 * 3000
    assert abs(a.adx - b.adx) < 1.0


MINUTE = 60_000


def test_the_price_of_exactly_a_day_ago():
    day = regime.new_day()
    for i in range(1440 * 3):
        regime.remember(day, 1_700_000_000_000 + i * MINUTE, 1000 + i)
        assert day[regime.AGO] == (1000 + i - 1440 if i >= 1440 else 0)


def test_a_minute_without_a_bar_keeps_the_last_price():
    day, t = regime.new_day(), 1_700_000_040_000
    regime.remember(day, t, 7)
    regime.remember(day, t + 30 * MINUTE, 8)
    regime.remember(day, t + 1455 * MINUTE, 9)
    assert day[regime.AGO] == 7
    regime.remember(day, t + (1440 + 30) * MINUTE, 9)
    assert day[regime.AGO] == 8
    regime.remember(day, t + 10_000 * MINUTE, 10)
    assert day[regime.AGO] == 9
    regime.forget(day)
    assert not any(day)
