"""What happens to the account without its owner: other people's orders, changed settings, liquidation, transfers.

Its one law: it goes through the same doors as everything else (placing, the kernel), so that events, history and books agree.
"""

from __future__ import annotations

import math

from exchange_simulator import events, placing, placing_algo
from exchange_simulator.params import Params
from exchange_simulator.records import Algo, Income, Order
from exchange_simulator.venue import Venue
from hedgegridd.model import Leg, Side, entry_side


def order(venue: Venue, symbol: str, leg: str, side: str, qty: float, price: float | None, client_id: str, tif: str = "GTC") -> Order:
    """An order placed by somebody else, on the web or the phone; a market order where there is no price."""
    sym = venue.pits[symbol].symbol
    said = {"symbol": symbol, "side": side, "positionSide": leg, "quantity": sym.qty(sym.lots(qty)), "type": "MARKET"}
    if price is not None:
        said |= {"type": "LIMIT", "price": sym.price(sym.ticks(price)), "timeInForce": tif}
    return placing.place(venue, Params({**said, "newClientOrderId": client_id}))


def algo(venue: Venue, symbol: str, leg: str, trigger: float, client_id: str, kind: str = "STOP_MARKET") -> Algo:
    """A closePosition order placed by somebody else."""
    sym = venue.pits[symbol].symbol
    said = {"algoType": "CONDITIONAL", "symbol": symbol, "positionSide": leg, "type": kind, "closePosition": "true",
            "side": Side(-entry_side(Leg[leg])).name, "triggerPrice": sym.price(sym.ticks(trigger)), "workingType": "MARK_PRICE",
            "clientAlgoId": client_id}  # fmt: skip
    return placing_algo.place_algo(venue, Params(said))


def manual(venue: Venue, symbol: str, leg: str, qty: float, number: int) -> Order:
    """Somebody changes a position by hand: `qty` coins more (or, negative, less)."""
    side = Side(entry_side(Leg[leg]) * (1 if qty > 0 else -1)).name
    return order(venue, symbol, leg, side, abs(qty), None, f"ios_{number}")


def cancel(venue: Venue, symbol: str, client_id: str) -> bool:
    """Somebody withdraws whatever is open under this name."""
    orders = [one for one in venue.open_orders(symbol) if one.client_id == client_id]
    algos = [one for one in venue.open_algos(symbol) if one.client_id == client_id]
    for one in orders:
        venue.cancel(one)
    for other in algos:
        venue.algo_to(other, "CANCELED")
    return bool(orders or algos)


def transfer(venue: Venue, amount: float) -> None:
    """Money comes in (+) or goes out (-)."""
    venue.transfers += amount
    now = venue.clock()
    venue.income.append(Income("TRANSFER", "", amount, now, venue.ids.next("tran")))
    for pit in venue.pits.values():
        venue.tidy(pit)
    venue.emit(events.account_update("DEPOSIT" if amount > 0 else "WITHDRAW", now, venue.wallet, amount, []))


def set_leverage(venue: Venue, symbol: str, leverage: int) -> None:
    pit = venue.pits[symbol]
    pit.set_leverage(leverage)
    venue.tidy(pit)
    venue.emit(events.config_update(venue.clock(), ac={"s": symbol, "l": leverage}))


def liquidate(venue: Venue, symbol: str) -> None:
    """The account is liquidated now, whatever its margin."""
    for pit in [venue.pits[symbol], *(other for name, other in venue.pits.items() if name != symbol)]:
        venue.wipe(pit)
    venue.cover()


def deleverage(venue: Venue, symbol: str, leg: str, qty: float | None = None) -> None:
    """Auto-deleveraging closes (part of) a leg."""
    pit, which = venue.pits[symbol], Leg[leg]
    lots = min(pit.symbol.lots(qty) if qty else pit.held(which), pit.held(which))
    if lots == 0:
        return
    side = -entry_side(which)
    order = venue.forced_order(pit, which, side, math.floor(pit.book.mark[0]), lots, "adl_autoclose")
    order.tif = "GTC"
    venue.take(order)
