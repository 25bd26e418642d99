"""What must hold at every moment of a run over a bad network. One law: the exchange's own books judge, never what the heart believes.

Bounds count from the last fault that may explain a delay: a lost order is known to be lost only after a while.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from hedgegridd.heart.desk import LEGS
from hedgegridd.heart.effects import Reply
from hedgegridd.heart.orders import parse
from hedgegridd.heart.protect import emergency_trigger
from hedgegridd.model import Durable, Leg, Level, Order, OrderState, Report, Role

if TYPE_CHECKING:
    from simulation.network import Network

BARE_MS = (
    1_500  # from a leg's fill on the exchange to its stop there, where nothing goes wrong: what the heart needs, and the way there and back
)
REPAIRED_MS = 7_000  # the same after a fault, beside the time in which the exchange is not asked because all seems well
SETTLED_MS = 5_000  # from when an order is unknown until it is known, the exchange answering
KNOWN_MS = 4_000  # so long an order list may lag


class Promises:
    """Watches one run."""

    def __init__(self, run: Network) -> None:
        self.run = run
        self.worst: Counter[str] = Counter()
        self.before = run.clock.now
        self.bare: dict[tuple[str, int], int] = {}  # held on the exchange with no stop there, since
        self.unknown: dict[str, int] = {}
        self.reports: list[int] = []  # when the reports of this life were begun
        self.latched = self.promised = self.unsaid = False
        self.released_by = 0
        self.verbs: dict[int, str] = {}
        self.intents: dict[str, int] = {}  # opener -> the input that decided it
        self.on_disk = 0
        self.was: tuple[bool, Level] = (False, Level.HALT)
        self.orders_known = 0  # orders that ever rested, when the rungs were last looked at
        self.newest: dict[str, int] = {}  # symbol -> highest trade booked
        self.disorder = False  # was a fill ever booked after a later one?
        self.surprises: list[str] = []  # positions and money that nothing told explained

    # --- the exchange's books -----------------------------------------------------------------------------------------

    def holding(self, symbol: str) -> tuple[int, int]:
        """(long, short) lots as the exchange has them."""
        books = self.run.line.inner.pits[symbol].books
        return books.long_qty, books.short_qty

    def resting(self, symbol: str) -> dict[str, Order]:
        """What rests on the exchange, by client id."""
        return {order.client_id: order for order in self.run.line.inner.pits[symbol].open.values()}

    # --- the life of a process ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.reports.clear()
        self.unknown.clear()
        self.on_disk = 0
        self.intents.clear()

    def dies(self) -> None:
        self._latched(self.run.segments[-1].inputs[-1] if self.run.segments[-1].inputs else None)
        self.verbs.clear()
        kill = self.run.engine.kill
        self.was = kill.active, kill.level

    def reborn(self, power: bool) -> None:
        kill = self.run.engine.kill
        if power:
            self.latched = kill.active
        else:
            assert (kill.active, kill.level) == self.was, "the kill switch is not as it was before the process died"

    def same(self, before: Any, after: Any) -> None:
        """The journal's inputs make the same heart again."""
        was, is_now = json.dumps(before.dump(), sort_keys=True), json.dumps(after.dump(), sort_keys=True)
        assert was == is_now, f"replay differs:\n  was {was}\n  is  {is_now}"

    def replayed(self, segment: Any, engine: Any) -> None:
        other = self.run._engine()
        other.load(json.loads(segment.state))
        for event in segment.inputs:
            other.handle(event)
        self.same(engine, other)

    def durable(self, inputs: int) -> None:
        self.on_disk = inputs

    # --- people -------------------------------------------------------------------------------------------------------

    def asked(self, ticket: int, verb: str) -> None:
        self.verbs[ticket] = verb
        if verb == "deactivate":  # until its refusal nobody can say whether it was done
            self.unsaid, self.promised, self.released_by = self.promised, False, ticket

    def replied(self, reply: Reply) -> None:
        verb = self.verbs.pop(reply.ticket, "")
        if verb == "activate" and reply.result is not None and reply.result["durable"]:
            self.promised = self.promised or reply.ticket > self.released_by
        elif verb == "deactivate" and reply.result is None:
            self.promised = self.unsaid

    # --- every order ----------------------------------------------------------------------------------------------------

    def leaves(self, order: Order) -> None:
        """An order on its way to the exchange."""
        engine = self.run.engine
        desk = engine.desks[order.symbol]
        if order.role == Role.ENTRY:
            assert not engine.kill.active and not self.promised, "an opener leaves while the kill switch is active"
            why = engine.gate.holds(desk)[order.leg]
            assert not why, f"an opener leaves though {why}"
        elif order.role == Role.CLOSE:
            closing = desk.closing(order.leg)
            assert closing <= desk.held(order.leg), f"{closing} lots being closed of {desk.held(order.leg)} held"

    # --- every event --------------------------------------------------------------------------------------------------

    def after(self, event: Any) -> None:
        """The heart took an event in."""
        engine, now = self.run.engine, self.run.clock.now
        self._latched(event)
        for desk in engine.desks.values():
            assert desk.books.long_qty >= 0 <= desk.books.short_qty
            for leg in LEGS:
                safe = not desk.held(leg) or desk.tally.closing[leg] or self._in_hand(desk.symbol, leg)
                assert safe or self._refused_a_moment_ago(desk, leg), f"{desk.symbol} {leg!r} is unprotected"
        self._unknown(engine, now)
        if isinstance(event, Report):
            self._reported(event, now)
        self._acts()

    def _latched(self, event: Any) -> None:
        """The kill switch is let go by a person's word that is on the disk, and by nothing else."""
        active = self.run.engine.kill.active
        assert active or not self.promised, "told 'active', and it is not"
        if self.latched and not active:
            assert isinstance(event, Durable), "the kill switch let go by itself"
        self.latched = active

    def _in_hand(self, symbol: str, leg: int) -> bool:
        return any(flatten.covers(symbol, leg) for flatten in self.run.engine.active())

    def _refused_a_moment_ago(self, desk: Any, leg: int) -> bool:
        """The exchange refused even the emergency stop, or the close, and it is not time to try again yet."""
        trigger = emergency_trigger(leg, desk.entry(leg), desk.mark, self.run.config.protect.emergency_stop_pct)
        tried = [desk.refusals.get((leg, Role.STOP, trigger)), desk.refusals.get((leg, Role.CLOSE, 0))]
        return any(refusal is not None and refusal.until > self.run.engine.now for refusal in tried)

    def _unknown(self, engine: Any, now: int) -> None:
        """What is not known is known again soon."""
        unknown = {o.client_id for desk in engine.desks.values() for o in desk.orders.open.values() if o.state == OrderState.UNKNOWN}
        if not unknown and not self.unknown:
            return
        self.unknown = {name: self.unknown.get(name, now) for name in unknown}
        for name, since in self.unknown.items():
            took = now - max(since, self.run.line.last_fault)
            self._within("unknown", took, SETTLED_MS, name)

    def _within(self, kind: str, took: int, bound: int, what: str) -> None:
        if took > self.worst[kind]:
            self.worst[kind] = took
        assert took <= bound, f"{what}: {kind} for {took} ms"

    def _reported(self, report: Report, now: int) -> None:
        """Own orders that rest are known after two reports."""
        self.reports = [*self.reports, report.since][-3:]
        if len(self.reports) < 3:
            return
        for symbol, desk in self.run.engine.desks.items():
            for name in self.resting(symbol):
                if parse(name) is not None and name not in desk.orders.open:
                    young = self.run.line.moved[name] + KNOWN_MS > self.reports[0] or self.run.line.last_fault > self.reports[0] - KNOWN_MS
                    assert young, f"{name} rests and the heart does not know"

    def _acts(self) -> None:
        for act in self.run.segments[-1].acts[-1]:
            if act.kind == "flat":
                self._flat_is_flat()
            elif act.kind == "fill" and act.data["trade_id"].isdigit():
                self._in_order(act.data["symbol"], int(act.data["trade_id"]))
            elif act.data.get("what") == "drift" or (act.data.get("of") == "unexplained" and not self.disorder):
                self.surprises.append(f"{act.kind} {act.data}")

    def _in_order(self, symbol: str, trade: int) -> None:
        """Fills booked in another order than the exchange's make another average entry: the money is right once the leg is closed."""
        self.disorder = self.disorder or trade < self.newest.get(symbol, 0)
        self.newest[symbol] = max(trade, self.newest.get(symbol, 0))

    def _flat_is_flat(self) -> None:
        """Where the heart says flat, the exchange has nothing of these legs, but for what another hand has just done."""
        for flatten in self.run.engine.flattens:
            just_now = flatten.phase == "flat" and flatten.done_at == self.run.engine.now
            for symbol, leg in flatten.scope if just_now else ():
                self.worst["flat"] += 1
                own = [order for name, order in self.resting(symbol).items() if order.leg == leg and parse(name)]
                strange = self.run.strange_at.get((symbol, int(leg)), 0) > self.run.clock.now - 10_000
                assert strange or (not self.holding(symbol)[leg] and not own), f"{symbol} {leg} is not flat: {own}"

    # --- every moment ---------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Something was due: look at the exchange itself."""
        run = self.run
        now = run.clock.now
        if len(run.line.moved) != self.orders_known:
            self.orders_known = len(run.line.moved)
            self.rungs()
        for symbol, pit in run.line.inner.pits.items():
            books = pit.books
            if not (books.long_qty or books.short_qty):
                self.bare.pop((symbol, 0), None)
                self.bare.pop((symbol, 1), None)
                continue
            stops = {order.leg for order in pit.open.values() if order.role == Role.STOP}
            for leg, qty in ((0, books.long_qty), (1, books.short_qty)):
                if not qty or leg in stops:
                    self.bare.pop((symbol, leg), None)
                else:
                    self._bare(symbol, leg, self.bare.setdefault((symbol, leg), now), now)

    def _bare(self, symbol: str, leg: int, since: int, now: int) -> None:
        """A leg without a stop on the exchange."""
        run, line = self.run, self.run.line
        if not run.alive or not line.answers or line.deaf or self._in_hand(symbol, leg):
            self.bare[symbol, leg] = now
            return
        if self._refused_a_moment_ago(run.engine.desks[symbol], leg):
            return
        clean = line.last_fault < since - 10_000
        took = now - max(since, line.last_fault, run.born)
        if clean:
            self._within("bare", took, BARE_MS, f"{symbol} {Leg(leg).name}")
        else:
            self._within("bare after a fault", took, REPAIRED_MS + run.idle_ms, f"{symbol} {Leg(leg).name}")

    def rungs(self) -> None:
        """No rung twice on the exchange."""
        for symbol in self.run.symbols:
            rungs = [(o.leg, o.price) for name, o in self.resting(symbol).items() if o.role == Role.ENTRY and parse(name)]
            assert len(rungs) == len(set(rungs)), f"{symbol}: a rung twice on the exchange"

    # --- the end --------------------------------------------------------------------------------------------------------

    def agree(self) -> None:
        """All is quiet: the heart's picture is the exchange's."""
        engine, inner = self.run.engine, self.run.line.inner
        for symbol, desk in engine.desks.items():
            held = (desk.books.long_qty, desk.books.short_qty)
            assert held == self.holding(symbol), f"{symbol}: books {held}, the exchange's {self.holding(symbol)}"
            ours = {name: (o.price, o.qty - o.filled) for name, o in desk.orders.open.items() if o.role != Role.STOP}
            theirs = {n: (o.price, o.qty - o.filled) for n, o in self.resting(symbol).items() if o.role != Role.STOP and parse(n)}
            assert ours == theirs, f"{symbol}: orders differ: {sorted(set(ours.items()) ^ set(theirs.items()))}"
            stops = {name for name, o in desk.orders.open.items() if o.role == Role.STOP}
            theirs_stops = {name for name, o in self.resting(symbol).items() if o.role == Role.STOP and parse(name)}
            assert stops == theirs_stops, f"{symbol}: stops differ: {stops ^ theirs_stops}"
            assert {o.state for o in desk.orders.open.values()} <= {OrderState.LIVE}, "an order is not settled"
            for leg in LEGS:
                if desk.held(leg):
                    assert [o for o in self.resting(symbol).values() if o.role == Role.STOP and o.leg == leg], (
                        f"{symbol} {leg!r} has no stop"
                    )
                why = engine.gate.holds(desk)[leg]
                if why:
                    assert not desk.orders.of(leg, Role.ENTRY), f"{symbol} {leg!r}: openers rest though {why}"
        explained = self.run.strangers or self.run.cuts
        assert explained or not self.surprises, f"nobody else traded, nothing was lost, and yet: {self.surprises}"
        off = engine.account.wallet - inner.wallet
        assert abs(off) <= 2e-9, f"the wallets differ by {off}"
        assert not engine.gate.unsettled and not engine.gate.storage_failed and not engine.waiting and not engine.acks
        if engine.kill.active and engine.kill.level == Level.FLATTEN:
            assert engine.kill.phase == "flat", f"a flatten that never ends: {engine.kill.phase} {engine.unresolved()}"
            assert not any(any(self.holding(symbol)) for symbol in engine.desks), "not flat"
        assert not engine.active(), [flatten.dump() for flatten in engine.active()]
        assert not engine.kill.active or engine.kill.durable
