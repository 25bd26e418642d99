"""A run of the fast engine: configuration and feed into numbers, numbers into what a recorder is told.

One law: it decides nothing. Where the configuration or the data ask for what the fast engine was not made for, `refuses` says so in
one line, and the full engine runs instead. Each trip is shown to the breaker's own code again, which must come to the same verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from hedgegridd.errors import HedgegriddError
from hedgegridd.heart.breakers import Guard, judge
from hedgegridd.heart.build import build
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.orders import client_id
from hedgegridd.heart.snapshot import plain as as_dict
from hedgegridd.kernel import book, ledger, measures
from hedgegridd.kernel.metrics import new_course
from hedgegridd.model import Level
from hedgegridd.research import compiled
from hedgegridd.research.columns import Chunks, new_events
from hedgegridd.research.fast import pit
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Log, Rows, Run, Setup
from hedgegridd.research.outcome import IDLE, Outcome
from hedgegridd.views import InstrumentView, LegView, Snapshot

CHUNK = 16_392
GUARD_NAMES = ("daily_loss", "drawdown", "funding", "margin", "order_errors", "position_size", "session_loss", "stale_data")


class BeyondFast(HedgegriddError):
    """The fast engine met what it was not made for."""


class Picture(NamedTuple):
    """What `turn.picture` keeps of a trip, in its order. Prices are ticks, quantities lots; nan and 0 stand for not known."""

    time: float
    equity: float
    wallet: float
    realized: float
    unrealized: float
    fees: float
    funding: float
    session_start: float
    session_peak: float
    day_start: float
    day_peak: float
    errors: float
    mark: float
    close: float
    high: float
    low: float
    has_bar: float
    rate: float
    next_funding: float
    interval: float
    seen: float
    long_qty: float
    long_entry: float
    long_usdt: float
    long_openers: float
    long_stop: float
    short_qty: float
    short_entry: float
    short_usdt: float
    short_openers: float
    short_stop: float
    volume: float
    asleep: float
    unknown_since: float


def refuses(config: Any, engine: Engine, feed: Any) -> str:
    """Why the fast engine cannot play this, in one line; "" = it can."""
    if compiled.available():
        return compiled.available()
    if len(feed.symbols) != 1:
        return f"the fast engine plays one symbol at a time, the data have {', '.join(feed.symbols)}: choose one with --symbol"
    if not feed.carries <= {"bars", "volume", "funding"}:
        return f"the fast engine plays bars, the data are {', '.join(sorted(feed.carries))}"
    tiers = getattr(getattr(engine.panel.guards.get("drawdown"), "breaker", None), "settings", None)
    if tiers is not None and (tiers.reduce_drawdown_pct is not None or tiers.smoothing_minutes):
        return "the fast engine does not know breaker.drawdown.reduce_drawdown_pct and smoothing_minutes"
    if config.maintenance:
        return "the fast engine does not know [[maintenance]] windows"
    desk = engine.desks[feed.symbols[0]]
    if desk in engine.remotes:
        return f"strategy {desk.strategy.name} is not in this process"
    if not isinstance(desk.strategy, ModuleType):
        return f"strategy {desk.strategy.name} is no module of functions, which is what can be compiled"
    if not config.flatten.use_market_orders:
        return "the fast engine closes at market: flatten.use_market_orders = false takes the full one"
    strangers = [name for name, guard in engine.panel.guards.items() if name not in GUARD_NAMES and guard.state != "disarmed"]
    if strangers:
        return f"the fast engine does not know breaker {', '.join(strangers)}"
    return ""


class FastRun:
    """One backtest by the fast engine. `code` from `compiled.bind`, or `compiled.plain` to run the same in plain Python."""

    def __init__(self, config: Any, registry: Any, feed: Any, recorder: Any, code: compiled.Code, chunk: int = CHUNK) -> None:
        self.config, self.feed, self.recorder, self.code, self.chunk = config, feed, recorder, code, chunk
        self.engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
        self.symbol = feed.symbols[0]
        self.desk = self.engine.desks[self.symbol]
        exchange = registry.exchanges[config.exchange.name].thing
        self.why_not, self.why_gone = exchange.why_not, exchange.why_gone
        self.setup = setup_of(config, self.engine, self.symbol, feed)
        self.run_state = guarded(s.new_run(chunk, new_course()), self.engine)
        self.names: dict[int, str] = {}  # ticket -> client id
        self.kill: dict[str, Any] = dict(IDLE)
        self.last_reason = ""

    def run(self, progress: Callable[[int], None]) -> Outcome:
        """Play the feed. BeyondFast where it asks for what this engine was not made for."""
        try:
            return self._run(progress)
        except OverflowError:
            raise BeyondFast("the fast engine was not made for whole numbers of more than 63 bits") from None

    def _run(self, progress: Callable[[int], None]) -> Outcome:
        record, arrays = (compiled.record, compiled.arrays) if self.code.compiled else (_as_it_is, _as_it_is)
        run, params, state = record(self.run_state), record(self.desk.params), arrays(self.desk.strategy.initial(self.desk.params))
        setup = arrays(self.setup)
        room = record(new_events(self.chunk))
        play = compiled.opened(self.code.play, setup, params, run, state, room, 0, 0)
        chunks = Chunks(self.feed, self.symbol, self.desk.strategy.warmup_bars(self.desk.params) + 1, self.chunk, room)
        for events, count in chunks:
            if chunks.begins is not None:
                self.code.begin(setup, run, chunks.begins)
                self.recorder.begin(chunks.begins)
            at = 0
            while at < count:
                state, at = play(setup, params, run, state, events, at, count)
                if run.n[s.BAIL]:
                    raise BeyondFast(f"the fast engine was not made for {WHY_BAIL[int(run.n[s.BAIL])]}")
                self._tell(run)
            progress(int(run.n[s.NOW]))
        return self._outcome(run)

    def _outcome(self, run: Run) -> Outcome:
        n, x, books = run.n, run.x, s.books_of(run.heart)
        return Outcome(
            "fast", int(n[s.BARS]), int(n[s.COUNT_ORDERS]), int(n[s.COUNT_FILLS]), int(n[s.COUNT_MAKERS]), float(x[s.EQUITY]),
            float(x[s.WALLET]), float(books.realized), float(books.fees), float(books.funding), float(x[s.MARKED]), self.kill,
            [float(value) for value in run.course],
        )  # fmt: skip

    # --- what is told -----------------------------------------------------------------------------------------------

    def _tell(self, run: Run) -> None:
        """Give the log's rows their names and hand them on; then the bars."""
        told = run.log
        count = int(told.count[0])
        columns = [_plain_list(getattr(told, name), count) for name in Log._fields[1:12]]
        for kind, *row in zip(*columns, strict=True):
            _TELL[kind](self, run, *row)
        told.count[0] = told.trips[0] = 0
        rows = int(run.rows.count[0])
        if rows:
            self.recorder.bars(self.symbol, {name: getattr(run.rows, name)[:rows] for name in Rows._fields[1:]})
        run.rows.count[0] = 0

    def _ordered(self, run: Run, time: int, ticket: int, leg: int, role: int, side: int, price: int, qty: int, *_: Any) -> None:
        name = client_id(self.symbol, leg, role, price, ticket)
        self.names[ticket] = name
        self.recorder.ordered(time, name, self.symbol, leg, role, price, qty)

    def _accepted(self, run: Run, time: int, ticket: int, *_: Any) -> None:
        self.recorder.accepted(self.names[ticket])

    def _amended(self, run: Run, time: int, ticket: int, leg: int, role: int, side: int, price: int, qty: int, *_: Any) -> None:
        self.recorder.amended(self.names[ticket], qty)

    def _rejected(
        self, run: Run, time: int, ticket: int, leg: int, role: int, amending: int, price: int, qty: int, code: int, *_: Any
    ) -> None:
        if amending:
            self.recorder.amended(self.names[ticket], qty)
        else:
            self.recorder.ended(time, self.names.pop(ticket), "rejected", self.why_not[code])

    def _cancelled(
        self, run: Run, time: int, ticket: int, leg: int, role: int, side: int, price: int, qty: int, kind: int, *_: Any
    ) -> None:
        self.recorder.ended(time, self.names.pop(ticket), "cancelled", "cancelled" if kind == pit.BY_US else self.why_gone[kind])

    def _withdrawn(self, run: Run, time: int, ticket: int, *_: Any) -> None:
        self.recorder.ended(time, self.names.pop(ticket), "withdrawn", "")

    def _filled(self, run: Run, time: int, ticket: int, leg: int, role: int, side: int, price: int, qty: int, more: int, fee: float,
                realized: float) -> None:  # fmt: skip
        done, maker = divmod(more, 2)
        name = self.names[ticket] if ticket else f"autoclose-{self.symbol}-{'LS'[leg]}-{time}"
        self.recorder.filled({
            "symbol": self.symbol, "t": time, "leg": leg, "side": side, "role": role, "price": price, "qty": qty, "fee": fee,
            "maker": bool(maker), "realized": realized, "client_id": name, "order_id": f"p-{name}", "trade_id": f"p-{name}-{done}",
            "reason": "" if ticket else "liquidation",
        })  # fmt: skip

    def _paid(self, run: Run, time: int, ticket: int, leg: int, role: int, side: int, price: int, qty: int, more: int, amount: float,
              _: float) -> None:  # fmt: skip
        self.recorder.paid(time, self.symbol, leg, amount)

    def _killed(self, run: Run, time: int, guard: int, leg: int, level: int, *_: Any) -> None:
        if not self.kill["active"]:
            self.kill.update(active=True, since=time, reason=f"breaker {GUARD_NAMES[guard]}: {self.last_reason}")
        self.kill["level"] = Level(level).name.lower()

    def _told(self, run: Run, *_: Any) -> None:
        """What only people of the live log care for."""

    def _tripped(self, run: Run, time: int, guard: int, leg: int, level: int, side: int, price: int, qty: int, at: int, *_: Any) -> None:
        """Show the breaker itself what it saw: its words, and its verdict, which must be the same."""
        picture = Picture(*(float(cell) for cell in run.log.picture[at * s.PICTURE : at * s.PICTURE + len(Picture._fields)]))
        own = self.engine.panel.guards[GUARD_NAMES[guard]]
        snapshot = snapshot_of(picture, self.engine, self.desk)
        verdict = judge(own.breaker, snapshot)
        reason, value, threshold = verdict.unknown, None, None
        if verdict.unknown:
            reason = f"inputs unknown for {(time - picture.unknown_since) / 1000:.0f} s: {verdict.unknown}"
        elif verdict.trip is None:
            raise BeyondFast(f"breaker {own.name} tripped in the fast engine, and says of the same picture: {verdict.measure}")
        else:
            reason, value, threshold = verdict.trip.reason, verdict.trip.value, verdict.trip.threshold
            if level > own.on_trip:
                reason = f"{reason}; {qty} pauses within an hour"
        self.last_reason = reason
        self.recorder.tripped({
            "time": time, "name": own.name, "level": Level(level).name.lower(), "reason": reason, "value": value, "threshold": threshold,
            "inputs": as_dict(snapshot), "unit": verdict.measure.unit if verdict.measure else "", "equity": picture.equity,
        })  # fmt: skip


WHY_BAIL = {
    s.BAIL_UNKNOWN_ORDER: "an order that nobody knows the end of",
    s.BAIL_FULL_INBOX: "so many events in one moment",
    s.BAIL_FULL_ORDERS: f"more than {s.ORDERS} open orders",
    s.BAIL_STRANGER: "a fill that the orders do not explain",
    s.BAIL_ERRORS: "so many refused orders",
}
_TELL: dict[int, Callable[..., None]] = {
    s.L_ORDER: FastRun._ordered,
    s.L_ACCEPTED: FastRun._accepted,
    s.L_AMENDED: FastRun._amended,
    s.L_REJECTED: FastRun._rejected,
    s.L_CANCELLED: FastRun._cancelled,
    s.L_WITHDRAWN: FastRun._withdrawn,
    s.L_FILL: FastRun._filled,
    s.L_PAID: FastRun._paid,
    s.L_TRIP: FastRun._tripped,
    s.L_KILL: FastRun._killed,
    s.L_FLAT: FastRun._told,
    s.L_GAP: FastRun._told,
}


def _as_it_is(value: Any) -> Any:
    return value


def _plain_list(column: Any, count: int) -> list[Any]:
    """The first values of a list or an array, as Python's own numbers."""
    part = column[:count]
    return part if isinstance(part, list) else part.tolist()


# --- configuration as numbers -------------------------------------------------------------------------------------------


def setup_of(config: Any, engine: Engine, symbol: str, feed: Any) -> Setup:
    """The configuration as the heart has understood it."""
    desk, gate, paper, limits = engine.desks[symbol], engine.gate, config.exchange.paper, engine.gate.limits
    risk, execution, flatten = desk.settings.risk_management or NO_RISK, desk.settings.execution, config.flatten
    interval = next(tape.interval_ms for tape in feed.tapes)
    return Setup(
        book.new_terms(desk.instrument, FILL_MODELS[paper.fill_model], paper.slippage_bps, paper.queue_share_pct / 100),
        float(paper.starting_balance_usdt), interval, feed.cadence_ms, desk.max_gap_ms, math.ceil(paper.latency_ms),
        int(config.kill_switch.enabled),
        float(gate.max_position_usdt), float(limits.max_position_pct), float(desk.max_position_pct), float(limits.max_exposure_pct),
        float(limits.max_risk_per_trade_pct), limits.max_open_trades, float(config.protect.emergency_stop_pct),
        int(risk.enable_drawdown_protection), float(risk.max_drawdown_pct), int(risk.enable_circuit_breaker), risk.max_errors_per_minute,
        int(risk.circuit_breaker_cooldown_seconds * 1000), float(execution.price_tolerance_bps), float(execution.qty_tolerance_pct),
        flatten.max_tranches if flatten.tranch_large_positions else 1, float(flatten.large_position_threshold_usdt), 1,
    )  # fmt: skip


#: For a strategy that has no rules of its own.
NO_RISK = SimpleNamespace(enable_drawdown_protection=False, max_drawdown_pct=100.0, enable_circuit_breaker=False, max_errors_per_minute=1,
                          circuit_breaker_cooldown_seconds=0)  # fmt: skip
FILL_MODELS = {"touch": book.Model.TOUCH, "trade_through": book.Model.THROUGH, "queue": book.Model.QUEUE}
#: Per breaker its settings in the order of Guards.first, second, third.
LIMITS: dict[str, Callable[[Any], tuple[float | None, ...]]] = {
    "daily_loss": lambda own: (own.max_daily_loss_pct, own.daily_loss_limit_usdt, None),
    "drawdown": lambda own: (own.max_drawdown_pct, own.max_daily_drawdown_pct, None),
    "funding": lambda own: (own.max_funding_cost_bps, own.max_funding_cost_1h_usdt, None),
    "margin": lambda own: (own.max_initial_margin_use_pct, own.max_maint_margin_pct, None),
    "order_errors": lambda own: (own.max_errors_per_minute, None, None),
    "position_size": lambda own: (own.max_position_usdt, None, None),
    "session_loss": lambda own: (own.max_loss_amount_usdt, None, None),
    "stale_data": lambda own: (own.max_age_seconds, 1 - own.min_quality, own.max_divergence_bps),
}


def guarded(run: Run, engine: Engine) -> Run:
    """The panel's guards as they are set."""
    for at, name in enumerate(GUARD_NAMES):
        guard: Guard | None = engine.panel.guards.get(name)
        if guard is None or guard.state == "disarmed":
            continue
        limits = [math.nan if value is None else float(value) for value in LIMITS[name](guard.breaker.settings)]
        run.guards.on[at] = 1
        run.guards.first[at], run.guards.second[at], run.guards.third[at] = limits
        run.guards.on_trip[at], run.guards.grace_ms[at], run.guards.cooldown_ms[at] = int(guard.on_trip), guard.grace_ms, guard.cooldown_ms
    return run


# --- a picture as a snapshot ----------------------------------------------------------------------------------------------


def snapshot_of(seen: Picture, engine: Engine, desk: Any) -> Snapshot:
    """What `heart.snapshot.picture` showed the breakers at that moment."""
    return Snapshot(
        int(seen.time), seen.equity, seen.wallet, seen.realized, seen.unrealized, seen.fees, seen.funding, 0.0, seen.session_start,
        seen.session_peak, seen.day_start, seen.day_peak, *_margins(seen, desk.instrument), int(seen.errors),
        () if seen.asleep else (_view(seen, engine, desk),),
    )  # fmt: skip


def _margins(seen: Picture, instrument: Any) -> tuple[float | None, float | None]:
    if seen.equity <= 0:
        return None, None
    maintenance = initial = 0.0
    for held, openers in ((seen.long_usdt, seen.long_openers), (seen.short_usdt, seen.short_openers)):
        maintenance += ledger.leg_maint(held, ledger.tiers_of(instrument))
        initial += measures.initial_usdt(held, openers, instrument.leverage)
    return maintenance / seen.equity, initial / seen.equity


def _view(seen: Picture, engine: Engine, desk: Any) -> InstrumentView:
    tick, has_bar = desk.instrument.tick_size, bool(seen.has_bar)
    age = max(0, int(seen.time) - int(seen.seen) - engine.cadence_ms) if seen.seen else None
    mark = None if math.isnan(seen.mark) else seen.mark * tick
    long = _leg(seen, desk, 0, seen.long_qty, seen.long_entry, seen.long_usdt, seen.long_openers, seen.long_stop)
    short = _leg(seen, desk, 1, seen.short_qty, seen.short_entry, seen.short_usdt, seen.short_openers, seen.short_stop)
    return InstrumentView(
        desk.symbol, mark, None, mark, None, None,
        int(seen.high) * tick if has_bar else None, int(seen.low) * tick if has_bar else None,
        int(seen.volume) * desk.instrument.lot_size if has_bar else None, None if math.isnan(seen.rate) else seen.rate,
        int(seen.next_funding) or None, int(seen.interval), age, long, short,
    )  # fmt: skip


def _leg(seen: Picture, desk: Any, leg: int, qty: float, entry: float, held: float, openers: float, stop: float) -> LegView:
    lots, tick = int(qty), desk.instrument.tick_size
    marked = ledger.gain(lots, desk.unit, leg, entry, seen.mark) if lots and not math.isnan(seen.mark) else 0.0
    trigger = int(stop) * tick if stop else None
    return LegView(lots * desk.instrument.lot_size, entry * tick, held, marked, openers, trigger, bool(stop) or not lots)
