"""What gate and breakers compare with their limits: one expression for each figure, wherever it is asked for.

Its one law: a figure is computed here and nowhere else, so the live gate, the shipped breakers and the compiled backtest come to
the same bits. It judges nothing and knows no limit. Money USDT, times ms; a missing input is nan and comes out as nan.
"""

from __future__ import annotations

HOUR_MS = 3_600_000
EIGHT_HOURS = 8
BPS = 10_000


def drawdown(peak: float, equity: float) -> float:
    """How far equity lies below its peak, as a fraction of it. The peak must be positive."""
    return (peak - equity) / peak


def drawdown_pct(peak: float, equity: float) -> float:
    """The same in percent."""
    return drawdown(peak, equity) * 100


def loss_pct(start: float, loss: float) -> float:
    """A loss in percent of what was there at the start."""
    return loss / start * 100


def share_pct(value: float, equity: float) -> float:
    """A notional or a possible loss in percent of equity."""
    return value / equity * 100


def as_pct(fraction: float) -> float:
    """A fraction in percent."""
    return fraction * 100


def leg_usdt(held: float, openers: float, more: float) -> float:
    """What a leg would be worth with one more opener: held + resting and in flight + that one."""
    return held + openers + more


def stop_loss_usdt(notional: float, stop_pct: float) -> float:
    """What an order loses at a stop that lies `stop_pct` percent away."""
    return notional * stop_pct / 100


def stop_distance_usdt(price: int, stop: int, qty: int, unit: float) -> float:
    """What an order loses from its price to its leg's stop (ticks, lots)."""
    return abs(price - stop) * qty * unit


def initial_usdt(held: float, openers: float, leverage: float) -> float:
    """Initial margin that a leg and its openers bind."""
    return (held + openers) / leverage


def hourly_rate(rate: float, interval_ms: int) -> float:
    """A funding rate per hour, as a fraction."""
    return rate * HOUR_MS / interval_ms


def eight_hour_bps(hourly: float) -> float:
    """An hourly funding rate, its sign taken off, in basis points of 8 hours."""
    return hourly * EIGHT_HOURS * BPS


def age_seconds(age_ms: int) -> float:
    """Milliseconds as seconds."""
    return age_ms / 1000


def divergence(last: float, mark: float, widest_bps: float) -> float:
    """How far the last price lies from the mark: 0 = not at all, 1 = by `widest_bps` or more."""
    return min(abs(last - mark) / mark * BPS / widest_bps, 1.0)
