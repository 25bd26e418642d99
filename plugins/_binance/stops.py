"""Stops on the exchange. One law: while one stop of a leg takes another's place, the leg is never bare.

The exchange takes one position-closing stop a leg. So a bridge, a stop of the leg's present quantity at the new trigger, is put
there first; then the old stop goes, the new one comes, and the bridge goes. Where the new one does not come, the bridge stays until
a later stop rests. A bridge is nobody's order but ours here: it is never told, and what it executes is told as its stop's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from hedgegridd.model import Order, Role

from . import wire as door
from .errors import NEVER_SENT, NO_ANSWER, Act, Fault
from .inquiry import RESTING, Fate, Inquiry
from .shapes import OURS, Row, algo_of, bridge_id, bridge_params, closes_position, is_bridge, stop_params, whole
from .told import LegKey, Told
from .wire import Wire

RETRIES_S = (0.2, 0.4, 0.8)
TAKEN = -4130  # a position-closing stop rests on this leg already


class Stops:
    """Puts and withdraws stops, one thing at a time for each leg."""

    def __init__(self, wire: Wire, told: Told, inquiry: Inquiry, largest: dict[str, int]) -> None:
        self.wire, self.told, self.inquiry, self.largest = wire, told, inquiry, largest
        self._locks: dict[LegKey, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def put(self, order: Order) -> None:
        """Place a stop, in place of any other of ours on its leg."""
        async with self._locks[order.symbol, order.leg]:
            olds = self.told.stops(order.symbol, order.leg, order.client_id)
            if not olds:
                fault = await self._put_alone(order)
                if fault is None or fault.code != TAKEN or not (olds := await self._resting(order)):
                    self._answer(order, fault)
                    return
            await self._replace(order, olds)

    async def withdraw(self, order: Order) -> None:
        """Cancel a stop."""
        async with self._locks[order.symbol, order.leg]:
            try:
                row = await self._remove(order)
            except Fault as fault:
                self.told.unsure(order.client_id, str(fault))
                return
            if row is not None:
                self.told.cancelled(order.client_id, whole(row.get("updateTime")), "cancelled")
            else:
                await self._look_up(order)

    async def drop(self, symbol: str, bridge: str) -> None:
        """Remove a bridge; one that cannot be removed now is found again by the next report."""
        try:
            await self._cancel(symbol, bridge)
        except Fault as fault:
            if fault.act is not Act.GONE:
                return
        self.told.bridges.pop(bridge, None)

    # --- one stop -----------------------------------------------------------------------------------------------------

    async def _put_alone(self, order: Order) -> Fault | None:
        try:
            row = await self._sure(order, stop_params(order, self.told.scales[order.symbol]))
        except Fault as fault:
            return fault
        self.told.accepted(order.client_id, str(row["algoId"]), whole(row.get("updateTime") or row.get("createTime")))
        await self._drop_bridges(order)
        return None

    def _answer(self, order: Order, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.act in (Act.UNKNOWN, Act.EXISTS):
            self.told.unsure(order.client_id, str(fault))
        else:
            self.told.rejected(order.client_id, fault.code, str(fault))

    async def _sure(self, order: Order, params: dict[str, str]) -> Row:
        """Send until it is known to be there or refused; always under the one id. Raises Fault."""
        for pause in (*RETRIES_S, 0.0):
            try:
                row = await self.wire.ask(door.PLACE_ALGO, params, True)
                if "algoId" in row:
                    return dict(row)
                fault = Fault(0, NO_ANSWER, "an empty answer")
            except Fault as error:
                fault = error
            if fault.act not in (Act.UNKNOWN, Act.EXISTS, Act.FAILED):
                raise fault
            await asyncio.sleep(pause)
            if fault.code == NEVER_SENT:
                continue  # it is proven not to be there
            try:
                row = await self.inquiry.ask(order, True)
                if str(row.get("algoStatus")) in RESTING:
                    return row
                raise fault
            except Fault as error:
                if error.act is not Act.GONE or fault.act is not Act.FAILED or not pause:
                    raise fault from None
        raise fault

    async def _remove(self, order: Order) -> Row | None:
        """The cancelled row, None where there is no such order (any more). Raises Fault where it may still rest."""
        fault = Fault(0, NO_ANSWER, "not asked")
        for pause in (0.0, *RETRIES_S):
            await asyncio.sleep(pause)
            try:
                return await self._cancel(order.symbol, order.client_id)
            except Fault as error:
                fault = error
                if fault.act is Act.GONE:
                    return None
                if fault.act not in (Act.UNKNOWN, Act.FAILED):
                    break
        raise fault

    async def _cancel(self, symbol: str, client_id: str) -> Row:
        """Raises Fault, also for an answer that says nothing."""
        row = await self.wire.ask(door.CANCEL_ALGO, {"symbol": symbol, "clientAlgoId": client_id}, True)
        if "algoId" not in row and "clientAlgoId" not in row and "code" not in row:
            raise Fault(0, NO_ANSWER, "an empty answer")
        return dict(row)

    async def _look_up(self, order: Order) -> None:
        """It is gone: what became of it?"""
        try:
            found = await self.inquiry.settle(order, True)
        except Fault as fault:
            self.told.unsure(order.client_id, str(fault))
            return
        if found.fate is Fate.ABSENT:
            self.told.cancelled(order.client_id, 0, "unknown", again=True)
        elif found.fate is Fate.RESTS:
            self.told.unsure(order.client_id, "the exchange could not find it to cancel, yet it rests")

    async def _resting(self, order: Order) -> list[Order]:
        """Our stops that close this leg, as the exchange lists them."""
        try:
            rows = await self.wire.ask(door.OPEN_ALGOS, {"symbol": order.symbol}, True)
        except Fault:
            return []
        by = self.told.scales[order.symbol]
        stops = [algo_of(row, by) for row in rows if closes_position(row) and str(row["clientAlgoId"]).startswith(OURS)]
        return [stop for stop in stops if stop.leg == order.leg and stop.client_id != order.client_id]

    # --- in place of another ------------------------------------------------------------------------------------------

    async def _replace(self, order: Order, olds: list[Order]) -> None:
        try:
            await self._bridge(order)
        except Fault as error:  # the old stop rests as it did
            self.told.rejected(order.client_id, error.code, f"no bridge to it: {error}")
            return
        self.told.replaced.update(old.client_id for old in olds)
        ends = [await self._end_of(old) for old in olds]
        fault = await self._put_alone(order)
        self._answer(order, fault)
        for old, (removed, why) in zip(olds, ends, strict=True):
            self.told.replaced.discard(old.client_id)
            if why:
                self.told.unsure(old.client_id, why)
            elif removed is not None:
                self.told.cancelled(old.client_id, whole(removed.get("updateTime")), "replaced")
            else:
                await self._look_up(old)

    async def _bridge(self, order: Order) -> None:
        """Guard the leg for the time between the two. Raises Fault."""
        lots = self.told.held.get((order.symbol, order.leg), 0) or order.qty
        lots = min(lots, self.largest.get(order.symbol, lots))  # a market order takes no more: most of a leg is better than none
        bridge = order._replace(client_id=bridge_id(order.client_id), role=int(Role.STOP))
        self.told.bridges[bridge.client_id] = order
        try:
            await self._sure(bridge, bridge_params(order, self.told.scales[order.symbol], lots))
        except Fault as fault:
            if fault.act is Act.REFUSED:
                self.told.bridges.pop(bridge.client_id, None)
            raise

    async def _end_of(self, old: Order) -> tuple[Row | None, str]:
        """Remove the old stop: its row, or None where it was gone, or why that is not known."""
        try:
            return await self._remove(old), ""
        except Fault as fault:
            return None, str(fault)

    async def _drop_bridges(self, order: Order) -> None:
        legs = {name: (stop.symbol, stop.leg) for name, stop in self.told.bridges.items() if is_bridge(name)}
        for name, leg in legs.items():
            if leg == (order.symbol, order.leg):
                await self.drop(order.symbol, name)
