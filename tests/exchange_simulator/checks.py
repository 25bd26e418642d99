"""What every order is checked for: symbol, side, leg, filters, margin.

Its one law: a check answers a number or refuses; it changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

from exchange_simulator.params import Params
from exchange_simulator.refusals import Refused
from exchange_simulator.symbols import TIMES_IN_FORCE
from exchange_simulator.venue import Pit, Venue
from hedgegridd.kernel import ledger
from hedgegridd.model import Leg, Side

FAR_FUTURE = 253_402_300_799_000
REMAIN_AT_LEAST_MS = 600_000


def pit_of(venue: Venue, params: Params) -> Pit:
    """The symbol's pit; -1121 for one nobody knows."""
    pit = venue.pits.get(params.need("symbol"))
    if pit is None:
        raise Refused(-1121)
    return pit


def trading(pit: Pit) -> None:
    """A symbol that is being settled takes closers only."""
    if pit.symbol.entry["status"] != "TRADING":
        raise Refused(-4140)


def direction(venue: Venue, params: Params) -> tuple[int, int]:
    """Leg and side, in hedge mode."""
    if params.need("side") not in Side.__members__:
        raise Refused(-1117)
    where = params.text("positionSide") or "BOTH"
    if where not in ("BOTH", *Leg.__members__):
        raise Refused(-1102, name="positionSide")
    if venue.hedge == (where == "BOTH"):
        raise Refused(-4061)
    if not venue.hedge:
        raise Refused(-1128, msg="Only hedge mode is simulated.")
    if "reduceOnly" in params:
        raise Refused(-1106, name="reduceOnly")
    return int(Leg[where]), int(Side[params.need("side")])


def quantity(pit: Pit, params: Params, market: bool) -> int:
    """Lots, by LOT_SIZE or MARKET_LOT_SIZE."""
    value = params.number("quantity")
    sym, rules = pit.symbol, pit.symbol.filters["MARKET_LOT_SIZE" if market else "LOT_SIZE"]
    if value <= 0:
        raise Refused(-4003)
    if places(value) > sym.entry["quantityPrecision"]:
        raise Refused(-1111)
    if value < Decimal(rules["minQty"]):
        raise Refused(-4004)
    if value > Decimal(rules["maxQty"]):
        raise Refused(-4005)
    if value % Decimal(rules["stepSize"]):
        raise Refused(-4023)
    return int(value / sym.lot)


def price_of(pit: Pit, params: Params, name: str = "price") -> int:
    """Ticks, by PRICE_FILTER."""
    value = params.number(name)
    sym, rules = pit.symbol, pit.symbol.filters["PRICE_FILTER"]
    if value <= 0:
        raise Refused(-4001 if name == "price" else -4006)
    if places(value) > sym.entry["pricePrecision"]:
        raise Refused(-1111)
    if value > Decimal(rules["maxPrice"]):
        raise Refused(-4002)
    if value < Decimal(rules["minPrice"]):
        raise Refused(-4013)
    if value % Decimal(rules["tickSize"]):
        raise Refused(-4014)
    return int(value / sym.tick)


def places(value: Decimal) -> int:
    """Decimal places that count."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def in_band(pit: Pit, side: int, price: int) -> None:
    """PERCENT_PRICE around the mark."""
    rules, mark = pit.symbol.filters["PERCENT_PRICE"], pit.book.mark[0]
    high, low = mark * float(rules["multiplierUp"]), mark * float(rules["multiplierDown"])
    if side > 0 and price > high:
        raise Refused(-4016, limit=pit.symbol.price(int(high)))
    if side < 0 and price < low:
        raise Refused(-4024, limit=pit.symbol.price(int(low) + 1))


def market_in_band(venue: Venue, pit: Pit, side: int) -> None:
    """A market order needs a best opposite price within PERCENT_PRICE."""
    rules, mark, best = pit.symbol.filters["PERCENT_PRICE"], pit.book.mark[0], venue.best(pit, side)
    off = best > mark * float(rules["multiplierUp"]) if side > 0 else best < mark * float(rules["multiplierDown"])
    if best == 0 or off:
        raise Refused(-4131)


def large_enough(pit: Pit, price: float, lots: int) -> None:
    """MIN_NOTIONAL; closers are exempt and do not come here."""
    least = pit.symbol.filters["MIN_NOTIONAL"]["notional"]
    if ledger.notional(lots, pit.terms.unit, price) < float(least) - 1e-9:
        raise Refused(-4164, notional=least)


def affordable(venue: Venue, pit: Pit, price: float, lots: int) -> None:
    """Margin, and the largest position at this leverage."""
    more = ledger.notional(lots, pit.terms.unit, price)
    bound = more + pit.notional(0) + pit.notional(1) + float(pit.book.openers[0] + pit.book.openers[1]) * pit.terms.unit
    if bound > pit.symbol.max_notional(pit.leverage):
        raise Refused(-2027)
    if more / pit.leverage > venue.available:
        raise Refused(-2019)


def closable(pit: Pit, leg: int, lots: int, market: bool) -> None:
    """Is there so much to close? A market close goes before what rests."""
    if lots > pit.held(leg):
        raise Refused(-2022)
    if not market and pit.book.closers[leg] + lots > pit.held(leg):
        raise Refused(-4118)


def time_in_force(params: Params, default: str = "") -> str:
    tif = params.text("timeInForce", default) or params.need("timeInForce")
    if tif not in (*TIMES_IN_FORCE, "GTE_GTC"):
        raise Refused(-1115)
    return tif


def good_till(venue: Venue, params: Params, tif: str) -> int:
    if tif != "GTD":
        return 0
    until = params.whole("goodTillDate")
    if not venue.clock() + REMAIN_AT_LEAST_MS <= until < FAR_FUTURE:
        raise Refused(-5040)
    return until
