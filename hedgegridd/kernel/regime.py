"""Which way the market goes: two averages, Wilder's ADX and ATR, and the price of exactly a day ago.

Its one law: inside the hysteresis band nothing changes; a trend begins, turns or ends only while the averages are further
apart than the band. It sees complete bars only, one call per bar, and places nothing.

Prices are ticks. The averages are seeded with the first close; ATR and ADX with the mean of their first `len` values, as
J. W. Wilder did ("New Concepts in Technical Trading Systems", 1978), then smoothed by 1/len.
"""

from __future__ import annotations

from typing import NamedTuple

from hedgegridd.model import Array, Regime

UP, DOWN, SIDEWAYS = int(Regime.UP), int(Regime.DOWN), int(Regime.SIDEWAYS)
SEED_WEIGHT = 0.01  #: an indicator is warm when less than this much of its seed is left
ADX_LEAVE = 0.8  #: a trend that began at `adx_threshold` ends below this part of it
SCORES = 5.0  #: the most that the scores of `strength` can sum to
DAY_MINUTES = 1440
RING = DAY_MINUTES + 1  #: slots for the closes of the last 24 hours, one per minute; 0 = not known
MINUTE, AGO = RING, RING + 1  #: behind them: the newest minute since the epoch, and the close of exactly 24 h before it


class RegimeParams(NamedTuple):
    """Lengths in bars, the band in basis points of the slow average, the threshold in ADX points."""

    ema_fast: int
    ema_slow: int
    adx_len: int
    atr_len: int
    hysteresis_bps: float
    adx_threshold: float


class RegimeState(NamedTuple):
    """What is remembered from bar to bar. `bars` counts since the start or the last gap."""

    bars: int
    high: int
    low: int
    close: int
    fast: float
    slow: float
    atr: float
    plus: float  #: smoothed upward movement, ticks
    minus: float  #: smoothed downward movement, ticks
    adx: float
    regime: int


def new_regime() -> RegimeState:
    """Before the first bar."""
    return RegimeState(0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, SIDEWAYS)


def new_day() -> Array:
    """An empty ring of one day's closes."""
    return [0] * (RING + 2)


def smooth(value: float, x: float, count: int, length: int) -> float:
    """Wilder's smoothing: the mean of the first `length` values, after that 1/length of each new one. `count` includes x."""
    return value + (x - value) / min(count, length)


def follow(value: float, x: float, length: int) -> float:
    """One step of an exponential average."""
    return value + (x - value) * (2.0 / (length + 1))


def turn(params: RegimeParams, regime: int, gap_bps: float, adx: float) -> int:
    """The regime after this bar; `gap_bps` is how far the fast average lies above the slow one."""
    if -params.hysteresis_bps <= gap_bps <= params.hysteresis_bps:
        return regime
    trend = UP if gap_bps > 0.0 else DOWN
    if adx >= params.adx_threshold:
        return trend
    # The ADX has a band of its own: a trend is not given up for one point less, but it never survives its averages crossing.
    return regime if regime == trend and adx >= params.adx_threshold * ADX_LEAVE else SIDEWAYS


def strength(params: RegimeParams, gap_bps: float, adx: float, dx: float) -> float:
    """Confidence 0..1: the averages' gap in bands (up to 2), ADX in thresholds (up to 2), one-sidedness of movement (up to 1), over 5."""
    gap = min(abs(gap_bps) / max(params.hysteresis_bps, 1.0), 2.0)
    trend = min(adx / max(params.adx_threshold, 1.0), 2.0)
    return max(0.0, min((gap + trend + dx / 100.0) / SCORES, 1.0))


def one_sided(plus: float, minus: float) -> float:
    """Wilder's DX, 0..100. Both directional indicators are divided by the same average range, so it cancels out of their ratio."""
    return 100.0 * abs(plus - minus) / (plus + minus) if plus + minus > 0.0 else 0.0


def apart_bps(fast: float, slow: float) -> float:
    """How far the fast average lies above the slow one."""
    return (fast - slow) / slow * 10_000.0


def confidence(params: RegimeParams, state: RegimeState) -> float:
    """`strength` as it stands: for people, so no bar pays for it."""
    if state.bars < 2:
        return 0.0
    return strength(params, apart_bps(state.fast, state.slow), state.adx, one_sided(state.plus, state.minus))


def update(params: RegimeParams, state: RegimeState, high: int, low: int, close: int) -> RegimeState:
    """The state after one more complete bar."""
    if state.bars == 0:
        return RegimeState(1, high, low, close, float(close), float(close), 0.0, 0.0, 0.0, 0.0, SIDEWAYS)
    count = state.bars  # movements seen, this one included
    up, down = high - state.high, state.low - low
    atr = smooth(state.atr, float(max(high, state.close) - min(low, state.close)), count, params.atr_len)
    plus = smooth(state.plus, float(up) if up > down and up > 0 else 0.0, count, params.adx_len)
    minus = smooth(state.minus, float(down) if down > up and down > 0 else 0.0, count, params.adx_len)
    adx = state.adx
    if count >= params.adx_len:
        adx = smooth(state.adx, one_sided(plus, minus), count - params.adx_len + 1, params.adx_len)
    fast, slow = follow(state.fast, close, params.ema_fast), follow(state.slow, close, params.ema_slow)
    regime = turn(params, state.regime, apart_bps(fast, slow), adx)
    return RegimeState(count + 1, high, low, close, fast, slow, atr, plus, minus, adx, regime)


def settle(keep: float, twice: bool) -> int:
    """Bars until less than SEED_WEIGHT of a seed is left when each bar keeps `keep` of it, smoothed once or twice over."""
    bars = 0
    while keep**bars * (1.0 + bars * (1.0 - keep) * twice) >= SEED_WEIGHT:
        bars += 1
    return bars


def warmup_bars(params: RegimeParams) -> int:
    """Bars, from the very first, until less than 1 % of the seed's weight is left in the slowest indicator."""
    ema = 1 + settle(1.0 - 2.0 / (params.ema_slow + 1), False)
    atr = 1 + params.atr_len + settle(1.0 - 1.0 / params.atr_len, False)
    adx = 2 * params.adx_len + settle(1.0 - 1.0 / params.adx_len, True)
    return max(ema, atr, adx)


def remember(day: Array, time: int, close: int) -> None:
    """Note the close of a bar and find the close of exactly 24 hours before. A minute without a bar keeps the last price."""
    minute, last = time // 60_000, day[MINUTE]
    if minute < last:
        return
    if last > 0:
        for skipped in range(max(last + 1, minute - RING + 1), minute):
            day[skipped % RING] = day[last % RING]
    day[minute % RING] = close
    day[MINUTE] = minute
    day[AGO] = day[(minute - DAY_MINUTES) % RING]


def forget(day: Array) -> None:
    """After a gap nothing is known of yesterday."""
    for slot in range(RING + 2):
        day[slot] = 0
