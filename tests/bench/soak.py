"""A soak: the live daemon at many times the usual traffic, with something going wrong every few seconds, for as long as asked.

It samples memory, descriptors, threads, the journal and every queue, and ends as it must: the books are the exchange's, the kill switch
closes everything, and the journal replays without a mismatch. No benchmark of `all.py`: it takes as long as it is told to.

python tests/bench/soak.py [--minutes 30] [--seed 1] [--speed 10]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import stage
from exchange_simulator.inthread import Threaded, running_simulator
from journeys.live_process import LiveProcess
from livestage import BALANCE, PRICES, live_config
from stage import Row

SYMBOLS = ("BTCUSDT", "ETHUSDT")
USUAL_PER_S = 4.0  # market events a second and symbol at speed 1
VOLATILITY_BPS = 1.0  # of one of them
SAMPLE_S, PULL_BPS = 2.0, 150.0
RATES = {"drop": 0.004, "duplicate": 0.02, "late": 0.02, "reorder": 0.05}
ANY_ORDER = "POST /fapi/v1/*rder*"

Wrong = Callable[[Threaded], object]


def _fault(kind: str, path: str = ANY_ORDER, **options: Any) -> Wrong:
    return lambda sim: sim.fault(kind, path, **options)


#: What goes wrong, one at a time. A ban is short; nothing here is behind the daemon's back (that halts a symbol, as it must).
WRONGS: dict[str, Wrong] = {
    "answer lost, executed": _fault("reset_executed", times=2),
    "request lost": _fault("reset_not_executed", times=2),
    "executed after a reset": _fault("reset_executed_late", times=1, ms=300),
    "503, executed": _fault("unknown_executed", times=2),
    "503, not executed": _fault("unknown_not_executed", times=2),
    "503, unavailable": _fault("unavailable", times=2),
    "-1007, executed": _fault("timeout_executed", times=2),
    "-1007, not executed": _fault("timeout_not_executed", times=2),
    "-1008": _fault("overloaded", times=2),
    "429": _fault("too_many", times=1, seconds=1),
    "-1015": _fault("too_many_orders", times=1, seconds=1),
    "-1021": _fault("clock", "*", times=2),
    "HTML": _fault("html_executed", times=2),
    "slow answers": _fault("delay", "*", times=20, after_ms=300),
    "cancel lost": _fault("reset_not_executed", "DELETE *", times=2),
    "cancel done, not told": _fault("reset_executed", "DELETE *", times=2),
    "reports fail": _fault("html", "GET /fapi/v3/positionRisk", times=3),
    "listen key expired": lambda sim: sim.expire_listen_key(),
    "listen key gone in silence": lambda sim: sim.expire_listen_key(False),
    "user stream torn": lambda sim: sim.cut("private"),
    "market stream torn": lambda sim: sim.cut("market"),
    "every socket torn": lambda sim: sim.cut("*"),
    "politely closed": lambda sim: sim.cut("*", True),
    "frozen": lambda sim: sim.freeze(1.5),
    "gone for a while": lambda sim: sim.down(1.0),
    "user stream silent": lambda sim: (sim.silence("private"), sim.do(lambda inside: inside.later(4.0, lambda: inside.speak("private")))),
    "funding": lambda sim: [sim.funding(symbol, 0.0001) for symbol in SYMBOLS],
    "deposit": lambda sim: sim.deposit(25.0),
    "withdrawal": lambda sim: sim.withdraw(20.0),
}
EVERY_S = (3.0, 8.0)  # from one to the next


class Sample(NamedTuple):
    """What the process was like at one instant."""

    seconds: float
    rss_mb: float
    descriptors: int
    threads: int
    journal_mb: float
    lag_ms: float
    alerts: int
    unknown: int


def sample(daemon: LiveProcess, begun: float) -> Sample:
    """Look at it from outside, and ask it for its queues."""
    status, proc = daemon.status(), Path(f"/proc/{daemon.pid}")
    lines = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    size = sum(path.stat().st_size for path in daemon.journal.iterdir() if path.is_file()) / 2**20
    return Sample(
        time.monotonic() - begun,
        int(lines["VmRSS"].split()[0]) / 1024,
        len(list((proc / "fd").iterdir())),
        int(lines["Threads"]),
        size,
        float(status["loop_lag_ms_p99"] or 0.0),
        int(status["alerts"]["queued"]),
        int(status["exchange"]["unknown_orders"]),
    )


def soak(minutes: float, seed: int = 1, speed: float = 10.0, every: tuple[float, float] = EVERY_S) -> list[Row]:
    """The whole of it; raises where the end is not as it must be."""
    rng, done = random.Random(seed), Counter[str]()
    prices = {symbol: PRICES[symbol] for symbol in SYMBOLS}
    with stage.folder() as folder, running_simulator(symbols=prices, balance_usdt=BALANCE, seed=seed) as sim:
        sim.set(weight_1m=100_000, orders_10s=100_000, orders_1m=100_000)
        daemon = LiveProcess(folder / "d", sim, live_config(sim, 10, 10.0, 2, 60.0))
        try:
            for symbol in SYMBOLS:
                sim.start_walk(symbol, USUAL_PER_S * speed, VOLATILITY_BPS)
            daemon.start()
            sim.do(lambda inside: inside.faults.events(late_ms=600, **RATES))
            samples = _storm(daemon, sim, 60 * minutes, rng, done, every)
            counts, before = daemon.status()["counts"], len(daemon.fills())
            replayed = _calm(daemon, sim)
        except BaseException:
            print(daemon.log[-4000:])
            raise
        finally:
            daemon.clean_up()
    return [*_rows(samples), *_ends(minutes, counts, done, before, replayed)]


def _storm(daemon: LiveProcess, sim: Threaded, seconds: float, rng: random.Random, done: Counter[str],
           every: tuple[float, float]) -> list[Sample]:  # fmt: skip
    begun = time.monotonic()
    samples, next_wrong, next_sample = [], rng.uniform(*every), 0.0
    while (now := time.monotonic() - begun) < seconds:
        if not daemon.runs:
            raise RuntimeError(f"the daemon ended after {now:.0f} s")
        if now >= next_wrong:
            name = rng.choice(list(WRONGS))
            WRONGS[name](sim)
            done[name] += 1
            next_wrong = now + rng.uniform(*every)
        if now >= next_sample:
            samples.append(sample(daemon, begun))
            next_sample = now + SAMPLE_S
            _forget(sim)
            _pull_back(sim)
        time.sleep(0.1)
    return samples


def _forget(sim: Threaded) -> None:
    """The simulator's memory of what it saw is not what is measured."""
    sim.do(lambda inside: (inside.requests.clear(), inside.events.clear(), inside.faults.event_rules.clear()))


def _pull_back(sim: Threaded) -> None:
    """A walk for hours would leave the price limits: from far away it is led back."""
    for symbol, row in sim.show("prices").items():
        if abs(row["last"] / PRICES[symbol] - 1) * 1e4 > PULL_BPS:
            sim.do(lambda inside: inside.floor.walk(symbol, 1, 0.0))  # noqa: B023 - done at once
            toward = row["last"] + (PRICES[symbol] - row["last"]) / 20
            sim.price(symbol, round(toward, 1 if symbol == "BTCUSDT" else 2))


def _calm(daemon: LiveProcess, sim: Threaded) -> int:
    """Nothing goes wrong any more: the books agree, everything is closed, the journal tells the same again; events replayed."""
    sim.do(lambda inside: (inside.faults.clear(), inside.limits.pardon()))
    for symbol in SYMBOLS:
        sim.start_walk(symbol, USUAL_PER_S, 0.0)
    daemon.until_sound(60.0)
    daemon.until(lambda status: not status["exchange"]["unknown_orders"], 30.0)
    daemon.call("activate", reason="the soak is over", level="flatten")
    daemon.flat(60.0)
    held, own, _, _ = daemon.truth()
    if held or own:
        raise RuntimeError(f"flat, and the exchange has {held}, {own}")
    daemon.stop()
    return daemon.sound().inputs


def _rows(samples: Sequence[Sample]) -> list[Row]:
    """Whether anything grew after the first fifth."""
    later = samples[len(samples) // 5 :]
    tenth = max(1, len(later) // 10)
    first, last = (statistics.median(one.rss_mb for one in part) for part in (later[:tenth], later[-tenth:]))
    hours = (later[-1].seconds - later[0].seconds) / 3600 or 1.0
    note = f"{first:.1f} to {last:.1f} MB, most {max(one.rss_mb for one in samples):.1f} MB, {len(samples)} samples"
    return [
        Row("memory at the end / after the first fifth", last / first, "x", "1", note),
        Row("memory grew by", last - first, "MB", "0", f"{(last - first) / hours:+.1f} MB an hour"),
        Row("descriptors, most after the first fifth", max(one.descriptors for one in later), "", "", f"at its end {later[0].descriptors}"),
        Row("threads, most", max(one.threads for one in samples), "", "", f"at the end {samples[-1].threads}"),
        Row("journal", samples[-1].journal_mb, "MB", "", f"{(samples[-1].journal_mb - samples[0].journal_mb) / hours:.0f} MB an hour"),
        Row("loop lag p99, worst", max(one.lag_ms for one in samples), "ms"),
        Row("alerts queued, most", max(one.alerts for one in samples), "", "", f"at the end {samples[-1].alerts}"),
        Row("unknown orders, most", max(one.unknown for one in samples), "", "", f"at the end {samples[-1].unknown}"),
    ]


def _ends(minutes: float, counts: dict[str, Any], done: Counter[str], fills: int, replayed: int) -> list[Row]:
    return [
        Row("minutes", minutes, "", "", "then: books equal the exchange's, flat, journal replayed without a mismatch"),
        Row("things that went wrong", done.total(), "", "", ", ".join(f"{name} {times}" for name, times in sorted(done.items()))),
        Row("fills", fills, "", "", f"{counts}"),
        Row("events replayed", replayed, ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=10.0, help="times the usual traffic")
    given = parser.parse_args()
    print(stage.table(soak(given.minutes, given.seed, given.speed)))


if __name__ == "__main__":
    main()
