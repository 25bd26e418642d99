"""The account as the exchange has it. One law: a `Report` is read whole or not told at all, and what executed is told before it.

One report at a time; what is asked for meanwhile makes one more. Missed fills are read from the list of our trades, after the last
id that was read there (ids heard since are not the end of it: one between them may be missing). Money that is no fill is read from
the income list; where that does not answer, legs and orders are told all the same, for a flatten waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hedgegridd.model import BOTH, Charged, FundingPaid, Held, Leg, Order, Report, Transfer, Trouble

from . import wire as door
from .errors import NOT_JSON, Fault
from .inquiry import Fate, Found, Inquiry
from .market import MALFORMED
from .shapes import (
    LEGS,
    OURS,
    Row,
    algo_of,
    closes_position,
    fill_of,
    forced,
    held_of,
    is_bridge,
    leg_of,
    number,
    order_of,
    side_of,
    unrealized_of,
    usdt_of,
)
from .told import Recent, Told
from .wire import Wire

PAGE, OVERLAP_MS, LATE_MS, DEEP_S, SOON_S = 1000, 60_000, 3_000, 60.0, 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, FIRST_WAIT_S = 0.25, 5.0, 1.0
BEHIND_S = 0.01  # what is read of a flatten is read a breath behind its closes
BUSY_PCT, POSITIONS_WEIGHT, PACE_PER_S = 50.0, 10, 20.0
LONGEST_WINDOW_MS = 6 * 86_400_000  # trades are listed for no more than a week from where one begins
UNLISTED_MS = 30_000  # a transfer that the list of income lacks for so long is told without it
CHEAPER_AT_ONCE = 40  # symbols from which one list of everything weighs less
IN_FILLS = ("REALIZED_PNL", "COMMISSION")
MOVED = ("TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "WELCOME_BONUS", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW",
         "STRATEGY_UMFUTURES_TRANSFER", "FUTURES_PRESENT", "AUTO_EXCHANGE")  # fmt: skip


class Moved(NamedTuple):
    """A transfer as the user stream told it, USDT; `until` = when it is told without the list."""

    time: int
    amount: float
    until: int


def contradicts(positions: list[Row], balances: list[Row]) -> bool:
    """Is nothing held by the one, and something by the other?"""
    return unrealized_of(balances) != 0 and not any(number(row["positionAmt"]) for row in positions)


class Account:
    """Reports, missed fills and payments of some symbols."""

    def __init__(self, wire: Wire, told: Told, inquiry: Inquiry, symbols: Sequence[str]) -> None:
        self.wire, self.told, self.inquiry, self.symbols = wire, told, inquiry, tuple(symbols)
        self.deaf: Callable[[], str] = lambda: ""  # why fills may be missed just now, "" = they are heard
        self.urgent: Callable[[], bool] = lambda: False  # a flatten waits for this
        self.leftover: Callable[[str, str], None] = lambda symbol, bridge: None  # a bridge that is not needed any more
        self.heard = asyncio.Event()  # the user stream was up once
        self.hears_since = 0  # when the user stream was opened
        self.mute: Callable[[], None] = lambda: None  # it is open, and did not tell what it should have
        self.missed = 0  # fills that the stream did not tell
        now = wire.clock.now()
        self._read: dict[str, int] = {}  # symbol -> trade id up to which the list was read
        self._since = dict.fromkeys(self.symbols, now)  # where no id is known yet
        self._income_from = now
        self._paid = Recent()
        self._doubted: dict[str, Order] = {}
        self._asked_at = 0  # the asker's time of the newest question
        self._wanted, self._lock = asyncio.Event(), asyncio.Lock()
        self._catch_up = True  # the next report reads trades and income whatever the positions say
        self._payments_due = False
        self.unlisted_ms = UNLISTED_MS
        self._moved: list[Moved] = []  # transfers that were heard of, and are not in the list of income yet
        self._unlisted: list[Moved] = []  # such as were told for all that

    def begin_after(self, last_trade: dict[str, int], income_time: int) -> None:
        """What the journal has already."""
        self._read.update({symbol: trade for symbol, trade in last_trade.items() if symbol in self._since})
        if income_time:
            self._income_from = income_time
            start = max(income_time, self.wire.clock.now() - LONGEST_WINDOW_MS)
            self._since.update({symbol: start for symbol in self.symbols if symbol not in self._read})

    def ask(self, doubted: Sequence[Order] = (), missed: bool = False, now: int = 0) -> None:
        """One more report; `missed` = fills may have been missed; `now` = the asker's time."""
        self._asked_at = max(self._asked_at, now)
        self._doubted.update({order.client_id: order for order in doubted})
        self._catch_up = self._catch_up or missed
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reports())
            group.create_task(self._look_deep())

    # --- reports ------------------------------------------------------------------------------------------------------

    async def _reports(self) -> None:
        while True:
            await self._wanted.wait()
            await self._until_told()

    async def _until_told(self) -> None:
        """Try until there is one."""
        pause, said = FIRST_PAUSE_S, False
        try:
            async with asyncio.timeout(FIRST_WAIT_S):  # `wait_for` may swallow the cancel at the end
                await self.heard.wait()
        except TimeoutError:
            pass
        while True:
            try:
                async with self._lock:
                    await self._report()
                await self._pace()
                return
            except (Fault, *MALFORMED) as error:
                why = str(error) if isinstance(error, Fault) else f"an answer that cannot be read ({type(error).__name__})"
            if not said:
                self.told.emit(Trouble(self.wire.clock.now(), "deaf", f"the account cannot be read: {why}"))
            said, now = True, self.wire.clock.now()
            await asyncio.sleep(max(pause, (self.wire.budget.banned_until - now) / 1000))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _pace(self) -> None:
        """Where much of the budget is used, reports keep their distance; a flatten's do not."""
        if not self.urgent() and self.wire.budget.fullest_pct(self.wire.clock.now()) > BUSY_PCT:
            await asyncio.sleep((POSITIONS_WEIGHT + 2 * len(self.symbols)) / PACE_PER_S)

    async def _report(self) -> None:
        if self.urgent():
            await asyncio.sleep(BEHIND_S)
        self._wanted.clear()
        doubted, urgent, since, asked_at = dict(self._doubted), self.urgent(), self.wire.clock.now(), self._asked_at
        positions, balances, classic, algos = await asyncio.gather(
            self._rows(door.POSITIONS, {}, urgent), self._rows(door.BALANCE, {}, urgent), self._listed(door.OPEN, urgent),
            self._listed(door.OPEN_ALGOS, urgent),
        )  # fmt: skip
        if contradicts(positions, balances):  # while legs close one of the two may be the older; a list that errs, errs again
            positions, balances = await asyncio.gather(self._rows(door.POSITIONS, {}, urgent), self._rows(door.BALANCE, {}, urgent))
            if contradicts(positions, balances):
                raise Fault(0, NOT_JSON, "no position is listed, and yet the balance has unrealized profit")
        time, wallet = self.wire.clock.now(), usdt_of(balances)
        if wallet is None:
            raise Fault(0, NOT_JSON, "the balance has no USDT")
        held, known = self._legs(positions), dict(self.told.held)
        orders = self._orders(classic, algos, {key for key, leg in held.items() if not leg.qty})
        found, absent = await self._named(doubted, orders, urgent)
        catch_up = self._catch_up or bool(doubted)
        await self._fills(held, catch_up, urgent)
        payments, self._payments_due = self._catch_up or self._payments_due, False
        if payments:
            await self._payments(urgent)
        self._catch_up = False
        for name in doubted:
            self._doubted.pop(name, None)
        self._learn({key: leg for key, leg in held.items() if known.get(key) != leg.qty}, [*orders.values(), *found], since)
        if why := self.deaf():  # fills may be missed again from here on: what is reported lets no opener leave
            self.told.emit(Trouble(self.wire.clock.now(), "deaf", why))
        self.told.emit(Report(time, wallet, tuple(held.values()), (*orders.values(), *found), asked_at or since, tuple(absent)))

    async def _rows(self, call: door.Call, params: dict[str, Any], urgent: bool) -> list[Row]:
        rows = await self.wire.ask(call, params, urgent)
        if not isinstance(rows, list):
            raise Fault(0, NOT_JSON, f"{call.path} answered no list")
        return rows

    async def _listed(self, call: door.Call, urgent: bool) -> list[Row]:
        """A list of open orders, the cheaper way."""
        if len(self.symbols) >= CHEAPER_AT_ONCE:
            return await self._rows(door.OPEN_EVERYWHERE if call is door.OPEN else door.OPEN_ALGOS_EVERYWHERE, {}, urgent)
        lists = await asyncio.gather(*(self._rows(call, {"symbol": symbol}, urgent) for symbol in self.symbols))
        return [row for rows in lists for row in rows]

    def _legs(self, positions: list[Row]) -> dict[tuple[str, int], Held]:
        """Both legs of every symbol; what the exchange does not list is zero."""
        legs = {(symbol, int(leg)): Held(symbol, int(leg), 0, 0.0) for symbol in self.symbols for leg in Leg}
        for row in positions:
            if row.get("symbol") in self.symbols:
                held = held_of(row, self.told.scales[row["symbol"]])
                if held.qty:
                    legs[held.symbol, held.leg] = held
                    self._check_mode(row)
        return legs

    def _check_mode(self, row: Row) -> None:
        if row.get("positionSide") not in LEGS:
            text = f"{row['symbol']} is held on no leg: the position mode was changed"
            self.told.emit(Trouble(self.wire.clock.now(), "halt", text))

    def _orders(self, classic: list[Row], algos: list[Row], empty: set[tuple[str, int]]) -> dict[str, Order]:
        """All that rests, by client id, without bridges; those of them that guard nothing any more are removed."""
        scales = self.told.scales
        orders = [order_of(row, scales[row["symbol"]]) for row in classic if row.get("symbol") in self.symbols]
        guarded = empty
        bridges = []
        for row in algos:
            if row.get("symbol") not in self.symbols:
                continue
            order = algo_of(row, scales[row["symbol"]])
            if is_bridge(order.client_id):
                bridges.append(order)
                continue
            orders.append(order)
            if order.client_id.startswith(OURS) and closes_position(row):
                guarded.add((order.symbol, order.leg))
        for bridge in bridges:
            if (bridge.symbol, bridge.leg) in guarded:
                self.leftover(bridge.symbol, bridge.client_id)
        return {order.client_id: order for order in orders}

    async def _named(self, doubted: dict[str, Order], orders: dict[str, Order], urgent: bool) -> tuple[list[Order], list[str]]:
        """Ask by name for what the lists do not show: those that rest after all, and those nobody knows."""
        missing = [order for name, order in doubted.items() if name not in orders and order.symbol in self._since]
        found = await asyncio.gather(*(self._asked(order, urgent) for order in missing))
        rest = [one.order for one in found if one is not None and one.fate is Fate.RESTS and one.order is not None]
        pairs = zip(missing, found, strict=True)
        return rest, [order.client_id for order, one in pairs if one is not None and one.fate is Fate.ABSENT]

    async def _asked(self, order: Order, urgent: bool) -> Found | None:
        """None where there was no answer to use: it stays as unsure as it was."""
        try:
            return await self.inquiry.settle(order, urgent)
        except Fault:
            return None

    async def _fills(self, held: dict[tuple[str, int], Held], all_of_them: bool, urgent: bool) -> None:
        """Read the trades of each symbol whose legs are not what the fills told make them."""
        differs = {key[0] for key, leg in held.items() if self.told.held.get(key, 0) != leg.qty}
        symbols = self.symbols if all_of_them else [symbol for symbol in self.symbols if symbol in differs]
        await asyncio.gather(*(self.trades(symbol, urgent) for symbol in symbols))

    def _learn(self, held: dict[tuple[str, int], Held], orders: list[Order], since: int) -> None:
        """`held`: the legs that were not what was known when they were read; for the others, what was told since goes on counting."""
        self.told.held.update({key: leg.qty for key, leg in held.items()})
        self.told.listed(self.symbols, orders, since)
        listed = {order.client_id for order in orders}
        self.told.drop_unlisted(listed, since)

    # --- fills and payments that were not heard -----------------------------------------------------------------------

    async def trades(self, symbol: str, urgent: bool = False) -> int:
        """Tell every execution after the last that was read; how many of them were news."""
        by, news = self.told.scales[symbol], 0
        while True:
            began, read = self.wire.clock.now(), self._read.get(symbol)
            start = {"startTime": self._since[symbol]} if read is None else {"fromId": read + 1}
            rows = await self._rows(door.TRADES, {"symbol": symbol, "limit": PAGE, **start}, urgent)
            for row in sorted(rows, key=lambda row: int(row["id"])):
                if (symbol, str(row["id"])) not in self.told.seen:
                    name = await self.whose(symbol, str(row["orderId"]), int(leg_of(row, side_of(row))), urgent)
                    new = self.told.fill(fill_of(row, by, name), str(row.get("commissionAsset")))
                    news += new
                    late = new and self.hears_since < int(row["time"]) < began - LATE_MS
                    if late and self.hears_since:
                        self.mute()
            if rows:
                self._read[symbol] = max(int(row["id"]) for row in rows)
            elif read is None:
                self._since[symbol] = max(self._since[symbol], began - OVERLAP_MS)
            if len(rows) < PAGE:
                self.missed += news
                return news

    async def whose(self, symbol: str, order_id: str, leg: int, urgent: bool = False) -> str:
        """The client id of the order with this exchange id; for what a stop of ours became, that stop's."""
        if order_id in self.told.names:
            return str(self.told.names[order_id])
        name = ""
        try:
            row = await self.wire.ask(door.FIND, {"symbol": symbol, "orderId": order_id}, urgent)
            name = str(row.get("clientOrderId", ""))
            if not name.startswith(OURS) and not forced(name) and str(row.get("type", "MARKET")) == "MARKET":
                name = await self._stop_behind(symbol, order_id, leg, urgent) or name
        except Fault:
            name = await self._stop_behind(symbol, order_id, leg, urgent)
        if is_bridge(name) and name in self.told.bridges:
            name = self.told.bridges[name].client_id
        if name:
            self.told.names.put(order_id, name)
        return name

    async def _stop_behind(self, symbol: str, order_id: str, leg: int, urgent: bool) -> str:
        """Which of our stops became this order."""
        for order in [*self.told.stops(symbol, leg), *self._bridges(symbol, leg)]:
            try:
                row = await self.inquiry.ask(order, urgent)
            except Fault:
                continue
            if str(row.get("actualOrderId")) == order_id:
                return order.client_id
        try:
            rows = await self._rows(door.ALL_ALGOS, {"symbol": symbol, "limit": 100}, urgent)
        except Fault:
            return ""
        return next((str(row["clientAlgoId"]) for row in rows if str(row.get("actualOrderId")) == order_id), "")

    def _bridges(self, symbol: str, leg: int) -> list[Order]:
        stops = self.told.bridges.items()
        return [stop._replace(client_id=name) for name, stop in stops if (stop.symbol, stop.leg) == (symbol, leg)]

    def moved(self, time: int, amount: float) -> None:
        """A transfer was heard of. Should the list of income never have it, it is told all the same: it must not pass for a loss."""
        if ("moved", time, amount) not in self._paid:
            self._paid.put(("moved", time, amount), None)
            self._moved.append(Moved(time, amount, self.wire.clock.now() + self.unlisted_ms))

    def _tell_unlisted(self) -> None:
        now = self.wire.clock.now()
        for one in [one for one in self._moved if one.until <= now]:
            self._moved.remove(one)
            self._unlisted.append(one)
            self.told.emit(Transfer(self.wire.clock.believable(one.time), one.amount, f"TRANSFER-heard-{one.time}-{one.amount}"))

    def _was_told(self, time: int, amount: float) -> bool:
        """A transfer in the list: is it one that was told already, because the list was so late?"""
        for known in (self._moved, self._unlisted):
            for one in known:
                if abs(one.amount - amount) < 1e-9 and abs(one.time - time) < OVERLAP_MS:
                    known.remove(one)
                    return known is self._unlisted
        return False

    def payments_due(self) -> None:
        """Money moved that no fill explains: read it now, and again soon where the list is behind."""
        self._payments_due = True

    async def _look_deep(self) -> None:
        """Every minute, and when a payment was heard of: trades and income, whatever the positions say."""
        last = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(SOON_S / 4)
            self._tell_unlisted()
            now = asyncio.get_running_loop().time()
            due, payments = now - last > DEEP_S, self._payments_due
            if not due and not payments:
                continue
            last, self._payments_due = (now if due else last), False
            try:
                async with self._lock:
                    if due:
                        await asyncio.gather(*(self.trades(symbol) for symbol in self.symbols))
                    news = await self._income(False)
                if payments and not news:  # a report may be told meanwhile
                    await asyncio.sleep(SOON_S)
                    async with self._lock:
                        await self._income(False)
            except (Fault, *MALFORMED):
                continue  # the next look, or report, reads it

    async def _payments(self, urgent: bool) -> None:
        """Money that cannot be read yet is read later: legs and orders must not wait for it."""
        try:
            await self._income(urgent)
        except (Fault, *MALFORMED):
            self._payments_due = True

    async def _income(self, urgent: bool) -> int:
        """Tell every payment after the last; how many of them were news."""
        news, start = 0, self._income_from - OVERLAP_MS
        while True:
            rows = await self._rows(door.INCOME, {"startTime": start, "limit": PAGE}, urgent)
            for row in sorted(rows, key=lambda row: int(row["time"])):
                news += self._pay(row)
            newest = max((int(row["time"]) for row in rows), default=0)
            self._income_from = max(self._income_from, newest)
            if len(rows) < PAGE:
                return news
            start = max(newest, start + 1)

    def _pay(self, row: Row) -> bool:
        kind, symbol, income = str(row["incomeType"]), str(row.get("symbol") or ""), number(row["income"])
        name = f"{kind}-{row.get('tranId') or row['time']}-{symbol}-{row['income']}"
        if name in self._paid or kind in IN_FILLS or row.get("asset") != "USDT":
            return False
        self._paid.put(name, None)
        time = self.wire.clock.believable(int(row["time"]))
        if kind == "FUNDING_FEE":
            self.told.emit(FundingPaid(symbol, time, BOTH, -income, name))
        elif kind in MOVED:
            if self._was_told(int(row["time"]), income):
                return False
            self.told.emit(Transfer(time, income, name))
        else:
            self.told.emit(Charged(symbol, time, -income, kind, name))
        return True
