"""What became of one order. One law: its last state is the exchange's word; what it executed is told before its end.

Asks by client id, and for what was executed by the exchange's own order id. "No such order" is handed back as that, never read as an end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, NamedTuple

from hedgegridd.model import Order, Role

from . import wire as door
from .errors import NO_ANSWER, Act, Fault
from .shapes import Row, algo_of, fill_of, order_of, whole
from .told import Told
from .wire import Wire

RESTING = ("NEW", "PARTIALLY_FILLED", "TRIGGERING", "TRIGGERED")
PAGE, LATE_S = 1000, 0.3


class Fate(StrEnum):
    RESTS = "rests"
    OVER = "over"
    ABSENT = "absent"


class Found(NamedTuple):
    fate: Fate
    order: Order | None = None


class Inquiry:
    """Asks for orders by name."""

    def __init__(self, wire: Wire, told: Told) -> None:
        self.wire, self.told = wire, told

    async def settle(self, order: Order, urgent: bool = False) -> Found:
        """Ask, and tell what is over. Raises Fault where there was no usable answer."""
        try:
            row = await self.ask(order, urgent)
        except Fault as fault:
            if fault.act is Act.GONE:
                return Found(Fate.ABSENT)
            raise
        return await (self._settle_stop if order.role == Role.STOP else self._settle_classic)(order, row, urgent)

    async def ask(self, order: Order, urgent: bool) -> Row:
        """The exchange's own row of it. Raises Fault, also for an answer that is none."""
        call, key = (door.FIND_ALGO, "clientAlgoId") if order.role == Role.STOP else (door.FIND, "origClientOrderId")
        params = {"symbol": order.symbol, key: order.client_id}
        row = await self.wire.ask(call, params, urgent)
        if not isinstance(row, dict) or not ("orderId" in row or "algoId" in row):
            raise Fault(0, NO_ANSWER, "an empty answer")
        return row

    async def _settle_classic(self, order: Order, row: Row, urgent: bool) -> Found:
        state, name = str(row.get("status")), order.client_id
        time = whole(row.get("updateTime"))
        if state in RESTING:
            return Found(Fate.RESTS, order_of(row, self.told.scales[order.symbol]))
        self.told.names.put(str(row["orderId"]), name)
        if float(row.get("executedQty") or 0) > 0:
            await self.trades_of(order.symbol, str(row["orderId"]), name, urgent)
        if state == "REJECTED":
            self.told.rejected(name, 0, "rejected by the exchange")
        else:
            self.told.cancelled(name, time, "cancelled" if state == "CANCELED" else state.lower().replace("_", " "), again=True)
        return Found(Fate.OVER)

    async def _settle_stop(self, order: Order, row: Row, urgent: bool) -> Found:
        state, name = str(row.get("algoStatus")), order.client_id
        time, became = whole(row.get("updateTime")), str(row.get("actualOrderId") or "")
        if state in RESTING and not became:
            return Found(Fate.RESTS, algo_of(row, self.told.scales[order.symbol]))
        if became:
            self.told.names.put(became, name)
            await self.trades_of(order.symbol, became, name, urgent)
        if state in RESTING:
            return Found(Fate.RESTS, algo_of(row, self.told.scales[order.symbol]))
        self.told.cancelled(name, time, "stop filled" if became else state.lower(), again=True)
        return Found(Fate.OVER)

    def ended(self, symbol: str, name: str, order_id: str, executed: int, time: int, reason: str) -> Coroutine[Any, Any, None] | None:
        """It is over ("" = all of it is executed): tell it at once where all that it executed was told, else the work that is left."""
        if not self._heard(name, executed):
            return self.end(symbol, name, order_id, executed, time, reason)
        self._over(name, time, reason)
        return None

    async def end(self, symbol: str, name: str, order_id: str, executed: int, time: int, reason: str) -> None:
        """It is over: wait for what it executed and was not heard of, read it where it does not come, then tell the end."""
        if not self._heard(name, executed):
            await asyncio.sleep(LATE_S)
        if not self._heard(name, executed):
            try:
                await self.trades_of(symbol, order_id, name, True)
            except Fault as fault:
                self.told.unsure(name, f"over, and what it executed is not known: {fault}")
                return
        self._over(name, time, reason)

    def _over(self, name: str, time: int, reason: str) -> None:
        if reason:
            self.told.cancelled(name, time, reason)
        else:
            self.told.finished(name, time)

    def _heard(self, name: str, executed: int) -> bool:
        order = self.told.live.get(name)
        return order is None or order.filled >= executed

    async def trades_of(self, symbol: str, order_id: str, client_id: str, urgent: bool) -> int:
        """Tell what this order executed; how many of it were news."""
        rows = await self.wire.ask(door.TRADES, {"symbol": symbol, "orderId": order_id, "limit": PAGE}, urgent)
        by = self.told.scales[symbol]
        return sum(self.told.fill(fill_of(row, by, client_id), str(row.get("commissionAsset"))) for row in rows)
