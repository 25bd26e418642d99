"""`hedgegridd backtest`: one strategy source on recorded data, by the daemon's own heart or compiled, with the same fills.

One law: what is in the folder of artefacts can be made again from it, byte for byte, but for the time it took and the environment.
It decides nothing about trading: it opens data, chooses an engine, lets it run and writes down what came of it.
"""

from __future__ import annotations

import json
import sys
import time as clock
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd import __version__
from hedgegridd.errors import ConfigError, HedgegriddError, Problem, extra
from hedgegridd.feed.layout import interval_text
from hedgegridd.feed.source import open_feed
from hedgegridd.heart.build import build, start_equity
from hedgegridd.kernel import metrics
from hedgegridd.plugins import Registry, foreign_folders, load_trusted, mentioned
from hedgegridd.progress import watched as watching
from hedgegridd.research import against, artefacts
from hedgegridd.research.compiled import Untranslatable
from hedgegridd.research.fastrun import BeyondFast, FastRun, refuses
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Mute, Outcome
from hedgegridd.research.recorder import Recorder
from hedgegridd.schema import BacktestTable, Config
from hedgegridd.times import iso, ms

MODELS = ("touch", "trade_through", "queue")


class Job(NamedTuple):
    """A backtest as it was asked for: the configuration with the command line laid over its [backtest]."""

    config: Config
    registry: Registry
    table: BacktestTable
    say: Callable[[str], None]
    quiet: bool = False
    against: Path | None = None  #: the state directory of a session to compare with

    def feed(self) -> Any:
        """The data, from their beginning."""
        table, instruments = self.table, {item.symbol: item.instrument() for item in self.config.instrument}
        rate = table.funding_bps if table.funding_bps is not None else self.config.feed.funding_bps
        return open_feed(
            self.config.feed, instruments, Path(table.data), symbol=table.symbol or None, interval=table.interval, funding_bps=rate,
            since=_moment("start", table.start), until=_moment("end", table.end),
        )  # fmt: skip


def _moment(name: str, text: str) -> int | None:
    """A time of [backtest], or of --from and --to."""
    if not text:
        return None
    try:
        return ms(text)
    except ValueError:
        raise ConfigError([Problem(f"backtest.{name}", text, "a time such as 2025-02-03 or 2025-02-03T02:07:00Z")]) from None


def prepare(config: Config, registry: Registry, options: dict[str, Any], say: Callable[[str], None], quiet: bool = False) -> Job:
    """The job: options that were given win over [backtest]. Always on the paper exchange, whatever the file's mode is."""
    given = {name: value for name, value in options.items() if value is not None}
    table = replace(config.backtest, **given)
    if not table.data:
        raise ConfigError([Problem("backtest.data", None, "a file or folder of recorded data, here or by --data")])
    table = replace(table, data=str(Path(table.data).resolve()))
    take_in(config, registry)
    alerts = replace(config.alerts, enabled=False)
    paper = replace(config, mode="paper", exchange=replace(config.exchange, name="paper"), alerts=alerts, backtest=table)
    return Job(paper, registry, table, say, quiet)


def take_in(config: Config, registry: Registry) -> None:
    """Foreign strategies that instruments name: here they run in this process, which holds no key and no money. Verified all the same."""
    base = Path(config.files[0]).parent if config.files else Path.cwd()
    folders = foreign_folders(config.daemon.plugin_dirs, base)
    for name in {item.strategy for item in config.instrument} - registry.strategies.keys():
        file = mentioned(name, folders)
        if file is not None:
            load_trusted(file, registry)
            found = registry.strategies.get(name)
            if found is not None and isinstance(found.thing, type):
                registry.strategies[name] = found._replace(thing=found.thing())


def run(job: Job) -> dict[str, Any]:
    """Play it and write the artefacts; the summary."""
    begun = clock.monotonic()
    folder = Path(job.table.out) if job.table.out else Path("artifacts/backtests") / clock.strftime("%Y%m%dT%H%M%SZ", clock.gmtime())
    folder.mkdir(parents=True, exist_ok=True)
    feed = job.feed()
    engine, code, why = choose(job, feed)
    instruments = {item.symbol: item.instrument() for item in job.config.instrument}
    with Recorder(folder, instruments, start_equity(job.config)) as recorder:
        outcome = play(job, job.config, feed, recorder, code, engine)
        digest = recorder.close()
    rows = metrics.compute(recorder.facts(outcome))
    code = code if code is not None else ready_made(job, feed)
    summary = {
        **_head(job, feed, recorder, outcome),
        "breaker_trips": told(job, recorder, outcome, code),
        "fill_model": job.config.exchange.paper.fill_model,
        "fill_models": side_by_side(job, outcome, code),
        "against": compared(job, recorder),
        "notes": [*feed.notes(), *([why] if why else [])],
        "metrics": {row.name: row.value for row in rows},
        "fills_sha256": digest,
        "seconds_run": round(clock.monotonic() - begun, 3),
    }
    artefacts.write(folder, job, summary, rows, feed)
    return {**summary, "out": str(folder)}


def choose(job: Job, feed: Any) -> tuple[str, Any, str]:
    """Which engine plays, its code where that is the fast one, and why it is not the one that was asked for."""
    if job.table.engine == "full":
        return "full", None, ""
    code, why = fast_code(job, feed)
    if code is None:
        job.say(f"the full engine plays: {why}")
        return "full", None, f"the full engine played: {why}"
    if code.fresh:
        job.say("compiling the strategy for this machine, once; this may take half a minute ...")
    return "fast", code, ""


def fast_code(job: Job, feed: Any) -> tuple[Any, str]:
    """The compiled engine, or why there is none."""
    from hedgegridd.research import compiled

    engine = build(job.config, job.registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
    why = refuses(job.config, engine, feed)
    if why:
        return None, why
    return compiled.bind(job.registry.strategies[engine.desks[feed.symbols[0]].strategy.name].thing), ""


def ready_made(job: Job, feed: Any) -> Any:
    """The fast engine for what is played beside a full run, if it was compiled before: it comes to the same, sooner."""
    code, _ = fast_code(job, feed)
    return None if code is None or code.fresh else code


def play(job: Job, config: Config, feed: Any, recorder: Any, code: Any, engine: str) -> Outcome:
    """One run from the first event to the last. What the fast engine was not made for is an error: the caller decides."""
    if engine == "fast":
        return watched(job, feed, FastRun(config, job.registry, feed, recorder, code).run)
    return watched(job, feed, FullRun(config, job.registry, feed, recorder).run)


def watched(job: Job, feed: Any, run: Callable[[Callable[[int], None]], Outcome]) -> Outcome:
    """A run with its progress shown, on a terminal."""
    with watching(lambda: None if job.quiet else feed.span()) as show:
        return run(show)


def compared(job: Job, recorder: Recorder) -> dict[str, Any] | None:
    """The same by the daemon's heart, decision by decision against a session's journal; None where no session was named."""
    if job.against is None:
        return None
    feed = job.feed()
    full = FullRun(job.config, job.registry, feed, Mute())
    full.decisions = []
    watched(job, feed, full.run)
    first, last, mine = recorder.course.first, recorder.course.last, full.decisions
    if against.goes_on(job.against, last):  # the session did not end there: what this run's own end withdraws is no decision of it
        return against.compare(job.against, mine[: full.before_end], first, last, "").row()
    return against.compare(job.against, mine, first, last, full.engine.decisions.hash).row()


def _head(job: Job, feed: Any, recorder: Recorder, outcome: Outcome) -> dict[str, Any]:
    kill = {**outcome.kill, "since": iso(outcome.kill["since"])}
    return {
        "schema": 1,
        "version": __version__,
        "engine": outcome.engine,
        "symbols": list(feed.symbols),
        "interval": interval_text(feed.interval_ms),
        "data": job.table.data,
        "start": iso(recorder.course.first),
        "end": iso(recorder.course.last),
        "bars": outcome.bars,
        "orders": outcome.orders,
        "fills": outcome.fills,
        "equity_start_usdt": start_equity(job.config),
        "equity_end_usdt": outcome.equity,
        "realized_usdt": outcome.realized,
        "unrealized_usdt": outcome.unrealized,
        "fees_usdt": outcome.fees,
        "funding_usdt": outcome.funding,
        "max_drawdown_pct": outcome.course[metrics.DEEPEST] * 100.0,
        "kill_switch": kill,
    }


# --- what a guard and a fill model were worth -----------------------------------------------------------------------------

DID = {
    "warn": "told people, and stopped nothing",
    "pause": "withheld openers until its cooldown was over",
    "halt": "cancelled and refused openers from then on; take-profits and stops stayed",
    "flatten": "cancelled everything and closed both legs at market",
}


def told(job: Job, recorder: Recorder, outcome: Outcome, code: Any) -> list[dict[str, Any]]:
    """Each trip with its inputs, what it did, and what its guard saved by the end of the run (negative = it cost)."""
    saved: dict[str, float | None] = {}
    for name in dict.fromkeys(trip["name"] for trip in recorder.trips):
        without = again(job, _without(job.config, name), code, f"the same without breaker {name}")
        saved[name] = None if without is None else outcome.equity - without.equity
    return [trip_row(trip, saved[trip["name"]]) for trip in recorder.trips]


def trip_row(trip: dict[str, Any], saved: float | None) -> dict[str, Any]:
    """One trip as the report tells it; `saved` None = not known."""
    return {
        "time": iso(trip["time"]), "name": trip["name"], "level": trip["level"], "reason": trip["reason"], "value": trip["value"],
        "threshold": trip["threshold"], "unit": trip["unit"], "equity_usdt": trip["equity"], "did": DID[trip["level"]],
        "saved_usdt": saved, "inputs": trip["inputs"],
    }  # fmt: skip


def _without(config: Config, name: str) -> Config:
    table = {**config.breaker, name: {**config.breaker.get(name, {}), "enabled": False}}
    return replace(config, breaker=table)


def side_by_side(job: Job, outcome: Outcome, code: Any) -> dict[str, dict[str, float]]:
    """The run under each fill model: how much of the profit is an assumption."""
    if not job.table.fill_models:
        return {}
    mine, rows = job.config.exchange.paper.fill_model, {}
    for model in MODELS:
        paper = replace(job.config.exchange.paper, fill_model=model)
        config = replace(job.config, exchange=replace(job.config.exchange, paper=paper))
        other = outcome if model == mine else again(job, config, code, f"the same with fill model {model}")
        if other is not None:
            pnl = other.equity - start_equity(job.config)
            rows[model] = {"fills": other.fills, "equity_end_usdt": other.equity, "pnl_usdt": pnl,
                           "max_drawdown_pct": other.course[metrics.DEEPEST] * 100.0}  # fmt: skip
    return rows


def again(job: Job, config: Config, code: Any, what: str) -> Outcome | None:
    """The run once more, with one thing changed and nothing written."""
    if not job.quiet and sys.stderr.isatty():
        job.say(what)
    try:
        return play(job, config, job.feed(), Mute(), code, "fast" if code is not None else "full")
    except BeyondFast as error:
        job.say(f"{what}: {error}")
        return None


# --- the command ----------------------------------------------------------------------------------------------------------


def command(
    config: Config, registry: Registry, options: dict[str, Any], as_json: bool, say: Callable[[str], None], session: Path | None = None
) -> dict[str, Any]:
    """The whole command: the summary, and where everything lies."""
    needs()
    job = prepare(config, registry, options, say, quiet=as_json)._replace(against=session)
    try:
        return run(job)
    except (BeyondFast, Untranslatable) as error:
        say(f"the full engine plays: {error}")
        return run(job._replace(table=replace(job.table, engine="full")))


def needs() -> None:
    """Artefacts need numpy and pyarrow."""
    try:
        import numpy
        import pyarrow
    except ImportError as error:
        raise HedgegriddError(f"this needs {error.name}, which a plain installation leaves out: {extra('data')}") from None
    assert numpy and pyarrow


def text(summary: dict[str, Any]) -> str:
    """The summary as a person reads it."""
    start, end = summary["equity_start_usdt"], summary["equity_end_usdt"]
    rows = [
        ("played", f"{', '.join(summary['symbols'])} {summary['start'][:16]} to {summary['end'][:16]} UTC, {summary['bars']:,} bars"),
        ("engine", f"{summary['engine']}, fill model {summary['fill_model']}, {summary['seconds_run']:.1f} s"),
        ("equity", f"{start:,.2f} -> {end:,.2f} USDT ({end - start:+,.2f}, {(end - start) / start:+.2%})"),
        ("drawdown", f"{summary['max_drawdown_pct']:.2f} %"),
        ("fills", f"{summary['fills']:,} of {summary['orders']:,} orders"),
        ("paid", f"fees {summary['fees_usdt']:,.2f}, funding {summary['funding_usdt']:,.2f} USDT"),
    ]
    rows += [
        ("model", f"{name:<14} {row['fills']:>7,} fills {row['pnl_usdt']:>+12,.2f} USDT") for name, row in summary["fill_models"].items()
    ]
    rows += [("trip", f"{trip['time'][:16]} {trip['name']}: {trip['level']}: {trip['reason']}") for trip in summary["breaker_trips"][:10]]
    more = len(summary["breaker_trips"]) - 10
    rows += [("", f"and {more} more trips: see summary.json")] if more > 0 else []
    rows += against_rows(summary["against"]) if summary["against"] else []
    rows += [("note", note) for note in summary["notes"]]
    rows.append(("report", str(Path(summary["out"]) / "report.html")))
    return "\n".join(f"{name:<10}{value}" for name, value in rows)


def against_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What a comparison with a session found, in words."""
    same = found["decisions"] and not found["differing"]
    head = "every decision is the same" if same else f"{found['differing']:,} differences"
    bits = {True: ", bit for bit", False: "", None: ""}[found["hashes_equal"]]
    rows = [("session", f"{found['session']}: {found['decisions']:,} decisions, {head}{bits}")]
    return rows + [("", f"{one['time']} only in the {one['where']}: {one['what']}") for one in found["differences"][:10]]


def dump(summary: dict[str, Any]) -> str:
    """As one JSON document."""
    return json.dumps(summary, indent=1, allow_nan=False)
