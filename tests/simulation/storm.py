"""One seeded run: a market, people, a bad line, a bad disk and sudden deaths; after every event, what must always hold.

One law: a seed says everything, so a seed that fails once fails always.
"""

from __future__ import annotations

import json
import random
from typing import Any

from rig import BARS, MINUTE, REGISTRY, START, check, config_of, instrument_table
from simulation.faults import Crash, Rates, World, holding, resting, slow_closing

from hedgegridd import codec
from hedgegridd.heart.build import build
from hedgegridd.heart.desk import LEGS
from hedgegridd.heart.effects import Write
from hedgegridd.heart.protect import emergency_trigger
from hedgegridd.kernel import ledger
from hedgegridd.model import Bar, Funding, Gap, Leg, Level, Mark, Order, OrderState, Role, Stopping, entry_side

PRICES = {"BTCUSDT": 500_000, "ETHUSDT": 200_000}
BROKEN_DISK = "no space left on device"


class Storm:
    """The run of one seed. `faults`: the exchange's line is bad as well."""

    def __init__(self, seed: int, faults: bool = True) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        rng = self.rng
        self.symbols = ["BTCUSDT"] if rng.random() < 0.7 else list(PRICES)
        self.carries = BARS | {"marks"} if rng.random() < 0.4 else BARS
        self.rates = self._rates() if faults else Rates()
        self.config = self._config()
        self.bars = {symbol: PRICES[symbol] for symbol in self.symbols}
        self.volatility = rng.choice([10, 25, 60, 150])  # bps a bar
        self.ids: set[str] = set()  # every client id that ever reached the exchange
        self.promised = False  # a person was told "active, durable" and not "inactive" since
        self.settled = 0  # time of the last funding
        self.latched = False  # the kill switch, after the last event
        self.releases = 0  # deactivations asked for since it was engaged
        self.untold = False  # money moved that nobody told us of
        self.released_by = 0  # the ticket of the last deactivation asked for
        self.before = False  # the same, before a deactivation was asked for
        self.asked: dict[int, str] = {}  # ticket -> verb
        self.paper = False  # is the exchange of this life rebuilt from the journal, or has it lived on?
        self.deaths = self.events = self.kills = self.flats = 0
        self.world = World(self.config, self.carries, rng, self.rates, watch=self._leaves)
        self.world.after = self._check
        self.world.begin()

    def _rates(self) -> Rates:
        some = lambda most: self.rng.choice([0.0, 0.0, most / 3, most])  # noqa: E731
        return Rates(some(0.1), some(0.05), some(0.1), some(0.1), some(0.1), some(0.3), some(0.3), some(0.5), some(0.1))

    def _config(self) -> Any:
        rng = self.rng
        exits = {"tp_steps": rng.choice([1, 2, 3]), "sl_steps": rng.choice([3, 5, 8]), "tp_levels": rng.choice([1, 1, 2, 3])}
        grid = {"base_qty": rng.choice([0.002, 0.005]), "grid_levels_long": rng.choice([3, 10]), "grid_levels_short": rng.choice([3, 10])}
        params = {"grid": grid, "exit": exits, "execution": {"price_tolerance_bps": rng.choice([0.0, 5.0])}}
        if rng.random() < 0.5:
            params["rebalance"] = {"recenter_trigger_bps": rng.choice([100.0, 200.0])}
        tables = []
        for symbol in self.symbols:
            table = instrument_table(symbol, **params)
            table["filters"]["market_max_qty"] = rng.choice([0.003, 0.01, 100.0])
            tables.append(table)
        return config_of(
            instrument=tables,
            exchange={"paper": {"fill_model": rng.choice(["touch", "trade_through", "queue"])}},
            kill_switch={"on_activate": rng.choice(["halt", "flatten"])},
            flatten={"deadline_seconds": rng.choice([5.0, 30.0]), **slow_closing(self.seed)},
            breaker={"funding": {"enabled": False}, "session_loss": {"max_loss_amount_usdt": rng.choice([30.0, 1000.0])}},
            limits={"max_exposure_pct": 400.0, "max_position_pct": 400.0, "max_risk_per_trade_pct": 5.0},
        )

    # --- the run ----------------------------------------------------------------------------------------------------

    def run(self, steps: int = 120) -> Storm:
        """Warm up, storm, calm; then everything must agree."""
        self._do(self.world.wake)
        for _ in range(45):
            self._do(self._bar, calm=True)
        acts, weights = zip(*ACTS, strict=True)
        for act in self.rng.choices(acts, weights, k=steps):
            self._do(lambda: act(self))  # noqa: B023 - called at once
            self._ears()
        self._calm()
        self._replay()
        return self

    def _do(self, act: Any, **options: Any) -> None:
        """Do it; where the process dies meanwhile, let the next life begin."""
        try:
            act(**options)
            self.world.drain()
        except Crash:
            self._die()

    def _die(self) -> None:
        self.deaths += 1
        self._ears()
        self._latched()
        self.asked.clear()
        old, self.paper, power = self.world, self.rng.random() < 0.5, self.rng.random() < 0.3
        was = (old.engine.kill.active, old.engine.kill.level)
        if self.paper and power:
            old.power_cut()
            self.ids = set(old.places)
            self.latched = False  # whatever was not on the disk never was
        self.world = old.reborn(paper=self.paper)
        self.world.after = self._check
        engine = self.world.engine
        if not (self.paper and power):
            assert (engine.kill.active, engine.kill.level) == was, "the kill switch is not as it was before the process died"
        self._do(self.world.wake)
        assert engine.kill.active or not self.promised, "told 'active', and after a restart it is not"

    def _ears(self) -> None:
        """What people were told."""
        replies = self.world.replies
        for ticket in [ticket for ticket in self.asked if ticket in replies]:
            verb, reply = self.asked.pop(ticket), replies[ticket]
            if reply.result is not None and verb == "activate" and reply.result["durable"]:
                self.promised = self.promised or ticket > self.released_by
            elif verb == "deactivate" and reply.result is None:
                self.promised = self.before

    def _say(self, verb: str, /, **params: Any) -> None:
        if verb == "deactivate":  # from here until its refusal nobody can say whether it was done
            self.before, self.promised = self.promised, False
            self.released_by = self.world.ticket + 1
            self.releases += 1
        self.asked[self.world.ticket + 1] = verb
        self.world.verb(verb, **params)

    # --- acts -------------------------------------------------------------------------------------------------------

    def _bar(self, calm: bool = False) -> None:
        world, rng = self.world, self.rng
        time = max(world.engine.now, START) // MINUTE * MINUTE + MINUTE
        for symbol, last in list(self.bars.items()):
            bps = 1.0 if calm else self.volatility
            move = rng.gauss(0, bps) if calm or rng.random() > 0.01 else rng.choice([-1, 1]) * 600
            close = max(1000, round(last * (1 + move / 10_000)))
            reach = round(last * abs(rng.gauss(0, bps / 2)) / 10_000)
            self.bars[symbol] = close
            bar = Bar(symbol, time, last, max(last, close) + reach, max(1, min(last, close) - reach), close, rng.randint(0, 10_000), MINUTE)
            self._market(bar)
            if "marks" in self.carries:
                self._market(Mark(symbol, time, close * (1 + rng.gauss(0, 1) / 10_000)))

    def _market(self, event: Any) -> None:
        """A market event; where the process dies before it was journaled, the next one gets it again from its feed."""
        try:
            self.world.market(event)
        except Crash:
            self._die()
            if not self._journaled(event):
                fed_again = self.paper and not isinstance(event, Funding)
                (self.world.market if fed_again else self.world.take)(event)

    def _journaled(self, event: Any) -> bool:
        row = json.dumps(codec.encode(event))
        return any(row in segment.inputs for segment in self.world.segments[-4:])

    def _time(self) -> None:
        self.world.timer(self.rng.choice([1.0, 1.0, 2.0, 6.0]))

    def _funding(self) -> None:
        symbol, now = self.rng.choice(self.symbols), self.world.engine.now
        if now - self.settled >= 10 * MINUTE:
            self.settled = now
            self._market(Funding(symbol, now + 1, self.rng.gauss(0, 0.0005), 8 * 60 * MINUTE))

    def _gap(self) -> None:
        now = self.world.engine.now
        self._market(Gap(self.rng.choice(self.symbols), now + 1, now))

    def _activate(self) -> None:
        self.kills += 1
        self._say("activate", reason=self.rng.choice(["rumour", "drill"]), level=self.rng.choice([None, "halt", "flatten"]))

    def _deactivate(self) -> None:
        self._say("deactivate", reason="looked at it", force=self.rng.random() < 0.5)

    def _pace(self) -> None:
        rng = self.rng
        where = {"symbol": rng.choice([None, *self.symbols]), "leg": rng.choice(["long", "short", "both", None])}
        verb = rng.choice(["pause", "resume", "resume", "throttle"])
        self._say(verb, **where, **({"factor": rng.choice([0, 0.3, 1, 1])} if verb == "throttle" else {}))

    def _flatten(self) -> None:
        rng = self.rng
        self._say("flatten", reason="out of here", symbol=rng.choice([None, *self.symbols]), leg=rng.choice(["long", "short", "both"]))

    def _breakers(self) -> None:
        verb = self.rng.choice(["breakers.reset", "breakers.arm", "breakers.disarm"])
        options = {"all": True} if verb == "breakers.reset" else {"name": self.rng.choice(["order_errors", "margin", "drawdown"])}
        self._say(verb, reason="as a person sees fit", **options)

    def _disk(self) -> None:
        world = self.world
        if world.slow_disk or world.disk_fails:
            world.slow_disk, world.disk_fails = False, ""
        elif self.rng.random() < 0.5:
            world.slow_disk = True
        else:
            world.disk_fails = BROKEN_DISK
        world.disk()

    def _disk_turns(self) -> None:
        self.world.disk()

    def _dies(self) -> None:
        """Dies a few effects from here, or right now."""
        self.world.die_in = self.rng.randint(0, 12)
        if not self.world.die_in:
            raise Crash

    def _checkpoint(self) -> None:
        if not (self.world.inbox or self.world.syncs or self.world.exchange.line):
            self.world.begin()

    def _file(self) -> None:
        """Another hand at the kill switch file."""
        world, rng = self.world, self.rng
        what = rng.choice(["active", "inactive", "missing", "unreadable"])
        file = world.file()
        if what == "active":
            world.latch = {"active": True, "reason": "another program", "level": rng.choice(["", "halt"])}
            file = world.file()
        elif what == "inactive":
            file = file._replace(active=False, missing=False)
        elif what == "missing":
            file = file._replace(active=False, missing=True, level="", reason="")
        elif what == "unreadable":
            file = file._replace(active=None, missing=False)
        world.take(file)

    def _transfer(self) -> None:
        if not self.world.exchange.line:
            self.world.exchange.transfer(self.rng.choice([-500.0, 1000.0]))

    def _strange_hand(self) -> None:
        """Another hand closes a leg, or a part of it."""
        symbol, exchange = self.rng.choice(self.symbols), self.world.exchange
        leg = self.rng.choice(LEGS)
        held = holding(exchange, symbol)[leg]
        if held:
            qty = self.rng.randint(1, min(held, exchange.inner.pits[symbol].terms.instrument.market_max_qty))
            name = f"web-{self.events}"
            exchange.inner.place((Order(name, symbol, leg, Role.CLOSE, -entry_side(leg), 0, qty),))
            exchange.deliver()

    def _silent_hand(self) -> None:
        """Another hand closes or opens a part of a leg and the stream does not tell; a picture of the account does, later."""
        exchange = self.world.exchange
        if exchange.line or exchange.stalled:
            return
        if self.rng.random() < 0.5:
            heard, exchange.emit = exchange.emit, lambda event: setattr(self, "untold", True)
            self._strange_hand()
            exchange.emit = heard
        else:
            symbol, leg = self.rng.choice(self.symbols), self.rng.choice(LEGS)
            pit = exchange.inner.pits[symbol]
            pit.books = ledger.fill(pit.books, pit.terms.unit, leg, entry_side(leg), self.bars[symbol], 2, 0.0)
            exchange.inner._tidy([pit])
        exchange.inner.report()
        exchange.deliver()

    def _stops(self) -> None:
        """A clean stop, and a new start."""
        world = self.world
        world.take(Stopping(world.engine.now, self.rng.random() < 0.3, "SIGTERM"))
        for _ in range(3):
            world.disk()
            world.drain()
            world.timer(3.0)
        raise Crash

    # --- the end ----------------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """The line and the disk are well again and time passes: everything must come to rest and agree."""
        world = self.world
        world.die_in, world.disk_fails, world.slow_disk = 0, "", False
        world.exchange.heal()
        for _ in range(2):
            world.disk()
            world.drain()
            while world.exchange.late:
                world.take(world.exchange.late.popleft())
            for _ in range(14):
                world.timer(6.0)
                world.disk()
                world.drain()
            self._bar(calm=True)
            world.drain()
        world.timer(1.0)
        world.drain()
        self._agree()

    def _agree(self) -> None:
        engine, exchange = self.world.engine, self.world.exchange
        for symbol, desk in engine.desks.items():
            assert (desk.books.long_qty, desk.books.short_qty) == holding(exchange, symbol), f"{symbol}: books differ from the exchange's"
            ours = {name: (o.price, o.qty, o.filled) for name, o in desk.orders.open.items()}
            theirs = {name: (o.price, o.qty, o.filled) for name, o in resting(exchange, symbol).items()}
            assert ours == theirs, f"{symbol}: orders differ: {sorted(set(ours.items()) ^ set(theirs.items()))}"
            assert {o.state for o in desk.orders.open.values()} <= {OrderState.LIVE}
            for leg in LEGS:
                if desk.held(leg) and not self._in_hand(symbol, leg):
                    assert desk.orders.of(leg, Role.STOP), f"{symbol} {leg!r} has no stop on the exchange"
                if self.engine_holds(leg, symbol):
                    assert not desk.orders.of(leg, Role.ENTRY), f"{symbol} {leg!r}: openers rest though {self.engine_holds(leg, symbol)}"
        assert self.untold or abs(engine.account.wallet - exchange.inner.wallet) < 1e-6, "the wallets differ"
        assert not engine.gate.storage_failed
        assert not engine.gate.unsettled
        assert not engine.waiting and not engine.acks
        if engine.kill.active and engine.kill.level == Level.FLATTEN:
            assert engine.kill.phase == "flat", f"a flatten that never ends: {engine.kill.phase} {engine.unresolved()}"
            assert not engine.held_legs()
        assert not engine.active(), [flatten.dump() for flatten in engine.active()]
        assert not engine.kill.active or engine.kill.durable

    def engine_holds(self, leg: int, symbol: str) -> str:
        engine = self.world.engine
        return str(engine.gate.holds(engine.desks[symbol])[leg])

    def _replay(self) -> None:
        """Every stretch of every life, taken in again, writes the same acts."""
        for segment in self.world.segments:
            engine = build(self.config, REGISTRY, carries=self.carries, cadence_ms=MINUTE)
            engine.load(json.loads(segment.state))
            for number, (row, acts) in enumerate(zip(segment.inputs, segment.acts, strict=True)):
                effects = engine.handle(codec.decode(json.loads(row)))
                made = [effect for effect in effects if isinstance(effect, Write)]
                assert made == acts, f"replay differs at input {number}: {row}\n  was {acts}\n  is  {made}"

    # --- what must always hold --------------------------------------------------------------------------------------

    def _leaves(self, order: Order) -> None:
        """An order on its way to the exchange."""
        engine, world = self.world.engine, self.world
        assert order.client_id not in self.ids, f"the id {order.client_id} was given out twice"
        self.ids.add(order.client_id)
        assert len(order.client_id) <= 36
        desk = engine.desks[order.symbol]
        if order.role == Role.ENTRY:
            assert not engine.kill.active, "an opener leaves while the kill switch is active"
            assert not engine.gate.holds(desk)[order.leg], f"an opener leaves though {engine.gate.holds(desk)[order.leg]}"
            assert world.places[order.client_id] <= world.durable, "an opener leaves before its intent is on the disk"
        elif order.role == Role.CLOSE:
            closing = sum(o.qty - o.filled for o in desk.orders.of(order.leg, Role.CLOSE))
            assert closing <= desk.held(order.leg), f"{closing} lots being closed of {desk.held(order.leg)} held"

    def _in_hand(self, symbol: str, leg: int) -> bool:
        return any(flatten.covers(symbol, leg) for flatten in self.world.engine.active())

    def _check(self) -> None:
        """After every event."""
        self.events += 1
        world, engine = self.world, self.world.engine
        check(world)
        self._latched()
        self._flat_is_flat()
        for symbol, desk in engine.desks.items():
            for leg in LEGS:
                safe = not desk.held(leg) or desk.orders.of(leg, Role.STOP, Role.CLOSE) or self._in_hand(symbol, leg)
                assert safe or self._refused_a_moment_ago(desk, leg), f"{symbol} {Leg(leg).name} is unprotected"
            rungs = [(o.leg, o.price) for o in resting(world.exchange, symbol).values() if o.role == Role.ENTRY]
            assert len(rungs) == len(set(rungs)), f"{symbol}: a rung twice on the exchange"

    def _refused_a_moment_ago(self, desk: Any, leg: int) -> bool:
        """The exchange refused even the emergency stop, or the close, and it is not time to try again yet."""
        trigger = emergency_trigger(leg, desk.entry(leg), desk.mark, self.config.protect.emergency_stop_pct)
        tried = [desk.refusals.get((leg, Role.STOP, trigger)), desk.refusals.get((leg, Role.CLOSE, 0))]
        return any(refusal is not None and refusal.until > self.world.engine.now for refusal in tried)

    def _latched(self) -> None:
        """The kill switch is let go by a person's word that is on the disk, and by nothing else."""
        active = self.world.engine.kill.active
        if self.latched and not active:
            assert self.releases and '["Durable"' in self.world.segments[-1].inputs[-1], "the kill switch let go by itself"
        if active and not self.latched:
            self.releases = 0
        self.latched = active

    def _flat_is_flat(self) -> None:
        """Where the heart says flat, the exchange has nothing of these legs."""
        for act in self.world.segments[-1].acts[-1]:
            if act.kind == "flat":
                for flatten in self.world.engine.flattens:
                    for symbol, leg in flatten.scope if flatten.phase == "flat" else ():
                        orders = [order for order in resting(self.world.exchange, symbol).values() if order.leg == leg]
                        assert not holding(self.world.exchange, symbol)[leg] and not orders, f"{symbol} {leg} is not flat"


ACTS = [
    (Storm._bar, 60),
    (Storm._time, 15),
    (Storm._funding, 2),
    (Storm._gap, 0.5),
    (Storm._activate, 2),
    (Storm._deactivate, 5),
    (Storm._pace, 4),
    (Storm._flatten, 1),
    (Storm._breakers, 2),
    (Storm._disk, 4),
    (Storm._disk_turns, 6),
    (Storm._dies, 5),
    (Storm._checkpoint, 2),
    (Storm._file, 1),
    (Storm._transfer, 1),
    (Storm._strange_hand, 1.5),
    (Storm._silent_hand, 1),
    (Storm._stops, 0.5),
]
