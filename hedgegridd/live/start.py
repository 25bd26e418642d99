"""Start-up and end of a daemon: find everything, recover, run, say how it went. One law: start-up is recovery.

The order: state directory and its lock, journal, heart from the last checkpoint and the inputs after it, kill switch (file,
journal, environment: any that says active wins), control socket, then the loop. Nothing trades before the exchange reported.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd import __version__, paths
from hedgegridd.check import refuse
from hedgegridd.config import own, parse
from hedgegridd.control.server import Server
from hedgegridd.errors import ConfigError, Problem, StateError
from hedgegridd.feed.source import open_feed
from hedgegridd.heart.build import build, exchange_of
from hedgegridd.heart.engine import Engine
from hedgegridd.journal import Journal, Recovered
from hedgegridd.live import lease, log, services, status
from hedgegridd.live.alerts import Alerts
from hedgegridd.live.daemon import Daemon, wall_ms
from hedgegridd.live.drill import Drills
from hedgegridd.live.dryrun import DryRun
from hedgegridd.live.errands import Errands
from hedgegridd.live.handlers import Handlers
from hedgegridd.live.hostchannel import HostChannels
from hedgegridd.live.latch import Latch
from hedgegridd.live.pluginfolder import PluginFolder
from hedgegridd.live.pulse import Pulse
from hedgegridd.live.reload import reload
from hedgegridd.live.services import Services
from hedgegridd.live.survey import Surveyed, as_funded, as_kept, as_probed, as_told, learn, live_feed, survey, table
from hedgegridd.live.turn import MORE_SECONDS, OVER_SECONDS, in_turn
from hedgegridd.model import KillFile, Mode, PluginChanged, Severity, Started
from hedgegridd.plugins import Registry, equip, foreign_folders
from hedgegridd.progress import Progress
from hedgegridd.savefile import save
from hedgegridd.schema import Config
from hedgegridd.times import iso


class Options(NamedTuple):
    """What the command line adds to the configuration."""

    config_path: Path
    feed: Path | None = None
    speed: float | None = None
    state_dir: str = ""
    socket: str = ""
    confirm_live: str | None = None


OFF = frozenset({"", "0", "false", "no", "off"})


def kill_variable(config: Config, env: Mapping[str, str]) -> str:
    """The environment variable that engages the kill switch at start; "" = none does (E8: it is read here and never again)."""
    for name in dict.fromkeys(("HEDGEGRIDD_KILL_SWITCH", config.kill_switch.env_var)):
        if env.get(name, "").strip().lower() not in OFF:
            return name
    return ""


def plugin_tables(config: Config) -> dict[str, dict[str, Any]]:
    """kind -> name -> the plugin's own settings, as plugin hosts want them."""
    kinds = {"breaker": config.breaker, "alert": config.alert, "service": services.tables(config)}
    return {kind: {name: own(kind, table) for name, table in tables.items()} for kind, tables in kinds.items()}


MOST_POISON = 10  # inputs that a heart may fail at before the journal is taken for another program's


def recover(engine: Engine, recovered: Recovered, registry: Registry) -> str:
    """Bring an engine to where the journal ended: checkpoint, then every input after it, with nothing performed.

    The inputs are taken in by the heart that took them in the first time, built from the checkpoint's own configuration, and the
    new one goes on from there. Answers what was wrong, "" = nothing. StateError where the new one cannot go on.
    """
    if recovered.checkpoint is not None:
        old, wrong = _as_it_was(recovered.checkpoint, recovered.inputs, registry, engine)
        engine.take_over(old)
    else:
        wrong = ""
    last = recovered.last_kill
    if last is not None and last["active"] and (not engine.kill.active or last["level"] > engine.kill.level):
        engine.kill.load(last)  # its input was lost with the power, its act was not: active
    return wrong


def _as_it_was(checkpoint: dict[str, Any], inputs: list[tuple[int, Any]], registry: Registry, new: Engine) -> tuple[Engine, str]:
    """The heart of the last life, and the inputs that it cannot take in: what killed that life must not kill every one after it."""
    poison: dict[int, str] = {}
    while len(poison) <= MOST_POISON:
        old = _begun(checkpoint, registry, new)
        for seq, event in inputs:
            try:
                if seq not in poison:
                    old.handle(event)
            except Exception as error:  # a fence: the last life may have died of it
                poison[seq] = f"record {seq} cannot be taken in: {type(error).__name__}: {error}"
                break
        else:
            return old, "; ".join(poison.values())
    raise StateError(f"the journal is not this program's: {'; '.join(poison.values())}")


def _begun(checkpoint: dict[str, Any], registry: Registry, new: Engine) -> Engine:
    traits = checkpoint["feed"]
    try:
        config = parse(checkpoint["config"])
        old = build(config, registry, carries=frozenset(traits["carries"]), cadence_ms=traits["cadence_ms"])
    except ConfigError:  # of an earlier version of this program
        old = build(new.config, registry, carries=new.carries, cadence_ms=new.cadence_ms)
    old.load(checkpoint["engine"])
    return old


def open_exchange(config: Config, registry: Registry) -> Any:
    """The exchange that released orders go to: in dry_run none at all."""
    if Mode(config.mode) == Mode.DRY_RUN:
        return DryRun(config.exchange.name)
    exchange = exchange_of(config, registry)
    exchange.trading = True
    return exchange


def checkpoint_of(config: Config, engine: Engine, feed: Any) -> dict[str, Any]:
    """What a segment of the journal opens with: all that a replay needs to build the same heart."""
    traits = {"carries": sorted(feed.carries), "cadence_ms": feed.cadence_ms}
    return {"version": __version__, "config": config.raw, "feed": traits, "engine": engine.dump()}


def plugin_folders(config: Config, config_path: Path) -> list[Path]:
    """Where foreign plugin files are looked for."""
    return foreign_folders(config.daemon.plugin_dirs, config_path.parent)


def open_journal(config: Config, state: Path) -> tuple[Journal, Recovered]:
    """The journal of a state directory, held by this process alone. AlreadyRunning where another has it."""
    state.mkdir(mode=0o750, parents=True, exist_ok=True)
    table = config.journal
    segment, keep, most = int(table.max_segment_mb * 2**20), table.keep_inputs_days, table.max_mb
    journal = Journal(state / "journal", max_segment_bytes=segment, keep_inputs_days=keep, max_mb=most)
    return journal, journal.open()


async def run(config: Config, registry: Registry, options: Options, env: Mapping[str, str]) -> int:
    """The daemon, from start to exit code."""
    state = Path(paths.state_dir(options.state_dir, config.daemon.state_dir, config.daemon.instance, env))
    patience = config.flatten.deadline_seconds + OVER_SECONDS  # break-glass may be closing the account
    journal, recovered = await in_turn(lambda: open_journal(config, state), env, patience)
    try:
        if config.market and options.feed is None:
            return await _on_a_market(config, registry, options, env, state, journal, recovered)
        instruments = {item.symbol: item.instrument() for item in config.instrument}
        feed = open_feed(config.feed, instruments, options.feed)
        engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
        recovered = damaged(recovered, recover(engine, recovered, registry))
        return await _run(config, registry, options, env, state, journal, recovered, engine, feed, None, "")
    finally:
        journal.close()


async def _on_a_market(config: Config, registry: Registry, options: Options, env: Mapping[str, str], state: Path, journal: Journal,
                       recovered: Recovered) -> int:  # fmt: skip
    """A daemon on an exchange's own market data: it is looked over first, and what it says completes the configuration."""
    live = Mode(config.mode) == Mode.LIVE
    patience = config.flatten.deadline_seconds + OVER_SECONDS
    with await in_turn(lambda: lease.of(config), env, patience) if live else nullcontext():
        asked = asyncio.ensure_future(survey(config, registry, look=live))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.cancel)  # what it tries on the exchange is taken back first
        try:
            surveyed = await asked
        except asyncio.CancelledError:
            if not asked.cancelled():
                raise
            log.event("INFO", "stopped before the exchange was looked over")
            return 0
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        try:
            for fact, line in zip(surveyed.facts, table(surveyed.facts, plain=not sys.stderr.isatty()), strict=True):
                log.event("INFO" if fact.ok else "ERROR", f"preflight: {line}")
            before = (recovered.checkpoint or {}).get("config", {}).get("exchange_countdown", {}).get("enabled")
            surveyed = surveyed._replace(config=as_probed(surveyed.config, surveyed.facts, before))
            config, feed = surveyed.config, live_feed(surveyed)
            engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
            recovered = damaged(recovered, recover(engine, recovered, registry))
            doubt = _judge(surveyed, registry, engine, options)
            await learn(feed, surveyed, engine)
        except BaseException:
            surveyed.source.stop()
            await surveyed.source.closed()
            raise
        return await _run(config, registry, options, env, state, journal, recovered, engine, feed, surveyed.source, doubt)


def _judge(surveyed: Surveyed, registry: Registry, engine: Engine, options: Options) -> str:
    """May this start? Raises ConfigError where not; but legs that are held are watched, with the kill switch at halt: the reason."""
    problems = [Problem(f"preflight: {fact.name}", fact.found, fact.wanted, fact.advice) for fact in surveyed.wrong]
    try:
        refuse(as_funded(surveyed), registry, confirm_live=options.confirm_live)
    except ConfigError as error:
        problems += error.problems
    if not problems:
        return ""
    if engine.held_legs():
        return "; ".join(str(problem) for problem in problems)
    raise ConfigError(problems)


async def _run(config: Config, registry: Registry, options: Options, env: Mapping[str, str], state: Path, journal: Journal,
               recovered: Recovered, engine: Engine, feed: Any, source: Any, doubt: str) -> int:  # fmt: skip
    begin_anew(journal, checkpoint_of(config, engine, feed))
    live = Mode(config.mode) == Mode.LIVE
    socket = paths.daemon_socket(options.socket, config.daemon.socket, config.daemon.instance, env, live)
    exchange = source if live else open_exchange(config, registry)
    shell = Shell(config, registry, options, engine, exchange, feed, journal, state, socket, source)
    first = started(config, shell.daemon.disk.latch, recovered, engine, env)._replace(doubt=doubt)
    return await shell.run(first, recovered)


def begin_anew(journal: Journal, checkpoint: dict[str, Any]) -> None:
    """A life's own segments: what the last one left half written is behind them, and no replay takes it for ours."""
    try:
        journal.rotate(checkpoint)
    except OSError as error:  # a full disk is no reason to leave an account alone: openers will wait for it
        log.event("ERROR", f"the journal goes on without a new checkpoint: {error}")


def damaged(recovered: Recovered, wrong: str) -> Recovered:
    """What a start found, and what the heart found wrong with it."""
    return recovered._replace(damage="; ".join(text for text in (recovered.damage, wrong) if text) or None)


def started(config: Config, latch: Latch, recovered: Recovered, engine: Engine, env: Mapping[str, str]) -> Started:
    """The first event of a life: what journal, file and environment say of the kill switch."""
    file: KillFile = latch.read()
    return Started(engine.now, wall_ms(), kill_variable(config, env), file, recovered.damage or "")


class NoFeed:
    """A feed with nothing in it, for a heart that only has to close."""

    pushed = False

    def __init__(self, traits: dict[str, Any]) -> None:
        self.carries, self.cadence_ms = frozenset(traits.get("carries", ())), int(traits.get("cadence_ms", 60_000))

    def events(self, after: int = 0) -> Iterator[Any]:
        return iter(())

    def warmup(self, symbol: str, bars: int) -> list[Any]:
        return []

    def span(self) -> None:
        return None


class NoHosts:
    """No foreign plugins: nothing but our own code runs while the glass is broken."""

    def ask(self, host: str, seq: int, kind: str, name: str, payload: Any) -> None: ...
    def armed(self, host: str) -> None: ...
    def retire(self, host: str) -> None: ...
    def rows(self) -> list[dict[str, str]]:
        return []


@asynccontextmanager
async def offline(config: Config, registry: Registry, state: Path, env: Mapping[str, str]) -> AsyncIterator[tuple[Daemon, Started]]:
    """The same heart and shell on the journal's account, with no feed, no socket and no foreign plugin: for break-glass."""
    live = Mode(config.mode) == Mode.LIVE
    journal, recovered = open_journal(config, state)
    alerts = held = None
    try:
        held = lease.of(config) if live else None  # whoever trades it from another state directory must not do so meanwhile
        alerts = open_alerts(config, registry, state)
        config = await as_told(as_kept(config, recovered.checkpoint), registry)
        config = replace(config, exchange_countdown=replace(config.exchange_countdown, enabled=False))  # nobody would beat it afterwards
        config = replace(config, flatten=replace(config.flatten, use_market_orders=True))  # no price is heard that could bound a close
        feed = NoFeed(recovered.checkpoint["feed"] if recovered.checkpoint else {})
        engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
        recovered = damaged(recovered, recover(engine, recovered, registry))
        begin_anew(journal, checkpoint_of(config, engine, feed))
        latch = Latch(state / "killswitch.json")
        daemon = Daemon(engine, open_exchange(config, registry), feed, journal, latch, alerts, NoHosts(),
                        lambda: checkpoint_of(config, engine, feed), float("inf"))  # fmt: skip
        yield daemon, started(config, latch, recovered, engine, env)
    finally:
        if alerts is not None:
            alerts.close()
        journal.close()
        if held is not None:
            held.close()


def open_alerts(config: Config, registry: Registry, state: Path) -> Alerts:
    """The alert queue with the channels that are switched on: the log always, the others where they have a table."""
    alerts = Alerts(state / "alerts")
    for plugin in registry.alerts.values():
        table = config.alert.get(plugin.name, {"enabled": plugin.name == "log"})
        if plugin.thing is None or not table.get("enabled", True):
            continue
        channel, problems = equip(plugin.thing, own("alert", table), f"alert.{plugin.name}")
        if problems:
            raise ConfigError(problems)
        alerts.add(channel, Severity(str(table.get("min_severity", "INFO")).upper()))
    return alerts


class Shell:
    """What lives around the loop: socket, plugin hosts, alerts, signals."""

    def __init__(self, config: Config, registry: Registry, options: Options, engine: Engine, exchange: Any, feed: Any, journal: Journal,
                 state: Path, socket: str, source: Any = None) -> None:  # fmt: skip
        self.config, self.registry, self.options, self.state, self.socket = config, registry, options, state, socket
        loop = asyncio.get_running_loop()
        self.alerts = open_alerts(config, registry, state)
        self.hosts = PluginFolder(
            plugin_folders(config, options.config_path),
            self._heard,
            loop,
            registry=registry,
            settings=plugin_tables(config),
            deadline_seconds=config.daemon.plugin_deadline_seconds,
            memory_bytes=config.daemon.plugin_memory_mb << 20,
        )
        speed = options.speed if options.speed is not None else config.feed.speed
        self.daemon = Daemon(
            engine, exchange, feed, journal, Latch(state / "killswitch.json"), self.alerts, self.hosts, self._checkpoint, speed, source
        )
        self.errands = Errands(self.hosts)
        self.channels = HostChannels(self.alerts, self.errands, self.hosts, registry.alerts, loop)
        self.channels.configure(config.alert)
        self.services = Services(self.hosts, self.errands, registry, lambda: status.status(self.daemon), config)
        self.handlers = Handlers(self.daemon, self._config_rows, self._reload)
        self.handlers.drills = Drills(self.daemon, state, self._checkpoint)
        self.server = Server(
            socket, self.handlers.handle, admin_group=config.daemon.admin_group, group=config.daemon.group, state_dir=state
        )

    async def run(self, started: Started, recovered: Recovered) -> int:
        """Everything up, the loop until its end, everything down."""
        daemon = self.daemon
        for text in (*recovered.cut, recovered.damage):
            if text:
                log.event("WARNING", f"journal: {text}")
        for text in daemon.feed.notes():
            log.event("WARNING", f"feed: {text}")
        self._signals()
        await self.server.start()
        daemon.look_after = self.server.ensure
        self.hosts.start()
        self.services.start()
        progress = Progress(daemon.feed.span(), sys.stderr) if daemon.pacer.unpaced else None
        pulse = Pulse(daemon) if sys.stderr.isatty() else None
        daemon.on_progress = progress.show if progress else pulse.show if pulse else None
        log.event("INFO", f"hedgegridd {__version__}: mode {self.config.mode}, socket {self.socket}, state {self.state}")
        if sys.stderr.isatty():
            log.event(
                "INFO", "in another terminal: hedgegridctl status, hedgegridctl watch, hedgegridctl activate --reason R; Ctrl-C ends it"
            )
        gc.freeze()  # what the start made stays: no garbage collection walks through it while orders wait (tens of ms)
        try:
            flat = await daemon.run(started)
        finally:
            daemon.notifier.stopping()
            if progress:
                progress.close()
            await self._down()
        self._summary()
        if daemon.failure is not None:
            raise daemon.failure
        return 0 if flat else 4

    async def _down(self) -> None:
        await self.server.close()
        self.services.close()
        self.channels.close()
        await asyncio.get_running_loop().run_in_executor(None, self.alerts.close)  # before the hosts, which some channels need
        await self.hosts.close()

    def _signals(self) -> None:
        loop = asyncio.get_running_loop()
        flatten = self.config.daemon.on_stop == "flatten"
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, signal.Signals(number).name, flatten)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self._reload_by_signal()))

    def _stop(self, name: str, flatten: bool) -> None:
        loop, seconds = asyncio.get_running_loop(), self.config.daemon.stop_timeout_seconds
        self.daemon.notifier.stopping()
        self.daemon.stop(name, flatten)
        loop.call_later(seconds, self.daemon.give_up)
        self._hold_on(loop.time() + seconds)

    def _hold_on(self, until: float) -> None:
        """A stop may take as long as the setting says, whatever the unit's own; said again and again, so that one that hangs is ended."""
        loop = asyncio.get_running_loop()
        self.daemon.notifier.extend_timeout(MORE_SECONDS)
        if loop.time() < until:
            loop.call_later(MORE_SECONDS / 2, self._hold_on, until)

    async def _reload_by_signal(self) -> None:
        self.daemon.notifier.reloading()
        try:
            result = await self._reload("SIGHUP")
            log.event("INFO", f"reloaded: {', '.join(result['changed']) or 'nothing changed'}")
        except Exception as error:  # a fence: a bad file must not end a trading daemon
            log.event("ERROR", f"not reloaded, the old configuration stays: {error}")
        self.daemon.notifier.ready()

    async def _reload(self, actor: str) -> dict[str, Any]:
        result, self.config = await reload(self.daemon, self.config, self.registry, self.options.config_path, actor, checkpoint_of)
        self.hosts.configure(plugin_tables(self.config))
        self.channels.configure(self.config.alert)
        self.services.configure(self.config)
        return result

    def _config_rows(self) -> list[dict[str, Any]]:
        """Each effective value and where it comes from, secrets masked."""
        return self.config.rows()

    def _checkpoint(self) -> dict[str, Any]:
        return checkpoint_of(self.config, self.daemon.engine, self.daemon.feed)

    def _heard(self, event: Any) -> None:
        """A plugin host spoke: on to the heart, in data time, but for what the shell itself asked."""
        if self.errands.heard(event):
            return
        self.daemon.emit(event._replace(time=self.daemon.engine.now))
        if isinstance(event, PluginChanged):
            self.channels.changed(event)
            self.services.changed(event)

    def _summary(self) -> None:
        summary = stop_summary(self.daemon, self.state)
        print(summary_text(summary), file=sys.stderr, flush=True)
        path = self.state / "last_stop.json"
        try:
            save(path, json.dumps(summary, indent=1) + "\n")
        except OSError as error:
            log.event("ERROR", f"the stop summary could not be stored: {error}")


def stop_summary(daemon: Daemon, state: Path) -> dict[str, Any]:
    """Row 94: what happened, in one document."""
    engine = daemon.engine
    money, day = status.account(daemon), status.session(daemon)
    start = day["daily_start_equity_usdt"]
    gross = engine.exposure.gross_usdt()
    held = engine.held_legs()
    return {
        "schema": status.SCHEMA,
        "stopped_at": iso(engine.now),
        **engine.counts,
        "kill_switch_engaged": engine.kill.active,
        "kill_switch_reason": engine.kill.reason or None,
        "trading_halted": engine.gate.hold() or None,
        "starting_equity_usdt": day["start_equity_usdt"],
        "current_equity_usdt": money["equity_usdt"],
        "daily_pnl_usdt": day["daily_pnl_usdt"],
        "daily_loss_pct": max(0.0, -day["daily_pnl_usdt"] / start * 100) if start > 0 else None,
        "open_positions": len(held),
        "max_open_positions": engine.config.limits.max_open_trades,
        "total_exposure_usdt": gross,
        "total_exposure_pct": gross / money["equity_usdt"] * 100 if money["equity_usdt"] > 0 else None,
        "decisions_hash": engine.decisions.hash,
        "journal": str(state / "journal"),
        "report_command": f"hedgegridd report --state-dir {state}",
    }


def summary_text(summary: dict[str, Any]) -> str:
    """The summary as a person reads it."""
    width = max(len(key) for key in summary)
    lines = [f"  {key.replace('_', ' '):<{width}}  {_shown(value)}" for key, value in summary.items() if key != "schema"]
    return "\n".join(["stop summary", *lines])


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
