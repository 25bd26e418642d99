"""The live path, by a real daemon against the wire simulator: event to order, a re-centre, the kill path, starts, memory; and the heart's
own part of it.

python tests/bench/wire.py [--quick]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from time import thread_time_ns
from typing import Any

import killfloor
import stage
from exchange_simulator.inthread import Threaded, running_simulator
from livestage import PRICES, Hand, Stamped, Wiretap, World, drop, standing
from rig import Rig, config_of, instrument_table, steady
from stage import Row

from hedgegridd.model import Mark, Outlook, Quote, Report, Role

SYMBOL = "BTCUSDT"
ORDER, BATCH, STOP = "/fapi/v1/order", "/fapi/v1/batchOrders", "/fapi/v1/algoOrder"
RTT_MS = 100.0
FIRST = -20  # the daemon's nice value: the exchange, which is another machine's affair, has no claim to its core

#: The least a client can be: it answers each fill with one request, and knows nothing.
FLOOR = """
import asyncio, json, sys, aiohttp
async def main(rest, ws, key):
    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": key}) as session:
        async with session.post(rest + "/fapi/v1/listenKey") as answer:
            listen = (await answer.json())["listenKey"]
        async with session.ws_connect(f"{ws}/private/ws?listenKey={listen}") as socket:
            print("up", flush=True)
            async for message in socket:
                if json.loads(message.data).get("o", {}).get("x") == "TRADE":
                    async with session.post(rest + "/fapi/v1/order", data={"floor": "1"}) as answer:
                        await answer.read()
asyncio.run(main(*sys.argv[1:]))
"""

#: Foreign files that never answer; `{n}` makes each version of them another.
HANGING = {
    "strategy_hangs.py": """
import time
from hedgegridd import hookimpl
class Hangs:
    name = "hangs"
    class Settings: pass
    def params(self, settings, instrument): return None
    def initial(self, params): return 0
    def warmup_bars(self, params): return 1
    def step(self, params, state, market, wish): time.sleep(3600 + {n})
    def describe(self, params, state): return {{"ready": True, "regime": 0, "center": 0, "strength": 0.0}}
@hookimpl
def register_strategies(register): register(Hangs)
""",
    "breaker_hangs.py": """
import time
from hedgegridd import hookimpl
class Hangs:
    name = "hangs"
    def check(self, snapshot): time.sleep(3600 + {n})
@hookimpl
def register_breakers(register): register(Hangs)
""",
    "alert_hangs.py": """
import time
from hedgegridd import hookimpl
class Hangs:
    name = "hangs"
    def send(self, alert): time.sleep(3600 + {n})
@hookimpl
def register_alerts(register): register(Hangs)
""",
}


def measure(quick: bool = False) -> list[Row]:
    """One after the other."""
    return [*_reactions(3 if quick else 150), *_recentres(2 if quick else 30), *_kills(quick), *_starts(quick), *_heart(quick)]


def rows(name: str, seconds: Iterable[float], aim: str = "", note: str = "") -> list[Row]:
    """p50 and p99 in ms."""
    values = [1e3 * one for one in seconds]
    return [
        Row(f"{name}, p50", statistics.median(values), "ms", "", note or f"{len(values)} times"),
        Row(f"{name}, p99", stage.percentile(values, 0.99), "ms", aim, f"worst {max(values):.1f} ms"),
    ]


# --- an event to its orders ---------------------------------------------------------------------------------------------


def _reactions(rounds: int) -> list[Row]:
    """A rung fills: its take-profit and the leg's stop. An entry is cancelled by another hand: its successor, which waits for the disk."""
    profits, stops, openers = [], [], []
    floor = _floor(rounds)
    with standing(1, 10, 30.0, tp_steps=1) as world:
        for i in range(rounds):
            leg = ("short", "long")[i % 2]
            mark = f"-{leg[0].upper()}"
            world.settled()
            world.forget()
            world.pass_by(SYMBOL, leg)
            stage.wait(lambda: world.sent(STOP) and world.sent(ORDER, f"{mark}T-"), 10.0)  # noqa: B023 - waited for here
            filled = world.told("TRADE", f"{mark}E-")[0]
            profits.append(world.sent(ORDER, f"{mark}T-")[0] - filled)
            stops.append(world.sent(STOP)[0] - filled)
            world.settled()
            openers.append(_healed(world, f"{mark}E-"))
            world.settled(0.1)
            world.pass_by(SYMBOL, leg, "T")
            stage.wait(lambda: not world.held(), 10.0)
    floor += _floor(rounds)
    least = statistics.median(floor)
    worst = stage.percentile(floor, 0.99)
    return [
        *rows("message to order, floor: a bare aiohttp client", floor, note=f"{len(floor)} times, before and after"),
        *rows("fill to its take-profit on the wire (waits for nothing)", profits),
        Row("the same / floor", statistics.median(profits) / least, "x", "", f"p99 {stage.percentile(profits, 0.99) / worst:.2f}x"),
        *rows("fill to the leg's stop on the wire (waits for nothing)", stops),
        *rows("lost entry to the next one on the wire (an opener: waits for its fsync)", openers),
    ]


def _healed(world: World, rung: str) -> float:
    """Seconds from the end of an entry by another hand until the next one is on the wire."""
    last = max(row["clientOrderId"] for row in world.sim.show("orders") if rung in row["clientOrderId"])
    world.forget()
    world.sim.foreign_cancel(SYMBOL, last)
    stage.wait(lambda: world.sent(ORDER, rung), 10.0)
    return float(world.sent(ORDER, rung)[0] - world.told("CANCELED", rung)[0])


def _floor(rounds: int) -> list[float]:
    """The same exchange and the same message, answered by the least there can be."""
    found = []
    with running_simulator(symbols={SYMBOL: PRICES[SYMBOL]}, balance_usdt=1e6) as sim, _bare(sim):
        requests, events = Stamped(), Stamped()
        sim.do(lambda inside: inside.__dict__.update(requests=requests, events=events))
        for i in range(rounds):
            requests.clear()
            events.clear()
            sim.manual(SYMBOL, "LONG", -0.003 if i % 2 else 0.003)
            stage.wait(lambda: requests, 10.0, 0.005)
            found.append(requests.at[0] - events.when(lambda row: row.get("o", {}).get("x") == "TRADE")[0])
            time.sleep(0.01)
    return found


@contextmanager
def _bare(sim: Threaded) -> Iterator[None]:
    command = [sys.executable, "-c", FLOOR, sim.rest_url, sim.ws_url, sim.api_key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=stage.ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


# --- the grid moves -----------------------------------------------------------------------------------------------------


def _recentres(rounds: int) -> list[Row]:
    """A closed bar moves the centre of 20 rungs a leg: until every order rests again. One rung fills on the way, as it must."""
    spent, asked = [], []
    with standing(1, 20, 30.0, tp_steps=1, recenter_bps=35.0) as world:
        for i in range(rounds):
            world.settled(0.6)
            world.forget()
            at = PRICES[SYMBOL] * (1.0 if i % 2 else 1.0036)
            begun = time.perf_counter()
            world.sim.bar(SYMBOL, at, at + 0.5, at - 0.5, at)
            time.sleep(0.2)
            world.settled(0.6)
            spent.append(world.told("NEW", "E-")[-1] - begun)
            asked.append(len(world.trading()))
            if world.resting("E") < 36:
                raise RuntimeError(f"{world.resting('E')} entries rest after a re-centre")
    note = f"{rounds} times; {statistics.median(asked):.0f} requests, {min(asked)} to {max(asked)}"
    return [*rows("40 rungs moved: bar to the last of them at rest", spent, note=note), Row("its requests", statistics.median(asked), "")]


# --- the kill path ------------------------------------------------------------------------------------------------------


def _kills(quick: bool) -> list[Row]:
    """`activate` over the socket to the last byte of cancels and closes at the exchange, and to `flat` in the log."""
    found = _kill_floor("40 orders", 2, 10, 2 if quick else 30) + _kill("40 orders", 2, 10, 20.0, 2 if quick else 30)
    many = 5 if quick else 50
    found += _kill_floor("400 orders", 4, many, 1 if quick else 22) + _kill("400 orders", 4, many, 8.0, 1 if quick else 22)
    return found + _kill("40 orders, strategy, breaker and alert hung", 2, 10, 20.0, 1 if quick else 22, hung=True)


def _kill_floor(name: str, symbols: int, levels: int, rounds: int) -> list[Row]:
    """What the exchange and the library alone take, for as many requests and events."""
    lasts, flats = killfloor.floor(symbols, levels, rounds, RTT_MS)
    least = f"floor: a bare aiohttp client, {name}"
    note = f"{rounds} times, the same requests and events, told by a line on its input"
    return [*rows(f"last byte, {least}", lasts, note=note), *rows(f"flat, {least}", flats, note=note)]


def _kill(name: str, symbols: int, levels: int, step_bps: float, rounds: int, hung: bool = False) -> list[Row]:
    lasts, flats, orders = [], [], []
    tables: dict[str, Any] = {}
    if hung:
        tables["alert"] = {"hangs": {}}
    plugins = {file: text.format(n=0) for file, text in HANGING.items()} if hung else {}
    with (
        standing(symbols, levels, step_bps, tp_steps=levels, rtt_ms=RTT_MS, plugins=plugins, **tables) as world,
        closing(Wiretap(world.sim.rest_url)) as tap,
        closing(Hand(world.daemon.socket)) as hand,
    ):
        os.setpriority(os.PRIO_PROCESS, world.daemon.pid, FIRST)
        for i in range(rounds):
            _hold_all(world, 2 * symbols)
            if hung:
                drop(world.daemon, {file: text.format(n=i + 1) for file, text in HANGING.items()})
                time.sleep(2.0)  # they are taken up, asked, and say nothing
            orders.append(world.resting())
            last, flat = _killed(world, tap, hand)
            lasts.append(last)
            flats.append(flat)
            world.centre()
            world.daemon.call("deactivate", reason="next round")
            stage.wait(lambda: world.resting("E") >= 2 * symbols * (levels - 1))
    note = f"{rounds} times, {symbols} symbols, both legs of each held, {statistics.median(orders):.0f} orders, {RTT_MS:.0f} ms round trip"
    aim = f"{RTT_MS + 50:.0f} ({RTT_MS + 10:.0f})"
    return [*rows(f"activate to last byte, {name}", lasts, "5 (2)", note), *rows(f"activate to flat, {name}", flats, aim, note)]


def _hold_all(world: World, legs: int) -> None:
    """Every leg holds something, and everything that should rest does."""
    for _ in range(40):
        if world.held() == legs:
            break
        for symbol, held in world.sim.show("positions").items():
            for leg, side in held.items():
                if not side["qty"]:
                    world.pass_by(symbol, leg.lower())
        time.sleep(0.3)
    world.settled(0.5)
    stage.wait(lambda: len(world.sim.show("algos")) == legs)
    stage.wait(lambda: not world.daemon.status()["exchange"]["unknown_orders"], pause=0.05)


def _killed(world: World, tap: Wiretap, hand: Hand) -> tuple[float, float]:
    """Seconds to the last byte and to flat."""
    log = world.daemon.log_path
    size = log.stat().st_size
    world.forget()
    with tap.listening():
        hand.activate("benchmark")
        with log.open("rb") as file:
            file.seek(size)
            stage.wait(lambda: b" flat: benchmark" in file.read(), 30.0, 0.0005)
        done = time.perf_counter()
        begun = float(hand.began())
        flat = done - begun
        last = max(at for at in tap.trading() if at < begun + flat)
    if world.held() or world.resting():
        raise RuntimeError(f"flat, and {world.held()} legs are held, {world.resting()} orders rest")
    return last - begun, flat


# --- starts and memory --------------------------------------------------------------------------------------------------


def _starts(quick: bool) -> list[Row]:
    """First starts; then restarts after kill -9, with both legs held and one stop gone meanwhile."""
    times = 1 if quick else 8
    fresh, again, protected = [], [], []
    for _ in range(times):
        with standing(1, 10, 30.0, tp_steps=10, start=False) as world:
            fresh.append(_ready(world))
    with standing(1, 10, 30.0, tp_steps=10) as world:
        time.sleep(0.5 if quick else 5.0)
        size = stage.pss_mb(world.daemon.pid)
        _hold_all(world, 2)
        for _ in range(times):
            world.daemon.kill()
            lost = next(row for row in world.sim.show("algos") if row["positionSide"] == "LONG")
            world.sim.foreign_cancel(SYMBOL, lost["clientAlgoId"])
            world.forget()
            begun = time.perf_counter()
            again.append(_ready(world))
            stage.wait(lambda: world.sent(STOP, "-LS-"), 10.0)
            protected.append(world.sent(STOP, "-LS-")[0] - begun)
            stage.wait(lambda: len(world.sim.show("algos")) == 2)
    return [
        Row("memory, live daemon with a grid", size, "MB", "120 (80)", "proportional set size"),
        *rows("live: start to ready", fresh, "1000 (300)"),
        *rows("live: restart with both legs held to ready", again),
        *rows("live: the same to the first protective order", protected, "2000 (500)", "a stop was cancelled while it was dead"),
    ]


def _ready(world: World) -> float:
    begun = time.perf_counter()
    world.daemon.start()
    return time.perf_counter() - begun


# --- the heart's own part -----------------------------------------------------------------------------------------------


def _heart(quick: bool) -> list[Row]:
    """A mark or a quote, alternately, in mode live, with 40 orders resting on each instrument; processor time, no network."""
    found = []
    for count in (1, 3 if quick else 50):
        rig, spent = _rig(count), []
        rig.market(Quote(SYMBOL, rig.engine.now, 499_999, 1000, 500_001, 1000))
        symbols, base = list(rig.engine.desks), rig.engine.now
        for i in range(200 if quick else 20_000):
            symbol, at = symbols[i // 2 % count], base + 100 * (i // (2 * count))
            price = 500_000 + i % 7
            event = Quote(symbol, at, price - 1, 1000, price + 1, 1000) if i % 2 else Mark(symbol, at, float(price), price + 1.0)
            begun = thread_time_ns()
            rig.engine.handle(event)
            spent.append(thread_time_ns() - begun)
        name = f"heart in live: market event, {count} instrument{'s' if count > 1 else ''}"
        note = f"{len(spent)} marks and quotes, 40 orders each"
        found.append(Row(f"{name}, p50", statistics.median(spent) / 1e3, "us", "15 (5)", note))
        found.append(Row(f"{name}, p99", stage.percentile(spent, 0.99) / 1e3, "us"))
    return found


def _rig(count: int) -> Any:
    grid = {"grid_levels_long": 20, "grid_levels_short": 20, "grid_step_bps": 20.0, "qty_scale": 1.0}
    symbols = [SYMBOL, *(f"C{i:02}USDT" for i in range(1, count))]
    tables = [instrument_table(symbol, grid={**grid, "base_qty": 0.002}) for symbol in symbols]
    limits = {"equity_usdt": 1e7, "max_exposure_pct": 400.0, "max_position_pct": 400.0, "max_open_trades": 100}
    breaker = {"position_size": {"max_position_usdt": 1e9}, "funding": {"enabled": False}, "stale_data": {"enabled": False}}
    paper = {"name": "paper", "paper": {"starting_balance_usdt": 1e7}}
    config = config_of(mode="live", exchange=paper, instrument=tables, limits=limits, breaker=breaker, recovery={"enabled": False})
    rig = Rig(config, carries=frozenset({"bars", "volume", "funding", "marks", "index", "quotes"}), cadence_ms=1000).start()
    rig.take(Report(rig.engine.now, 1e7, (), ()))
    steady(rig)
    for symbol in symbols:
        rig.take(Outlook(symbol, rig.engine.now, 0.0001, rig.engine.now + 28_800_000))
        if symbol != SYMBOL:
            rig.bars([500_000 + (i % 3) * 10 for i in range(60)], symbol)
        if len(rig.resting(Role.ENTRY, symbol)) != 40:
            raise RuntimeError(f"{symbol}: {len(rig.resting(Role.ENTRY, symbol))} orders rest: {rig.desk(symbol).withheld[:2]}")
    return rig


if __name__ == "__main__":
    stage.main(measure)
