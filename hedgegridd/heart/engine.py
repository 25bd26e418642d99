"""The engine: takes one event, answers with effects. One law: what it does depends on its events alone.

So the same engine trades live, on paper and in a backtest, and a journal fed to it again makes every decision again, bit for
bit. The order of thought for each event: facts (on_market, on_exchange, on_house), risk, strategy, gate, orders, protection,
flatten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hedgegridd.heart import checkpoint, modes, notices, on_exchange, on_house, on_market, protect, risk, size
from hedgegridd.heart.account import Account
from hedgegridd.heart.beat import Beat
from hedgegridd.heart.breakers import Panel
from hedgegridd.heart.deadman import DeadMan
from hedgegridd.heart.decisions import Decisions
from hedgegridd.heart.desk import LEGS, Desk, rows
from hedgegridd.heart.ease import Ease
from hedgegridd.heart.effects import Amend, AskReport, Cancel, Effect, Finished, Notify, Place, Reply, Sync, Write
from hedgegridd.heart.exposure import Exposure
from hedgegridd.heart.flatten import Flatten, begun, in_order
from hedgegridd.heart.gate import Gate
from hedgegridd.heart.killswitch import KillSwitch
from hedgegridd.heart.maintenance import Maintenance, windows
from hedgegridd.heart.moves import Moves
from hedgegridd.heart.recovery import Recovery
from hedgegridd.heart.rehearsal import STAGE, Rehearsal
from hedgegridd.heart.remote import consult, remote_desks
from hedgegridd.heart.sights import Sights
from hedgegridd.heart.truth import Truth
from hedgegridd.kernel.diff import Action
from hedgegridd.model import BOTH, Level, Mark, Mode, Moment, Order, OrderState, Quote, Role, Stopping, Trade, entry_side
from hedgegridd.views import Alert, Vitals

MINUTE_MS = 60_000
TICKS = frozenset({Mark, Quote, Trade})
NO_FILL = (0, 0, 0, 0)
EIGHT_HOURS_MS = 28_800_000
HANDLERS: dict[type, Callable[[Engine, Any], None]] = {**on_market.HANDLERS, **on_exchange.HANDLERS, **on_house.HANDLERS}


class Engine:
    """The heart, whole. Built by `heart.build`; its shell is `live.daemon`, `research.backtest` or a test."""

    def __init__(self, config: Any, desks: dict[str, Desk], account: Account, panel: Panel, carries: frozenset[str],
                 cadence_ms: int) -> None:  # fmt: skip
        self.config, self.desks, self.panel = config, desks, panel
        self.account: Account = account
        self.carries, self.cadence_ms = carries, cadence_ms
        self.mode = Mode(config.mode)
        live = self.mode == Mode.LIVE
        self.kill = KillSwitch(config.kill_switch.enabled, Level[config.kill_switch.on_activate.upper()])
        man, back = config.dead_mans_switch, config.recovery
        self.deadman = DeadMan(man.enabled, man.timeout_minutes * MINUTE_MS, man.warning_minutes * MINUTE_MS)
        wait = int(back.recovery_time_minutes * MINUTE_MS)
        self.recovery = Recovery(live if back.enabled is None else back.enabled, back.reduced_size_factor, wait)
        sized = panel.guards.get("position_size")
        cap = sized.breaker.settings.max_position_usdt if sized is not None and sized.breaker is not None else float("inf")
        moves = Moves(desks.values())
        self.exposure = Exposure(moves)
        self.sights = Sights(moves, account, self.exposure, cadence_ms)
        self.ease = Ease(panel, self.sights)
        self.pauses = risk.Pauses(moves)
        stop_pct = config.protect.emergency_stop_pct
        self.gate = Gate(self.mode, config.limits, cap, stop_pct, self.kill, panel, self.recovery, account, self.exposure)
        self.rehearsal = Rehearsal(desks.values())
        self.maintenance = self.gate.maintenance = Maintenance(windows(config.maintenance, desks)[0])
        self.smoothing_ms = size.smoothing_ms(panel)
        self.truth, self.beat = Truth(live), Beat(config.exchange_countdown, live)
        self.busy_until = 0
        self.now: int = 0  # ms of the data's clock
        self.wall: int = 0  # ms of the operator's
        self.started: int = 0
        self.cursor = (0, 0)  # (time, how many market events of that time): where the feed goes on after a restart
        self.decisions = Decisions()
        self.counts = dict.fromkeys(("bars", "signals", "orders", "fills", "maker_fills"), 0)
        self.errors: deque[int] = deque()  # times of refusals within the last minute
        self.flattens: list[Flatten] = []
        self.ending: Stopping | None = None
        self.finished = False
        self.foreign: list[Order] = []
        self.told: set[str] = set()  # lines people were told of, and that are still crossed
        self.out: list[Effect] = []
        self.thoughts: list[tuple[Desk, Moment, tuple[int, int, int, int]]] = []
        self.stirred: set[str] = set()  # symbols whose orders must be compared anew
        self.last_hold: tuple[str, float] = ("", 1.0)
        self.vitals: Vitals | None = None  # how the machine was when measured last
        self.dirty = True
        self.sync_mark = self.synced = 0
        self._latch: dict[str, Any] | None = None
        self._latch_last = self._want_sync = False
        self.waiting: list[tuple[int, str, str]] = []  # (sync mark, symbol, client id) of openers waiting for the disk
        self.acks: list[tuple[int, int, dict[str, Any]]] = []  # (sync mark, ticket, result) of verbs waiting for the disk
        self.releasing = 0  # sync mark after which a deactivation becomes true
        self.latch_mark = 0  # sync mark after which the kill switch, as it stands, is durable
        self.sync_failed_at = 0
        self.asked_at = 0  # when a silent exchange was asked last
        self.remotes = remote_desks(desks.values())
        self.thinkers: dict[str, str] = {}  # foreign strategy -> the host that thinks for it
        self.questions: dict[int, tuple[str, str]] = {}  # question under way -> (host, breaker)
        self.question = 0

    # --- the front door ---------------------------------------------------------------------------------------------

    def handle(self, event: Any) -> list[Effect]:
        """Take in one event; the answer is performed in its order. Effects belong to the caller."""
        self.out = []
        self.decisions.count()  # those of the last event: its orders have left
        time = event.time
        if time > self.now:
            self.now = time
            if self.account.open_day(time):
                self.write("day", start_equity_usdt=self.account.day.start)
                self.tell(notices.journal_head)
            while self.errors and time - self.errors[0] >= MINUTE_MS:
                self.errors.popleft()
                self.dirty = True
        HANDLERS[type(event)](self, event)
        if self.recovery.stage == STAGE:
            self.rehearsal.take(self, event)
        risk.look(self, type(event) in TICKS)
        self._think()
        if self.remotes:
            self.question = consult(self.remotes, self.thinkers, self.question, self.out)
        self._compare()
        self._protect()
        self._flatten()
        self._end()
        self._flush()
        return self.out

    def write(self, kind: str, **data: Any) -> None:
        """An act for the journal."""
        self.out.append(Write(kind, data))

    def decide(self, kind: str, **data: Any) -> None:
        """An act that is a decision or a fill: it goes into the hash that compares runs."""
        self.decisions.add(kind, data)
        self.out.append(Write(kind, data))

    def tell(self, build: Callable[..., Alert | None], *facts: Any) -> None:
        """An alert for a person, where its rule is not switched off; its text is not even made then."""
        switches = self.config.alerts
        alert = build(self.now, *facts) if notices.on(build.__name__, switches) else None
        if alert is not None and notices.wanted(alert, switches):
            self.out.append(Notify(alert))

    def sync(self, latch: bool = False, last: bool = False, kept: bool = False) -> int:
        """Ask for the disk at the end of this event; answers the mark that its `Durable` will carry. `kept`: the latch stands as it stood,
        but for its phase, and is as durable as it was."""
        self._want_sync = True
        if latch and not self.releasing:  # an engaged file written after a release would outlive it
            self._latch, self._latch_last = self.kill.as_file(), last
            self.latch_mark = self.latch_mark if kept else self.sync_mark + 1
        return self.sync_mark + 1

    def acknowledge_when_durable(self, mark: int, ticket: int, result: dict[str, Any]) -> None:
        """Reply to a verb once the disk has it."""
        self.acks.append((mark, ticket, result))

    def _flush(self) -> None:
        if self._want_sync:
            self.sync_mark += 1
            self.out.append(Sync(self.sync_mark, self._latch, self._latch_last))
            self._want_sync, self._latch, self._latch_last = False, None, False

    def keep_windows(self) -> None:
        """A breaker that compares with what was before is armed."""
        for desk in self.desks.values():
            desk.keep_window("quotes" in self.carries)
        self.stirred.update(self.desks)

    def revalue(self, desk: Desk) -> None:
        """A price or position moved: equity follows, and every breaker looks at the end of this event."""
        self.account.mark(desk.symbol, desk.net(), desk.unrealized())
        self.dirty = True

    def moved(self, desk: Desk) -> None:
        """An order's state changed: compare this desk's wish and orders anew."""
        self.stirred.add(desk.symbol)
        self.dirty = True

    def think(self, desk: Desk, moment: Moment, fill: tuple[int, int, int, int] = NO_FILL) -> None:
        """Let the strategy look, once risk has looked; `fill` = (leg, role, price, qty)."""
        self.thoughts.append((desk, moment, fill))

    # --- stops --------------------------------------------------------------------------------------------------------

    def stop(self, level: Level, reason: str, source: str, symbol: str = "", leg: int | None = None) -> None:
        """Halt or flatten what is named and nothing beside it: the account by its latch, a symbol or a leg by its mode."""
        if level < Level.HALT:
            return
        if not symbol and leg is None:
            self.engage(level, reason, source, "")
        else:
            scope = modes.scope_of(self, [symbol] if symbol else self.desks, BOTH if leg is None else leg)
            modes.tighten(self, scope, modes.OF_LEVEL[level], reason, source)

    def funding_watch(self, desk: Desk) -> None:
        """Tell where funding, scaled to eight hours, costs a leg more than people want to pay unasked."""
        rate = desk.funding_rate
        if not rate:
            return
        bps = abs(rate) * 10_000 * EIGHT_HOURS_MS / desk.funding_interval_ms
        leg = 0 if rate > 0 else 1  # longs pay a positive rate
        if desk.held(leg):
            self.tell(notices.high_funding, desk.symbol, leg, bps, desk.held_usdt(leg) * bps / 10_000, self.config.alerts)

    # --- the kill switch --------------------------------------------------------------------------------------------

    def engage(self, level: Level, reason: str, source: str, actor: str) -> None:
        """Activate the kill switch: the gate is shut from this line on; the disk follows."""
        was = self.kill.active
        if self.kill.activate(level, reason, source, actor, self.now) or self.releasing:  # also when it was just being let go
            self.engaged(was)

    def engaged(self, was_active: bool) -> None:
        """The latch moved: journal, file, page, and the flatten its level asks for."""
        self.releasing = 0
        self.write("kill", **self.kill.dump())
        self.sync(latch=True)
        self.drop_waiting("the kill switch was engaged")
        if self.kill.level < Level.FLATTEN:  # a flatten cancels whatever it finds
            self._call_back()
        if not was_active:
            kill = self.kill
            self.tell(notices.kill_activated, kill.level, kill.reason, kill.source, kill.actor)
        if self.kill.level == Level.FLATTEN and self.kill.phase == "requested":
            self.start_flatten(self.everything(), self.kill.reason, kill=True)

    def _call_back(self) -> None:
        """Openers on their way over a network are cancelled without waiting for their answers: none of them may leave once more."""
        for desk in self.desks.values() if self.over_network else ():
            sent = [order for order in desk.orders.open.values() if order.role == Role.ENTRY and order.state == OrderState.SENT]
            self.cancel(desk, [order for order in sent if order.client_id not in desk.orders.ending])

    def drop_waiting(self, why: str) -> None:
        """Openers that still wait for the disk never leave the house."""
        for _, symbol, name in self.waiting:
            orders = self.desks[symbol].orders
            order = orders.open.get(name)
            if order is not None and order.state == OrderState.PENDING:
                orders.never_rested(name)
                self.write("withdrawn", client_id=name, reason=why)
        self.waiting.clear()

    def release_when_durable(self) -> int:
        """A person lets the kill switch go: journal first, then the file, then it is true."""
        self.write("kill", **{**self.kill.dump(), "active": False, "phase": "idle"})
        mark = self.sync()
        self._latch = {**self.kill.as_file(), "active": False, "phase": "idle"}
        self._latch_last = True
        self.releasing = mark
        return mark

    # --- thought and orders -----------------------------------------------------------------------------------------

    def _think(self) -> None:
        for desk, moment, fill in self.thoughts:
            sound = not desk.broken
            desk.think(moment, self.now, self.account.equity, self.recovery.wished_factor * self.panel.size_factor, fill)
            if self.recovery.stage == STAGE:
                self.rehearsal.think(self, desk, moment)
            if sound and desk.broken:  # one symbol's fault does not stop another (row 97)
                self.write("strategy_failed", symbol=desk.symbol, reason=desk.halted)
                self.tell(notices.system_error, f"{desk.symbol}: {desk.halted}; openers are halted, closers and stops stay")
            if moment == Moment.BAR and not desk.ready and not desk.broken:
                desk.look_ready()
            self.stirred.add(desk.symbol)
        self.thoughts.clear()

    def _compare(self) -> None:
        hold = (self.gate.hold(), self.recovery.size_factor)
        if hold != self.last_hold:
            self.last_hold = hold
            self.stirred.update(self.desks)
        for symbol in sorted(self.stirred):
            self._act_on(self.desks[symbol])
        self.stirred.clear()

    def _hands_off(self, desk: Desk) -> tuple[bool, bool]:
        active = self.active()
        if not active:
            return False, False
        return any(f.covers(desk.symbol, 0) for f in active), any(f.covers(desk.symbol, 1) for f in active)

    def _act_on(self, desk: Desk) -> None:
        """Turn wish against orders into intents: cancels, amends, places."""
        if self.mode == Mode.MONITOR:
            self._note_wish(desk)
            return
        hands_off = self._hands_off(desk)
        holds = self.gate.holds(desk)
        desk.shape(holds, hands_off, self.now)
        if self.recovery.stage == STAGE:
            self.rehearsal.wish(self, desk)
        found = desk.compare(hands_off, bool(self.gate.patient) and holds[0] == self.gate.patient)
        if not found:
            return
        self.counts["signals"] += 1
        plan, wanted = desk.plan, desk.wanted
        cancels = [desk.names[plan.row[i]] for i in range(found) if plan.action[i] == Action.CANCEL]
        if cancels:
            self.cancel(desk, [desk.orders.open[name] for name in cancels])
        for i in range(found):
            row = plan.row[i]
            if plan.action[i] == Action.AMEND:
                self._amend(desk, desk.names[row], plan.qty[i])
            elif plan.action[i] == Action.PLACE:
                self.place(desk, wanted.leg[row], wanted.role[row], wanted.price[row], plan.qty[i])

    def _note_wish(self, desk: Desk) -> None:
        """Monitor: what would have been wished is journaled whenever it changes (row 93), and nothing is ordered."""
        wished = rows(desk.wish)
        if wished != desk.noted:
            desk.noted = wished
            self.counts["signals"] += 1
            seen = desk.strategy.describe(desk.params, desk.state)
            self.write("signal", symbol=desk.symbol, regime=int(seen["regime"]), center=seen["center"], rungs=[list(row) for row in wished])

    def place(self, desk: Desk, leg: int, role: int, price: int, qty: int) -> Order | None:
        side = entry_side(leg) if role == Role.ENTRY else -entry_side(leg)
        if role == Role.ENTRY:
            why = self.gate.refuse(desk, leg, price, qty)
            if why:
                desk.withheld.append((leg, role, price, qty, why))
                return None
        order = desk.order(leg, role, side, price, qty, self.now)
        self.counts["orders"] += 1
        self.decide("order", t=self.now, client_id=order.client_id, symbol=desk.symbol, leg=int(leg), role=int(role), side=int(side),
                    price=price, qty=qty, **({"is_dry_run": True} if self.mode == Mode.DRY_RUN else {}))  # fmt: skip
        if role == Role.ENTRY:
            self.waiting.append((self.sync(), desk.symbol, order.client_id))
            return order
        sent = desk.orders.move(order.client_id, OrderState.SENT)
        assert sent is not None
        self.out.append(Place((sent,)))
        return sent

    def _amend(self, desk: Desk, name: str, remaining: int) -> None:
        order = desk.orders.open[name]
        grows = order.role == Role.ENTRY and remaining > order.qty - order.filled
        refused = desk.refusals.get((order.leg, order.role, order.price))
        if grows or (refused is not None and self.now < refused.until):
            # Growing an opener is opening: the gate must see the new one. And an amend that was just refused is not asked for again.
            self.cancel(desk, [order])
            return
        desk.orders.ending[name] = self.now
        self.decide("amend", t=self.now, client_id=name, qty=remaining + order.filled)
        self.out.append(Amend(name, remaining + order.filled))

    def cancel(self, desk: Desk, orders: list[Order]) -> None:
        """Cancel these; what never left the house is simply dropped."""
        leaving = []
        self.decide("cancel", t=self.now, client_ids=[order.client_id for order in orders])
        for order in orders:
            if order.state == OrderState.PENDING:
                desk.orders.never_rested(order.client_id)
            else:
                desk.orders.ending[order.client_id] = self.now
                leaving.append(order)
        if leaving:
            self.out.append(Cancel(tuple(leaving)))

    @property
    def over_network(self) -> bool:
        """Does an order take a way, and a report several requests?"""
        return self.truth.network

    @property
    def hasty(self) -> bool:
        """Is something under way that time alone moves on?"""
        return bool(self.gate.patient or self.truth.hasty() or self.active())

    def cancel_foreign(self, orders: list[Order]) -> None:
        """Cancel another hand's orders: only such as stand in the way of a close."""
        self.write("foreign_cancelled", client_ids=[order.client_id for order in orders])
        self.out.append(Cancel(tuple(orders)))

    def close(self, desk: Desk, leg: int, qty: int, price: int = 0) -> Order:
        """Close at once: at market, or as far as it goes at `price` or better."""
        order = self.place(desk, leg, Role.CLOSE, price, qty)
        assert order is not None
        return order

    def close_leg(self, desk: Desk, leg: int) -> None:
        """Close what a leg holds and is not being closed yet, in pieces of the largest market order."""
        rest = desk.held(leg) - desk.closing(leg)
        while rest > 0:
            order = self.close(desk, leg, min(rest, desk.instrument.market_max_qty))
            rest -= order.qty

    def ask_report(self) -> None:
        """Ask the exchange for its picture."""
        self.asked_at = self.now
        self.out.append(AskReport(self.truth.doubted(self.desks.values())))

    # --- protection and flatten -------------------------------------------------------------------------------------

    def _protect(self) -> None:
        if self.mode == Mode.MONITOR:
            return
        for desk in self.exposure.bare():
            in_hand = protect.in_hand(desk.symbol, self.active())
            for bare in protect.bare_legs(desk, self.config.protect.emergency_stop_pct, in_hand):
                refused = desk.refusals.get((bare.leg, Role.STOP if bare.trigger else Role.CLOSE, bare.trigger))
                if refused is not None and self.now < refused.until:
                    continue
                self.write("emergency_stop", symbol=desk.symbol, leg=int(bare.leg), trigger=bare.trigger)
                self._rescue(desk, bare)

    def _rescue(self, desk: Desk, bare: protect.Bare) -> None:
        """Put a stop under a bare leg, or close it where the market is already through."""
        if bare.trigger:
            self.place(desk, bare.leg, Role.STOP, bare.trigger, desk.held(bare.leg))
        else:
            self.close_leg(desk, bare.leg)
        if not desk.thinking:  # a strategy that was just asked is about to name its own
            self.tell(notices.emergency_stop_placed, desk.symbol, bare.leg, bare.trigger * desk.instrument.tick_size)

    def everything(self) -> list[tuple[str, int]]:
        """Every leg of every symbol."""
        return [(symbol, int(leg)) for symbol in self.desks for leg in LEGS]

    def active(self) -> list[Flatten]:
        """Flattens under way."""
        return [flatten for flatten in self.flattens if flatten.phase != "flat"]

    def killing(self) -> bool:
        """Is the kill switch's own flatten under way?"""
        return any(flatten.by_kill for flatten in self.active())

    def start_flatten(self, scope: list[tuple[str, int]], reason: str, *, kill: bool, ticket: int = 0) -> None:
        """Begin to close these legs at the end of this event."""
        flatten = begun(in_order(scope, self.desks), reason, self.now, self.config.flatten, ticket, kill)
        self.flattens = [*self.active(), flatten]
        self.beat.shorten(self)
        self.write("flatten", reason=reason, scope=flatten.scope, usdt=[self.desks[symbol].held_usdt(leg) for symbol, leg in flatten.scope])
        self.tell(notices.flatten_started, reason, scope)

    def _flatten(self) -> None:
        if self.kill.active and self.kill.level == Level.FLATTEN and self.held_legs() and not self.killing():
            self.start_flatten(self.everything(), self.kill.reason, kill=True)  # a fill came after flat, or while nobody looked
        modes.keep_flat(self)
        for flatten in self.active():
            flatten.advance(self.desks, self, self.now)
            if flatten.proven(self.now):
                self.flat(flatten)
                continue
            if flatten.failed and flatten.ticket:
                self.out.append(Reply(flatten.ticket, flatten.result()))
                flatten.ticket = 0
            if flatten.page_due(self.now):
                self.tell(notices.flatten_failed, flatten.reason, flatten.phase, self.unresolved())
        self._kill_phase()

    def flat(self, flatten: Flatten) -> None:
        """The exchange reported zero: say so. A stop that died with its leg is over, though its own last word may still be on its way."""
        pairs = [(self.desks[symbol], leg) for symbol, leg in flatten.scope if symbol in self.desks]  # some may be configured no more
        for desk, leg in pairs:
            for stop in desk.orders.of(leg, Role.STOP):
                desk.orders.drop(stop.client_id)
        self.write("flat", **flatten.result())
        self.tell(notices.flatten_done, flatten.result(), self.now - flatten.started, flatten.scope)
        if flatten.ticket:
            self.acknowledge_when_durable(self.sync(), flatten.ticket, flatten.result())
            flatten.ticket = 0
        for desk in dict.fromkeys(desk for desk, _ in pairs):  # in one order, whatever a set's is in this process
            self.think(desk, Moment.LOOK)
        self._kill_phase()  # now: a flatten that begins in this same event forgets those that are done

    def _kill_phase(self) -> None:
        """What the kill switch's work has come to; its file is told when the work ends."""
        if not self.kill.active or self.releasing:
            return
        mine = [flatten for flatten in self.flattens if flatten.by_kill]
        if self.kill.level == Level.FLATTEN:
            phase = mine[-1].shown if mine else self.kill.phase  # one that was done before a restart is not done again
        else:
            openers = any(o.role == Role.ENTRY for desk in self.desks.values() for o in desk.orders.open.values())
            phase = "cancelling" if openers else "idle"
        if phase != self.kill.phase:
            self.kill.phase = phase
            self.write("kill_phase", phase=phase)
            if phase in ("flat", "idle", "failed"):
                self.sync(latch=True, kept=True)

    def held_legs(self) -> list[tuple[str, int, float]]:
        """(symbol, leg, coins) of every leg that is not zero."""
        desks = self.desks.values()
        return [(desk.symbol, int(leg), desk.held(leg) * desk.instrument.lot_size) for desk in desks for leg in LEGS if desk.held(leg)]

    def unresolved(self) -> list[str]:
        """What stands between us and flat, in words."""
        held = [f"{symbol} {LEGS[leg].name.lower()}: {coins:g} held" for symbol, leg, coins in self.held_legs()]
        return held + [f"{desk.symbol}: {len(desk.orders.open)} own orders" for desk in self.desks.values() if desk.orders.open]

    # --- the end ----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        if self.ending is None or self.finished:
            return
        openers = any(o.role == Role.ENTRY for desk in self.desks.values() for o in desk.orders.open.values())
        active = self.active()
        for flatten in active:
            flatten.end_by(self.ending.time + int(self.config.daemon.stop_timeout_seconds * 500))
        if not openers and (all(flatten.failed for flatten in active) if active else not self._guarding()):
            self.finished = True
            self.beat.disarm(self)
            self.write("stop", hash=self.decisions.hash, **self.counts)
            self.sync()
            self.out.append(Finished(not active))

    def _guarding(self) -> bool:
        """Is a leg bare, or a stop or close of it still on its way? What is taken back halfway there would protect nothing."""
        if not self.over_network:
            return False
        if any(desk.stop(leg) is None for desk in self.desks.values() for leg in LEGS if desk.held(leg)):
            return True
        orders = (order for desk in self.desks.values() for order in desk.orders.open.values())
        return any(order.role in (Role.STOP, Role.CLOSE) and order.state != OrderState.LIVE for order in orders)

    # --- checkpoint -------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON: with it and the events after it, everything is made again."""
        return checkpoint.dump(self)

    def load(self, data: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        checkpoint.load(self, data)

    def take_over(self, old: Engine) -> None:
        """Go on where another engine is, between two events: a reload, or the next life. StateError where this one cannot."""
        checkpoint.take_over(self, old)
