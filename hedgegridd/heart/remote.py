"""A strategy that thinks in another process: what its host is asked, what an answer does, and what holds in between.

One law: it is asked one moment after the other, in order, and nothing waits for it. Until it answers its last wish goes on, less
what fills have served; while it is lost its closers and stops stay and its openers are withheld. Its state is plain numbers and
its answers are events, so a run is restored and replayed without its file. What a wish may become, the gate decides as ever.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hedgegridd.codec import encode
from hedgegridd.errors import Problem
from hedgegridd.heart.desk import LEGS, Desk, pack, put, rows
from hedgegridd.heart.effects import Ask, Effect
from hedgegridd.model import WISH_ROWS, Instrument, Leg, Market, Moment, Order, OrderState, Role, Wish
from hedgegridd.settings import fields_of, fill_settings, of

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

PATIENCE_MS = 10_000  # of the operator's clock: how long a plugin file may take to appear after a start
MOST_WAITING = 2_000  # moments; what a strategy has missed beyond that is a hole in its data
MOST_ROWS = WISH_ROWS - len(LEGS)  # room for the stop that a leg has already
MOST_WARMUP = 100_000  # bars
LARGEST = 2**53  # of a price or quantity: every int below is a float too
DEEPEST = 32  # lists within lists of a state
UNSEEN = {"ready": 0.0, "regime": 0.0, "center": 0.0, "strength": 0.0, "change_24h_pct": math.nan, "atr_bps": 0.0}

Row = tuple[int, int, int, int]  #: (leg, role, price, qty) of a wish


# --- settings: the sections of [instrument.params] that are the engine's ---------------------------------------------------


@dataclass
class Execution:
    """How near a resting order must be to its rung."""

    price_tolerance_bps: float = of(0.0, "a resting order this near to a rung serves it", min=0, max=100)
    qty_tolerance_pct: float = of(1.0, "a quantity this near to the wished one is left alone, percent", min=0, max=100)


@dataclass
class Position:
    """The gate's limit for this strategy alone."""

    max_position_pct: float = of(100.0, "largest notional of one leg, percent of equity", min=0, max=12500)


@dataclass
class RiskManagement:
    """When this symbol's openers pause, whatever the breakers say."""

    max_drawdown_pct: float = of(4.0, "at this drawdown of equity, percent", min=0, max=100)
    enable_drawdown_protection: bool = of(True, "whether max_drawdown_pct is in force")
    max_errors_per_minute: int = of(10, "at this many order errors within a minute", min=1, max=10000)
    circuit_breaker_cooldown_seconds: int = of(300, "how long that pause lasts", min=0, max=86400)
    enable_circuit_breaker: bool = of(True, "whether max_errors_per_minute is in force")
    enable_position_validation: bool = of(True, "whether position.max_position_pct is in force")


@dataclass
class Shared:
    """What the engine reads of a foreign strategy's sections; one that the configuration leaves out is not in force."""

    execution: Execution
    position: Position | None = None
    risk_management: RiskManagement | None = None


SECTIONS: dict[str, type] = {"execution": Execution, "position": Position, "risk_management": RiskManagement}


def shared(params: dict[str, Any], where: str) -> tuple[Shared, list[Problem]]:
    """The engine's own sections out of `[instrument.params]`; every other section and key is the strategy's."""
    made: dict[str, Any] = {"execution": Execution()}
    problems: list[Problem] = []
    for name, section in SECTIONS.items():
        table = params.get(name)
        if isinstance(table, dict):
            known = {one.name for one in fields_of(section)}
            made[name], wrong = fill_settings(section, {key: table[key] for key in table if key in known}, f"{where}.{name}")
            problems += wrong
    return Shared(**made), problems


# --- answers ------------------------------------------------------------------------------------------------------------


class Thought(NamedTuple):
    """One answer, believed."""

    state: Any
    wish: list[Row]
    warmup: int
    seen: dict[str, float]


def understood(said: Any) -> Thought:
    """An answer's plain data as a thought. Raises ValueError, TypeError or KeyError where it makes no sense, saying why."""
    if said.get("error"):
        raise ValueError(str(said["error"]))
    warmup = said["warmup_bars"]
    if type(warmup) is not int or not 0 <= warmup <= MOST_WARMUP:
        raise ValueError(f"warmup_bars is {warmup!r:.40}, expected 0 to {MOST_WARMUP}")
    return Thought(_numbers(said["state"]), _wished(said["wish"]), warmup, _seen(said["describe"]))


def _numbers(state: Any) -> Any:
    """The state, if it is nothing but numbers in lists: anything else could not be kept, nor compared."""
    level = [state]
    for _ in range(DEEPEST):
        for value in level:
            if not isinstance(value, int | float | list):
                raise ValueError(f"the state holds {value!r:.40}, expected numbers and lists of numbers only")
        level = [item for value in level if isinstance(value, list) for item in value]
        if not level:
            return state
    raise ValueError(f"the state has lists within lists, more than {DEEPEST} deep")


def _wished(said: Any) -> list[Row]:
    made: dict[tuple[int, int, int], Row] = {}
    for row in said:
        leg, role, price, qty = row
        whole = all(type(value) is int for value in row) and 0 < price < LARGEST and 0 < qty < LARGEST
        if not whole or leg not in (Leg.LONG, Leg.SHORT) or role not in (Role.ENTRY, Role.TAKE_PROFIT, Role.STOP):
            raise ValueError(f"the wish has {row!r:.60}, expected leg 0 or 1, role 0, 1 or 2, a price in ticks, a quantity in lots")
        if (leg, role, price) in made:
            raise ValueError(f"the wish has two rows of leg {leg}, role {role}, price {price}; expected one with both quantities")
        made[leg, role, price] = (leg, role, price, qty)
    if len(made) > MOST_ROWS:
        raise ValueError(f"the wish has {len(made)} rows, expected at most {MOST_ROWS}")
    return list(made.values())


def _seen(said: dict[str, Any]) -> dict[str, float]:
    """What the strategy says for people; a figure that is none is as if it had not been said."""
    seen = UNSEEN | {key: float(value) for key, value in said.items() if key in UNSEEN and value is not None and math.isfinite(value)}
    return seen if seen["regime"] in (-1, 0, 1) else seen | {"regime": 0.0}


# --- the strategy, seen from here -----------------------------------------------------------------------------------------


class Remote:
    """Keeps the contract of a strategy, but remembers each moment instead of thinking about it; its host is asked by the engine."""

    def __init__(self, name: str, instrument: Instrument, params: dict[str, Any]) -> None:
        self.name = name
        self._given = {"settings": params, "shared": list(SECTIONS), "instrument": encode(instrument)}
        self.waiting: deque[Market] = deque()  # moments to be asked about, oldest first
        self.current: Market | None = None  # the one that is out; None while its state alone is asked for
        self.asked = 0  # the question that is out; 0 = none
        self.heard = False  # has it answered since the start?
        self.stuck = False  # it missed: not asked again before time has passed
        self.lost = ""  # why it does not think now
        self.since = 0  # when this life began, by the operator's clock
        self.need = 0  # bars of warm-up
        self.bars = 0  # bars thought about since the last hole
        self.seen = dict(UNSEEN)

    # --- the contract ---

    def params(self, settings: Any, instrument: Instrument) -> None:
        """Made in its own process."""

    def initial(self, params: None) -> None:
        """Nothing is known before its first answer."""

    def warmup_bars(self, params: None) -> int:
        """As its last answer said."""
        return self.need

    def describe(self, params: None, state: Any) -> dict[str, float]:
        """As its last answer said."""
        return self.seen

    def step(self, params: None, state: Any, market: Market, wish: Wish) -> Any:
        """Remember the moment. The wish goes on, less what a fill has served."""
        if market.moment == Moment.FILL:
            spend(wish, market)
        elif market.moment == Moment.RESET:
            self.seen["ready"] = 0.0
        if self.waiting and self.waiting[-1].moment == Moment.LOOK:
            self.waiting.pop()  # the newer moment says all that this one did
        self.waiting.append(market)
        if len(self.waiting) > MOST_WAITING:
            self._shorten(market)
        return state

    def _shorten(self, last: Market) -> None:
        """It has been away too long: its fills are kept, the rest is a hole in its data."""
        hole = last._replace(moment=Moment.RESET, fill_leg=0, fill_role=0, fill_price=0, fill_qty=0)
        self.waiting = deque([*(moment for moment in self.waiting if moment.moment == Moment.FILL), hole])
        self.seen["ready"] = 0.0

    # --- the talk ---

    @property
    def idle(self) -> bool:
        """Is there something to ask, and nothing in the way?"""
        return not self.asked and not self.stuck and bool(self.waiting or not self.heard)

    def ask(self, host: str, seq: int, state: Any) -> Ask:
        """The next question: first what it starts from, then moment after moment."""
        self.asked, self.current = seq, self.waiting.popleft() if self.heard else None
        market = None if self.current is None else encode(self.current)
        return Ask(host, seq, "step", self.name, {**self._given, "state": pack(state), "market": market})

    def hear(self, said: Any, state: Any, wish: Wish) -> Any:
        """Take in an answer; the next state. Nonsense is as good as no answer."""
        if isinstance(said, dict) and said.get("misfit") and state is not None:
            self._begin_anew(str(said["misfit"]))
            return None
        try:
            thought = understood(said)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            self.miss(str(error) if isinstance(error, ValueError) else f"its answer makes no sense: {error!r:.200}")
            return state
        moment, self.current, self.asked = self.current, None, 0
        self.heard, self.lost, self.need = True, "", thought.warmup
        self._count(moment, thought)
        if moment is not None:
            put(wish, [row for row in thought.wish if row[1] != Role.ENTRY or self.seen["ready"]])
            for waiting in self.waiting:
                if waiting.moment == Moment.FILL:
                    spend(wish, waiting)
        return thought.state

    def _count(self, moment: Market | None, thought: Thought) -> None:
        """Is it warm? It says so itself, but not before it has seen the bars it said it needs."""
        if moment is not None and moment.moment == Moment.RESET:
            self.bars = 0
        elif moment is not None and moment.moment == Moment.BAR:
            self.bars += 1
        hole = any(waiting.moment == Moment.RESET for waiting in self.waiting)
        warm = thought.seen["ready"] and self.bars >= self.need and not hole
        self.seen = thought.seen | {"ready": float(bool(warm))}

    def _begin_anew(self, why: str) -> None:
        """Its file was edited and the new version cannot read the old one's state: it learns again from what comes now."""
        self.miss(f"the new version cannot take up the old one's state, and begins anew: {why}")
        self.stuck, self.heard, self.bars, self.seen = False, False, 0, dict(UNSEEN)

    def miss(self, why: str) -> None:
        """No answer: the moment waits, its closers and stops stay, and time must pass before it is asked again."""
        self.forget()
        self.lost, self.stuck = why, True

    def forget(self) -> None:
        """Whoever was asked will not answer any more; the moment waits to be asked about again."""
        if self.current is not None:
            self.waiting.appendleft(self.current)
        self.current, self.asked = None, 0

    def begin(self, wall: int) -> None:
        """A new life: no host is there yet."""
        self.forget()
        self.heard, self.stuck, self.lost, self.since = False, False, "", wall

    def look(self, wall: int, hosted: bool) -> None:
        """Time passed: it may be asked again, or nobody has brought it for too long."""
        self.stuck = False
        if not hosted and wall - self.since >= PATIENCE_MS:
            self.lost = "no plugin file that registers it is loaded"

    # --- checkpoint ---

    _PLAIN = ("name", "asked", "heard", "stuck", "lost", "since", "need", "bars")

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        current = None if self.current is None else _known(self.current)
        moments = {"waiting": [_known(one) for one in self.waiting], "current": current}
        return {**{name: getattr(self, name) for name in self._PLAIN}, **moments, "seen": _known(self.seen.values())}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint."""
        for name in self._PLAIN:
            setattr(self, name, data[name])
        self.waiting = deque(Market(*_unknown(one)) for one in data["waiting"])
        self.current = None if data["current"] is None else Market(*_unknown(data["current"]))
        self.seen = dict(zip(UNSEEN, _unknown(data["seen"]), strict=True))


def _known(values: Iterable[Any]) -> list[Any]:
    """Numbers for JSON, which knows no nan."""
    return [None if value != value else value for value in values]


def _unknown(values: Iterable[Any]) -> list[Any]:
    """The inverse of `_known`."""
    return [math.nan if value is None else value for value in values]


def spend(wish: Wish, fill: Market) -> None:
    """What a fill has served is wished no more, and a leg that holds nothing needs no closers."""
    held = (fill.long_qty, fill.short_qty)
    kept = []
    for leg, role, price, qty in rows(wish):
        if role != Role.STOP and (leg, role, price) == (fill.fill_leg, fill.fill_role, fill.fill_price):
            qty -= fill.fill_qty
        if qty > 0 and (role == Role.ENTRY or held[leg]):
            kept.append((leg, role, price, qty))
    put(wish, kept)


# --- the desk -----------------------------------------------------------------------------------------------------------


class RemoteDesk(Desk):
    """A desk whose strategy is asked through its host."""

    remote = True
    strategy: Remote

    @property
    def thinking(self) -> bool:  # type: ignore[override]  # what is always False elsewhere
        """Is an answer on its way?"""
        return bool(self.strategy.asked) and not self.strategy.lost

    def hear(self, said: Any) -> None:
        """Its host answered."""
        self.state = self.strategy.hear(said, self.state, self.wish)
        self.look_ready()

    def guard(self, now: int, drawdown: float) -> bool:
        """Openers pause while the strategy is lost, before any other reason of its own."""
        before, lost = self.guarded, f"strategy {self.strategy.name}: "
        self.guarded = "" if before.startswith(lost) else before
        super().guard(now, drawdown)
        if self.strategy.lost:
            self.guarded = lost + self.strategy.lost
        return self.guarded != before

    def shape(self, holds: tuple[str, str], hands_off: tuple[bool, bool], now: int) -> None:
        """As every desk; besides, nothing opens before the first answer, and a held leg keeps its stop until another is named."""
        if not self.strategy.heard:
            why = f"strategy {self.strategy.name} has not answered yet"
            holds = (holds[0] or why, holds[1] or why)
        super().shape(holds, hands_off, now)
        wanted = rows(self.wanted)
        bare = [leg for leg in LEGS if self.held(leg) and not hands_off[leg] and not any(row[:2] == (leg, Role.STOP) for row in wanted)]
        kept = [(stop.leg, Role.STOP, stop.price, stop.qty) for leg in bare for stop in self._stops(leg)[:1]]
        if kept:
            put(self.wanted, [*wanted, *kept])

    def _stops(self, leg: int) -> list[Order]:
        """The leg's stops, resting ones first."""
        return sorted(self.orders.of(leg, Role.STOP), key=lambda order: order.state != OrderState.LIVE)

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {**super().dump(), "remote": self.strategy.dump()}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint."""
        super().load(data)
        if "remote" in data and data["remote"]["name"] == self.strategy.name:
            self.strategy.load(data["remote"])


# --- for the engine -------------------------------------------------------------------------------------------------------


def remote_desks(desks: Iterable[Desk]) -> list[RemoteDesk]:
    """Those whose strategy thinks elsewhere."""
    return [desk for desk in desks if isinstance(desk, RemoteDesk)]


def consult(desks: list[RemoteDesk], thinkers: dict[str, str], question: int, out: list[Effect]) -> int:
    """Put its next moment to each strategy that is free to think; the number of the last question."""
    for desk in desks:
        host = thinkers.get(desk.strategy.name)
        if host and desk.strategy.idle:
            question += 1
            out.append(desk.strategy.ask(host, question, desk.state))
    return question


def hosted(engine: Engine, names: Iterable[str], host: str) -> None:
    """From now on this host thinks for these strategies; the version before it will not answer any more."""
    engine.thinkers.update(dict.fromkeys(names, host))
    for desk in engine.remotes:
        if engine.thinkers.get(desk.strategy.name) == host:
            desk.strategy.forget()
            desk.strategy.stuck = False


def heard(engine: Engine, seq: int, said: Any) -> None:
    """A host answered; an answer that nobody waits for is dropped."""
    _outcome(engine, seq, lambda desk: desk.hear(said))


def missed(engine: Engine, seq: int, why: str) -> None:
    """A host did not answer."""
    _outcome(engine, seq, lambda desk: desk.strategy.miss(why or "no answer"))


def _outcome(engine: Engine, seq: int, take: Callable[[RemoteDesk], None]) -> None:
    for desk in [desk for desk in engine.remotes if desk.strategy.asked == seq]:
        lost = desk.strategy.lost
        take(desk)
        engine.stirred.add(desk.symbol)
        engine.dirty = engine.dirty or lost != desk.strategy.lost  # only then has risk anything to say
