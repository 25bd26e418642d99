"""The least a kill can take: a bare aiohttp client with as many orders and legs, the same requests and the same answers to wait for.

One law: it does what the exchange makes everybody do, and nothing else: no journal, no risk, no heart, no word to anybody.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

import stage
from exchange_simulator.inthread import Threaded, running_simulator
from livestage import BALANCE, PLENTY, PRICES, QTY, SEEN_AGAIN_S, Wiretap, World

RUNS_ON = 1.05  # the farthest order of the ladder, of the price: none is reached

#: Waits for a line on its input (the closes it is to send), sends them with a cancel-all of every symbol, asks for the account, and
#: says when it began when all is answered and so many orders were told to be over.
CLIENT = """
import asyncio, hmac, json, sys, time, aiohttp
from urllib.parse import urlencode
from yarl import URL
async def main(rest, ws, key, secret, *symbols):
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": key, "Content-Type": "application/x-www-form-urlencoded"}) as session:
        async def ask(method, path, **params):
            text = urlencode({**params, "timestamp": int(time.time() * 1000)})
            text += "&signature=" + hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
            async with session.request(method, URL(f"{rest}/fapi/{path}?{text}", encoded=True)) as answer:
                said = await answer.json()
                assert answer.status == 200, said
                return said
        listen = (await ask("POST", "v1/listenKey"))["listenKey"]
        async with session.ws_connect(f"{ws}/private/ws?listenKey={listen}") as socket:
            left, over = 0, asyncio.Event()
            async def hear():
                nonlocal left
                async for message in socket:
                    left -= json.loads(message.data).get("o", {}).get("x") == "CANCELED"
                    if not left:
                        over.set()
            hearing = asyncio.create_task(hear())
            print("up", flush=True)
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                order = json.loads(line)
                if order == "warm":
                    await asyncio.gather(*(ask("GET", "v1/time") for _ in range(32)))
                    print("warm", flush=True)
                    continue
                begun = time.perf_counter()
                closes, left = order
                over.clear()
                work = [ask("POST", "v1/order", **one) for one in closes]
                work += [ask("DELETE", "v1/allOpenOrders", symbol=symbol) for symbol in symbols]
                work += [ask("GET", "v3/positionRisk"), ask("GET", "v3/balance")]
                work += [ask("GET", f"v1/{kind}", symbol=symbol) for kind in ("openOrders", "openAlgoOrders") for symbol in symbols]
                await asyncio.gather(*work)
                await over.wait()
                print(begun, flush=True)
asyncio.run(main(*sys.argv[1:]))
"""


def floor(symbols: int, levels: int, rounds: int, rtt_ms: float) -> tuple[list[float], list[float]]:
    """Seconds to the last byte of closes and cancels, and to flat."""
    lasts, flats = [], []
    prices = dict(list(PRICES.items())[:symbols])
    with (
        running_simulator(symbols=prices, balance_usdt=BALANCE) as sim,
        _client(sim, list(prices)) as (write, read),
        closing(Wiretap(sim.rest_url)) as tap,
    ):
        sim.set(weight_1m=PLENTY, orders_10s=PLENTY, orders_1m=PLENTY)
        for symbol in prices:
            sim.start_walk(symbol, 1 / SEEN_AGAIN_S, 0.0)
        for _ in range(rounds):
            sim.set(rtt_ms=0.0)
            _fill_account(sim, prices, levels)
            _say(write, "warm")
            read.readline()
            sim.set(rtt_ms=rtt_ms)
            time.sleep(0.5)
            orders = len(sim.show("orders"))
            with tap.listening():
                _say(write, [_closes(list(prices)), orders])
                begun = float(read.readline())
                flats.append(time.perf_counter() - begun)
                lasts.append(max(tap.trading()) - begun)
    return lasts, flats


def _say(write: IO[str], what: Any) -> None:
    write.write(json.dumps(what) + "\n")
    write.flush()


def _fill_account(sim: Threaded, prices: dict[str, float], levels: int) -> None:
    """Both legs of every symbol hold a rung, and as many more rest on each side."""
    for symbol, price in prices.items():
        for leg, side, away in (("LONG", "BUY", -1), ("SHORT", "SELL", 1)):
            sim.manual(symbol, leg, QTY[symbol])
            for i in range(levels):
                at = World.rounded(symbol, price * (1 + away * (RUNS_ON - 1) * (i + 1) / levels))
                sim.foreign_order(symbol, leg, side, QTY[symbol], at)


def _closes(symbols: list[str]) -> list[dict[str, Any]]:
    legs = (("LONG", "SELL"), ("SHORT", "BUY"))
    return [
        {"symbol": symbol, "side": side, "positionSide": leg, "type": "MARKET", "quantity": QTY[symbol]}
        for symbol in symbols for leg, side in legs
    ]  # fmt: skip


@contextmanager
def _client(sim: Threaded, symbols: list[str]) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [sys.executable, "-c", CLIENT, sim.rest_url, sim.ws_url, sim.api_key, sim.do(lambda inside: inside.api_secret), *symbols]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=stage.ENVIRONMENT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process.stdin, process.stdout
        finally:
            process.kill()
