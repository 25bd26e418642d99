"""What must be known, and right, before trading. One law: a fact that could not be had is not ok, and says why.

Sizes come from the filters, never from the precisions; what may be put right (position mode, leverage, margin type) is, once, and
then looked at again. The far stop is a real order, so far away that nothing reaches it, and is gone before this ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import partial
from typing import Any

from hedgegridd.hookspecs import Fact, Terms
from hedgegridd.model import Bracket, Instrument

from . import wire as door
from .errors import Act, Fault, Misfit
from .market import MALFORMED
from .probe import Probe
from .shapes import OURS, Row, Scale, algo_of, held_of, number, order_of, scale, usdt_of
from .wire import Wire

MOST_SKEW_MS = 1_000.0
MARGIN_NAMES = {"cross": "CROSSED", "isolated": "ISOLATED"}
UNLIMITED = 10**12
Look = Callable[[], Coroutine[Any, Any, Fact]]


class Survey:
    """Reads the exchange's rules and an account's settings."""

    def __init__(self, wire: Wire, scales: dict[str, Scale]) -> None:
        self.wire, self.scales = wire, scales
        self._rows: dict[str, Row] = {}

    # --- instruments --------------------------------------------------------------------------------------------------

    async def instruments(self, terms: dict[str, Terms], trading: bool) -> dict[str, Instrument]:
        """Raises ExchangeError for a symbol that does not trade here."""
        await self._learn()
        found = {}
        for symbol, term in terms.items():
            fees = (term.maker_bps, term.taker_bps)
            brackets: tuple[Bracket, ...] = ()
            if trading:
                try:
                    fees, brackets = await self._fees(symbol), await self._brackets(symbol)
                except Fault as fault:
                    if not fault.permanent:
                        raise  # a key that is refused is told by the preflight
            found[symbol] = instrument_of(self._row(symbol), term, fees, brackets)
        return found

    async def scale(self, symbol: str) -> Scale:
        if symbol not in self.scales:
            await self._learn()
            self._row(symbol)
        return self.scales[symbol]

    async def _learn(self) -> None:
        said = await self.wire.ask(door.INFO)
        self.wire.budget.learn(said.get("rateLimits", []))
        self._rows = {str(row["symbol"]): row for row in said["symbols"]}
        for symbol, row in self._rows.items():
            self.scales.setdefault(symbol, scale(symbol, *sizes_of(row)))

    def _row(self, symbol: str) -> Row:
        row = self._rows.get(symbol)
        if row is None:
            raise Misfit(f"{symbol} is not known to the exchange")
        if row.get("marginAsset", "USDT") != "USDT":
            raise Misfit(f"{symbol} has its margin in {row.get('marginAsset')}, expected USDT")
        return row

    async def _status(self, symbol: str) -> Fact:
        """A symbol that does not trade may still be held, and must then be looked after: no reason not to start with it."""
        status = str(self._row(symbol).get("status"))
        ok = status == "TRADING"
        return Fact("", ok, status, "TRADING", "" if ok else "Leave it out until it trades again.")

    async def _fees(self, symbol: str) -> tuple[float, float]:
        row = await self.wire.ask(door.COMMISSION, {"symbol": symbol})
        return bps(row["makerCommissionRate"]), bps(row["takerCommissionRate"])

    async def _brackets(self, symbol: str) -> tuple[Bracket, ...]:
        said = await self.wire.ask(door.BRACKETS, {"symbol": symbol})
        rows = said if isinstance(said, list) else [said]
        return brackets_of(next(row for row in rows if row["symbol"] == symbol))

    # --- preflight ----------------------------------------------------------------------------------------------------

    async def preflight(self, instruments: dict[str, Instrument], terms: dict[str, Terms]) -> list[Fact]:
        """In this order; a key that is refused ends it, for nothing else could be looked at."""
        facts = [await self._fact("clock", self._clock), await self._fact("key", self._key)]
        if not facts[-1].ok:
            return facts
        await self._learn()
        looks: list[tuple[str, Look]] = [("position mode", self._mode), ("multi-asset mode", self._assets)]
        for symbol, term in terms.items():
            looks += [
                (f"symbol {symbol}", partial(self._status, symbol)),
                (f"leverage {symbol}", partial(self._leverage, symbol, term)),
                (f"margin type {symbol}", partial(self._margin, symbol, term)),
            ]
        facts += await asyncio.gather(*(self._fact(name, look) for name, look in looks))
        probes = [Probe(self.wire, self.scales[symbol], self._rows[symbol]) for symbol in instruments]
        for found in await asyncio.gather(*(probe.facts(countdown=probe is probes[0]) for probe in probes)):
            facts += found
        return [*facts, await self._fact("balance", self._balance), *await self._others(tuple(instruments))]

    async def _fact(self, name: str, look: Look) -> Fact:
        try:
            return (await look())._replace(name=name)
        except Fault as fault:
            if fault.passing:
                raise  # no fact of the account: it is asked again
            return Fact(name, False, str(fault), "", advice_of(fault))
        except MALFORMED as error:
            return Fact(name, False, f"an answer that cannot be read ({type(error).__name__})", "", "Is rest_url Binance's futures?")

    async def _clock(self) -> Fact:
        await self.wire.resync()
        offset = self.wire.clock.offset_ms()
        ok = abs(offset) <= MOST_SKEW_MS
        return Fact(
            "", ok, f"{offset:+.0f} ms", f"within {MOST_SKEW_MS:.0f} ms", "" if ok else "Let chrony or systemd-timesyncd set the clock."
        )

    async def _key(self) -> Fact:
        said = await self.wire.ask(door.ACCOUNT)
        ok = said.get("canTrade") is True
        return Fact("", ok, "may trade" if ok else "may not trade", "may trade", "" if ok else "Enable futures trading for this key.")

    async def _mode(self) -> Fact:
        said = await self.wire.ask(door.MODE)
        if said["dualSidePosition"] is not True:
            try:
                await self.wire.ask(door.SET_MODE, {"dualSidePosition": "true"})
            except Fault as fault:
                if fault.act is not Act.FINE:
                    return Fact(
                        "", False, f"one-way, and cannot be changed: {fault}", "hedge", "Close all positions and orders, then start again."
                    )
            said = await self.wire.ask(door.MODE)
        ok = said["dualSidePosition"] is True
        return Fact("", ok, "hedge" if ok else "one-way", "hedge", "" if ok else "Switch the account to hedge mode.")

    async def _assets(self) -> Fact:
        ok = (await self.wire.ask(door.ASSETS_MODE))["multiAssetsMargin"] is False
        return Fact(
            "", ok, "off" if ok else "on", "off", "" if ok else "Switch the account to single-asset mode: its margin is USDT alone."
        )

    async def _leverage(self, symbol: str, term: Terms) -> Fact:
        found = (await self._config(symbol)).get("leverage")
        if found is None or float(found) != term.leverage:
            found = (await self.wire.ask(door.SET_LEVERAGE, {"symbol": symbol, "leverage": int(term.leverage)}))["leverage"]
        ok = float(found) == term.leverage
        return Fact("", ok, f"{float(found):g}", f"{term.leverage:g}", "" if ok else "Choose a leverage this symbol has, a whole number.")

    async def _margin(self, symbol: str, term: Terms) -> Fact:
        wanted = MARGIN_NAMES[term.margin_type]
        if str((await self._config(symbol)).get("marginType", "")).upper() != wanted:
            try:
                await self.wire.ask(door.SET_MARGIN, {"symbol": symbol, "marginType": wanted})
            except Fault as fault:
                if fault.act is not Act.FINE:
                    raise
        return Fact("", True, term.margin_type, term.margin_type)

    async def _config(self, symbol: str) -> Row:
        """A symbol's settings; empty where the exchange does not show them."""
        try:
            rows = await self.wire.ask(door.SYMBOL_CONFIG, {"symbol": symbol})
        except Fault as fault:
            if fault.status in (400, 404):
                return {}
            raise
        rows = rows if isinstance(rows, list) else [rows]
        return next((row for row in rows if row.get("symbol") == symbol), {})

    async def _balance(self) -> Fact:
        wallet = usdt_of(await self.wire.ask(door.BALANCE))
        if wallet is None:
            return Fact("", False, "no USDT", "USDT", "Move USDT to the futures wallet.")
        return Fact(
            "", wallet > 0, f"{wallet:.8f}".rstrip("0").rstrip("."), "more than 0", "" if wallet > 0 else "Move USDT to the futures wallet."
        )

    async def _others(self, symbols: tuple[str, ...]) -> list[Fact]:
        """What rests or is held that is not this program's. Told, not judged: the daemon knows which legs are its own."""
        try:
            positions = await self.wire.ask(door.POSITIONS)
            lists = await asyncio.gather(
                *(self.wire.ask(call, {"symbol": symbol}) for symbol in symbols for call in (door.OPEN, door.OPEN_ALGOS))
            )
        except Fault as fault:
            if fault.passing:
                raise
            return [Fact("foreign orders", False, str(fault), "", advice_of(fault))]
        rows = [row for some in lists for row in some]
        orders = [(order_of if "orderId" in row else algo_of)(row, self.scales[row["symbol"]]) for row in rows]
        foreign = sorted({order.symbol for order in orders if not order.client_id.startswith(OURS)})
        count = sum(not order.client_id.startswith(OURS) for order in orders)
        legs = [
            held_of(row, self.scales[row["symbol"]]) for row in positions if number(row["positionAmt"]) and row["symbol"] in self.scales
        ]
        shown = ", ".join(f"{leg.symbol} {('LONG', 'SHORT')[leg.leg]} {self.scales[leg.symbol].qty(leg.qty)}" for leg in legs)
        elsewhere = sorted({leg.symbol for leg in legs} - set(symbols))
        return [
            Fact(
                "foreign orders", True, f"{count} on {', '.join(foreign)}" if count else "none", "", "They are left alone." if count else ""
            ),
            Fact(
                "positions",
                True,
                shown or "none",
                "",
                f"{', '.join(elsewhere)}: not configured here, shares the margin." if elsewhere else "",
            ),
        ]


# --- pure -------------------------------------------------------------------------------------------------------------


def filter_of(row: Row, kind: str) -> Row:
    return next((one for one in row["filters"] if one.get("filterType") == kind), {})


def sizes_of(row: Row) -> tuple[Decimal, Decimal]:
    """One tick and one lot."""
    return Decimal(str(filter_of(row, "PRICE_FILTER")["tickSize"])), Decimal(str(filter_of(row, "LOT_SIZE")["stepSize"]))


def bps(rate: Any) -> float:
    return float(Decimal(str(rate)) * 10_000)


def instrument_of(row: Row, term: Terms, fees: tuple[float, float], brackets: tuple[Bracket, ...]) -> Instrument:
    """From the filters; the smallest bracket's margin where the brackets are known."""
    tick, lot = sizes_of(row)
    limit, market = filter_of(row, "LOT_SIZE"), filter_of(row, "MARKET_LOT_SIZE")

    def lots(text: Any, otherwise: int) -> int:
        return int(Decimal(str(text)) / lot) or otherwise if text else otherwise

    most = lots(limit.get("maxQty"), UNLIMITED)
    margin = brackets[0].maint_margin_pct if brackets else term.maint_margin_pct
    return Instrument(float(tick), float(lot), max(1, lots(limit.get("minQty"), 1)), most, min(most, lots(market.get("maxQty"), most)),
                      number(filter_of(row, "MIN_NOTIONAL").get("notional")), *fees, term.leverage, margin, brackets)  # fmt: skip


def brackets_of(row: Row) -> tuple[Bracket, ...]:
    """By rising notional."""
    rows = sorted(row["brackets"], key=lambda one: float(one["notionalFloor"]))
    return tuple(
        Bracket(float(one["notionalFloor"]), float(Decimal(str(one["maintMarginRatio"])) * 100), float(one["cum"])) for one in rows
    )


def advice_of(fault: Fault) -> str:
    """What a person may do about it."""
    advice = {
        -2014: "The API key is malformed: check api_key.", -2015: "Check the key, its IP list and its right to trade futures.",
        -1022: "The signature is refused: check api_secret.", -1021: "Let chrony or systemd-timesyncd set the clock.",
        -1003: "Too many requests from this address: wait.", -4161: "Leverage cannot be lowered with isolated positions open: close them.",
        -4047: "Close this symbol's orders and positions.", -4048: "Close this symbol's positions.",
        -4168: "Isolated margin needs single-asset mode.", -4028: "This symbol does not have that leverage.",
    }  # fmt: skip
    return advice.get(fault.code, "The exchange could not be reached: check the network and rest_url." if fault.status == 0 else "")
