"""The worst case of a configuration against its own limits: both legs full, one of them stopped out. One law: every figure is told.

Each rule takes a `Case` and answers findings; comparisons are those of the gate and the breakers (a breaker trips at its line).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hedgegridd import filled
from hedgegridd.errors import Problem
from hedgegridd.kernel import ledger
from hedgegridd.model import Instrument, Leg

ERROR, WARNING = "error", "warning"


class Finding(NamedTuple):
    """One thing that is wrong or doubtful. `text` says all of it but the path."""

    severity: str
    path: str
    text: str
    value: Any = None
    expected: str = ""
    hint: str = ""

    def row(self) -> dict[str, Any]:
        """As JSON."""
        plain = self.value is None or isinstance(self.value, str | int | float | bool)
        return {**self._asdict(), "value": self.value if plain else str(self.value)}


def finding(severity: str, path: str, value: Any, expected: str, hint: str = "") -> Finding:
    """A finding in the words that every configuration problem has."""
    text = str(Problem("", value, expected, hint)).removeprefix(":").strip()
    return Finding(severity, path, text, value, expected, hint)


class Desk(NamedTuple):
    """One instrument, its strategy's filled settings and its full legs (empty where there is no price or a problem)."""

    where: str
    item: Any
    instrument: Instrument
    strategy: Any
    settings: Any
    price: float | None
    legs: list[filled.FullLeg]

    def usdt(self, ticks_times_lots: float) -> float:
        return ticks_times_lots * self.instrument.unit

    def maintenance(self, usdt: float) -> float:
        """Maintenance margin of a leg worth so much, USDT."""
        return ledger.leg_maint(usdt, ledger.tiers_of(self.instrument))

    def name(self, leg: int) -> str:
        return f"{self.item.symbol} {Leg(leg).name.lower()}"

    def loss(self, full: filled.FullLeg, emergency_pct: float) -> float:
        """USDT lost from the average entry to the stop, the taker's fee included."""
        sign = 1 if full.leg == Leg.LONG else -1
        stop = full.stop or full.entry * (1 - sign * emergency_pct / 100)
        return self.usdt(full.qty * ((full.entry - stop) * sign + stop * self.instrument.taker_bps / 10_000))


class Case(NamedTuple):
    """Everything a rule may look at. `breakers`: name -> filled settings of each enabled shipped one. `equity` None = not given."""

    config: Any
    registry: Any
    equity: float | None
    breakers: dict[str, Any]
    desks: list[Desk]

    def limit(self, path: str) -> float | None:
        """A limit by its path; None where its breaker is off or it is not set."""
        kind, _, rest = path.partition(".")
        if kind != "breaker":
            return float(getattr(getattr(self.config, kind), rest))
        name, key = rest.split(".")
        value = getattr(self.breakers.get(name), key, None)
        return None if value is None else float(value)

    def full(self) -> Iterator[tuple[Desk, filled.FullLeg]]:
        """Every full leg of every instrument."""
        return ((desk, leg) for desk in self.desks for leg in desk.legs)

    def worst_loss(self) -> float:
        """USDT; the most that one full leg loses."""
        return max((desk.loss(leg, self.config.protect.emergency_stop_pct) for desk, leg in self.full()), default=0.0)


def money(value: float) -> str:
    """USDT for people."""
    return f"{value:,.0f} USDT" if abs(value) >= 100 else f"{value:,.2f} USDT"


# --- rules --------------------------------------------------------------------------------------------------------------

SIZE, SIZE_PCT = "breaker.position_size.max_position_usdt", "limits.max_position_pct"


def leg_size(case: Case) -> Iterator[Finding]:
    """One leg, at its deepest rung, below the largest position (the breaker and the gate both stop at it)."""
    for path, equal_is_fine in ((SIZE, False), (SIZE_PCT, True)):
        limit = case.limit(path)
        for desk, leg in case.full() if limit is not None and case.equity else ():
            largest = desk.usdt(leg.largest)
            value = largest if path == SIZE else largest / case.equity * 100  # type: ignore[operator]
            if value > limit or (value == limit and not equal_is_fine):  # type: ignore[operator]
                holds = (desk.price or 0.0) * (limit or 0.0) / value
                hint = f"the limit holds up to a price of {holds:,.0f}; choose a smaller grid.base_qty, fewer levels or a higher limit"
                yield finding(ERROR, path, limit, _more_than(case, desk, leg, value, limit or 0.0, "USDT" if path == SIZE else "%"), hint)


def _more_than(case: Case, desk: Desk, leg: filled.FullLeg, value: float, limit: float, unit: str) -> str:
    """The sentence of a leg that is too large: at the deepest rung, at the reference price, and before rounding to lots."""
    price, coins = desk.price or 0.0, leg.qty * desk.instrument.lot_size
    exact = filled.unrounded(desk.strategy, desk.settings, desk.instrument, price, case.equity or 0.0).get(leg.leg, coins)
    figure = coins * price if unit == "USDT" else coins * price / (case.equity or 1.0) * 100
    whole = f"{exact / coins * figure:,.0f} {unit} before rounding down to lots"
    sign = ">=" if unit == "USDT" else ">"
    return (
        f"more than {desk.name(leg.leg)} with every rung full, {coins:g} coins: {value:,.0f} {unit} {sign} {limit:,.0f} {unit} "
        f"at its deepest rung {leg.deepest * desk.instrument.tick_size:,.0f}; {figure:,.0f} {unit} at {price:,.0f}, {whole}"
    )


def exposure(case: Case) -> Iterator[Finding]:
    """All legs together."""
    limit, total = case.config.limits.max_exposure_pct, sum(desk.usdt(leg.largest) for desk, leg in case.full())
    if case.equity and total / case.equity * 100 > limit:
        expected = f"at least {total / case.equity * 100:.1f} %: all legs full are {money(total)} of {money(case.equity)} equity"
        yield finding(ERROR, "limits.max_exposure_pct", limit, expected, "or the gate refuses the outer rungs")


def order_risk(case: Case) -> Iterator[Finding]:
    """No single order may lose more at its leg's stop than the gate lets it."""
    limit, emergency = case.config.limits.max_risk_per_trade_pct, case.config.protect.emergency_stop_pct / 100
    for desk, leg in case.full() if case.equity else ():
        risks = [desk.usdt(qty * max(abs(price - leg.stop) if leg.stop else 0.0, price * emergency)) for price, qty in leg.rungs]
        worst = max(risks) / case.equity * 100  # type: ignore[operator]
        if worst > limit:
            expected = f"at least {worst:.2f} %: one order of {desk.name(leg.leg)} may lose {money(max(risks))} at its leg's stop"
            yield finding(ERROR, "limits.max_risk_per_trade_pct", limit, expected, "or the gate refuses it")


def legs_open(case: Case) -> Iterator[Finding]:
    """A trade is a leg, not a rung (E6)."""
    limit, count = case.config.limits.max_open_trades, sum(1 for _ in case.full())
    if count > limit:
        yield finding(ERROR, "limits.max_open_trades", limit, f"at least {count}: so many legs can be open")


def margin(case: Case) -> Iterator[Finding]:
    """Both margins with everything full and the worst leg's loss gone from the balance."""
    balance = (case.equity or 0.0) - case.worst_loss()
    initial = sum(desk.usdt(leg.largest) / desk.instrument.leverage for desk, leg in case.full())
    maintenance = sum(desk.maintenance(desk.usdt(leg.largest)) for desk, leg in case.full())
    rows = (("max_initial_margin_use_pct", initial, "initial"), ("max_maint_margin_pct", maintenance, "maintenance"))
    for key, bound, name in rows if case.equity and balance > 0 else ():
        path = f"breaker.margin.{key}"
        limit, use = case.limit(path), bound / balance * 100
        if limit is not None and use >= limit:
            expected = f"more than {use:.1f} %: all legs full bind {money(bound)} {name} margin of a balance of {money(balance)}"
            yield finding(ERROR, path, limit, expected, "choose a smaller grid or more leverage" if name == "initial" else "")
    if case.equity and initial > balance:
        expected = f"enough for all legs full: they bind {money(initial)} initial margin of a balance of {money(balance)}"
        yield finding(ERROR, "instrument", None, expected, "choose a smaller grid or more leverage")


#: Loss limit -> is it percent of equity?
LOSSES = {
    "breaker.drawdown.max_drawdown_pct": True,
    "breaker.drawdown.max_daily_drawdown_pct": True,
    "breaker.session_loss.max_loss_amount_usdt": False,
    "breaker.daily_loss.max_daily_loss_pct": True,
    "breaker.daily_loss.daily_loss_limit_usdt": False,
}


def stopped_out(case: Case) -> Iterator[Finding]:
    """One full leg from its average entry to its stop must not trip what would close everything."""
    for path, percent in LOSSES.items():
        limit = case.limit(path)
        for desk, leg in case.full() if limit is not None and case.equity else ():
            loss = desk.loss(leg, case.config.protect.emergency_stop_pct)
            value = loss / case.equity * 100 if percent else loss  # type: ignore[operator]
            if value >= (limit or 0.0):
                figure = f"{value:.2f} %" if percent else money(value)
                tick = desk.instrument.tick_size
                way = f"from {leg.entry * tick:,.1f} to its stop {leg.stop * tick:,.1f}"
                expected = f"more than {figure}: {desk.name(leg.leg)} full loses {money(loss)} {way}, fee included"
                yield finding(ERROR, path, limit, expected, "the strategy's own stop would trip this breaker")


def loss_below_equity(case: Case) -> Iterator[Finding]:
    """A loss limit in USDT at or above equity protects nothing."""
    for name, settings in case.breakers.items():
        for key in getattr(type(settings), "__annotations__", {}) if case.equity else ():
            value = getattr(settings, key)
            if key.endswith("_usdt") and "loss" in key and isinstance(value, int | float) and value >= (case.equity or 0.0):
                yield finding(ERROR, f"breaker.{name}.{key}", value, f"less than the equity of {money(case.equity or 0.0)}")


def inside_liquidation(case: Case) -> Iterator[Finding]:
    """With isolated margin a leg is liquidated about 1/leverage from its entry: its stop must come first."""
    for desk, leg in case.full():
        if desk.item.margin_type != "isolated" or not leg.stop:
            continue
        distance = abs(leg.entry - leg.stop) / leg.entry * 100
        worth = desk.usdt(leg.qty * leg.entry)
        room = 100 / desk.instrument.leverage - desk.maintenance(worth) / worth * 100
        if distance >= room:
            expected = f"a lower one: {desk.name(leg.leg)} is liquidated {room:.2f} % from its entry, before its stop at {distance:.2f} %"
            yield finding(ERROR, f"{desk.where}.leverage", desk.instrument.leverage, expected)


def missing_leg(case: Case) -> Iterator[Finding]:
    """A grid that wishes nothing at its reference price trades nothing."""
    for desk in case.desks:
        if desk.price is not None and not desk.legs:
            expected = f"rungs at a price of {desk.price:,.2f}: the strategy wishes none"
            yield finding(ERROR, f"{desk.where}.params", None, expected, "are base_qty x price below min_notional?")


RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    *(leg_size, exposure, order_risk, legs_open, margin, stopped_out, loss_below_equity, inside_liquidation, missing_leg),
)


def grid_rows(case: Case) -> list[dict[str, Any]]:
    """The filled grid as JSON rows, for people who want to see what was reckoned."""
    size = case.limit(SIZE)
    return [
        {
            "symbol": desk.item.symbol,
            "leg": Leg(leg.leg).name.lower(),
            "price": desk.price,
            "qty": leg.qty * desk.instrument.lot_size,
            "rungs": len(leg.rungs),
            "closers": leg.closers,
            "entry_price": leg.entry * desk.instrument.tick_size,
            "deepest_price": leg.deepest * desk.instrument.tick_size,
            "stop_price": leg.stop * desk.instrument.tick_size or None,
            "notional_usdt": desk.usdt(leg.largest),
            "maint_margin_usdt": desk.maintenance(desk.usdt(leg.largest)),
            "loss_at_stop_usdt": desk.loss(leg, case.config.protect.emergency_stop_pct),
            "size_limit_holds_to_price": (desk.price or 0.0) * size / desk.usdt(leg.largest) if size else None,
        }
        for desk, leg in case.full()
    ]
