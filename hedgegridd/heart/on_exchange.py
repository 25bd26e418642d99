"""What the exchange says of our orders and account, taken in. One law: the exchange is the truth, and a fact counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hedgegridd.heart import notices, reconcile
from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.flatten import MARKET_AT_ONCE
from hedgegridd.heart.orders import parse
from hedgegridd.heart.truth import NOTICED_USDT, SETTLE_MS
from hedgegridd.model import (
    BOTH,
    Accepted,
    Amended,
    Cancelled,
    Charged,
    Ended,
    Fill,
    FundingPaid,
    Leg,
    Level,
    Moment,
    Order,
    OrderState,
    Rejected,
    Report,
    Role,
    Transfer,
    Trouble,
    Unsure,
)

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

#: Refusals that are part of the trade, not a fault of ours: a maker that would take, an order or a position that a fill was quicker
#: to end, a stop that the market is through already; and what its own limits keep from being sent at all.
NOT_ERRORS = frozenset({-5022, -2011, -2013, -2021, -2022, -4118, -4509, -1003, -1008, -1015, -2, -4})
NOT_ASKED = frozenset({-1003, -2, -4})  # banned, never sent, no room for it: says nothing of the order
#: What a person hears of it at once, and once while it lasts.
PAGED = {
    "ban": "the exchange takes no requests from us: {}; its stops protect what is held",
    "wall": "a firewall before the exchange refuses our requests: {}; openers wait, closes, stops and cancels are tried again and again",
}
IN_THE_WAY = frozenset({-2022, -4118})  # other closing orders leave this one nothing to close


def _order(engine: Engine, client_id: str) -> tuple[Desk, Order] | None:
    """The open order of this id, and its desk; None where it is not (or no longer) ours."""
    rung = parse(client_id)
    desk = engine.desks.get(rung.symbol) if rung else None
    order = desk.orders.open.get(client_id) if desk else None
    return (desk, order) if desk and order else None


def accepted(engine: Engine, event: Accepted) -> None:
    """It rests."""
    engine.truth.vouched(event.client_id)
    found = _order(engine, event.client_id)
    if found is None or found[1].state == OrderState.LIVE:
        return
    desk, order = found
    desk.orders.move(event.client_id, OrderState.LIVE, event.order_id)
    desk.refusals.pop((order.leg, order.role, order.price), None)
    engine.write("accepted", client_id=event.client_id, order_id=event.order_id)
    engine.moved(desk)


def rejected(engine: Engine, event: Rejected) -> None:
    """It never rested (or, for an amend, rests as it was)."""
    found = _order(engine, event.client_id)
    if found is None:
        return
    desk, order = found
    engine.write("rejected", client_id=event.client_id, code=event.code, reason=event.reason)
    if order.state == OrderState.LIVE and event.client_id not in desk.orders.ending:
        desk.orders.doubt_one(event.client_id)  # said of an older request under this id, most likely: what rests is not dropped for it
        engine.ask_report()
        engine.moved(desk)
        return
    if event.client_id in desk.orders.ending and order.state != OrderState.SENT:
        del desk.orders.ending[event.client_id]
    else:  # also where its cancel is on its way: what never rested needs none
        desk.orders.never_rested(event.client_id)
    desk.refused(order, event.reason, engine.now, event.code not in NOT_ASKED)
    if event.code not in NOT_ERRORS:
        engine.errors.append(engine.now)
        desk.errors.append(engine.now)
        engine.tell(notices.order_error, desk.symbol, event.client_id, event.code, event.reason)
    if order.role == Role.CLOSE:
        _close_refused(engine, order, event.code)
    elif event.code == -2021 and not desk.orders.of(order.leg, Role.STOP):  # the market is through the leg's only stop already
        engine.close_leg(desk, order.leg)
    engine.moved(desk)


def _close_refused(engine: Engine, close: Order, code: int) -> None:
    """A leg that must be closed is closed: what closes it already is taken away, and a refused close is sent again."""
    if not any(flatten.covers(close.symbol, close.leg) for flatten in engine.active()):
        engine.start_flatten([(close.symbol, close.leg)], f"its close was refused ({code}), and it has no stop", kill=False)
        engine.flattens[-1].way = MARKET_AT_ONCE  # nothing else protects it: no better price is waited for
    for flatten in engine.active():
        flatten.refused(close, 0 if code in NOT_ERRORS else code, engine.now)
    if code in IN_THE_WAY:
        _clear_the_way(engine, close)
    engine.ask_report()


def _clear_the_way(engine: Engine, close: Order) -> None:
    """Foreign orders are left alone, but for those that would close a leg we must close ourselves."""
    closers = [one for one in engine.foreign if (one.symbol, one.leg, one.side) == (close.symbol, close.leg, close.side)]
    if closers:
        engine.cancel_foreign(closers)


def unsure(engine: Engine, event: Unsure) -> None:
    """The answer was lost. It is neither sent again nor taken for gone: the exchange is asked."""
    found = _order(engine, event.client_id)
    if found is None:
        return
    desk, _ = found
    desk.orders.doubt_one(event.client_id)
    engine.write("unsure", client_id=event.client_id, why=event.why)
    engine.ask_report()
    engine.moved(desk)


def amended(engine: Engine, event: Amended) -> None:
    """Its quantity is another now."""
    found = _order(engine, event.client_id)
    if found is not None:
        found[0].orders.resize(event.client_id, event.qty)
        engine.moved(found[0])


def cancelled(engine: Engine, event: Cancelled) -> None:
    """It rests no more."""
    ended(engine, Ended(event.time, (event,)))


def ended(engine: Engine, event: Ended) -> None:
    """Each as if it came alone; what follows from them all is seen to once, at the end of this event."""
    over: dict[str, list[str]] = {}
    for one in event.orders:
        if _is_over(engine, one):
            over.setdefault(one.reason, []).append(one.client_id)
    for reason, names in over.items():
        engine.write("cancelled", client_ids=names, reason=reason)


def _is_over(engine: Engine, event: Cancelled) -> bool:
    """An order of ours ended? "Unknown" proves nothing: ask for the whole picture, and leave the order alone until it comes."""
    found = _order(engine, event.client_id)
    if found is None:
        return False
    desk, _ = found
    if event.reason == "unknown":
        desk.orders.move(event.client_id, OrderState.UNKNOWN)
        engine.ask_report()
        return False
    desk.orders.drop(event.client_id)
    engine.moved(desk)
    return True


def fill(engine: Engine, fill: Fill) -> None:
    """Money moved: books, equity, strategy."""
    desk = engine.desks.get(fill.symbol)
    if desk is None:
        _not_ours(engine, fill)
        return
    if not desk.orders.book_fill(fill.client_id, fill.trade_id, fill.qty):
        return
    engine.truth.vouched(fill.client_id)
    if fill.time < desk.adopted_at[fill.leg]:  # the quantity taken from the exchange since has it already
        engine.write("late_fill", symbol=fill.symbol, trade_id=fill.trade_id)
        return
    before = desk.books.realized
    desk.book(fill)
    realized = desk.books.realized - before
    for flatten in engine.active():
        flatten.book(fill, realized)
    engine.counts["fills"] += 1
    engine.counts["maker_fills"] += fill.maker
    rung = parse(fill.client_id)
    role, price = (rung.role, rung.price) if rung else (Role.CLOSE, 0)
    engine.decide("fill", symbol=fill.symbol, t=fill.time, leg=int(fill.leg), side=int(fill.side), role=int(role), price=fill.price,
                  qty=fill.qty, fee=fill.fee, maker=fill.maker, realized=realized, client_id=fill.client_id, order_id=fill.order_id,
                  trade_id=fill.trade_id, reason=fill.reason)  # fmt: skip
    engine.revalue(desk)
    engine.tell(notices.fill, desk.instrument, fill, realized)
    if realized < 0:
        engine.tell(notices.large_loss, fill.symbol, fill.leg, -realized, engine.config.alerts)
        engine.tell(notices.single_loss, fill.symbol, fill.leg, -realized, engine.account.equity - realized, engine.config.alerts)
    if rung is None or (desk.owed[fill.leg] and not engine.truth.network):
        _stranger(engine, desk, fill.leg, fill.trade_id, fill.reason)
        engine.ask_report()
    elif desk.owed[fill.leg]:  # an earlier fill was not heard: it is told before the next report
        _deaf(engine, "a fill closed more than we had heard of")
    engine.think(desk, Moment.FILL, (fill.leg, int(role), price, fill.qty))


def _not_ours(engine: Engine, event: Fill | FundingPaid) -> None:
    """The account is used for a symbol that is not configured: its money is not in our equity."""
    engine.write("stranger", symbol=event.symbol, trade_id=getattr(event, "trade_id", ""), reason="not configured")
    engine.tell(notices.system_error, f"{event.symbol}: {type(event).__name__} of a symbol that is not configured: equity lacks it")


def _stranger(engine: Engine, desk: Desk, leg: int, trade_id: str = "", reason: str = "") -> None:
    """A fill nobody here ordered: liquidation, ADL or another hand. Openers stop on that symbol until a person has looked."""
    desk.forgive(leg)
    desk.halted = reason or "a fill that our orders and positions do not explain"
    engine.write("stranger", symbol=desk.symbol, trade_id=trade_id, reason=desk.halted)
    engine.tell(notices.system_error, f"{desk.symbol}: {desk.halted}: the position changed without us; openers are halted")


def funding_paid(engine: Engine, paid: FundingPaid) -> None:
    """Funding was booked on a leg, or on both in one sum, which is then split as the rate has it."""
    desk = engine.desks.get(paid.symbol)
    if desk is None:
        _not_ours(engine, paid)
        return
    if paid.income_id and not engine.account.count_income(paid.income_id, paid.time):
        return
    amounts = desk.split_funding(paid.amount) if paid.leg == BOTH else ((paid.leg, paid.amount),)
    for leg, amount in amounts:
        if paid.income_id:
            desk.pay(leg, amount, paid.time)
        elif not desk.pay_funding(leg, amount, paid.time):
            continue
        engine.decide("funding", symbol=paid.symbol, t=paid.time, leg=int(leg), amount=amount)
    engine.revalue(desk)


def transfer(engine: Engine, transfer: Transfer) -> None:
    """Money came in or went out: never a gain or a loss."""
    if transfer.income_id and not engine.account.count_income(transfer.income_id, transfer.time):
        return
    engine.account.transfer(transfer.amount)
    engine.write("transfer", amount=transfer.amount)
    engine.dirty = True


def charged(engine: Engine, event: Charged) -> None:
    """A cost or a gain that is neither fee nor funding."""
    if event.income_id and not engine.account.count_income(event.income_id, event.time):
        return
    engine.account.charge(event.amount)
    engine.write("charged", amount=event.amount, of=event.kind, symbol=event.symbol)
    engine.dirty = True


def trouble(engine: Engine, event: Trouble) -> None:
    """Something is wrong with the exchange or the way to it."""
    engine.write("trouble", what=event.kind, text=event.text, symbol=event.symbol, until=event.until)
    if event.kind == "deaf":
        _deaf(engine, event.text)
    elif event.kind == "halt":
        _halt(engine, event)
    else:
        known = engine.gate.busy == event.text
        engine.gate.busy, engine.busy_until = event.text, max(event.until, engine.busy_until)
        if event.kind in PAGED and not known:
            engine.tell(notices.system_error, PAGED[event.kind].format(event.text))
    engine.stirred.update(engine.desks)


def _deaf(engine: Engine, why: str) -> None:
    """Fills may be missing: no opener until a report that is begun later."""
    engine.truth.deaf_since = engine.now
    engine.gate.unsettled = f"the exchange is not heard: {why}"
    if engine.now - engine.asked_at >= SETTLE_MS:  # else the next timer asks: what is said again and again is not asked as often
        engine.ask_report()


def _halt(engine: Engine, event: Trouble) -> None:
    desk = engine.desks.get(event.symbol)
    if desk is None:
        engine.engage(Level.HALT, event.text, "exchange", "")
    elif desk.halted != event.text:
        desk.halted = event.text
        engine.tell(notices.system_error, f"{desk.symbol}: {event.text}; openers are halted")


# --- the exchange's own picture -------------------------------------------------------------------------------------------


def report(engine: Engine, report: Report) -> None:
    """Put the books right by it, and let a flatten judge it."""
    desks, truth = list(engine.desks.values()), engine.truth
    engine.foreign = []
    fresh = truth.network and not engine.decisions.hash and not truth.based  # nothing was ever decided in this state directory
    found = [(desk, finding) for desk in desks for finding in reconcile.compare(desk, report)]
    for desk, finding in found if fresh else truth.sift(found, report):
        _mend(engine, desk, finding)
        if fresh and finding.kind != "foreign" and not (finding.kind == "drift" and desk.adopts):
            engine.engage(Level.HALT, "the account has orders or positions of ours, and the journal is new", "start", "")
    for desk in desks:
        desk.orders.told(report.since or report.time, engine.now)
        for leg in LEGS:
            if desk.owed_at[leg] and desk.owed_at[leg] <= (report.since or report.time):
                _stranger(engine, desk, leg)
    truth.base(engine.account, report, desks, engine.now)
    _true_up(engine, report)
    if engine.gate.unsettled and truth.settled(report, desks):
        engine.gate.unsettled = ""
        engine.stirred.update(engine.desks)
    truth.reported = truth.reported or not engine.gate.unsettled
    for flatten in engine.flattens:
        if flatten.judge(report, engine.now):
            engine.flat(flatten)
    engine.dirty = True


def _true_up(engine: Engine, report: Report) -> None:
    """Money that nothing we were told explains: the exchange's wallet is the truth."""
    missing = engine.truth.missing_money(engine.account, report) if engine.truth.network else 0.0
    if missing:
        engine.account.charge(-missing)
        engine.write("charged", amount=-missing, of="unexplained", symbol="")
        if abs(missing) >= NOTICED_USDT:
            engine.tell(notices.system_error, f"the wallet differs by {missing:+.4f} USDT from what we were told: the exchange's is taken")


def _mend(engine: Engine, desk: Desk, finding: reconcile.Finding) -> None:
    kind, order, held = finding
    if kind == "foreign" and order is not None:
        engine.foreign.append(order)
        return
    if order is not None:
        if kind == "resized":
            desk.orders.resize(order.client_id, order.qty)
        elif kind == "gone":
            desk.orders.gone(order.client_id, engine.truth.network, engine.now)
        else:
            mine = desk.orders.open.get(order.client_id)
            desk.orders.arrived(order.client_id)
            told = order.filled if mine is None else mine.filled  # what was told of it: the list may be older, or know more
            desk.orders.open[order.client_id] = order._replace(state=OrderState.LIVE, filled=told)
            desk.orders.ending.pop(order.client_id, None)
        engine.write("reconciled", what=kind, client_id=order.client_id)
    if held is not None and kind == "entry":
        engine.write("reconciled", what=kind, symbol=desk.symbol, leg=int(held.leg), believed=desk.entry(held.leg), reported=held.entry)
        desk.enter_at(held.leg, held.entry)
        engine.revalue(desk)
    elif held is not None:
        engine.write("reconciled", what=kind, symbol=desk.symbol, leg=int(held.leg), believed=desk.held(held.leg), reported=held.qty)
        desk.adopted_at[held.leg] = engine.now
        _adopt(engine, desk, held.leg, held.qty, held.entry)
    engine.moved(desk)


def _adopt(engine: Engine, desk: Desk, leg: int, qty: int, entry: float) -> None:
    """Take the exchange's quantity, and let nothing open there until a person has looked; but for what `adopt` allows at a start."""
    desk.adopt(leg, qty, entry)
    allowed = desk.adopts and engine.truth.network and not engine.truth.reported
    if not allowed and not any(flatten.covers(desk.symbol, leg) for flatten in engine.active()):
        desk.halted = f"the {Leg(leg).name.lower()} position differs from what we traded"
        engine.tell(notices.system_error, f"{desk.symbol}: {desk.halted}; openers are halted")
    engine.revalue(desk)
    engine.think(desk, Moment.LOOK)


HANDLERS: dict[type, Callable[[Engine, Any], None]] = {
    Accepted: accepted,
    Rejected: rejected,
    Amended: amended,
    Cancelled: cancelled,
    Ended: ended,
    Unsure: unsure,
    Fill: fill,
    FundingPaid: funding_paid,
    Transfer: transfer,
    Charged: charged,
    Trouble: trouble,
    Report: report,
}
