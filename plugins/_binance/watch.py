"""What may change behind our back while we trade. One law: a rule of the exchange that is another now halts, it is never adapted to.

Looked at every hour: the key's right to trade, and each symbol's sizes and status. Prices and quantities already decided were made
with the old ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hedgegridd.model import Instrument, Trouble

from . import wire as door
from .errors import Fault
from .market import MALFORMED
from .shapes import Row
from .survey import sizes_of
from .wire import Wire

HOUR_S, RETRY_S = 3600.0, 60.0


class Watch:
    """Compares the exchange's rules with those that were read before the start."""

    def __init__(self, wire: Wire, emit: Callable[[Any], None], instruments: dict[str, Instrument]) -> None:
        self.wire, self.emit, self.instruments = wire, emit, instruments

    async def run(self) -> None:
        """Until cancelled."""
        pause = HOUR_S
        while True:
            await asyncio.sleep(pause)
            try:
                await self.look()
                pause = HOUR_S
            except (Fault, *MALFORMED):
                pause = RETRY_S

    async def look(self) -> None:
        """Tell what is another now. Raises Fault."""
        if (await self.wire.ask(door.ACCOUNT)).get("canTrade") is not True:
            self._halt("the key may not trade any more", "")
        said = await self.wire.ask(door.INFO)
        self.wire.budget.learn(said.get("rateLimits", []))
        rows = {row["symbol"]: row for row in said["symbols"]}
        for symbol, instrument in self.instruments.items():
            if why := changed(rows.get(symbol), instrument):
                self._halt(f"{symbol}: {why}", symbol)

    def _halt(self, text: str, symbol: str) -> None:
        self.emit(Trouble(self.wire.clock.now(), "halt", text, symbol))


def changed(row: Row | None, instrument: Instrument) -> str:
    """Why this symbol is not what it was; "" = it is."""
    if row is None or row.get("status") != "TRADING":
        return f"does not trade any more (status {row.get('status') if row else 'unknown'})"
    tick, lot = sizes_of(row)
    if (float(tick), float(lot)) != (instrument.tick_size, instrument.lot_size):
        return f"its sizes were changed to {tick} and {lot}: restart"
    return ""
