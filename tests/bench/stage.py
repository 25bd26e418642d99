"""What every benchmark stands on: a table of results, made-up bars, and the shipped daemon as a process of its own.

One law: what is measured is the shipped path, and both sides of a ratio are measured in the same run. Nothing here judges: an aim
is printed beside a figure, and a figure that misses it is no failure.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", ROOT.parent / "shared"))
for folder in (ROOT / "tests", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from hedgegridd.control.client import Client, Unreachable  # noqa: E402 - the repository must be on the path first

MINUTE_MS = 60_000
START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
MAY_2025 = 1_746_316_800_000  # 2025-05-04T00:00:00Z: the window that follows is gap-free, and its first settlement soon
FUNDING_BPS = 1.0
PATIENCE_SECONDS = 60.0
#: As on a machine of a user: an installed package has its bytecode, so what is started here may write and use it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "HEDGEGRIDD_SOCKET")}


class Row(NamedTuple):
    """One figure. `aim` is text for people; `note` says how it was measured, where the name does not."""

    name: str
    value: float
    unit: str
    aim: str = ""
    note: str = ""


def percentile(values: Iterable[float], part: float) -> float:
    """The value below which `part` of the values lies; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else math.nan


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    shown = [("what", "measured", "", "aim", "how"), *((r.name, number(r.value), r.unit, r.aim, r.note) for r in rows)]
    widths = [max(len(cells[i]) for cells in shown) for i in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}} {c:<{widths[2]}}  {d:<{widths[3]}}  {e}".rstrip() for a, b, c, d, e in shown]
    return "\n".join(lines)


def number(value: float) -> str:
    """The digits that count."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def main(measure: Callable[[bool], list[Row]]) -> None:
    """Run one benchmark from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work at all?")
    print(table(measure(parser.parse_args().quick)))


#: Starts a command and tells what it took: a process inherits the peak of the one that starts it, and this one is small.
SMALL = """
import resource, subprocess, sys, time
begun = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)
"""


def spent(command: Sequence[str], **environment: str) -> tuple[float, float]:
    """Seconds and peak MB of a command from its start to its end; what it prints is dropped, and that it fails raises."""
    line = [sys.executable, "-I", "-S", "-c", SMALL, *command]
    told = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, env={**ENVIRONMENT, **environment}).stdout
    seconds, peak = map(float, told.split())
    return seconds, peak


# --- market data --------------------------------------------------------------------------------------------------------


def closes(bars: int, seed: int = 7, price: float = 100_000.0, tick: float = 0.1, year_vol: float = 0.6) -> Iterator[int]:
    """A seeded geometric random walk of minutes, in ticks."""
    rng, sd = random.Random(seed), year_vol / math.sqrt(525_600)
    for _ in range(bars):
        price *= math.exp(rng.gauss(-0.5 * sd * sd, sd))
        yield max(1, round(price / tick))


def csv_bars(path: Path, bars: int, **walk: float) -> Path:
    """Made-up minute bars as the exchange's public archive has them."""
    rng, last = random.Random(11), 0
    with path.open("w") as file:
        file.write("open_time,open,high,low,close,volume\n")
        for i, close in enumerate(closes(bars, **walk)):
            last = last or close
            reach = rng.randrange(20, 400)
            high, low = max(last, close) + reach, max(1, min(last, close) - reach)
            file.write(f"{START_MS + i * MINUTE_MS},{last / 10},{high / 10},{low / 10},{close / 10},{rng.randrange(1, 90_000) / 1000}\n")
            last = close
    return path


def no_parquet() -> str:
    """Why no Parquet can be written here; "" = it can."""
    return "" if importlib.util.find_spec("pyarrow") and importlib.util.find_spec("numpy") else "pyarrow is not installed"


def parquet_bars(path: Path, bars: int, seed: int = 7, price: float = 100_000.0, year_vol: float = 0.6) -> Path:
    """Seeded minutes for years: a walk that is thrown back a fifth above and below its first price, so that the last year is like the
    first. Funding is not beside them."""
    import numpy
    import pyarrow
    from pyarrow import parquet

    rng, within = numpy.random.default_rng(seed), math.log(1.2)
    away = numpy.cumsum(rng.standard_normal(bars) * (year_vol / math.sqrt(525_600)))
    folded = numpy.abs((away + within) % (4 * within) - 2 * within) - within
    closes = numpy.round(price * numpy.exp(folded) * 10)
    opened = numpy.concatenate((closes[:1], closes[:-1]))
    high, low = numpy.maximum(opened, closes) + rng.integers(20, 400, bars), numpy.minimum(opened, closes) - rng.integers(20, 400, bars)
    columns = {"open_time": START_MS + numpy.arange(bars) * MINUTE_MS, "open": opened / 10, "high": high / 10, "low": low / 10}
    columns |= {"close": closes / 10, "volume": rng.integers(1, 90_000, bars) / 1000}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)
    return path


def month(folder: Path, bars: int) -> tuple[Path, str]:
    """A month of minutes, recorded where the shared data and pyarrow are there, else made up; and which of them it is."""
    recorded = SHARED / "data/klines/1m/BTCUSDT.parquet"
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        return csv_bars(folder / "BTCUSDT.csv", bars), "made-up bars"
    if not recorded.is_file():
        return csv_bars(folder / "BTCUSDT.csv", bars), "made-up bars"
    whole = parquet.read_table(recorded)
    first = next(i for i, opened in enumerate(whole["open_time"].to_pylist()) if opened >= MAY_2025)
    target = folder / "data/klines/1m/BTCUSDT.parquet"
    target.parent.mkdir(parents=True)
    shutil.copytree(SHARED / "data/funding", folder / "data/funding")
    parquet.write_table(whole.slice(first, bars), target)
    return target, "recorded bars"


# --- the daemon ---------------------------------------------------------------------------------------------------------

CONFIG = """
mode = "paper"
[daemon]
plugin_dirs = [{plugins}]
[feed]
speed = {speed}
funding_bps = {funding}
[exchange.paper]
starting_balance_usdt = {balance}
[limits]
max_exposure_pct = 400.0
max_position_pct = 400.0
[[instrument]]
symbol = "BTCUSDT"
leverage = 10
[instrument.params.grid]
base_qty = 0.002
[instrument.filters]
tick_size = 0.1
lot_size = 0.001
min_notional = 100
"""

FOREIGN = """
from hedgegridd import Trip, hookimpl
class Guard:
    name = "{name}"
    class Settings:
        most_usdt: float = 1e12
    def check(self, snapshot):
        if snapshot.equity > self.settings.most_usdt:
            return Trip("too rich", snapshot.equity, self.settings.most_usdt)
@hookimpl
def register_breakers(register):
    register(Guard)
"""


class Life(NamedTuple):
    """A daemon that is up. `ready_seconds`: from its start to READY=1."""

    process: subprocess.Popen[bytes]
    folder: Path
    socket: str
    ready_seconds: float

    def call(self, verb: str, **params: object) -> dict[str, object]:
        """One verb over the control socket."""
        with Client(self.socket) as client:
            return client.call(verb, params, 10.0)


def example(folder: Path, name: str, overlay: str) -> Path:
    """An example of etc/ with `overlay` laid over it, as a user would: beside it, in conf.d."""
    (folder / "conf.d").mkdir(mode=0o700)
    for path, text in ((folder / name, (ROOT / "etc" / name).read_text()), (folder / "conf.d/bench.toml", overlay)):
        path.write_text(text)
        path.chmod(0o600)
    return folder / name


def config(folder: Path, *, speed: float | str = 1.0, balance: float = 10_000.0, foreign: int = 0) -> Path:
    """A configuration file, and as many foreign breakers beside it as asked for."""
    plugins = folder / "plugins"
    plugins.mkdir(mode=0o700, exist_ok=True)
    for i in range(foreign):
        (plugins / f"breaker_bench{i}.py").write_text(FOREIGN.format(name=f"bench{i}"))
    path = folder / "hedgegridd.toml"
    shown = f'"{speed}"' if isinstance(speed, str) else speed
    path.write_text(CONFIG.format(plugins=f'"{plugins}"' if foreign else "", speed=shown, funding=FUNDING_BPS, balance=balance))
    path.chmod(0o600)
    return path


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder that nobody else may enter."""
    with tempfile.TemporaryDirectory(prefix="hgb-") as name:
        yield Path(name)


@contextmanager
def daemon(config: Path, *arguments: str) -> Iterator[Life]:
    """`hedgegridd run` until it is ready; ended with the block if it has not ended itself."""
    at = config.parent
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(f"{at}/notify")
    listener.settimeout(PATIENCE_SECONDS)
    control = f"{at}/control.sock"
    places = ["--config", str(config), "--state-dir", f"{at}/state", "--socket", control]
    command = [sys.executable, "-m", "hedgegridd.cli", "run", *places, *arguments]
    environment = {**ENVIRONMENT, "NOTIFY_SOCKET": f"{at}/notify", "PYTHONPATH": str(ROOT)}
    with (at / "log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=at)
    try:
        _until_ready(listener, process, at / "log")
        yield Life(process, at, control, time.perf_counter() - started)
    finally:
        _end(process)
        listener.close()
        (at / "notify").unlink()


def _until_ready(listener: socket.socket, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    listener.settimeout(0.5)
    while time.monotonic() < deadline:
        try:
            if b"READY=1" in listener.recv(4096):
                return
        except TimeoutError:
            if process.poll() is not None:
                break
    raise RuntimeError(f"the daemon did not become ready:\n{log.read_text()[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(what: Callable[[], object], seconds: float = PATIENCE_SECONDS, pause: float = 0.01) -> None:
    """Wait until `what` is true; RuntimeError where it does not become so."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} was not true within {seconds} s")
        time.sleep(pause)


def answers(life: Life) -> bool:
    """Does the control socket answer?"""
    try:
        return bool(life.call("ping"))
    except Unreachable:
        return False


def pss_mb(pid: int) -> float:
    """Proportional set size of a process and all its children, MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    own = int(found[1]) / 1024 if found else 0.0
    return own + sum(pss_mb(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """The child processes of all threads of a process."""
    return [int(word) for thread in Path(f"/proc/{pid}/task").iterdir() for word in (thread / "children").read_text().split()]
