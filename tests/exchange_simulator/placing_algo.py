"""Which conditional orders are taken, found and withdrawn.

Its one law: as in `placing`, a refusal leaves no trace; what a trigger then does is `conditional`.
"""

from __future__ import annotations

from decimal import Decimal

from exchange_simulator.checks import direction, good_till, large_enough, pit_of, price_of, quantity, time_in_force, trading
from exchange_simulator.conditional import reached
from exchange_simulator.params import Params
from exchange_simulator.placing import CONDITIONAL
from exchange_simulator.records import Algo
from exchange_simulator.refusals import Refused
from exchange_simulator.symbols import MAX_ALGO_ORDERS
from exchange_simulator.venue import Pit, Venue


def place_algo(venue: Venue, params: Params) -> Algo:
    """POST algoOrder."""
    if params.need("algoType") != "CONDITIONAL":
        raise Refused(-1102, name="algoType")
    pit = pit_of(venue, params)
    kind = params.need("type")
    if kind not in CONDITIONAL:
        raise Refused(-1116)
    leg, side = direction(venue, params)
    name = params.client_id("clientAlgoId")
    now = venue.clock()
    tif = time_in_force(params, "GTC")
    algo = Algo(pit.symbol, 0, name, leg, side, kind, tif, 0, 0, 0, now, now)
    algo.by_mark = params.text("workingType", "CONTRACT_PRICE") == "MARK_PRICE"
    algo.close_position = params.flag("closePosition")
    algo.price_protect = params.flag("priceProtect")
    algo.good_till = good_till(venue, params, tif)
    _terms_of(pit, params, algo)
    _whole_position(venue, pit, params, algo)
    _not_yet(pit, algo)
    if len(venue.open_algos()) >= MAX_ALGO_ORDERS:
        raise Refused(-4045)
    algo.algo_id = venue.ids.next("algo")
    algo.client_id = name or f"web_{algo.algo_id}"
    if any(other.client_id == algo.client_id for other in venue.open_algos(pit.symbol.name)):
        raise Refused(-4117)
    venue.algos[algo.algo_id] = algo
    venue.algo_to(algo, "NEW")
    return algo


def _terms_of(pit: Pit, params: Params, algo: Algo) -> None:
    """Trigger, price and quantity by type."""
    if algo.type == "TRAILING_STOP_MARKET":
        rate = params.number("callbackRate")
        if not Decimal("0.1") <= rate <= 20:
            raise Refused(-1130, name="callbackRate")
        algo.callback_rate = str(rate)
        algo.activate = price_of(pit, params, "activatePrice") if params.text("activatePrice") else 0
    else:
        algo.trigger = price_of(pit, params, "triggerPrice")
    if algo.type in ("STOP", "TAKE_PROFIT"):
        algo.price = price_of(pit, params)
    if algo.close_position:
        return
    algo.qty = quantity(pit, params, market=algo.price == 0)
    if not algo.closes:
        trading(pit)
        large_enough(pit, algo.price or algo.trigger or pit.book.mark[0], algo.qty)


def _whole_position(venue: Venue, pit: Pit, params: Params, algo: Algo) -> None:
    """What closePosition demands."""
    if not algo.close_position:
        return
    if params.text("quantity") and params.number("quantity") > 0:
        raise Refused(-4137)
    if algo.type not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        raise Refused(-4136, type=algo.type)
    if not algo.closes:
        raise Refused(-2022)
    if pit.held(algo.leg) == 0:
        raise Refused(-4509)
    for other in venue.open_algos(pit.symbol.name):
        if other.close_position and other.leg == algo.leg and other.takes_profit == algo.takes_profit:
            raise Refused(-4130)


def _not_yet(pit: Pit, algo: Algo) -> None:
    """-2021 for one that would trigger at once."""
    if algo.trigger and reached(algo, pit.book.mark[0] if algo.by_mark else float(pit.last)):
        raise Refused(-2021)


def find_algo(venue: Venue, params: Params, unknown: int = -2013) -> Algo:
    """A conditional order by its id or the client's."""
    algo_id, name = params.maybe("algoId"), params.text("clientAlgoId")
    if algo_id is None and not name:
        raise Refused(-1102, msg="Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!")
    found = [one for one in venue.algos.values() if one.algo_id == algo_id or (algo_id is None and one.client_id == name)]
    if not found:
        raise Refused(unknown)
    return next((one for one in found if one.is_open), found[-1])


def cancel_algo(venue: Venue, params: Params) -> Algo:
    """DELETE algoOrder."""
    algo = find_algo(venue, params, unknown=-2011)
    if algo.status != "NEW":
        raise Refused(-2011)
    venue.algo_to(algo, "CANCELED")
    return algo
