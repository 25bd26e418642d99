"""Orders on their way out. One law: one order, one client id; it is never sent again under another, nor before it is proven absent.

Closes and stops leave before what opens. Each order ends in an answer (Accepted, Rejected, Unsure) or in what the user stream says
first. A definite failure is tried again for what closes, told for what opens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from hedgegridd.model import Order, OrderState, Role

from . import wire as door
from .account import Account
from .budget import Cost
from .errors import BANNED_CODE, NEVER_SENT, OVER_BUDGET, Act, Fault, fault_in
from .inquiry import Fate, Inquiry
from .shapes import Row, amend_params, close_params, limit_params, named, whole
from .stops import Stops
from .told import Recent, Told
from .wire import Wire

RETRIES_S = (0.2, 0.4, 0.8)
BATCH, CANCEL_BATCH, SINGLY, EVENTS_S = 5, 10, 4, 0.3


class Orders:
    """Places, amends and cancels. Its methods return at once; `spawn` runs what they begin, `say` what is let finish when all ends."""

    def __init__(self, wire: Wire, told: Told, inquiry: Inquiry, stops: Stops, account: Account, spawn: Callable[..., None],
                 say: Callable[..., None]) -> None:  # fmt: skip
        self.wire, self.told, self.inquiry, self.stops, self.account = wire, told, inquiry, stops, account
        self.spawn, self.say = spawn, say
        self.closed_at = 0  # when the last close left
        self._unwanted = Recent()  # client ids that were to be cancelled before they were known to be there
        self._leaving: list[Order] = []  # to be placed at the end of this turn of the loop
        self._doomed: list[Order] = []  # to be cancelled then

    # --- place --------------------------------------------------------------------------------------------------------

    def place(self, orders: Sequence[Order]) -> None:
        now = self.wire.clock.now()
        for order in orders:
            self.told.sent(order)
            self._unwanted.pop(order.client_id, None)
        if now < self.wire.budget.banned_until:
            for order in orders:
                self.told.rejected(order.client_id, BANNED_CODE, f"banned until {self.wire.budget.banned_until}")
            return
        if any(order.role == Role.CLOSE for order in orders):
            self.closed_at = now
        self._at_the_end_of_this_turn()
        self._leaving += orders

    def _send(self, orders: list[Order]) -> None:
        """What one turn of the loop asked for. Few closes leave side by side, none waits for another's fate; many leave in batches, as
        what rests does: each request costs the last one time."""
        for role, begin in ((Role.CLOSE, self.say), (Role.STOP, self.say), (Role.TAKE_PROFIT, self.spawn), (Role.ENTRY, self.spawn)):
            group = [order for order in orders if order.role == role]
            singly = role == Role.STOP or (role == Role.CLOSE and len(group) <= SINGLY)
            for some in _parts(group, 1 if singly else BATCH):
                begin(self._placing(some), *some)

    def _placing(self, orders: list[Order]) -> Coroutine[Any, Any, None]:
        if orders[0].role == Role.STOP:
            return self.stops.put(orders[0])
        return self._batch(orders) if len(orders) > 1 else self._one(orders[0])

    async def _one(self, order: Order) -> None:
        """Place one order; what closes is tried again while it is known not to be there."""
        params = self._params(order)
        for pause in (*RETRIES_S, 0.0):
            try:
                self._placed(order, await self.wire.ask(door.PLACE, params, order.role != Role.ENTRY, lambda: self._wanted(order)))
                return
            except Fault as fault:
                last = fault
            if last.act is not Act.FAILED or order.role == Role.ENTRY or not pause:
                break
            await asyncio.sleep(pause)
            if last.code != NEVER_SENT and not await self._absent(order):
                return
        await self._refused(order, last)

    async def _batch(self, orders: list[Order]) -> None:
        """Place several of one role; each has an answer of its own."""
        call = door.PLACE_BATCH._replace(cost=Cost(5, len(orders), 1))
        text = json.dumps([self._params(order) for order in orders], separators=(",", ":"))
        try:
            rows = await self.wire.ask(
                call, {"batchOrders": text}, orders[0].role != Role.ENTRY, lambda: all(self._wanted(order) for order in orders)
            )
        except Fault as fault:
            await asyncio.gather(*(self._again_or_refused(order, fault) for order in orders))
            return
        if not isinstance(rows, list) or len(rows) != len(orders):
            rows = [{}] * len(orders)
        for order, row in zip(orders, rows, strict=True):
            part = fault_in(200, row)
            if part is None:
                self._placed(order, row)
                continue
            self.wire.complain(part, order.symbol)
            self.spawn(self._again_or_refused(order, part), order)

    def _wanted(self, order: Order) -> bool:
        """An opener that was taken back on its way does not leave again."""
        return order.role != Role.ENTRY or order.client_id not in self._unwanted

    async def _again_or_refused(self, order: Order, fault: Fault) -> None:
        if fault.act is not Act.FAILED or order.role == Role.ENTRY:
            await self._refused(order, fault)
            return
        await asyncio.sleep(RETRIES_S[0])
        if fault.code == NEVER_SENT or await self._absent(order):
            await self._one(order)

    def _params(self, order: Order) -> dict[str, str]:
        by = self.told.scales[order.symbol]
        return close_params(order, by) if order.role == Role.CLOSE else limit_params(order, by)

    def _placed(self, order: Order, row: Any) -> None:
        if isinstance(row, dict) and row.get("orderId"):
            self.told.accepted(order.client_id, str(row["orderId"]), whole(row.get("updateTime")))
        else:
            self.told.unsure(order.client_id, "an empty answer")

    async def _refused(self, order: Order, fault: Fault) -> None:
        """Tell what a refusal, or no answer, means for the order."""
        if fault.act is Act.FAILED and fault.code != NEVER_SENT:
            await asyncio.sleep(RETRIES_S[0])
            if not await self._absent(order):
                return
        if fault.act in (Act.UNKNOWN, Act.EXISTS, Act.FINE):
            self.told.unsure(order.client_id, str(fault))
            return
        if fault.code in (OVER_BUDGET, NEVER_SENT):  # nobody has told yet what follows from it
            self.wire.complain(fault)
        self.told.rejected(order.client_id, fault.code, str(fault))

    async def _absent(self, order: Order) -> bool:
        """Is it proven that the exchange does not have it? Where it has, or does not say, that is told."""
        try:
            found = await self.inquiry.settle(order, True)
        except Fault as fault:
            self.told.unsure(order.client_id, str(fault))
            return False
        if found.fate is Fate.RESTS and found.order is not None:
            self.told.accepted(order.client_id, found.order.order_id, found.order.time)
        return found.fate is Fate.ABSENT

    # --- amend --------------------------------------------------------------------------------------------------------

    def amend(self, client_id: str, qty: int) -> None:
        told = named(client_id)
        if told is None or told.symbol not in self.told.scales:
            self.told.rejected(client_id, -2013, "not an order of ours")
        else:
            self.spawn(self._amend(client_id, qty, told.symbol, told.role), self._known(client_id))

    async def _amend(self, client_id: str, qty: int, symbol: str, role: Role) -> None:
        by = self.told.scales[symbol]
        try:
            row = await self._insist(door.AMEND, amend_params(client_id, qty, by), role != Role.ENTRY)
        except Fault as fault:
            if fault.act is Act.FINE:
                self.told.amended(client_id, 0, qty, asked=True)
            elif fault.act is Act.GONE:
                await self._look_up(self._known(client_id), str(fault), fault.code)
            elif fault.act in (Act.UNKNOWN, Act.FAILED):
                self.told.unsure(client_id, str(fault))
            else:
                self.told.rejected(client_id, fault.code, str(fault))
            return
        if isinstance(row, dict) and row.get("orderId"):
            self.told.amended(client_id, whole(row.get("updateTime")), by.lots(row.get("origQty")) or qty)
        else:
            self.told.unsure(client_id, "an empty answer")

    async def _insist(self, call: door.Call, params: dict[str, str], urgent: bool = True) -> Any:
        """Ask for what does no harm twice until there is an answer; raises the last Fault."""
        for pause in RETRIES_S:
            try:
                return await self.wire.ask(call, params, urgent)
            except Fault as fault:
                if fault.act not in (Act.UNKNOWN, Act.FAILED):
                    raise
            await asyncio.sleep(pause)
        return await self.wire.ask(call, params, urgent)

    def _known(self, client_id: str) -> Order:
        told = named(client_id)
        symbol, leg, role, price = told or ("", 0, 0, 0)
        return self.told.live.get(client_id) or Order(client_id, symbol, int(leg), int(role), 0, price, 0)

    # --- cancel -------------------------------------------------------------------------------------------------------

    def cancel(self, orders: Sequence[Order]) -> None:
        """What is asked for in one breath leaves in one: the whole of a symbol may be swept at once."""
        self._at_the_end_of_this_turn()
        self._doomed += orders
        for order in orders:
            known = self.told.live.get(order.client_id)
            if known is not None and known.state == OrderState.SENT:
                self._unwanted.put(order.client_id, None)

    def _at_the_end_of_this_turn(self) -> None:
        if not self._leaving and not self._doomed:
            asyncio.get_running_loop().call_soon(self.sweep)

    def sweep(self) -> None:
        """Send what was asked for: what is placed, what closes first; then what is cancelled."""
        orders, self._leaving = self._leaving, []
        self._send(orders)
        orders, self._doomed = self._doomed, []
        classic: dict[str, list[Order]] = {}
        for order in orders:
            if order.symbol not in self.told.scales:
                self.told.cancelled(order.client_id, 0, "unknown", again=True)
            elif order.role == Role.STOP:
                self.say(self.stops.withdraw(order), order)
            else:
                classic.setdefault(order.symbol, []).append(order)
        ours = self.told.classic() if classic else {}
        for symbol, group in classic.items():
            if len(group) > 1 and self._all_of_them(symbol, group, ours.get(symbol, set())):
                self.say(self._cancel_all(symbol, group), *group)
            else:
                self._cancel_each(symbol, group)

    def _cancel_each(self, symbol: str, orders: list[Order]) -> None:
        for some in _parts(orders, CANCEL_BATCH):
            self.say(self._cancel_batch(symbol, some) if len(some) > 1 else self._cancel_one(some[0]), *some)

    def _all_of_them(self, symbol: str, orders: list[Order], ours: set[str]) -> bool:
        """Are these all the orders that rest there, `ours` and others'? Only then may everything be swept at once."""
        heard = symbol in self.told.foreign and not self.account.deaf()
        return heard and not self.told.foreign[symbol] and ours <= {order.client_id for order in orders}

    async def _cancel_all(self, symbol: str, orders: list[Order]) -> None:
        """The answer names no order: each end comes by the user stream, and is asked for where it does not."""
        try:
            await self._insist(door.CANCEL_ALL, {"symbol": symbol})
        except Fault:
            self._cancel_each(symbol, orders)
            return
        await asyncio.sleep(EVENTS_S)
        left = [order for order in orders if order.client_id not in self.told.over]
        if left:
            self._cancel_each(symbol, left)

    async def _cancel_batch(self, symbol: str, orders: list[Order]) -> None:
        names = json.dumps([order.client_id for order in orders], separators=(",", ":"))
        try:
            rows = await self._insist(door.CANCEL_BATCH, {"symbol": symbol, "origclientorderidlist": names})
        except Fault as fault:
            await asyncio.gather(*(self._not_cancelled(order, fault) for order in orders))
            return
        if not isinstance(rows, list) or len(rows) != len(orders):
            rows = [{}] * len(orders)
        for order, row in zip(orders, rows, strict=True):
            part = fault_in(200, row)
            self.spawn(self._cancelled(order, row) if part is None else self._not_cancelled(order, part), order)

    async def _cancel_one(self, order: Order) -> None:
        try:
            row = await self._insist(door.CANCEL, {"symbol": order.symbol, "origClientOrderId": order.client_id})
        except Fault as fault:
            await self._not_cancelled(order, fault)
        else:
            await self._cancelled(order, row)

    async def _cancelled(self, order: Order, row: Row) -> None:
        if not row.get("orderId"):
            self.told.unsure(order.client_id, "an empty answer")
            return
        executed = self.told.scales[order.symbol].lots(row.get("executedQty"))
        await self.inquiry.end(order.symbol, order.client_id, str(row["orderId"]), executed, whole(row.get("updateTime")), "cancelled")

    async def _not_cancelled(self, order: Order, fault: Fault) -> None:
        """Not done, or not known: a cancel is never told as refused, for the order may rest and must be looked for."""
        if fault.act is Act.GONE:
            await self._look_up(order, str(fault), 0)
        else:
            self.told.unsure(order.client_id, str(fault))

    async def _look_up(self, order: Order, why: str, code: int) -> None:
        """The exchange did not find it: tell its last state."""
        try:
            found = await self.inquiry.settle(order, True)
        except Fault as fault:
            self.told.unsure(order.client_id, f"{why}; {fault}")
            return
        if found.fate is Fate.RESTS:
            self.told.unsure(order.client_id, f"{why}; yet it rests")
        elif found.fate is Fate.ABSENT and code:
            self.told.rejected(order.client_id, code, why)
        elif found.fate is Fate.ABSENT:
            self.told.cancelled(order.client_id, 0, "unknown", again=True)


def _parts(orders: list[Order], size: int) -> Iterable[list[Order]]:
    return (orders[at : at + size] for at in range(0, len(orders), size))
