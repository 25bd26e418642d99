"""The user stream over real sockets: keys that die, sockets that tear or go mute, and that every fill is told all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from plugins.binance.harness import BTC, ENTRY, L, Running, run, running

from hedgegridd.model import Accepted, Fill, Report, Trouble
from plugins._binance import streams

STRANGE = [
    "", "{", "[]", "null", "3", '{"e":"TRADE_LITE","s":"BTCUSDT"}', '{"e":"ORDER_TRADE_UPDATE","o":{}}', '{"e":"ACCOUNT_UPDATE"}',
    '{"e":"ORDER_TRADE_UPDATE","o":{"s":"XUSDT","S":"BUY","X":"NEW","x":"NEW","c":"a","i":1}}', '{"e":"ALGO_UPDATE","o":7}',
    '{"e":"NEVER_HEARD_OF","st":1}',
]  # fmt: skip
NEW_KEY = "POST /fapi/v1/listenKey"


def heard(it: Running) -> bool:
    line: Any = it.exchange._line
    return bool(line.listener.stream.connected)


async def resting(it: Running) -> Any:
    order = it.order(L, ENTRY, 499_900)
    it.exchange.place([order])
    await it.log.until(lambda: it.log.told(order) == ["Accepted"])
    return order


async def deaf_then_whole(it: Running, order: Any, seconds: float = 6.0) -> None:
    """Deaf is told, then the fill that was missed, then a report; and the stream is heard again."""
    await it.log.until(lambda: it.log.of(Fill), seconds)
    kinds = [getattr(event, "kind", type(event).__name__) for event in it.log if isinstance(event, Trouble | Fill | Report)]
    assert "deaf" in kinds and kinds.index("deaf") < kinds.index("Fill")
    await it.log.until(lambda: isinstance([e for e in it.log if isinstance(e, Fill | Report)][-1], Report), seconds)
    assert it.log.of(Fill)[0].client_id == order.client_id
    await it.log.until(lambda: heard(it), seconds)
    other = it.order(L, ENTRY, 490_000)
    it.exchange.place([other])
    await it.log.until(lambda: it.log.told(other) == ["Accepted"])


@pytest.mark.parametrize("event", [True, False])
def test_the_key_dies_with_its_last_event_or_without(event: bool) -> None:
    async def test() -> None:
        async with running() as it:
            order = await resting(it)
            it.sim.expire_listen_key(event)
            it.sim.price(BTC, 49_900.0)
            if not event:  # nothing is said of it: the key is kept alive, and is gone
                line: Any = it.exchange._line
                line.listener.stream.restart("the listen key is gone")
            await deaf_then_whole(it, order)
            assert len(it.asked(NEW_KEY)) >= 2 and not it.asked("DELETE /fapi/v1/listenKey")

    run(test)


def test_a_torn_socket_is_opened_again() -> None:
    async def test() -> None:
        async with running() as it:
            order = await resting(it)
            it.sim.cut("private")
            it.sim.price(BTC, 49_900.0)
            await deaf_then_whole(it, order)

    run(test)


def test_a_server_that_was_gone_for_a_while() -> None:
    async def test() -> None:
        async with running() as it:
            order = await resting(it)
            it.sim.price(BTC, 50_010.0)
            it.sim.down(1.5)
            it.sim.price(BTC, 49_900.0)
            await deaf_then_whole(it, order, 12.0)

    run(test)


def test_a_report_while_deaf_leaves_openers_waiting() -> None:
    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            line.listener._address = line.listener.stream.address = _nowhere
            it.sim.cut("private")
            await it.log.until(lambda: [event for event in it.log.of(Trouble) if event.kind == "deaf"])
            await it.report()
            trouble, last = [event for event in it.log if isinstance(event, Trouble | Report)][-2:]
            assert isinstance(trouble, Trouble) and isinstance(last, Report), "told before the report, which therefore settles nothing"
            assert last.since < trouble.time and not it.exchange.health().connected

    run(test)


async def _nowhere() -> str:
    return "ws://127.0.0.1:9/"


def test_a_stream_that_is_open_and_mute_is_found_out() -> None:
    """It answers pings and tells nothing: what the report finds gives it away."""

    async def test() -> None:
        async with running() as it:
            order = await resting(it)
            it.sim.silence("private")
            it.sim.price(BTC, 49_900.0)
            await asyncio.sleep(3.2)
            before = len(it.asked(NEW_KEY))
            await it.report()
            assert it.log.of(Fill)[0].client_id == order.client_id
            it.sim.speak("private")
            await it.log.until(lambda: len(it.asked(NEW_KEY)) > before and heard(it))

    run(test)


class Hole:
    """A way to the server on which, from some moment on, nothing passes."""

    def __init__(self, port: int) -> None:
        self.target, self.shut = port, False

    async def __aenter__(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.tasks: list[asyncio.Task[None]] = []
        return int(self.server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        pairs = ((reader, there_writer), (there_reader, writer))
        self.tasks += [asyncio.create_task(self._carry(*pair)) for pair in pairs]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if not self.shut:
                    writer.write(data)
        except OSError:  # the other end was torn
            return
        finally:
            writer.close()


def test_a_black_hole_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PING_S", 0.3), ("PONG_S", 0.3), ("LOOK_S", 0.05)):
        monkeypatch.setattr(streams, name, value)

    async def test() -> None:
        async with running() as it:
            hole = Hole(it.sim.port)
            line: Any = it.exchange._line
            async with hole as port:
                straight = line.wire.urls
                line.wire.urls = straight._replace(ws=f"ws://127.0.0.1:{port}")
                line.listener.stream.restart("to go by the other way")
                await it.log.until(lambda: line.listener.stream.opened == 2)
                hole.shut, line.wire.urls = True, straight
                await it.log.until(lambda: [event for event in it.log.of(Trouble) if "pong" in event.text])
                await it.log.until(lambda: heard(it))
            await asyncio.sleep(0.05)

    run(test)


def test_a_connections_successor_is_open_before_its_day_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RENEW_S", 0.5)
    monkeypatch.setattr(streams, "OVERLAP_S", 0.2)

    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            orders = []
            for step in range(40):
                orders.append(it.order(L, ENTRY, 490_000 - step))
                it.exchange.place(orders[-1:])
                await asyncio.sleep(0.05)
            assert line.listener.stream.opened >= 2
            await it.log.until(lambda: len(it.log.of(Accepted)) == 40)
            assert not it.log.of(Trouble)

    run(test)


def test_strange_messages_are_passed_over_and_counted() -> None:
    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            for text in STRANGE:
                line.listener._hear(text)
            assert line.listener.passed_over == len(STRANGE)
            await resting(it)

    run(test)
