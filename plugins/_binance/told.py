"""What the daemon was told, and what is known of our orders. One law: each fact is told once, and a fill before whatever follows from it.

Answers and user events come in any order, twice, or not at all; here they meet. It sends nothing and reads nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from hedgegridd.model import Accepted, Amended, Cancelled, Fill, Order, OrderState, Rejected, Role, Unsure, entry_side

from .clock import Clock
from .shapes import OURS, Scale, named

REMEMBERED = 10_000
IN_THE_BOOK = frozenset({Role.ENTRY, Role.TAKE_PROFIT})
LegKey = tuple[str, int]


class Recent(OrderedDict[Any, Any]):
    """A dict that forgets its oldest entries."""

    def put(self, key: Any, value: Any) -> None:
        self[key] = value
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class Told:
    """Our orders as far as known, the fills already told, and what each leg should hold by them."""

    def __init__(self, emit: Callable[[Any], None], clock: Clock, scales: dict[str, Scale]) -> None:
        self.emit, self.clock, self.scales = emit, clock, scales
        self.live: dict[str, Order] = {}  # ours, resting or on their way
        self.bridges: dict[str, Order] = {}  # bridge id -> the stop it stands in for
        self.replaced: set[str] = set()  # stops whose end is told by whoever replaces them
        self.foreign: dict[str, dict[str, int]] = {}  # symbol -> client ids of others' resting orders, and since when they are known
        self.names = Recent()  # exchange's order id -> client id
        self.over = Recent()  # client ids of orders that are done
        self.seen = Recent()  # (symbol, trade id)
        self.held: dict[LegKey, int] = {}  # by the last report and the fills told since
        self.newest: dict[str, int] = {}  # symbol -> newest trade id told
        self.odd_fees = 0  # fees paid in another coin: the USDT wallet did not move

    # --- orders -------------------------------------------------------------------------------------------------------

    def sent(self, order: Order) -> None:
        self.over.pop(order.client_id, None)  # an id that never arrived is used again
        self.live[order.client_id] = order._replace(state=int(OrderState.SENT), time=self.clock.now())

    def accepted(self, client_id: str, order_id: str, time: int) -> None:
        """It rests. A market order too: it has been taken."""
        order = self.live.get(client_id)
        if client_id in self.over or (order is not None and order.state == OrderState.LIVE):
            return
        if order is None:
            told = named(client_id)
            if told is None:
                return
            side = entry_side(told.leg) * (1 if told.role == Role.ENTRY else -1)
            order = Order(client_id, told.symbol, int(told.leg), int(told.role), side, told.price, 0)
        self.live[client_id] = order._replace(state=int(OrderState.LIVE), order_id=order_id, time=self.clock.now())
        if order.role != Role.STOP:
            self.names.put(order_id, client_id)
        self.emit(Accepted(client_id, order_id, self.clock.believable(time)))

    def rejected(self, client_id: str, code: int, reason: str) -> None:
        """Never rested, or (an amend) rests as it was."""
        order = self.live.get(client_id)
        if order is not None and order.state != OrderState.LIVE:
            self._forget(client_id)
        self.emit(Rejected(client_id, self.clock.now(), code, reason))

    def unsure(self, client_id: str, why: str) -> None:
        self.emit(Unsure(client_id, self.clock.now(), why))

    def amended(self, client_id: str, time: int, qty: int, asked: bool = False) -> None:
        """Another quantity; told once, by the answer or the stream, unless it was asked for and is so already."""
        order = self.live.get(client_id)
        if order is not None and order.qty == qty and not asked:
            return
        if order is not None:
            self.live[client_id] = order._replace(qty=qty)
        self.emit(Amended(client_id, self.clock.believable(time), qty))

    def cancelled(self, client_id: str, time: int, reason: str, again: bool = False) -> None:
        """It rests no more; told once, unless somebody asked."""
        if client_id in self.over and not again:
            return
        self._forget(client_id)
        self.emit(Cancelled(client_id, self.clock.believable(time), reason))

    def finished(self, client_id: str, time: int) -> None:
        """All of it is executed. Only a stop has to be told so: its quantity says nothing."""
        told = named(client_id)
        if told is not None and told.role == Role.STOP:
            self.cancelled(client_id, time, "stop filled")
        else:
            self._forget(client_id)

    def _forget(self, client_id: str) -> None:
        self.live.pop(client_id, None)
        self.over.put(client_id, None)

    # --- fills --------------------------------------------------------------------------------------------------------

    def fill(self, fill: Fill, fee_asset: str = "USDT") -> bool:
        """Money moved. False where this execution was told before."""
        key = (fill.symbol, fill.trade_id)
        if key in self.seen or fill.qty <= 0:
            return False
        self.seen.put(key, None)
        if fee_asset not in ("USDT", ""):
            self.odd_fees += 1
            fill = fill._replace(fee=0.0)
        leg = (fill.symbol, fill.leg)
        self.held[leg] = self.held.get(leg, 0) + fill.qty * fill.side * entry_side(fill.leg)
        if fill.trade_id.isdigit():
            self.newest[fill.symbol] = max(self.newest.get(fill.symbol, 0), int(fill.trade_id))
        order = self.live.get(fill.client_id)
        if order is not None:
            self.live[fill.client_id] = order._replace(filled=order.filled + fill.qty)
        self.emit(fill._replace(time=self.clock.believable(fill.time)))
        return True

    # --- what is known ------------------------------------------------------------------------------------------------

    def listed(self, symbols: Iterable[str], orders: Iterable[Order], since: int) -> None:
        """The lists of a report that was begun then: orders of ours that were not known, and others' orders."""
        before = self.foreign
        self.foreign = {symbol: {name: at for name, at in before.get(symbol, {}).items() if at >= since} for symbol in symbols}
        for order in orders:
            if not order.client_id.startswith(OURS):
                if order.role != Role.STOP:
                    self.foreign.setdefault(order.symbol, {})[order.client_id] = since
            elif order.client_id not in self.over:
                self.live.setdefault(order.client_id, order)
                if order.role != Role.STOP:
                    self.names.put(order.order_id, order.client_id)

    def drop_unlisted(self, listed: set[str], since: int) -> None:
        """Orders that rested before the lists were read and are not in them: not known as resting any more, and not told as over."""
        for name, order in list(self.live.items()):
            if name not in listed and order.state == OrderState.LIVE and order.time < since:
                del self.live[name]

    def stops(self, symbol: str, leg: int, but: str = "") -> list[Order]:
        """Our stops that rest, or may, on a leg."""
        return [
            order
            for order in self.live.values()
            if order.role == Role.STOP and (order.symbol, order.leg) == (symbol, leg) and order.client_id != but
        ]

    def classic(self) -> dict[str, set[str]]:
        """Our orders that rest in the book, or may, by symbol."""
        found: dict[str, set[str]] = {}
        for name, order in self.live.items():
            if order.role in IN_THE_BOOK:
                found.setdefault(order.symbol, set()).add(name)
        return found
