"""A far stop, placed and taken back. One law: whatever it finds, no probe rests when it is done.

Without conditional orders no leg can be protected, so live does not start where this fails. While it rests, the exchange's
countdown is let run out over it: whether that takes stops along is written nowhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hedgegridd.hookspecs import Fact

from . import wire as door
from .errors import NO_ANSWER, Act, Fault
from .market import MALFORMED
from .shapes import LONGEST_ID, Row, Scale
from .wire import Wire

PREFIX = "hgprobe-"  # not "hg-": nobody takes it for an order
FAR = {"LONG": ("SELL", 0.5, 0.7, 0.9), "SHORT": ("BUY", 2.0, 1.4, 1.1)}  # side, and how far from the mark it is tried
COUNTDOWN_MS, ROUNDS, ROUND_S = 1_000, 20, 0.2


class Probe:
    """The probe of one symbol."""

    def __init__(self, wire: Wire, by: Scale, row: Row) -> None:
        self.wire, self.by, self.row = wire, by, row
        self.name = f"{PREFIX}{time.time_ns() // 1_000_000}-{by.symbol}"[:LONGEST_ID]  # several symbols are probed in one millisecond

    async def facts(self, countdown: bool) -> list[Fact]:
        """The fact "far stop SYMBOL" and, where it is asked for, "countdown"."""
        stop = f"far stop {self.by.symbol}"
        found: list[Fact] = []
        try:
            how = await self._place()
            try:
                if countdown:
                    found.append(Fact("countdown", True, await self._count_down()))
            finally:
                gone = await self._remove()
        except Fault as fault:
            if fault.passing:
                raise  # asked again; what may be left of it is swept then
            return [
                Fact(stop, False, str(fault), "placed and cancelled", "No leg can be protected: conditional orders are refused."),
                *found,
            ]
        except MALFORMED as error:
            return [Fact(stop, False, f"an answer that cannot be read ({type(error).__name__})", "placed and cancelled"), *found]
        if not gone:
            return [Fact(stop, False, f"{self.name} still rests", "placed and cancelled", "Cancel it by hand."), *found]
        return [Fact(stop, True, f"placed ({how}) and cancelled", "placed and cancelled"), *found]

    # --- the stop -----------------------------------------------------------------------------------------------------

    async def _place(self) -> str:
        """Try with a quantity, which needs no position; then, nearer, as it will be used. Raises the last Fault."""
        await self._sweep()
        mark = await self._mark()
        refused = Fault(0, NO_ANSWER, "not asked")
        for leg, (side, *distances) in FAR.items():
            for far in distances:
                for sized in (True, False):
                    try:
                        await self.wire.ask(door.PLACE_ALGO, self._params(leg, side, mark * far, sized))
                        return f"{leg} at {far:g} of the mark"
                    except Fault as fault:
                        refused = fault
                        if fault.act is not Act.REFUSED or fault.code == -4120:
                            await self._remove()
                            raise
        raise refused

    async def _mark(self) -> float:
        """The mark price, or where the exchange does not tell it the last trade's: what is tried is far from either."""
        try:
            return float((await self.wire.ask(door.PREMIUM, {"symbol": self.by.symbol}))["markPrice"])
        except Fault as fault:
            if not fault.permanent:
                raise
            return float((await self.wire.ask(door.KLINES, {"symbol": self.by.symbol, "interval": "1m", "limit": 1}))[-1][4])

    def _params(self, leg: str, side: str, price: float, sized: bool) -> dict[str, Any]:
        ticks = max(1, round(price / self.by.tick_size))
        filters = {row["filterType"]: row for row in self.row["filters"]}
        params = {
            "algoType": "CONDITIONAL", "symbol": self.by.symbol, "side": side, "positionSide": leg, "type": "STOP_MARKET",
            "triggerPrice": self.by.price(ticks), "workingType": "MARK_PRICE", "clientAlgoId": self.name,
        }  # fmt: skip
        return params | ({"quantity": self.by.qty(self._smallest(filters, price))} if sized else {"closePosition": "true"})

    def _smallest(self, filters: dict[str, Row], price: float) -> int:
        """The fewest lots that such an order may have."""
        least = self.by.lots(filters["LOT_SIZE"].get("minQty"))
        worth = float(filters.get("MIN_NOTIONAL", {}).get("notional") or 0.0)
        return max(1, least, int(worth / (price * self.by.lot_size)) + 1)

    async def _sweep(self) -> None:
        """What a life that was killed in the middle of this left behind."""
        for row in await self.wire.ask(door.OPEN_ALGOS, {"symbol": self.by.symbol}, True):
            name = str(row.get("clientAlgoId", ""))
            if name.startswith(PREFIX):
                await self.wire.ask(door.CANCEL_ALGO, {"symbol": self.by.symbol, "clientAlgoId": name}, True)

    async def _remove(self) -> bool:
        """Cancel it, and look: is it gone?"""
        for _ in range(ROUNDS):
            try:
                await self.wire.ask(door.CANCEL_ALGO, {"symbol": self.by.symbol, "clientAlgoId": self.name}, True)
            except Fault as fault:
                if fault.act is Act.REFUSED:
                    raise
            if not await self._rests():
                return True
            await asyncio.sleep(ROUND_S)
        return False

    async def _rests(self) -> bool:
        rows = await self.wire.ask(door.OPEN_ALGOS, {"symbol": self.by.symbol}, True)
        return any(row.get("clientAlgoId") == self.name for row in rows)

    # --- the countdown ------------------------------------------------------------------------------------------------

    async def _count_down(self) -> str:
        """Let it run out over the probe. It takes others' orders of the symbol too, so it is left out where any rest."""
        symbol = self.by.symbol
        try:
            if await self.wire.ask(door.OPEN, {"symbol": symbol}) or len(await self.wire.ask(door.OPEN_ALGOS, {"symbol": symbol})) > 1:
                return "not tried: orders rest"
            await self.wire.ask(door.COUNTDOWN, {"symbol": symbol, "countdownTime": COUNTDOWN_MS})
            for _ in range(ROUNDS // 2):
                await asyncio.sleep(ROUND_S)
                if not await self._rests():
                    return "takes stops"
            await self.wire.ask(door.COUNTDOWN, {"symbol": symbol, "countdownTime": 0})
        except Fault as fault:
            return f"unknown: {fault}"
        return "spares stops"
