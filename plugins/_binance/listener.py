"""The user stream. One law: after any silence the account is read again, and only then is anybody told that we hear.

It owns its listen key: a new one is asked for before each connection, kept alive, and never deleted (another program may use it).
Events come unordered, repeated and unfinished, and some are of kinds nobody knows; none of them ends the stream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from hedgegridd.model import Fill, Instrument, Leg, Role, Trouble, entry_side

from . import wire as door
from .account import Account
from .errors import NOT_JSON, Act, Fault
from .inquiry import Inquiry
from .market import MALFORMED
from .shapes import LEGS, OURS, AlgoTold, OrderTold, Row, Scale, algo_told, forced, is_bridge, named, number, order_told
from .streams import Stream
from .told import Told
from .wire import Wire

KEEP_S, RETRY_S, CHECK_S, PATIENCE_S = 30 * 60.0, 30.0, 1.0, 5.0
PAYMENTS = ("FUNDING_FEE", "DEPOSIT", "WITHDRAW", "WITHDRAW_REJECT", "ADJUSTMENT", "INSURANCE_CLEAR", "ADMIN_DEPOSIT", "ADMIN_WITHDRAW",
            "MARGIN_TRANSFER", "ASSET_TRANSFER", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW", "AUTO_EXCHANGE")  # fmt: skip
TRANSFERS = ("DEPOSIT", "WITHDRAW", "WITHDRAW_REJECT", "ADMIN_DEPOSIT", "ADMIN_WITHDRAW", "ASSET_TRANSFER")  # of money in or out
ENDED = ("CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED")


class Listener:
    """Hears what happens to our orders and account, and tells it."""

    def __init__(self, wire: Wire, told: Told, inquiry: Inquiry, account: Account, instruments: dict[str, Instrument],
                 spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:  # fmt: skip
        self.wire, self.told, self.inquiry, self.account, self.instruments, self.spawn = wire, told, inquiry, account, instruments, spawn
        self.passed_over = 0
        self._claimed: dict[tuple[str, int], int] = {}  # what ACCOUNT_UPDATE said a leg holds, until it was compared
        self._told_deaf = False
        self._waiting: dict[str, list[OrderTold]] = {}  # order id -> its events, while it is not known whose it is
        self._acts = {
            "ORDER_TRADE_UPDATE": self._on_order,
            "ALGO_UPDATE": self._on_algo,
            "ACCOUNT_UPDATE": self._on_account,
            "ACCOUNT_CONFIG_UPDATE": self._on_config,
            "listenKeyExpired": self._on_expired,
        }
        self.stream = Stream("user", self._address, self._hear, 0.0, self._up, self._down)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.stream.run())
            group.create_task(self._keep_key())

    def deaf(self) -> str:
        return "" if self.stream.connected else "the user stream is down"

    # --- the connection -----------------------------------------------------------------------------------------------

    async def _address(self) -> str:
        said = await self.wire.ask(door.NEW_KEY, {}, True)
        if not isinstance(said, dict) or not said.get("listenKey"):
            raise Fault(0, NOT_JSON, "no listen key in the answer")
        return f"{self.wire.urls.ws}/private/ws?listenKey={said['listenKey']}"

    def _up(self) -> None:
        self.account.hears_since = self.wire.clock.now()
        self._told_deaf = False
        self.account.heard.set()
        self.account.ask(missed=True)

    def _down(self, why: str) -> None:
        if self._told_deaf:  # still
            return
        self._told_deaf = True
        self.told.emit(Trouble(self.wire.clock.now(), "deaf", f"user stream: {why}"))

    async def _keep_key(self) -> None:
        """It lives for an hour from the last of these."""
        pause = KEEP_S
        while True:
            await asyncio.sleep(pause)
            try:
                await self.wire.ask(door.KEEP_KEY, {}, True)
                pause = KEEP_S
            except Fault as fault:
                pause = RETRY_S
                if fault.act is Act.GONE:
                    self.stream.restart("the listen key is gone")

    def _on_expired(self, said: Row) -> None:
        self.stream.restart("the listen key expired")

    def _hear(self, text: str) -> None:
        try:
            said = json.loads(text)
            said = said.get("data", said)
            self._acts[said["e"]](said)
        except MALFORMED:
            self.passed_over += 1

    def _scale(self, symbol: str) -> Scale:
        return self.told.scales[symbol]

    # --- orders -------------------------------------------------------------------------------------------------------

    def _on_order(self, said: Row) -> None:
        event = order_told(said["o"], self._scale(said["o"]["s"]))
        if event.order_id in self._waiting:
            self._waiting[event.order_id].append(event)
        elif self._may_be_a_stop(event):
            self._waiting[event.order_id] = [event]
            self.spawn(self._ask_whose(event))
        else:
            self._take(event, self._name(event))

    def _name(self, event: OrderTold) -> str:
        """Whose order it is: for what a stop of ours became, that stop's id."""
        name = str(self.told.names.get(event.order_id) or event.client_id)
        return self.told.bridges[name].client_id if name in self.told.bridges else name

    def _may_be_a_stop(self, event: OrderTold) -> bool:
        """A market order of nobody's that closes a leg on which a stop of ours rests, or rested."""
        unknown = event.order_id not in self.told.names and not event.client_id.startswith(OURS) and not forced(event.client_id)
        closes = event.side != entry_side(event.leg) and event.type in ("MARKET", "STOP_MARKET", "")
        return unknown and closes and bool(self.told.stops(event.symbol, event.leg) or self.told.bridges)

    async def _ask_whose(self, event: OrderTold) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.account.whose(event.symbol, event.order_id, event.leg, True)
        except TimeoutError:  # then it is told as it came
            pass
        finally:
            for held_back in self._waiting.pop(event.order_id, []):
                self._take(held_back, self._name(held_back))

    def _take(self, event: OrderTold, name: str) -> None:
        """What happened to an order, in the order of cause: what it executed before what that means."""
        if event.last_qty > 0 and event.what in ("TRADE", "CALCULATED"):
            self.told.fill(self._fill(event, name), event.fee_asset)
        ours = named(name)
        if ours is None:
            self._others(event)
            return
        if event.what == "NEW" and ours.role != Role.STOP:
            self.told.accepted(name, event.order_id, event.time)
        elif event.what == "AMENDMENT":
            self.told.amended(name, event.time, event.qty)
        if event.state == "FILLED":
            self._end(event, name, "")
        elif event.state in ENDED:
            reason = "cancelled" if event.state == "CANCELED" else f"{event.state.lower()}: {event.why or 'no reason given'}"
            self._end(event, name, reason)

    def _end(self, event: OrderTold, name: str, reason: str) -> None:
        left = self.inquiry.ended(event.symbol, name, event.order_id, event.filled, event.time, reason)
        if left is not None:
            self.spawn(left)

    def _others(self, event: OrderTold) -> None:
        """Others' resting orders, so that a sweep never takes them along."""
        theirs = self.told.foreign.get(event.symbol)
        if theirs is not None and event.state == "NEW":
            theirs[event.client_id] = self.wire.clock.now()
        elif theirs is not None and event.state != "PARTIALLY_FILLED":
            theirs.pop(event.client_id, None)

    def _fill(self, event: OrderTold, name: str) -> Fill:
        return Fill(event.symbol, event.time, event.leg, event.side, event.last_price, event.last_qty, event.fee, event.maker, name,
                    event.order_id, event.trade_id, forced(event.client_id))  # fmt: skip

    def _on_algo(self, said: Row) -> None:
        event = algo_told(said["o"], self._scale(said["o"]["s"]))
        if event.order_id:
            stop = self.told.bridges.get(event.client_id)
            self.told.names.put(event.order_id, stop.client_id if stop else event.client_id)
        if is_bridge(event.client_id):
            if event.state in ("CANCELED", "EXPIRED", "REJECTED", "FINISHED"):
                self.told.bridges.pop(event.client_id, None)
        elif event.client_id.startswith(OURS):
            self._stop_told(event, int(said.get("T") or 0))

    def _stop_told(self, event: AlgoTold, time: int) -> None:
        name = event.client_id
        if event.state == "NEW":
            self.told.accepted(name, event.algo_id, time)
        elif event.state == "FINISHED" and event.executed:
            self.spawn(self._make_sure(name, event.symbol))
        elif event.state in (*ENDED, "FINISHED") and name not in self.told.replaced:
            how = "cancelled" if event.state == "CANCELED" else event.state.lower()
            self.told.cancelled(name, time, f"{how}: {event.why}" if event.why else how)

    async def _make_sure(self, name: str, symbol: str) -> None:
        """A stop is done: what it executed comes by its own event, and is read where it does not."""
        await asyncio.sleep(CHECK_S)
        if name in self.told.over:
            return
        try:
            await self.account.trades(symbol, True)
        except (Fault, *MALFORMED):
            self.account.ask(missed=True)
            return
        self.told.cancelled(name, 0, "stop filled")

    # --- account ------------------------------------------------------------------------------------------------------

    def _on_account(self, said: Row) -> None:
        told = said["a"]
        if told.get("m") in PAYMENTS:
            self.account.payments_due()
        if told.get("m") in TRANSFERS:
            for row in told.get("B", []):
                if row.get("a") == "USDT" and row.get("bc"):
                    self.account.moved(int(said.get("T") or said["E"]), number(row["bc"]))
        for row in told.get("P", []):
            if row.get("s") in self.instruments and row.get("ps") in LEGS:
                leg: Leg = LEGS[row["ps"]]
                self._claimed[row["s"], int(leg)] = abs(self._scale(row["s"]).lots(row["pa"]))
        if self._claimed:
            self.spawn(self._compare())

    async def _compare(self) -> None:
        """A leg that is not what the fills heard make it, a moment later: one was missed."""
        await asyncio.sleep(CHECK_S)
        claimed, self._claimed = self._claimed, {}
        if any(self.told.held.get(leg, 0) != qty for leg, qty in claimed.items()):
            self.account.ask(missed=True)

    def _on_config(self, said: Row) -> None:
        """Leverage or the asset mode was changed: by whom, a person must say."""
        now, symbol = self.wire.clock.now(), str(said.get("ac", {}).get("s", ""))
        if symbol in self.instruments and float(said["ac"]["l"]) != self.instruments[symbol].leverage:
            self.told.emit(Trouble(now, "halt", f"leverage of {symbol} was changed to {said['ac']['l']}", symbol))
        if said.get("ai", {}).get("j") is True:
            self.told.emit(Trouble(now, "halt", "multi-asset mode was switched on"))
