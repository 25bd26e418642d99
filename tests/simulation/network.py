"""One seeded hour of the heart in live mode: a market, people, a bad network, a bad disk and sudden deaths.

One law: a seed says everything, so a seed that fails once fails always. `python -m simulation.network --runs 20000 --jobs 2` (with
PYTHONPATH=tests:.) makes many runs and prints the seeds that failed; `--first S --runs 1` makes one of them again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time as wall_clock
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from rig import BARS, MINUTE, REGISTRY, START, config_of, instrument_table
from simulation.faults import Crash, Segment, slow_closing
from simulation.line import Clock, Line, Rates
from simulation.promises import Promises

from hedgegridd import codec
from hedgegridd.heart.build import build, exchange_of
from hedgegridd.heart.desk import LEGS
from hedgegridd.heart.effects import Amend, AskReport, Cancel, Countdown, Finished, Place, Reply, Sync, Write
from hedgegridd.live.inbox import taken
from hedgegridd.live.memory import newest
from hedgegridd.model import (
    Bar,
    Cancelled,
    DiskFailed,
    Durable,
    Funding,
    KillFile,
    Mark,
    Order,
    OrderState,
    Outlook,
    Quote,
    Role,
    Started,
    Stopping,
    Timer,
    Trade,
    Trouble,
    Verb,
    Warmup,
    entry_side,
)

HOUR_MS, QUIET_MS = 3_600_000, 240_000
TICK_MS, SECOND_MS, IDLE_MS, MARKET_MS = 250, 1_000, 5_000, 15_000
HASTE_MS = 15_000  # after so long a daemon's quarter seconds are not simulated one by one
GATHER_MS = 20
WARMUP = 40
FIRST = (Place, Cancel, Amend, Countdown)
PRICES = {"BTCUSDT": 500_000, "ETHUSDT": 200_000}
CARRIES = BARS | {"marks", "quotes"}


class Network:
    """The run of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        rng = self.rng
        self.symbols = ["BTCUSDT"] if rng.random() < 0.7 else list(PRICES)
        self.config = self._config()
        self.clock = Clock(START)
        inner = exchange_of(self.config, REGISTRY, "paper")
        self.rates = self._rates()
        self.engine = self._engine()
        inner.start(lambda event: None, {s: d.instrument for s, d in self.engine.desks.items()}, self.config.exchange.paper)
        self.line = Line(inner, self.clock, rng, self.rates, strict=rng.random() < 0.5)
        self.price = {symbol: float(PRICES[symbol]) for symbol in self.symbols}
        self.bars: dict[str, list[int]] = {symbol: [PRICES[symbol]] for symbol in self.symbols}
        self.idle_ms, self.step_ms = rng.choice([IDLE_MS, 2 * IDLE_MS, 4 * IDLE_MS]), rng.choice([MARKET_MS, 2 * MARKET_MS])
        self.volatility = rng.choice([2.0, 6.0, 12.0, 25.0])  # bps a step
        self.calm = self.rates == Rates()
        self.replays = seed % 4 == 0  # is every stretch of a life taken in again? It costs as much time as the life itself
        self.gathers = seed % 8 == 4  # does the loop find several ends at once, as after a cancel-all?
        self.cuts = 0
        self.hasty_since = 0
        self.alive = self.quiet = False
        self.skew = 0
        self.born = 0
        self.inbox: deque[Any] = deque()
        self.busy = False
        self.segments: list[Segment] = []
        self.disk_fails, self.disk_ms = "", 5
        self.syncs: deque[tuple[Sync, int]] = deque()
        self.synced = 0  # inputs of the last segment that a power cut would leave
        self.latch: dict[str, Any] | None = None
        self.die_in = 0
        self.timer_due = self.last_timer = 0
        self.ticket = self.events = self.deaths = 0
        self.replies: dict[int, Reply] = {}
        self.happenings: Counter[str] = Counter()
        self.strangers = 0
        self.strange_at: dict[tuple[str, int], int] = {}  # when another hand was at a leg last
        self.promises = Promises(self)

    # --- what is drawn ------------------------------------------------------------------------------------------------

    def _rates(self) -> Rates:
        def some(most: float) -> float:
            return self.rng.choice([0.0, 0.0, most / 5, most])

        if self.rng.random() < 0.1:
            return Rates()
        return Rates(some(0.1), some(0.1), self.rng.choice([0.0, 0.5, 1.0]), some(0.08), some(0.05), some(0.1), some(0.2), some(0.1),
                     some(0.2), some(0.1), some(0.2))  # fmt: skip

    def _config(self) -> Any:
        rng = self.rng
        step = rng.choice([10.0, 25.0, 50.0])
        exits = {"tp_steps": rng.choice([1, 2]), "sl_steps": rng.choice([3, 5, 8]), "tp_levels": rng.choice([1, 1, 2])}
        grid = {"base_qty": rng.choice([0.002, 0.02]), "grid_step_bps": step, "grid_levels_long": rng.choice([3, 8]),
                "grid_levels_short": rng.choice([3, 8])}  # fmt: skip
        execution = {"price_tolerance_bps": rng.choice([0.0, 2.0])}
        params = {"grid": grid, "exit": exits, "execution": execution, "rebalance": {"recenter_trigger_bps": 4 * step}}
        tables = []
        for symbol in self.symbols:
            table = instrument_table(symbol, **params)
            table["filters"]["market_max_qty"] = rng.choice([0.02, 0.1, 100.0])
            table["adopt"] = rng.random() < 0.2
            tables.append(table)
        return config_of(
            mode="live",
            instrument=tables,
            exchange={"name": "paper", "paper": {"fill_model": rng.choice(["touch", "trade_through"])}},
            kill_switch={"on_activate": rng.choice(["halt", "flatten"]), "enabled": rng.random() < 0.3},  # breakers cost the most time
            flatten={"deadline_seconds": rng.choice([5.0, 30.0]), **slow_closing(self.seed)},
            breaker={
                "funding": {"enabled": False},
                "stale_data": {"max_age_seconds": rng.choice([60.0, 1000.0]), "on_trip": "pause"},
                "session_loss": {"max_loss_amount_usdt": rng.choice([100.0, 5000.0])},
                "order_errors": {"enabled": rng.random() < 0.3},
            },
            recovery={"enabled": rng.random() < 0.5, "recovery_time_minutes": 0.5},
            limits={"equity_usdt": 10_000.0, "max_exposure_pct": 800.0, "max_position_pct": 400.0, "max_risk_per_trade_pct": 5.0},
        )

    def _engine(self) -> Any:
        return build(self.config, REGISTRY, carries=CARRIES, cadence_ms=MINUTE)

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> Network:
        """An hour, the last minutes of it quiet; then everything must agree."""
        for symbol in self.symbols:
            self._show(symbol)
        self._warm_up()
        self.clock.after(0, self._wake)
        self._schedule()
        self._until(START + HOUR_MS - QUIET_MS)
        self._be_quiet()
        self._until(START + HOUR_MS)
        self.promises.agree()
        if self.replays:
            self.promises.replayed(self.segments[-1], self.engine)
        if self.seed % 16 == 0:
            self._replay_everything()
        return self

    def _until(self, end: int) -> None:
        clock = self.clock
        while clock.step(end):
            self.promises.watch()

    def _schedule(self) -> None:
        """Market, people and misfortune, each in its own rhythm."""
        for number, symbol in enumerate(self.symbols):
            self.clock.after(1_000 + 137 * number, self._move, symbol)
            self.clock.after(MINUTE, self._bar, symbol)
        self.clock.after(self.rng.randint(5, 55) * MINUTE, self._settle)
        self.clock.after(10 * MINUTE, self._checkpoint)
        if self.calm and self.rng.random() < 0.5:
            return
        kinds, weights = zip(*HAPPENINGS, strict=True)
        wanted = self.rng.choice([6, 20, 45])
        for kind in self.rng.choices(kinds, weights, k=wanted):
            self.clock.after(self.rng.randint(60_000, HOUR_MS - QUIET_MS), self._happen, kind)

    def _happen(self, kind: Callable[[Network], None]) -> None:
        if not self.quiet:
            self.happenings[kind.__name__] += 1
            kind(self)

    def _be_quiet(self) -> None:
        """No faults and no market moves from here on; whoever is dead is started again."""
        self.quiet, self.die_in, self.disk_fails, self.disk_ms, self.skew = True, 0, "", 5, max(0, self.skew)
        if not self.alive:
            self._wake()
        self.line.heal()
        self._disk_turns()

    # --- the market ---------------------------------------------------------------------------------------------------

    def _move(self, symbol: str) -> None:
        rng, now = self.rng, self.clock.now
        self.clock.after(self.step_ms, self._move, symbol)
        if not self.quiet:
            jump = rng.choice([-1, 1]) * rng.choice([80, 300]) if rng.random() < 0.004 else 0
            self.price[symbol] *= 1 + (rng.gauss(0, self.volatility) + jump) / 10_000
        price = round(self.price[symbol])
        self.bars[symbol].append(price)
        self.line._tick()
        self.line.market(Trade(symbol, now, price, 1_000_000, rng.random() < 0.5))
        quote, mark = self._show(symbol)
        if self.alive and not self.line.deaf:
            self.clock.after(rng.randint(5, 120), self._hear_market, self.line.life, mark)
            if rng.random() < 0.5:
                self.clock.after(rng.randint(5, 120), self._hear_market, self.line.life, quote)

    def _show(self, symbol: str) -> tuple[Quote, Mark]:
        """Best prices and mark, on the exchange."""
        price, now = round(self.price[symbol]), self.clock.now
        quote = Quote(symbol, now, price - 1, 1_000, price + 1, 1_000)
        mark = Mark(symbol, now, self.price[symbol] * (1 + self.rng.gauss(0, 0.5) / 10_000))
        self.line.market(quote)
        self.line.market(mark)
        return quote, mark

    def _bar(self, symbol: str) -> None:
        self.clock.after(MINUTE, self._bar, symbol)
        path = self.bars[symbol]
        bar = Bar(symbol, self.clock.now, path[0], max(path), min(path), path[-1], 10_000, MINUTE)
        self.bars[symbol] = [path[-1]]
        if self.alive:
            self.clock.after(self.rng.randint(5, 300), self._hear_market, self.line.life, bar)

    def _hear_market(self, life: int, event: Any) -> None:
        if life == self.line.life and self.clock.now >= self.line.frozen_until:
            self.hear(event)

    def _settle(self) -> None:
        for symbol in self.symbols:
            funding = Funding(symbol, self.clock.now, self.rng.gauss(0, 0.0005), 480 * MINUTE)
            self.line._tick()
            self.line.market(funding)
            if self.alive:
                self.hear(funding)

    # --- the process --------------------------------------------------------------------------------------------------

    def _warm_up(self) -> None:
        for symbol in self.symbols:
            price = PRICES[symbol]
            bars = [Bar(symbol, START - (WARMUP - n) * MINUTE, price, price + 20, price - 20, price, 10, MINUTE) for n in range(WARMUP)]
            self.engine.handle(Outlook(symbol, START, 0.0001, START + 480 * MINUTE))
            self.engine.handle(Warmup(symbol, START, tuple(bars)))

    def _wake(self) -> None:
        """A life begins: the first event, then what the exchange tells."""
        if self.alive:
            return
        self.alive, self.born = True, self.clock.now
        self.segments.append(Segment(json.dumps(self.engine.dump()), [], []))
        self.synced = 0
        self.line.begin(self.hear, *newest(self.engine))
        now = max(self.engine.now, self.clock.now)
        self.promises.begin()
        self.hear(Started(now, now, "", self._file(), ""))

    def _file(self) -> KillFile:
        latch = self.latch
        if latch is None:
            return KillFile(self.engine.now, False, missing=True)
        return KillFile(self.engine.now, latch["active"], latch.get("level", ""), latch.get("reason", ""))

    def hear(self, event: Any) -> None:
        """Take in an event, and all that follows at once; but where ends are gathered, the loop comes to one of them a moment later."""
        self.inbox.append(event)
        if self.gathers and all(isinstance(one, Cancelled) for one in self.inbox):
            self.clock.after(GATHER_MS, self._drain)
        else:
            self._drain()

    def _drain(self) -> None:
        if self.busy or not self.alive:
            return
        self.busy = True
        try:
            while self.inbox:
                self._take(taken(self.inbox))
        except Crash:
            self._die(self.rng.random() < 0.3)
        finally:
            self.busy = False
        self._set_timer()

    def _take(self, event: Any) -> None:
        engine, segment = self.engine, self.segments[-1]
        if event.time < engine.now:
            event = event._replace(time=engine.now)
        segment.inputs.append(event)
        self.events += 1
        effects = engine.handle(event)
        segment.acts.append([effect for effect in effects if isinstance(effect, Write)])
        for effect in sorted(effects, key=lambda effect: not isinstance(effect, FIRST)):  # as the daemon: what is sent goes first
            if self.die_in:
                self.die_in -= 1
                if not self.die_in:
                    raise Crash
            self._perform(effect)
        self.promises.after(event)

    def _perform(self, effect: Any) -> None:
        line = self.line
        if isinstance(effect, Place):
            for order in effect.orders:
                self.promises.leaves(order)
            line.place(effect.orders)
        elif isinstance(effect, Cancel):
            line.cancel(effect.orders)
        elif isinstance(effect, Amend):
            line.amend(effect.client_id, effect.qty)
        elif isinstance(effect, AskReport):
            line.report(effect.doubted, self.engine.now)
        elif isinstance(effect, Countdown):
            line.countdown(effect.symbols, effect.ms)
        elif isinstance(effect, Sync):
            self.syncs.append((effect, len(self.segments[-1].inputs)))
            if len(self.syncs) == 1:
                self.clock.after(self.disk_ms, self._disk_turns)
        elif isinstance(effect, Reply):
            self.replies[effect.ticket] = effect
            self.promises.replied(effect)
        elif isinstance(effect, Finished):
            self.clock.after(1, self._end, self.line.life)

    def _disk_turns(self) -> None:
        """The disk does all that it was asked for, or fails."""
        while self.syncs and self.alive:
            sync, inputs = self.syncs.popleft()
            if self.disk_fails:
                self.hear(DiskFailed(self.engine.now, sync.mark, self.disk_fails))
                continue
            self.synced = max(self.synced, inputs)
            self.promises.durable(inputs)
            if sync.latch is not None:
                self.latch = sync.latch
            self.hear(Durable(self.engine.now, sync.mark))

    def _set_timer(self) -> None:
        """The next timer: soon where time alone moves something on, by and by where nothing waits."""
        if not self.alive:
            return
        due = max(self.clock.now, self.last_timer + self._rhythm())
        if due < self.timer_due or self.timer_due <= self.last_timer:
            self.timer_due = due
            self.clock.after(due - self.clock.now, self._timer, self.line.life, due)

    def _rhythm(self) -> int:
        engine, now = self.engine, self.clock.now
        if engine.hasty:
            self.hasty_since = self.hasty_since or now
            return TICK_MS if now - self.hasty_since < HASTE_MS else SECOND_MS if now - self.hasty_since < 4 * HASTE_MS else 2 * SECOND_MS
        self.hasty_since = 0
        for desk in engine.desks.values():
            if desk.orders.ending or any(refusal.until > now for refusal in desk.refusals.values()):
                return SECOND_MS
            if any(order.state != OrderState.LIVE for order in desk.orders.open.values()):
                return SECOND_MS
        return SECOND_MS if engine.kill.busy or engine.ending or engine.gate.storage_failed else self.idle_ms

    def _timer(self, life: int, due: int) -> None:
        if life != self.line.life or due != self.timer_due or not self.alive:
            return
        self.last_timer = self.timer_due = self.clock.now
        now = self.clock.now + self.skew
        self.hear(Timer(max(self.engine.now, now), now))

    def _checkpoint(self) -> None:
        self.clock.after(10 * MINUTE, self._checkpoint)
        if self.alive and not self.syncs:
            if self.replays:
                self.promises.replayed(self.segments[-1], self.engine)
            self.segments.append(Segment(json.dumps(self.engine.dump()), [], []))
            self.synced = 0

    def _end(self, life: int) -> None:
        if life == self.line.life and self.alive:
            self._die(False)

    def _die(self, power: bool) -> None:
        """The process is gone, some seconds later another one takes up what the journal has."""
        self.deaths += 1
        self.promises.dies()
        self.alive, self.die_in = False, 0
        self.line.hang_up()
        self.inbox.clear()
        self.syncs.clear()
        segment, before = self.segments[-1], self.engine
        self.timer_due = self.last_timer = self.clock.now
        last_kill = None
        self.cuts += power
        if power:
            kept = self.rng.randint(self.synced, len(segment.inputs))
            del segment.inputs[kept:], segment.acts[kept:]
            kills = [act.data for one in self.segments for row in one.acts for act in row if act.kind == "kill"]
            last_kill = kills[-1] if kills else None
        again = power or self.replays
        self.engine = self._engine()
        self.engine.load(json.loads(segment.state if again else json.dumps(before.dump())))
        for event in segment.inputs if again else ():
            self.engine.handle(event)
        if last_kill is not None and last_kill["active"] and not self.engine.kill.active:
            self.engine.kill.load(last_kill)
        if not power:
            self.promises.same(before, self.engine)
        self.promises.reborn(power)
        self.clock.after(self.rng.choice([300, 2_000, 20_000, 150_000]), self._wake)

    # --- misfortune ---------------------------------------------------------------------------------------------------

    def _verb(self, name: str, /, **params: Any) -> None:
        if self.alive:
            self.ticket += 1
            self.promises.asked(self.ticket, name)
            self.hear(Verb(self.engine.now, self.ticket, name, params, "uid=0(root)"))

    def _dies(self) -> None:
        if self.alive:
            self.die_in = self.rng.randint(1, 12)

    def _dies_now(self) -> None:
        if self.alive and not self.busy:
            self._die(self.rng.random() < 0.3)

    def _stops(self) -> None:
        if self.alive:
            life = self.line.life
            self.hear(Stopping(self.engine.now, self.rng.random() < 0.4, "SIGTERM"))
            self.clock.after(50_000, self._end, life)

    def _activate(self) -> None:
        self._verb("activate", reason="rumour", level=self.rng.choice([None, "halt", "flatten", "flatten"]))
        for minutes in (1, 2, 4, 6):
            self.clock.after(minutes * MINUTE, self._happen, Network._deactivate)

    def _deactivate(self) -> None:
        self._verb("deactivate", reason="looked at it", force=True)
        for n in range(1, 4):
            self.clock.after(n * 35_000, self._verb_later, "advance")

    def _verb_later(self, name: str) -> None:
        if not self.quiet:
            self._verb(name, reason="as a person sees fit", journal="sound")

    def _resume(self) -> None:
        self._verb("resume", symbol=self.rng.choice([None, *self.symbols]))

    def _pause(self) -> None:
        self._verb("pause", symbol=self.rng.choice(self.symbols), leg=self.rng.choice(["long", "short", "both"]))

    def _flatten(self) -> None:
        symbol = self.rng.choice([None, *self.symbols])
        self._verb("flatten", reason="out of here", symbol=symbol, leg=self.rng.choice(["long", "short", "both"]))

    def _throttle(self) -> None:
        self._verb("throttle", factor=self.rng.choice([0, 0.3, 1]))

    def _disk(self) -> None:
        self.disk_fails, self.disk_ms = self.rng.choice([("no space left on device", 5), ("", 3_000)])
        self.clock.after(self.rng.randint(1_000, 60_000), self._disk_mends)

    def _disk_mends(self) -> None:
        self.disk_fails, self.disk_ms = "", 5

    def _freeze(self) -> None:
        self.line.freeze(self.rng.choice([1_000, 4_000, 20_000, 90_000]))

    def _ban(self) -> None:
        self.line.ban(self.rng.choice([5_000, 30_000, 120_000]))

    def _deaf(self) -> None:
        self.line.deafen(self.rng.choice([2_000, 10_000, 60_000, 240_000]), self.rng.choice([50, 5_000, 60_000]))

    def _skew(self) -> None:
        self.skew = self.rng.choice([-2_000, 0, 1_000, 5_000])
        self.line.fault("clock", 5_000)

    def _halts(self) -> None:
        if self.alive and self.line.answers:
            self.hear(Trouble(self.engine.now, "halt", "position mode was changed", self.rng.choice(["", *self.symbols])))

    def _transfer(self) -> None:
        self.line.transfer(self.rng.choice([-500.0, 1000.0, -3000.0]))

    def _charge(self) -> None:
        self.line.charge(self.rng.choice(self.symbols), self.rng.choice([0.0123, 5.0, -1.0]))

    def _strange_hand(self) -> None:
        """Another hand closes some of a leg, or opens more; or the exchange deleverages it."""
        rng = self.rng
        symbol, leg = rng.choice(self.symbols), rng.choice(LEGS)
        self.strangers += 1
        self.strange_at[symbol, int(leg)] = self.clock.now
        held = self.promises.holding(symbol)[leg]
        price = round(self.price[symbol])
        if held and rng.random() < 0.6:
            name, reason = rng.choice([("web", ""), ("adl_autoclose", "adl")])
            qty = held if rng.random() < 0.5 else rng.randint(1, held)
            self.line.strange_fill(symbol, leg, -qty, price, f"{name}-{self.strangers}", reason)
        else:
            self.line.strange_fill(symbol, leg, rng.randint(1, 30), price, f"web-{self.strangers}", "")

    def _strange_order(self) -> None:
        """Another hand lets an order rest: an opener far away, a stop, or one that closes in place of ours."""
        rng = self.rng
        symbol, leg = rng.choice(self.symbols), rng.choice(LEGS)
        pit, held = self.line.inner.pits[symbol], self.promises.holding(symbol)[leg]
        role = rng.choice([Role.ENTRY, Role.TAKE_PROFIT, Role.TAKE_PROFIT, Role.STOP])
        away = {Role.ENTRY: -0.08, Role.TAKE_PROFIT: 0.06, Role.STOP: -0.07}[role] * entry_side(leg)
        side = entry_side(leg) if role == Role.ENTRY else -entry_side(leg)
        ours = [one for one in pit.open.values() if one.leg == leg and one.role == role]
        if role == Role.STOP and ours:
            return
        self.strangers += 1
        self.line._tick()
        if role == Role.TAKE_PROFIT:
            self.line._withdraw(ours, "cancelled by another hand")
        qty, price = held if role == Role.TAKE_PROFIT else 1, round(self.price[symbol] * (1 + away))
        self.line.inner.place((Order(f"web-{self.strangers}", symbol, leg, role, side, price, max(1, qty)),))

    def _crash_of_the_market(self) -> None:
        symbol = self.rng.choice(self.symbols)
        self.price[symbol] *= 1 + self.rng.choice([-0.06, -0.03, 0.03, 0.06])

    # --- replay -------------------------------------------------------------------------------------------------------

    def _replay_everything(self) -> None:
        """Every stretch of every life, taken in again from its journal's text, writes the same acts."""
        for segment in self.segments:
            engine = self._engine()
            engine.load(json.loads(segment.state))
            for event, acts in zip(segment.inputs, segment.acts, strict=True):
                effects = engine.handle(codec.decode(json.loads(json.dumps(codec.encode(event)))))
                made = [effect for effect in effects if isinstance(effect, Write)]
                assert made == acts, f"replay differs at {event}\n  was {acts}\n  is  {made}"


HAPPENINGS: list[tuple[Callable[[Network], None], float]] = [
    (Network._dies, 4),
    (Network._dies_now, 2),
    (Network._stops, 1),
    (Network._activate, 2),
    (Network._resume, 4),
    (Network._pause, 1),
    (Network._flatten, 1.5),
    (Network._throttle, 0.5),
    (Network._disk, 1.5),
    (Network._freeze, 2),
    (Network._ban, 1),
    (Network._deaf, 3),
    (Network._skew, 1),
    (Network._halts, 0.4),
    (Network._transfer, 1),
    (Network._charge, 1),
    (Network._strange_hand, 2),
    (Network._strange_order, 1.5),
    (Network._crash_of_the_market, 1),
]


def run(seed: int) -> Network:
    """The run of a seed; what goes wrong names it."""
    try:
        return Network(seed).run()
    except Exception as error:
        error.add_note(f"seed {seed}: python -m simulation.network --first {seed} --runs 1")
        raise


def _one(seed: int) -> tuple[int, str, int]:
    try:
        made = Network(seed).run()
    except Exception as error:  # told, with its seed, by the caller
        where = traceback.extract_tb(error.__traceback__)[-1]
        return seed, f"{type(error).__name__} in {where.name}: {error}"[:400], 0
    return seed, "", made.events


def main() -> int:
    """Many runs; prints progress, rate, failing seeds and a total."""
    parser = argparse.ArgumentParser(description="seeded hours of the heart against an exchange over a bad network")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.runs)
    began, failed, events = wall_clock.perf_counter(), [], 0
    if options.runs == 1:
        print(f"seed {options.first}: {run(options.first).events} events, fine")
        return 0
    with multiprocessing.Pool(options.jobs) as pool:
        for done, (seed, wrong, count) in enumerate(pool.imap_unordered(_one, seeds, 8), 1):
            events += count
            if wrong:
                failed.append(seed)
                print(f"seed {seed} FAILED: {wrong}", flush=True)
            if done % max(1, options.runs // 20) == 0:
                rate = done / (wall_clock.perf_counter() - began)
                print(f"{done} of {options.runs} runs, {len(failed)} failed, {rate:.1f} runs/s", flush=True)
    seconds = wall_clock.perf_counter() - began
    print(f"seeds {seeds.start}..{seeds.stop - 1}: {len(seeds)} runs, {events} events, {seconds:.0f} s, {len(seeds) / seconds:.1f} runs/s")
    print(f"failed: {sorted(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
