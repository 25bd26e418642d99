"""Attacks on the shell around the heart: feeds, events, disks and lives that break. It must end shut, in the open, and begin again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from journeys.daemon_process import DaemonProcess, settings, wave
from rig import BARS, MINUTE, REGISTRY, START, config_of, instrument_table

from hedgegridd.errors import FeedError, PluginError, Refused, StateError
from hedgegridd.heart.build import build, exchange_of
from hedgegridd.heart.engine import Engine
from hedgegridd.journal import Journal, Recovered, verify
from hedgegridd.live import disk as disks
from hedgegridd.live.daemon import Daemon
from hedgegridd.live.handlers import Handlers
from hedgegridd.live.latch import Latch
from hedgegridd.live.reload import reload
from hedgegridd.live.replay import replay
from hedgegridd.live.start import NoHosts, checkpoint_of, damaged, recover
from hedgegridd.live.start import started as started_of
from hedgegridd.model import Bar, Level, Role
from hedgegridd.schema import Config
from hedgegridd.views import Alert


class Feed:
    pushed = False
    """Whatever it is given."""

    carries, cadence_ms = BARS, MINUTE

    def __init__(self, events: Callable[[], Iterator[Any]]) -> None:
        self.made = events

    def events(self, after: int = 0) -> Iterator[Any]:
        return (event for event in self.made() if event.time > after)

    def warmup(self, symbol: str, bars: int) -> list[Any]:
        return []

    def next_funding(self, symbol: str, time: int) -> tuple[int, float]:
        return time + 28_800_000, 0.0


class Alerts:
    """What people were told."""

    def __init__(self) -> None:
        self.told: list[Alert] = []

    def put(self, alert: Alert) -> None:
        self.told.append(alert)


def bar(i: int, close: int = 500_000, symbol: str = "BTCUSDT") -> Bar:
    return Bar(symbol, START + (i + 1) * MINUTE, close, close + 20, close - 20, close, 1_000_000, MINUTE)


def quiet(count: int, first: int = 0) -> Iterator[Bar]:
    return (bar(i, 500_000 + (i % 3) * 10) for i in range(first, first + count))


class Life:
    """One life of a daemon, in this process, with its real journal and kill switch file."""

    def __init__(self, state: Path, feed: Feed, config: Config | None = None) -> None:
        self.state, self.config, self.feed = state, config or config_of(), feed
        self.journal = Journal(state / "journal")
        recovered = self.journal.open()
        self.engine: Engine = build(self.config, REGISTRY, carries=feed.carries, cadence_ms=feed.cadence_ms)
        self.recovered: Recovered = damaged(recovered, recover(self.engine, recovered, REGISTRY))
        self.journal.rotate(checkpoint_of(self.config, self.engine, feed))
        self.exchange, self.alerts, self.latch = exchange_of(self.config, REGISTRY), Alerts(), Latch(state / "killswitch.json")
        self.daemon = Daemon(
            self.engine, self.exchange, feed, self.journal, self.latch, self.alerts, NoHosts(), self._checkpoint, float("inf")
        )

    def _checkpoint(self) -> dict[str, Any]:
        return checkpoint_of(self.config, self.daemon.engine, self.feed)

    async def run(self) -> bool:
        try:
            return await self.daemon.run(started_of(self.config, self.latch, self.recovered, self.engine, {}))
        finally:
            self.journal.close()

    @property
    def file(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "killswitch.json").read_text()))

    def openers(self) -> list[Any]:
        """What rests at the exchange and opens."""
        return [order for pit in self.exchange.pits.values() for order in pit.open.values() if order.role == Role.ENTRY]


@asynccontextmanager
async def living(life: Life) -> AsyncIterator[Daemon]:
    work = asyncio.create_task(life.run())
    try:
        yield life.daemon
    finally:
        life.daemon.give_up()
        await work


def forever(first: int = 0) -> Iterator[Bar]:
    return quiet(10_000_000, first)


async def until(true: Callable[[], Any], seconds: float = 30.0) -> None:
    for _ in range(int(seconds / 0.005)):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited in vain")


# --- faults in the heart ------------------------------------------------------------------------------------------------


def poisoned() -> Iterator[Bar]:
    """A symbol that nobody configured: the heart cannot take it in."""
    yield from quiet(60)
    yield bar(60, symbol="DOGEUSDT")


def test_a_fault_in_the_heart_ends_shut(tmp_path: Path) -> None:
    async def act() -> None:
        life = Life(tmp_path, Feed(poisoned))
        with pytest.raises(KeyError):
            await life.run()
        assert life.engine.counts["orders"] and not life.openers()
        assert life.file["active"] and life.file["level"] == "halt" and "DOGEUSDT" in life.file["reason"]
        assert any(alert.rule == "system_error" and "DOGEUSDT" in alert.text for alert in life.alerts.told)
        assert verify(tmp_path / "journal").ok

        again = Life(tmp_path, Feed(lambda: iter(())))
        assert "DOGEUSDT" in (again.recovered.damage or "")
        async with living(again) as daemon:
            await until(lambda: daemon.ready)
            assert again.engine.kill.active and not again.openers()
            assert [a for a in again.alerts.told if a.rule == "kill_activated"]
        assert verify(tmp_path / "journal").ok

    asyncio.run(act())


@pytest.mark.parametrize("code", [0, 78])
def test_an_exchange_that_would_exit_ends_the_daemon_shut_and_not_by_its_own_code(tmp_path: Path, code: int) -> None:
    def leave(*_: Any) -> None:
        raise SystemExit(code)

    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        life.exchange.place = leave
        with pytest.raises(PluginError, match=f"would end the daemon .SystemExit: {code}"):
            await life.run()
        assert life.file["active"] and f"SystemExit: {code}" in life.file["reason"]
        assert any(alert.rule == "system_error" for alert in life.alerts.told)

    asyncio.run(act())


def test_a_stop_whose_time_is_over_with_openers_left_is_not_called_clean(tmp_path: Path) -> None:
    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        work = asyncio.create_task(life.run())
        await until(life.openers)
        life.exchange.cancel = lambda orders: None  # an exchange that does not answer
        life.daemon.stop("SIGTERM", False)
        await until(lambda: life.engine.ending)
        life.daemon.give_up()
        assert not await work and life.openers()

    asyncio.run(act())


def test_a_poisoned_input_costs_itself_only(tmp_path: Path) -> None:
    """What came after it is not lost with it."""

    async def act() -> None:
        with pytest.raises(KeyError):
            await Life(tmp_path, Feed(poisoned)).run()
        journal = Journal(tmp_path / "journal")
        journal.open()
        journal.input(bar(61))
        journal.close()
        again = Life(tmp_path, Feed(lambda: iter(())))
        assert again.engine.now == bar(61).time
        again.journal.close()

    asyncio.run(act())


def test_a_journal_full_of_poison_is_refused(tmp_path: Path) -> None:
    async def act() -> None:
        with pytest.raises(KeyError):
            await Life(tmp_path, Feed(poisoned)).run()
        journal = Journal(tmp_path / "journal")
        journal.open()
        for i in range(61, 90):
            journal.input(bar(i, symbol="DOGEUSDT"))
        journal.close()
        with pytest.raises(StateError, match="not this program's"):
            Life(tmp_path, Feed(lambda: iter(())))

    asyncio.run(act())


def test_a_feed_that_fails_withdraws_the_openers_and_says_so(tmp_path: Path) -> None:
    def failing() -> Iterator[Bar]:
        yield from quiet(60)
        raise FeedError("row 61: close is 'NaN'")

    async def act() -> None:
        life = Life(tmp_path, Feed(failing))
        await life.run()
        assert life.engine.counts["orders"] and not life.openers()
        assert "row 61" in str(life.daemon.failure)
        assert any("row 61" in alert.text for alert in life.alerts.told)
        assert not replay(tmp_path / "journal", REGISTRY).mismatches

    asyncio.run(act())


def test_a_recording_that_breaks_off_ends_a_real_daemon_with_1(tmp_path: Path) -> None:
    feed = wave(tmp_path, 400)
    lines = feed.read_text().splitlines()
    feed.write_text("\n".join([*lines[:300], lines[299], *lines[300:]]) + "\n")
    daemon = DaemonProcess(tmp_path, settings(feed))
    try:
        assert daemon.start(ready=False).ended() == 1
        assert "appears twice" in daemon.log and "Traceback" not in daemon.log
        assert "stop summary" in daemon.log
        assert not daemon.kill_file.exists(), "openers are gone; nothing is wrong with the account"
        daemon.sound()
        assert [row for row in daemon.acts("stopping") if "the feed failed" in row["reason"]]
    finally:
        daemon.clean_up()


def test_a_feed_that_fails_at_once_still_takes_up_the_account(tmp_path: Path) -> None:
    def failing() -> Iterator[Bar]:
        raise FeedError("no such file")
        yield bar(0)

    async def act() -> None:
        (tmp_path / "killswitch.json").write_text('{"active": true, "reason": "by hand"}')
        life = Life(tmp_path, Feed(failing))
        await life.run()
        assert life.engine.kill.active and life.engine.kill.reason == "by hand" and life.daemon.failure is not None
        assert life.file["active"] and life.file["level"] == "flatten"

    asyncio.run(act())


def test_time_that_stops_passing_ends_the_daemon(tmp_path: Path) -> None:
    async def broken() -> None:
        raise RuntimeError("the ticker died")

    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        life.daemon.look_after = broken
        with pytest.raises(RuntimeError, match="ticker"):
            await asyncio.wait_for(life.run(), 60)
        assert life.file["active"] and not life.openers()

    asyncio.run(act())


def test_a_socket_that_cannot_be_made_again_does_not(tmp_path: Path) -> None:
    async def exhausted() -> None:
        raise OSError(24, "Too many open files")

    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        life.daemon.look_after = exhausted
        async with living(life):
            await asyncio.sleep(0.6)
            (tmp_path / "killswitch.json").write_text('{"active": true, "reason": "by hand"}')
            await until(lambda: life.engine.kill.active)

    asyncio.run(act())


# --- the kill switch file ------------------------------------------------------------------------------------------------


def test_a_file_that_comes_between_the_first_look_and_the_first_write_is_obeyed(tmp_path: Path) -> None:
    async def act() -> None:
        life = Life(tmp_path, Feed(forever), config_of(kill_switch={"on_activate": "halt"}))
        first = started_of(life.config, life.latch, life.recovered, life.engine, {"HEDGEGRIDD_KILL_SWITCH": "1"})
        (tmp_path / "killswitch.json").write_text('{"active": true, "level": "flatten", "reason": "by hand"}')
        work = asyncio.create_task(life.daemon.run(first))
        await until(lambda: life.engine.kill.level == Level.FLATTEN)
        assert "environment" in life.engine.kill.reason and life.engine.kill.later == ["file: by hand"]
        life.daemon.give_up()
        await work
        life.journal.close()

    asyncio.run(act())


def test_a_storm_of_people_and_hands(tmp_path: Path) -> None:
    """What was acknowledged is so, however verbs and other hands interleave with the disk."""

    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        path = tmp_path / "killswitch.json"
        async with living(life) as daemon:
            await until(lambda: daemon.ready and life.engine.counts["orders"])
            for i in range(24):
                assert (await daemon.ask("activate", {"reason": f"drill {i % 2}", "level": "halt"}, "t"))["durable"]
                assert life.engine.kill.active and life.file["active"]
                await until(lambda: not life.engine.kill.busy)
                release = asyncio.create_task(daemon.ask("deactivate", {"reason": "on", "force": True}, "t"))
                if i % 3 == 0:
                    await asyncio.sleep(0)
                    stage = tmp_path / "stage"
                    stage.write_text('{"active": true, "reason": "by hand"}')
                    stage.replace(path)
                try:
                    released = (await release)["active"] is False
                except Refused:
                    released = False
                if i % 3:
                    assert released
                else:
                    await until(lambda: life.engine.kill.active)
                    await until(lambda: not life.engine.kill.busy)
        assert verify(tmp_path / "journal").ok
        assert not replay(tmp_path / "journal", REGISTRY).mismatches

    asyncio.run(act())


# --- the next life ---------------------------------------------------------------------------------------------------------


async def killed(state: Path, config: Config | None = None) -> Life:
    """A life that held a position, and ended without a word."""

    def falling() -> Iterator[Bar]:
        yield from quiet(40)
        price = 500_000
        for i in range(40, 48):
            price -= 900
            yield Bar("BTCUSDT", START + (i + 1) * MINUTE, price + 900, price + 920, price - 20, price, 1_000_000, MINUTE)

    life = Life(state, Feed(falling), config)
    async with living(life) as daemon:
        await until(lambda: daemon.feed_over)
        await until(lambda: not daemon.inbox)
        assert life.engine.held_legs()
    return life


def test_the_past_is_taken_in_by_the_heart_it_happened_to(tmp_path: Path) -> None:
    async def act() -> None:
        before = await killed(tmp_path)
        other = config_of(instrument=[instrument_table("BTCUSDT", base_qty=0.004)], limits={"max_exposure_pct": 10.0})
        life = Life(tmp_path, Feed(lambda: iter(())), other)
        assert (life.engine.decisions.hash, life.engine.held_legs()) == (before.engine.decisions.hash, before.engine.held_legs())
        assert life.engine.account.equity == before.engine.account.equity
        assert not life.recovered.damage
        life.journal.close()

    asyncio.run(act())


@pytest.mark.parametrize(
    ("instruments", "why"),
    [
        ([instrument_table("ETHUSDT")], "BTCUSDT has positions"),
        ([instrument_table("BTCUSDT", tick=0.01)], "tick and lot size"),
        ([instrument_table("BTCUSDT", lot=0.01, base_qty=0.02)], "tick and lot size"),
    ],
)
def test_a_position_is_never_forgotten_or_measured_anew(tmp_path: Path, instruments: list[dict[str, Any]], why: str) -> None:
    async def act() -> None:
        await killed(tmp_path)
        with pytest.raises(StateError, match=why):
            Life(tmp_path, Feed(lambda: iter(())), config_of(instrument=instruments))

    asyncio.run(act())


def test_an_instrument_that_is_flat_may_go(tmp_path: Path) -> None:
    async def act() -> None:
        life = Life(tmp_path, Feed(lambda: quiet(5)))
        async with living(life) as daemon:
            await until(lambda: daemon.feed_over and not daemon.inbox)
        again = Life(tmp_path, Feed(lambda: iter(())), config_of(instrument=[instrument_table("ETHUSDT")]))
        assert again.engine.now == life.engine.now
        again.journal.close()

    asyncio.run(act())


# --- disks -----------------------------------------------------------------------------------------------------------------


class FullDisk:
    """A journal whose disk is full."""

    def __init__(self, inner: Journal) -> None:
        self.inner, self.full = inner, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def _tried(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")

    def input(self, event: Any) -> int:
        self._tried()
        return self.inner.input(event)

    def act(self, *what: Any) -> int:
        self._tried()
        return self.inner.act(*what)

    def sync(self) -> int:
        self._tried()
        return self.inner.sync()


def full(life: Life) -> FullDisk:
    disk = FullDisk(life.journal)
    life.daemon.disk.journal = disk
    return disk


def test_a_disk_that_stays_full_loses_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "BACKLOG", 400)

    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        disk = full(life)
        async with living(life) as daemon:
            await until(lambda: life.engine.counts["orders"])
            disk.full = True
            await until(lambda: life.engine.gate.storage_failed)
            await asyncio.sleep(1.0)
            assert daemon.disk.behind < 400
            reply = await daemon.ask("activate", {"reason": "drill"}, "t")
            assert reply["active"] and not reply["durable"]
            assert await daemon.wait_flat(30.0), "closing waits for no disk"
            disk.full = False
            await until(lambda: not life.engine.gate.storage_failed and life.engine.kill.durable)
        assert verify(tmp_path / "journal").ok
        assert not replay(tmp_path / "journal", REGISTRY).mismatches

    asyncio.run(act())


def test_a_reload_on_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgegridd.live import reload as reloading

    monkeypatch.setattr(reloading, "PATIENCE_MS", 200)
    table = {"mode": "paper", "instrument": [{**instrument_table("BTCUSDT"), "reference_price": 50_000.0}],
             "feed": {"kind": "synthetic", "start_price": 50_000.0}, "limits": {"max_exposure_pct": 80.0}}  # fmt: skip

    async def act() -> None:
        import tomli_w

        path = tmp_path / "c.toml"
        path.write_text(tomli_w.dumps(table))
        path.chmod(0o600)
        from hedgegridd.config import load

        life = Life(tmp_path / "state", Feed(forever), load(path))
        disk = full(life)
        async with living(life) as daemon:
            await until(lambda: daemon.ready)
            path.write_text(tomli_w.dumps({**table, "limits": {"max_exposure_pct": 70.0}}))
            disk.full = True
            await until(lambda: life.engine.gate.storage_failed)
            with pytest.raises(Refused, match="the old configuration stays"):
                await reload(daemon, life.config, REGISTRY, path, "t", checkpoint_of)
            assert daemon.engine is life.engine

    (tmp_path / "state").mkdir()
    asyncio.run(act())


def test_a_crowd_of_readers_keeps_nobody_from_the_kill_switch(tmp_path: Path) -> None:
    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        async with living(life) as daemon:
            await until(lambda: life.engine.counts["fills"] or life.engine.counts["bars"] > 3000)
            handlers = Handlers(daemon, list, never)
            crowd = [asyncio.create_task(handlers.handle("journal.tail", {"order": f"nobody {i}"}, "t")) for i in range(40)]
            await asyncio.sleep(0)
            begun = asyncio.get_running_loop().time()
            assert (await handlers.handle("activate", {"reason": "drill"}, "t"))["durable"]
            assert asyncio.get_running_loop().time() - begun < 10.0  # a wide sanity bound
            assert all(answer["journal.tail"] == [] for answer in await asyncio.gather(*crowd))

    asyncio.run(act())


def test_the_last_acts_are_told_in_coins_prices_and_words(tmp_path: Path) -> None:
    async def act() -> None:
        life = Life(tmp_path, Feed(forever))
        async with living(life) as daemon:
            handlers = Handlers(daemon, list, never)
            await until(lambda: any(desk.orders.open for desk in life.engine.desks.values()))
            order = (await handlers.handle("orders", {}, "t"))["orders"][0]
            tail: list[dict[str, Any]] = []
            while not any(row["kind"] == "order" for row in tail):  # until it is on the disk
                tail = (await handlers.handle("journal.tail", {"order": order["client_id"]}, "t"))["journal.tail"]
            found = next(row for row in tail if row["kind"] == "order")
            for key in ("leg", "side", "role", "qty", "price"):
                assert found[key] == (pytest.approx(order[key]) if key in ("qty", "price") else order[key])

    asyncio.run(act())


async def never(_: str) -> dict[str, Any]:
    raise AssertionError("nobody asked for a reload")
