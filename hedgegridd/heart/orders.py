"""Our orders: which exist, in what state, under which id. One law: one live or unsettled order per rung.

A client order id says everything about its order (namespace, symbol, leg, role, price in ticks, generation), so that a
restart, or an exchange's list, is read without a database. An order whose outcome is not known stays UNKNOWN until the
exchange says; it is never assumed away here (see reconcile). One that was proven never to have arrived gives its id to the next of its
rung: should it arrive after all, the exchange refuses one of the two. Once one of the two is over it refuses none: until the other can
arrive no more, the rung is closed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from hedgegridd.errors import StateError
from hedgegridd.model import Leg, Order, OrderState, Role

NAMESPACE = "hg"
MAX_ID = 36  # Binance: ^[\.A-Z\:/a-z0-9_-]{1,36}$
REMEMBERED_TRADES = 512
LATE_MS = 20_000  # a request may take as long as the receive window (at most 10 s); what came of it is known two reports later
_LEGS, _ROLES = "LS", "ETSC"
_SIZED = slice(2, 7)  # leg, role, side, price, qty of an order
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Rung(NamedTuple):
    """What a client order id says."""

    symbol: str
    leg: int
    role: int
    price: int
    generation: int


def base36(number: int) -> str:
    """A non-negative integer in digits and small letters."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"


def client_id(symbol: str, leg: int, role: int, price: int, generation: int) -> str:
    """The one id of the one order of this rung and generation, at most 36 characters."""
    made = f"{NAMESPACE}-{symbol}-{_LEGS[leg]}{_ROLES[role]}-{price}-{base36(generation)}"
    if len(made) > MAX_ID:
        raise StateError(f"client order id {made!r} has {len(made)} characters, the exchange takes {MAX_ID}: symbol too long")
    return made


@lru_cache(8192)  # an id is asked about at each of its order's events, and at each report
def parse(text: str) -> Rung | None:
    """The rung an id of ours names; None for a foreign id."""
    parts = text.split("-")
    if len(parts) != 5 or parts[0] != NAMESPACE or len(parts[2]) != 2:
        return None
    leg, role = _LEGS.find(parts[2][0]), _ROLES.find(parts[2][1])
    if leg < 0 or role < 0 or not parts[3].isdigit() or not parts[4].isalnum():
        return None
    try:
        return Rung(parts[1], Leg(leg), Role(role), int(parts[3]), int(parts[4], 36))
    except ValueError:
        return None


def nobody() -> None:
    """Nobody wants to know."""


class Open(dict[str, Order]):
    """The open orders by client id, oldest first. `changes` moves with each change, and `sums` with each that a sum over them may feel:
    what was made of them holds until then. `tell` is called where `sums` moves."""

    changes = sums = 0

    def __init__(self, tell: Callable[[], None] = nobody) -> None:
        super().__init__()
        self.tell = tell
        self.groups: dict[tuple[int, ...], list[Order]] = {}  # (leg, *roles) -> what `Orders.of` found since the last change

    def __setitem__(self, name: str, order: Order) -> None:
        was = self.get(name)
        super().__setitem__(name, order)
        self._changed(was is None or order.role != Role.ENTRY or was[_SIZED] != order[_SIZED] or was.filled != order.filled)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._changed(True)

    def _changed(self, sums: bool) -> None:
        """Whether an opener is on its way or rests is all the same to a sum."""
        self.changes += 1
        self.groups.clear()
        if sums:
            self.sums += 1
            self.tell()


class Orders:
    """The open orders of one symbol, and the fills already booked."""

    def __init__(self, symbol: str, tell: Callable[[], None] = nobody) -> None:
        self.symbol = symbol
        self.open = Open(tell)
        self.ending: dict[str, int] = {}  # a cancel or amend is on its way since: hands off until its answer
        self.generation = 0
        self.lost: dict[tuple[int, int, int], str] = {}  # (leg, role, price) -> the id of an order that never arrived
        self.late: dict[str, int] = {}  # such ids -> until when their order may arrive after all, given again or not
        self._trades: OrderedDict[str, None] = OrderedDict()
        self._newest = self._sure = 0  # trade numbers: the highest counted, and the one up to which all were told
        self._looked = (0, 0)  # (when, the highest counted then)

    def new(self, leg: int, role: int, side: int, price: int, qty: int, time: int) -> Order:
        """Decide a new order: PENDING, under a fresh id."""
        self.generation += 1
        name = self.lost.pop((leg, role, price), None) or client_id(self.symbol, leg, role, price, self.generation)
        made = Order(name, self.symbol, leg, role, side, price, qty, time)
        self.open[made.client_id] = made
        return made

    def move(self, name: str, state: OrderState, order_id: str = "") -> Order | None:
        """Put an order into another state; DONE forgets it. None where it is not (or no longer) ours."""
        order = self.open.get(name)
        if order is None:
            return None
        order = order._replace(state=state, order_id=order_id or order.order_id)
        if state == OrderState.DONE:
            self.drop(name)
        else:
            self.open[name] = order
        return order

    def drop(self, name: str) -> None:
        """Forget an order that is over."""
        if name in self.open:
            del self.open[name]
        self.ending.pop(name, None)

    def never_rested(self, name: str) -> None:
        """Refused, or never sent; but where its id had been given before, the order of that time may still arrive: the rung keeps it."""
        order = self.open.get(name)
        if order is not None and name in self.late:
            self.lost[(order.leg, order.role, order.price)] = name
        self.drop(name)

    def gone(self, name: str, late: bool, now: int) -> None:
        """The exchange does not know it. What was never acknowledged never arrived; where it may yet, its rung uses the id again."""
        order = self.open.get(name)
        if late and order is not None and not order.order_id and not order.filled:
            self.lost[(order.leg, order.role, order.price)] = name
            self.late[name] = now + LATE_MS
        self.drop(name)

    def awaited(self, leg: int, role: int, price: int) -> str:
        """The id under which a second order may arrive at this rung, where the next of it would not use that id; "" = none."""
        rung = (leg, role, price)
        named = [name for name in self.late if rung not in self.lost and (parse(name) or ())[1:4] == rung]
        return named[0] if named else ""

    def await_no_more(self, now: int) -> bool:
        """Time passed: what may still arrive? True where something may no more."""
        over = [name for name, until in self.late.items() if until <= now]
        for name in over:
            del self.late[name]
        return bool(over)

    def arrived(self, name: str) -> None:
        """An order that was lost rests after all: its id is its own, and no other's any more."""
        self.lost = {rung: lost for rung, lost in self.lost.items() if lost != name}

    def doubt_one(self, name: str) -> None:
        """Nobody knows what became of it: hands off until a report says."""
        order = self.open.get(name)
        if order is not None and order.state != OrderState.PENDING:
            self.open[name] = order._replace(state=OrderState.UNKNOWN)

    def resize(self, name: str, qty: int) -> None:
        """The exchange took an amend: the whole quantity is now `qty`."""
        order = self.open.get(name)
        self.ending.pop(name, None)
        if order is not None:
            self.open[name] = order._replace(qty=qty)

    def book_fill(self, name: str, trade_id: str, qty: int) -> bool:
        """Count an execution once. False where this trade was counted before (streams repeat themselves)."""
        if trade_id in self._trades:
            return False
        self._trades[trade_id] = None
        if trade_id.isdigit():
            self._newest = max(self._newest, int(trade_id))
        if len(self._trades) > REMEMBERED_TRADES:
            self._trades.popitem(last=False)
        order = self.open.get(name)
        if order is not None:
            filled = order.filled + qty
            if filled >= order.qty and order.role != Role.STOP:
                self.drop(name)
            else:
                state = OrderState.LIVE if order.state in (OrderState.SENT, OrderState.UNKNOWN) else order.state
                self.open[name] = order._replace(filled=filled, state=state)
        return True

    def doubt(self) -> bool:
        """After a restart: whatever was in flight is UNKNOWN. True where there is any."""
        for name, order in self.open.items():
            if order.state in (OrderState.PENDING, OrderState.SENT) or name in self.ending:
                self.open[name] = order._replace(state=OrderState.UNKNOWN)
        self.ending.clear()
        return any(order.state == OrderState.UNKNOWN for order in self.open.values())

    def overdue(self, before: int) -> bool:
        """Silence is no answer: what was sent, or asked to end, before this time is UNKNOWN. True where any order is."""
        for name, order in self.open.items():
            if self.ending.get(name, before) < before or (order.state == OrderState.SENT and order.time < before):
                self.open[name] = order._replace(state=OrderState.UNKNOWN)
        return self.unknown() > 0

    def of(self, leg: int, *roles: int) -> list[Order]:
        """The open orders of a leg with one of these roles; asked for several times an event, counted once a change."""
        key = (leg, *roles)
        found = self.open.groups.get(key)
        if found is None:
            found = self.open.groups[key] = [order for order in self.open.values() if order.leg == leg and order.role in roles]
        return found

    def told(self, since: int, now: int) -> None:
        """A report that was begun at `since` came: every execution before it has been told."""
        when, newest = self._looked
        if since >= when:
            self._sure, self._looked = newest, (now, self._newest)

    @property
    def last_trade(self) -> int:
        """The execution up to which none is missing, where the exchange numbers them; 0 = none. A later one may have been heard of
        while the one before it was not: the next life must be told from here on."""
        return self._sure or min((int(name) - 1 for name in self._trades if name.isdigit()), default=0)

    def unknown(self) -> int:
        """How many orders nobody knows the state of."""
        return sum(order.state == OrderState.UNKNOWN for order in self.open.values())

    def dump(self) -> dict[str, object]:
        """As JSON, for a checkpoint."""
        return {
            "open": [list(order) for order in self.open.values()],
            "ending": dict(self.ending),
            "generation": self.generation,
            "lost": [[*rung, name] for rung, name in self.lost.items()],
            "late": dict(self.late),
            "trades": list(self._trades),
            "told": [self._newest, self._sure, *self._looked],
        }

    def load(self, data: dict) -> None:  # type: ignore[type-arg]
        """From a checkpoint."""
        self.open = Open(self.open.tell)
        for row in data["open"]:
            self.open[row[0]] = Order(*row)
        self.ending = dict(data["ending"])
        self.generation = data["generation"]
        self.lost = {(leg, role, price): name for leg, role, price, name in data.get("lost", ())}
        self.late = dict(data.get("late", ()))
        self._trades = OrderedDict.fromkeys(data["trades"])
        self._newest, self._sure, *looked = data.get("told", (0, 0, 0, 0))
        self._looked = (looked[0], looked[1])
