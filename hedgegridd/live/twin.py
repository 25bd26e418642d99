"""The twin: a forked account on the paper exchange, in a process of its own, whose real kill path a drill tries. One law: it harms nobody.

The daemon's own shell (`live.daemon`), journal and kill switch file run on the forked checkpoint, in the twin's folder, on a market
made up from the forked prices. The process has an empty environment, a configuration without keys or addresses, dies with its
parent, and has a fence: it can open no connection and write no file elsewhere. What happened goes on a tape for the judge.

Talk, a JSON line each: parent {"folder", "scenarios", "deadline"} -> child {"begun": name} and {"scenario": name, "findings": [...]}
for each, then {"done": true}, or {"failed": why}; parent {"journal", "frm", "to"} -> child {"acts", "mismatches"}. A child of that
child plays the twin that is killed (`{"part": ...}`).
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hedgegridd import journal
from hedgegridd.config import parse
from hedgegridd.errors import JournalDamaged
from hedgegridd.feed.live import Live
from hedgegridd.feed.synthetic import Synthetic
from hedgegridd.heart.build import build
from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.killswitch import KillSwitch
from hedgegridd.live.daemon import Daemon
from hedgegridd.live.drill import MEMORY_BYTES, TWIN, Child
from hedgegridd.live.latch import Latch
from hedgegridd.live.pluginchild import harden
from hedgegridd.live.replay import replay
from hedgegridd.live.scenarios import JUMP_PCT, SCENARIOS, Fault, Finding, Row, certificate, judge
from hedgegridd.live.start import NoHosts, begin_anew, checkpoint_of, damaged, open_alerts, open_exchange, open_journal, recover, started
from hedgegridd.live.twinexchange import Tape, TwinExchange, read
from hedgegridd.model import Mode, Role
from hedgegridd.plugins import Registry, load_shipped

SEED = 17
SETTLE_SECONDS, LINGER_SECONDS, DURABLE_SECONDS, END_SECONDS = 6.0, 0.3, 6.0, 3.0
STAND_IN = 4  # times the smallest order that the exchange takes
ACTOR = "drill"
BOOKED = ("fill", "late_fill")  #: acts that say that a fill is known
Say = Callable[[dict[str, Any]], None]


def main(fd: int, parent: int, memory_bytes: int) -> None:
    """Serve one order; never returns."""
    harden(parent, memory_bytes)
    inbox, outbox = os.fdopen(os.dup(fd), "rb"), os.fdopen(fd, "wb", buffering=0)

    def say(message: dict[str, Any]) -> None:
        outbox.write(json.dumps(message, default=str).encode() + b"\n")

    try:
        order = json.loads(inbox.readline())
        fence = Fence(Path(order["folder"]))
        sys.dont_write_bytecode = True
        sys.addaudithook(fence.look)
        asyncio.run(_part(order, fence, say) if "part" in order else _scenarios(order, fence, say))
        if "part" not in order and (line := inbox.readline()):
            say(again(**json.loads(line)))
    except Exception as error:  # a fence: whatever a drill runs into is told, not lost with the process
        with suppress(OSError):
            say({"failed": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)


class Fence:
    """An audit hook: refuses connections, and files outside of `folder`; what was tried is written down there, for a life may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._book = f"{folder}/", folder / "tries"

    @property
    def tries(self) -> list[str]:
        """What was tried in any process of this drill."""
        return self._book.read_text().splitlines() if self._book.exists() else []

    def look(self, event: str, args: tuple[Any, ...]) -> None:
        """Called by the interpreter before it does such a thing."""
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg", "socket.bind"):
            self._refuse(f"{event} {args[1:2]}")
        elif event == "open":
            path, _, flags = args
            if isinstance(path, str | bytes) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                self._keep_in(event, os.fsdecode(path))
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"):
            self._keep_in(event, os.fsdecode(args[0]) if isinstance(args[0], str | bytes | os.PathLike) else "")

    def _keep_in(self, event: str, path: str) -> None:
        if path and not path.startswith(self.folder) and path != os.devnull:
            self._refuse(f"{event} {path}")

    def _refuse(self, what: str) -> None:
        with self._book.open("a") as book:
            book.write(f"{what[:200]}\n")
        raise PermissionError(errno.EPERM, f"a twin may not: {what}")


# --- the scenarios, one after the other -----------------------------------------------------------------------------------


async def _scenarios(order: dict[str, Any], fence: Fence, say: Say) -> None:
    for name in order["scenarios"]:
        say({"begun": name})
        findings, certificates = list[Finding](), list[Any]()
        faults = SCENARIOS[name].faults
        for number, fault in enumerate(faults):
            rows, why = await _tried(Path(order["folder"]), f"{name}-{number}", fault, order["deadline"], fence)
            label = f" ({fault.jump_pct:+g} %)" if len(faults) > 1 else ""
            findings += [one._replace(rule=one.rule + label) for one in judge(rows, order["deadline"])]
            findings += [Finding(f"the twin lived{label}", False, why)] if why else []
            certificates.append(certificate(rows))
        say({"scenario": name, "findings": [one._asdict() for one in findings], "certificates": certificates})
    say({"done": True})


async def _tried(folder: Path, name: str, fault: Fault, deadline: float, fence: Fence) -> tuple[list[Row], str]:
    """The tape, and what the twin died of, "" = nothing."""
    try:
        return await try_fault(folder, name, fault, deadline, fence), ""
    except Exception as error:  # a fence: a kill path that raises is what a drill is there to find
        return read(folder / name / "tape"), f"{type(error).__name__}: {error}"


def again(journal: str, frm: int, to: int) -> dict[str, Any]:
    """Replay the live journal: is all that live decided meanwhile what its own inputs make of it?"""
    for last in (False, True):
        try:
            found = replay(Path(journal), load_shipped(), frm, to)
            break
        except (OSError, JournalDamaged):  # most likely a segment was being compressed
            if last:
                raise
            time.sleep(1.0)
    return {"acts": found.acts, "mismatches": len(found.mismatches)}


async def try_fault(folder: Path, name: str, fault: Fault, deadline: float, fence: Fence) -> list[Row]:
    """The tape of one fault in a twin of its own; `folder` holds the fork."""
    home = folder / name
    home.mkdir(mode=0o700)
    if fault.crash:
        await _killed(folder, name, deadline)
        await _taken_up(folder, name, deadline)
    else:
        await play(folder, home, fault, deadline, fence)
    return read(home / "tape")


async def _killed(folder: Path, name: str, deadline: float) -> None:
    """A twin whose closes do not arrive; SIGKILL as soon as one has left."""
    async with Child(TWIN, MEMORY_BYTES) as child:
        child.say({"part": name, "folder": str(folder), "deadline": deadline, "crash": True})
        while "closing" not in (line := await child.line(SETTLE_SECONDS + deadline)):
            if "failed" in line:
                return  # the tape lacks what it should have, which is judged
    home = folder / name
    tape = Tape(home / "tape")
    tape.note("fault", text="SIGKILL")
    tape.close()


async def _taken_up(folder: Path, name: str, deadline: float) -> None:
    """The twin's next life, with nothing in its way; but the market went on, and filled what rested."""
    async with Child(TWIN, MEMORY_BYTES) as child:
        child.say({"part": name, "folder": str(folder), "deadline": deadline, "crash": False})
        line = await child.line(SETTLE_SECONDS + deadline + DURABLE_SECONDS + END_SECONDS)
        if "failed" in line:
            raise RuntimeError(f"the twin could not be started again: {line['failed']}")


async def _part(order: dict[str, Any], fence: Fence, say: Say) -> None:
    """One life of the twin that is killed."""
    folder = Path(order["folder"])
    home = folder / order["part"]
    fault = Fault(crash=bool(order["crash"]))
    await play(folder, home, fault, order["deadline"], fence, resumed=not fault.crash, closing=lambda: say({"closing": True}))
    say({"done": True})


# --- one twin ---------------------------------------------------------------------------------------------------------------


async def play(folder: Path, home: Path, fault: Fault, deadline: float, fence: Fence, *, resumed: bool = False,
               closing: Callable[[], None] | None = None) -> None:  # fmt: skip
    """Live through one fault, for the tape. `resumed`: go on where a killed life stopped. `closing` is told when a close has left."""
    twin = Twin(json.loads((folder / "fork.json").read_text()), home, fault, resumed)
    task = asyncio.create_task(twin.daemon.run(twin.first))
    try:
        await twin.settle()
        if not resumed:
            await twin.order_to_stop(deadline)
        if closing is not None and fault.crash:
            await until(lambda: twin.closes_left, deadline)
            closing()
        await twin.until_flat(deadline)
    finally:
        await twin.end(task)
    twin.testify(fence)


class Twin:
    """A forked heart in the daemon's shell, on the twin's exchange."""

    def __init__(self, fork: dict[str, Any], home: Path, fault: Fault, resumed: bool) -> None:
        self.home, self.fault, self.registry = home, fault, shipped_without_doors()
        checkpoint, config = fork["checkpoint"], parse(fork["checkpoint"]["config"])
        feed = Live([item.symbol for item in config.instrument], {}, trades=True)
        feed.carries = Synthetic.carries
        self.engine: Engine = build(config, self.registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
        self.tape = Tape(home / "tape")
        self.journal, recovered = open_journal(config, home)
        if resumed:
            recovered = damaged(recovered, recover(self.engine, recovered, self.registry))
        else:
            self.engine.load(checkpoint["engine"])
            self._prepare()
        begin_anew(self.journal, checkpoint_of(config, self.engine, feed))
        self.disk, latch = FaultyDisk(self.journal), FaultyLatch(home / "killswitch.json")
        latch.disk = self.disk
        network = Mode(config.mode) == Mode.LIVE
        prices = {symbol: price_of(desk) for symbol, desk in self.engine.desks.items()}
        offset = fork["now"] - fork["wall"]
        self.exchange = TwinExchange(open_exchange(config, self.registry), market(self.engine, prices), fault, self.tape, network, offset)
        self.prices = self.exchange.prices = prices
        self.exchange.orphan_pct = -JUMP_PCT if resumed else 0.0
        alerts = open_alerts(config, self.registry, home)
        self.daemon = Daemon(self.engine, self.exchange, feed, self.disk, latch, alerts, NoHosts(),
                             lambda: checkpoint_of(config, self.engine, feed), 1.0, self.exchange)  # fmt: skip
        self.first = started(config, latch, recovered, self.engine, {})

    def _prepare(self) -> None:
        """A fork that may have been stopped or empty becomes one that trades and holds both legs of every symbol."""
        engine, kill = self.engine, KillSwitch()
        engine.kill.load(kill.dump())
        engine.flattens, engine.ending, engine.gate.stopping, engine.gate.storage_failed = [], None, "", ""
        legs = []
        for desk in engine.desks.values():
            for leg in LEGS:
                made = not desk.held(leg)
                if made:
                    desk.adopt(leg, stand_in(desk), price_of(desk))
                legs.append((desk.symbol, int(leg), desk.held(leg), made))
            engine.revalue(desk)
        self.tape.note("held", legs=legs)

    async def settle(self) -> None:
        """Until the exchange has reported and every leg has its stop; a resumed flatten waits for nobody."""
        await until(lambda: self.daemon.ready, SETTLE_SECONDS)
        self.exchange.begin_at(self.prices)
        await until(lambda: self.engine.active() or self._protected(), SETTLE_SECONDS)

    def _protected(self) -> bool:
        legs = [(desk, leg) for desk in self.engine.desks.values() for leg in LEGS if desk.held(leg)]
        return not self.engine.gate.unsettled and all(desk.stop(leg) is not None for desk, leg in legs)

    async def order_to_stop(self, deadline: float) -> None:
        """The verb as a person gives it, and its answer, with what goes wrong in the same moment."""
        self.tape.note("begin")
        self.disk.refuse_for(self.fault.disk_seconds)
        self.exchange.strike()
        asked = self.daemon.ask("activate", {"reason": "drill", "level": "flatten"}, ACTOR)
        with suppress(TimeoutError):
            answer = await asyncio.wait_for(asked, deadline)
            self.tape.note("ack", durable=bool(answer["durable"]), latched=self._latched(), disk_refuses=self.disk.refuses)

    async def until_flat(self, deadline: float) -> None:
        """Until the exchange has reported it, or too long; then a moment more, for what should not come."""
        kill = self.engine.kill
        if await until(lambda: kill.phase == "flat", deadline):
            self.tape.note("flat")
            await asyncio.sleep(LINGER_SECONDS)
            await until(lambda: kill.durable and not self.daemon.disk.busy, DURABLE_SECONDS)

    async def end(self, task: asyncio.Task[bool]) -> None:
        """The shell ends; what is still on the way is given up."""
        self.disk.heal()
        self.daemon.stop("the drill is over", flatten=False)
        await until(task.done, END_SECONDS)
        self.daemon.give_up()
        try:
            await task
        finally:
            self.daemon.alerts.close()
            self.journal.close()

    def testify(self, fence: Fence) -> None:
        """The last row: what file, exchange and journal say now."""
        folder = self.home / "journal"
        acts = [record for record in journal.replayable(folder) if record.kind in ("flat", *BOOKED)]
        results, booked = [act.data for act in acts if act.kind == "flat"], {act.data.get("trade_id") for act in acts}
        fills = [row["trade_id"] for row in self.tape.rows[self.tape.taken_up :] if row["what"] == "fill"]
        again = replay(folder, self.registry)
        pits = list(self.exchange.inner.pits.values())
        held = [(pit.symbol, leg, qty) for pit in pits for leg, qty in enumerate((pit.books.long_qty, pit.books.short_qty)) if qty]
        self.tape.note(
            "end",
            latched=self._latched(),
            held=held,
            orders=sum(len(pit.open) for pit in pits),
            result=results[-1] if results else None,
            unbooked=[trade_id for trade_id in fills if trade_id not in booked],
            acts=again.acts,
            mismatches=len(again.mismatches),
            tries=fence.tries,
        )
        self.tape.close()

    def _latched(self) -> bool:
        return Latch(self.home / "killswitch.json").read().active is True

    @property
    def closes_left(self) -> bool:
        """Has a close left the house, and is the order to stop acknowledged?"""
        return self.tape.has("ack") and self.tape.has("ask", role=int(Role.CLOSE))


async def until(true: Callable[[], Any], seconds: float) -> bool:
    """Wait until it is so; was it, in time?"""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.002)
    return True


def shipped_without_doors() -> Registry:
    """What is shipped, but for everything that leads out: real exchanges, alert channels, services."""
    registry = load_shipped()
    for name in [name for name in registry.exchanges if name != "paper"]:
        del registry.exchanges[name]
    registry.alerts.clear()
    registry.services.clear()
    return registry


def price_of(desk: Desk) -> float:
    """Where the forked market stands, ticks."""
    known = [float(price) for price in (desk.mark, desk.traded, desk.bar and desk.bar.close) if price]
    return known[0]


def stand_in(desk: Desk) -> int:
    """Lots of a leg that the fork does not hold and the twin is given, so that there is something to close."""
    unit = desk.instrument
    least = unit.min_notional / (price_of(desk) * unit.tick_size * unit.lot_size)
    return STAND_IN * max(unit.min_qty, int(least) + 1)


def market(engine: Engine, prices: dict[str, float]) -> Any:
    """A made-up market that goes on from where the fork stands."""
    instruments = {symbol: desk.instrument for symbol, desk in engine.desks.items()}
    usdt = {symbol: price * instruments[symbol].tick_size for symbol, price in prices.items()}
    return Synthetic(instruments, seed=SEED, start=engine.now, prices=usdt).events(engine.now)


# --- a disk that refuses ----------------------------------------------------------------------------------------------------


class FaultyDisk:
    """The twin's journal, on a disk that can refuse."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._until = inner, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def refuses(self) -> bool:
        """Is it refusing now?"""
        return time.monotonic() < self._until

    def refuse_for(self, seconds: float) -> None:
        """From now on."""
        self._until = time.monotonic() + seconds

    def heal(self) -> None:
        """It takes everything again."""
        self._until = 0.0

    def check(self) -> None:
        """OSError while it refuses."""
        if self.refuses:
            raise OSError(errno.ENOSPC, "the drill's disk is full")

    def input(self, event: Any) -> Any:
        self.check()
        return self._inner.input(event)

    def act(self, kind: str, time: int, data: dict[str, Any]) -> Any:
        self.check()
        return self._inner.act(kind, time, data)

    def sync(self) -> Any:
        self.check()
        return self._inner.sync()


class FaultyLatch(Latch):
    """The twin's kill switch file, on the same disk."""

    disk: FaultyDisk

    def write(self, content: dict[str, Any]) -> None:
        """OSError while the disk refuses."""
        self.disk.check()
        super().write(content)
