"""A live daemon on the wire simulator, as benchmarks need it: a grid of any size, and the instant of every request and user event.

One law: both ends of a time are taken on the exchange's side, by one clock: when the event left it, when the request reached it.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import stage
from exchange_simulator.inthread import Threaded, running_simulator
from journeys.live_process import LiveProcess, live_settings

PRICES = {"BTCUSDT": 50_000.0, "ETHUSDT": 2_500.0, "SOLUSDT": 150.0, "XRPUSDT": 2.0}
QTY = {"BTCUSDT": 0.003, "ETHUSDT": 0.04, "SOLUSDT": 1.0, "XRPUSDT": 60.0}  # a rung, coins: more than the smallest order
BALANCE = 1e6
PLENTY = 10_000_000  # of requests and orders: what is measured is our time, not the exchange's patience
SEEN_AGAIN_S = 0.25  # a market that stands still is told so often, or it would be a stale one
SO_RCVBUFFORCE, SO_TIMESTAMPNS, PACKET_OUTGOING = 33, 35, 4  # of Linux; the socket module does not name them
WIDE: dict[str, dict[str, Any]] = {
    "drawdown": {"max_drawdown_pct": 90.0},
    "daily_loss": {"max_daily_loss_pct": 90.0},
    "session_loss": {"max_loss_amount_usdt": BALANCE / 2},
    "position_size": {"max_position_usdt": BALANCE},
    "order_errors": {"enabled": False},
}


#: Activates the kill switch at each line of its input, and says when it began. A process of its own: in ours a thread of the simulator
#: may hold the interpreter for some ms.
HAND = """
import sys, time
from hedgegridd.control.client import Client
with Client(sys.argv[1]) as client:
    print("there", flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        client.call("activate", {"reason": line.strip(), "level": "flatten"}, 30.0)
        print(begun, flush=True)
"""


class Stamped(list[Any]):
    """A list that notes when each of its rows came in, seconds of perf_counter."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    def append(self, row: Any) -> None:
        self.at.append(time.perf_counter())
        super().append(row)

    def clear(self) -> None:
        self.at.clear()
        super().clear()

    def when(self, fits: Callable[[Any], bool]) -> list[float]:
        """When the rows came in that fit."""
        return [at for at, row in zip(list(self.at), list(self), strict=False) if fits(row)]


def live_config(sim: Threaded, levels: int, step_bps: float, tp_steps: int, recenter_bps: float = 0.0, **tables: Any) -> dict[str, Any]:
    """Mode live on every symbol of `PRICES` that the simulator has, with `levels` rungs a leg of one size."""
    symbols = sorted(sim.show("prices"))
    whole = live_settings(sim, symbols[:1], breaker=WIDE, recovery={"enabled": False}, **tables)
    whole["limits"] = {"equity_usdt": BALANCE, "max_exposure_pct": 400.0, "max_position_pct": 400.0, "max_open_trades": 100}
    (pattern,) = whole["instrument"]
    grid = {"grid_step_bps": step_bps, "grid_levels_long": levels, "grid_levels_short": levels, "qty_scale": 1.0}
    params = {**pattern["params"], "exit": {"tp_steps": tp_steps, "sl_steps": levels + tp_steps + 5}}
    params["policy"] = {"counter_levels": 50, "counter_qty_scale": 1.0}  # whole ladders in every trend: each round is like the last
    if recenter_bps:
        params["rebalance"] = {"recenter_trigger_bps": recenter_bps}
    whole["instrument"] = [
        {**pattern, "symbol": symbol, "params": {**params, "grid": {**grid, "base_qty": QTY[symbol]}}} for symbol in symbols
    ]
    return whole


class Wiretap:
    """When each request left, by the kernel: it stamps every packet of the loopback that goes to this port. Needs root, and to be there
    a second before it is needed.

    The exchange's own work is no part of it: a stamp that is taken where the simulator reads a request waits for those it read before.
    """

    BUFFER = 64 << 20
    ALL_KINDS, HEADER = 0x0003, 14

    def __init__(self, rest_url: str) -> None:
        self.port = int(rest_url.rpartition(":")[2])
        self.sent: list[tuple[float, bytes]] = []
        self._stamping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # the kernel begins to stamp a while after it was asked to
        self._stamping.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    @contextmanager
    def listening(self) -> Iterator[Wiretap]:
        """Anew, while the block lasts."""
        self.sent.clear()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ALL_KINDS)) as self._tap:
            self._tap.bind(("lo", 0))
            self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, self.BUFFER)
            self._tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._tap.setblocking(False)
            yield self

    def hear(self) -> None:
        """Take what the kernel has kept."""
        ahead = time.time() - time.perf_counter()
        while True:
            try:
                packet, notes, _, where = self._tap.recvmsg(2048, 64)
            except BlockingIOError:
                return
            ip = packet[self.HEADER :]
            tcp = ip[4 * (ip[0] & 15) :]
            data = tcp[4 * (tcp[12] >> 4) :] if where[2] == PACKET_OUTGOING and ip[9] == socket.IPPROTO_TCP else b""
            if data and int.from_bytes(tcp[2:4], "big") == self.port:
                seconds, ns = struct.unpack("qq", notes[0][2])
                self.sent.append((seconds + ns / 1e9 - ahead, data[:200]))

    def close(self) -> None:
        self._stamping.close()

    def trading(self) -> list[float]:
        """When what places, amends or cancels left, seconds of perf_counter."""
        self.hear()
        return [at for at, data in self.sent if not data.startswith(b"GET") and b"rder" in data.partition(b" HTTP")[0]]


class Hand:
    """Somebody else who activates the kill switch."""

    def __init__(self, socket_path: Path) -> None:
        pipe = subprocess.PIPE
        env = {**stage.ENVIRONMENT, "PYTHONPATH": str(stage.ROOT)}
        self._process = subprocess.Popen([sys.executable, "-c", HAND, str(socket_path)], stdin=pipe, stdout=pipe, text=True, env=env)
        self.began()

    def activate(self, reason: str) -> None:
        """Begin; `began` waits for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{reason}\n")
        self._process.stdin.flush()

    def began(self) -> str:
        """When it did, seconds of perf_counter."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        with self._process:
            self._process.kill()


class World:
    """The daemon, its exchange, and when each request and each user event was."""

    def __init__(self, daemon: LiveProcess, sim: Threaded) -> None:
        self.daemon, self.sim = daemon, sim
        self.requests, self.events = Stamped(), Stamped()
        sim.do(self._watch)

    def _watch(self, sim: Any) -> None:
        sim.requests, sim.events = self.requests, self.events

    def forget(self) -> None:
        """Nothing was seen so far."""
        self.sim.do(lambda sim: (sim.requests.clear(), sim.events.clear()))

    def sent(self, path: str, *words: str, method: str = "POST") -> list[float]:
        """When requests came in whose parameters hold one of these words (none = any)."""
        fits = lambda row: row.method == method and row.path == path and (not words or any(word in _text(row) for word in words))  # noqa: E731
        return self.requests.when(fits)

    def told(self, kind: str, words: str = "") -> list[float]:
        """When order events of this kind (NEW, TRADE) left whose client id holds these words."""
        return self.events.when(lambda row: row["e"] == "ORDER_TRADE_UPDATE" and row["o"]["x"] == kind and words in row["o"]["c"])

    def trading(self) -> list[float]:
        """When anything came in that trades: orders placed, amended and cancelled."""
        return self.requests.when(lambda row: row.method != "GET" and "rder" in row.path)

    def rungs(self, symbol: str, leg: str, letter: str = "E") -> list[float]:
        """Prices of the orders of a role (E, T) that rest on a leg, lowest first."""
        start = f"hg-{symbol}-{leg[0].upper()}{letter}-"
        return sorted(float(row["price"]) for row in self.sim.show("orders") if row["clientOrderId"].startswith(start))

    def pass_by(self, symbol: str, leg: str, letter: str = "E") -> None:
        """Let the market trade through the nearest order of a role on a leg."""
        prices = self.rungs(symbol, leg, letter)
        if prices:
            sold = (leg == "short") == (letter == "E")
            self.sim.price(symbol, self.rounded(symbol, prices[0] * 1.0001 if sold else prices[-1] * 0.9999))

    def centre(self) -> None:
        """Let every market trade where its grid is centred."""
        for row in self.daemon.status()["instruments"]:
            self.sim.price(row["symbol"], self.rounded(row["symbol"], row["grid_center"]))

    @staticmethod
    def rounded(symbol: str, price: float) -> float:
        return round(price, 1 if symbol == "BTCUSDT" else 2 if symbol in ("ETHUSDT", "SOLUSDT") else 4)

    def held(self) -> int:
        """Legs that hold something."""
        return sum(bool(side["qty"]) for legs in self.sim.show("positions").values() for side in legs.values())

    def resting(self, letter: str = "") -> int:
        """Orders of ours that rest, of a role by its letter (E, T)."""
        return sum(row["clientOrderId"].split("-")[2][1] == letter if letter else True for row in self.sim.show("orders"))

    def settled(self, seconds: float = 0.3) -> None:
        """Wait until nothing that trades was sent for a while."""
        stage.wait(lambda: time.perf_counter() - max(self.trading() or [0.0]) > seconds, pause=0.02)


def _text(seen: Any) -> str:
    return unquote(" ".join(seen.params.values()))


@contextmanager
def standing(
    symbols: int, levels: int, step_bps: float, *, tp_steps: int, rtt_ms: float = 0.0, recenter_bps: float = 0.0,
    plugins: Mapping[str, str] | None = None, start: bool = True, **tables: Any,
) -> Iterator[World]:  # fmt: skip
    """A daemon whose grid rests on this many symbols, in a market that stands still."""
    prices = dict(list(PRICES.items())[:symbols])
    with stage.folder() as folder, running_simulator(symbols=prices, balance_usdt=BALANCE) as sim:
        sim.set(weight_1m=PLENTY, orders_10s=PLENTY, orders_1m=PLENTY)
        for symbol in prices:
            sim.start_walk(symbol, 1 / SEEN_AGAIN_S, 0.0)
        if plugins:
            tables["daemon"] = {"plugin_dirs": ["plugins"]}
        daemon = LiveProcess(folder / "d", sim, live_config(sim, levels, step_bps, tp_steps, recenter_bps, **tables))
        drop(daemon, plugins or {})
        world = World(daemon, sim)
        try:
            if start:
                daemon.start()
                stage.wait(lambda: world.resting("E") >= 2 * symbols * (levels - 1))
            sim.set(rtt_ms=rtt_ms)
            yield world
        finally:
            daemon.clean_up()


def drop(daemon: LiveProcess, files: Mapping[str, str]) -> None:
    """Put files into the folder of foreign plugins."""
    folder: Path = daemon.home / "plugins"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
