"""The check: do the settings make sense together? One law: no configuration passes that can trip or refuse itself when its grid fills.

Offline and fast. It fills the plugins' tables, drives the strategy to both legs full (`filled`), compares that with every limit and
breaker (`worstcase`), and asks the gates of live trading. A rule is a function from a `Case` to findings, and a row in RULES.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hedgegridd import filled, worstcase
from hedgegridd.config import Config, common, own, read
from hedgegridd.errors import ConfigError, Problem
from hedgegridd.heart import maintenance
from hedgegridd.heart.remote import shared
from hedgegridd.plugins import Registry, fill, foreign_folders, given_names, load_exchange, load_shipped, mentioned
from hedgegridd.settings import fields_of, leaves, meant, plain
from hedgegridd.worstcase import ERROR, WARNING, Case, Desk, Finding, finding

__all__ = ["Finding", "check", "check_file", "command", "examine", "refuse", "show"]

SCHEMA = 1
UNASKED = object()  #: `refuse` without the command line of `run`: the second act of live is not at stake
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108 - where live may not keep its state
BARS_ONLY = frozenset({"bars", "volume", "funding", "window"})  #: what every recording carries

#: Above these a limit hardly limits (document 004 warns of them).
LAX = {
    "limits.max_exposure_pct": 500.0,
    "limits.max_risk_per_trade_pct": 5.0,
    "breaker.drawdown.max_drawdown_pct": 20.0,
    "breaker.daily_loss.max_daily_loss_pct": 10.0,
    "breaker.margin.max_initial_margin_use_pct": 90.0,
    "breaker.margin.max_maint_margin_pct": 90.0,
}


# --- what others call ---------------------------------------------------------------------------------------------------


def check(config: Config, registry: Registry, *, feed: Path | None = None) -> list[Finding]:
    """Everything wrong or doubtful. `feed` = the recording that --feed plays instead of `[feed]`."""
    case, findings = examine(config, registry)
    findings += [one for rule in (*RULES, *worstcase.RULES) for one in rule(case)] + list(feed_carries(case, feed))
    accepted = set(config.accept)
    return [one for one in findings if one.severity == ERROR or one.path not in accepted]


def refuse(config: Config, registry: Registry, *, confirm_live: Any = UNASKED, feed: Path | None = None) -> None:
    """Raise ConfigError with every error. `confirm_live` is the account that `run --confirm-live` names, None = it was not given."""
    errors = [one for one in check(config, registry, feed=feed) if one.severity == ERROR]
    if confirm_live is not UNASKED and config.mode == "live":
        errors += second_act(config, confirm_live)
    if errors:
        raise ConfigError([Problem(one.path, one.value, one.expected, one.hint) for one in errors])


def check_file(path: Path, registry: Registry, env: Mapping[str, str] | None = None) -> tuple[Config, list[Finding]]:
    """Read and check a file. With problems of form the other rules still speak, but for the filled grid."""
    config, problems = read(path, env)
    if wrong := load_exchange(config.exchange.file, path.parent, registry):
        problems = [*problems, Problem("exchange.file", config.exchange.file, "the file of an exchange plugin that can be loaded", wrong)]
    if not problems:
        return config, check(config, registry)
    case, findings = examine(config, registry, grid=False)
    findings += [one for rule in RULES for one in rule(case)]
    told = {problem.path for problem in problems}
    return config, [finding(ERROR, *one) for one in problems] + [one for one in findings if one.path not in told]


def show(config: Config, registry: Registry) -> list[dict[str, Any]]:
    """Each effective value and its origin, the defaults of shipped plugins included: [{path, value, origin}]."""
    rows = {row["path"]: row for row in config.rows()}
    for where, settings in _filled_tables(config, registry):
        rows.pop(where, None)
        for path, value in leaves(plain(settings, lambda _: "***", where), where):
            rows[path] = {"path": path, "value": value, "origin": config.origin(path)}
    order = {one.name: i for i, one in enumerate(fields_of(Config))}
    return sorted(rows.values(), key=lambda row: order[re.split(r"[.\[]", row["path"])[0]])


def command(path: Path, *, as_json: bool = False, strict: bool = False, show: bool = False) -> int:
    """`hedgegridd check`: print what was found; 0 fine, 1 errors."""
    registry = load_shipped()
    config, findings = check_file(path, registry)
    values = effective(config, registry) if show else []
    clean = not any(one.severity == ERROR for one in findings)
    grid = worstcase.grid_rows(examine(config, registry)[0]) if clean else []
    failed = not clean or (strict and bool(findings))
    if as_json:
        document = {"schema": SCHEMA, "config": str(path), "ok": not failed, "findings": [one.row() for one in findings]}
        print(json.dumps(document | {"filled_grid": grid} | ({"values": values} if show else {}), indent=1, default=str))
    else:
        print("\n".join(_lines(path, findings, values, grid, failed)))
    return 1 if failed else 0


effective = show  # the name that a parameter of `command` hides


def _digits(value: float) -> str:
    """A price or quantity of any size, never as 0 or 1e-05: six digits that count, and all of those before the point."""
    if value >= 1e5:
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 5 - math.floor(math.log10(value)))}f}".rstrip("0").rstrip(".") if value > 0 else f"{value:g}"


def _lines(path: Path, findings: list[Finding], values: list[dict[str, Any]], grid: list[dict[str, Any]], failed: bool) -> Iterator[str]:
    width = max((len(row["path"]) for row in values), default=0)
    yield from (f"{row['path']:<{width}}  {json.dumps(row['value'], default=str):<24}  {row['origin']}" for row in values)
    for row in grid:
        yield (
            f"{row['symbol']} {row['leg']} full at {_digits(row['price'])}: {_digits(row['qty'])} coins in {row['rungs']} rungs, "
            f"{row['notional_usdt']:,.0f} USDT; stopped out it loses {row['loss_at_stop_usdt']:,.0f} USDT, "
            f"maintenance margin {row['maint_margin_usdt']:,.0f} USDT"
        )
        if row["size_limit_holds_to_price"] is not None:
            yield f"  max_position_usdt holds up to a price of {_digits(row['size_limit_holds_to_price'])}"
    yield from (f"{one.severity}: {one.path}: {one.text}" for one in findings)
    errors = sum(one.severity == ERROR for one in findings)
    yield f"{path}: {errors} error(s), {len(findings) - errors} warning(s){'' if failed else ': fine'}"


# --- taking it apart ----------------------------------------------------------------------------------------------------


def examine(config: Config, registry: Registry, *, grid: bool = True) -> tuple[Case, list[Finding]]:
    """Fill what plugins declare and, where nothing is wrong with it, the grid."""
    problems: list[Problem] = []
    breakers = {}
    for name, plugin in registry.breakers.items():
        table = config.breaker.get(name, {})
        settings, wrong = fill(getattr(plugin.thing, "Settings", None), own("breaker", table), f"breaker.{name}")
        problems += wrong
        if settings is not None and table.get("enabled", getattr(plugin.thing, "enabled", True)):
            breakers[name] = settings
    for name, plugin in registry.alerts.items():
        problems += fill(getattr(plugin.thing, "Settings", None), own("alert", config.alert.get(name, {})), f"alert.{name}")[1]
    for name, plugin in registry.services.items():
        problems += fill(getattr(plugin.thing, "Settings", None), own("service", config.service.get(name, {})), f"service.{name}")[1]
    findings = [finding(ERROR, *one) for one in problems]
    equity, desks = equity_of(config), []
    for i, item in enumerate(config.instrument):
        desk, wrong_here = _desk(config, registry, f"instrument[{i}]", item, equity, grid and not problems)
        findings += wrong_here
        desks += [desk] if desk is not None else []
    return Case(config, registry, equity, breakers, desks), findings


def equity_of(config: Config) -> float | None:
    """What limits are reckoned against: the paper balance, else `limits.equity_usdt`."""
    return config.limits.equity_usdt if config.mode == "live" else config.exchange.paper.starting_balance_usdt


def _desk(config: Config, registry: Registry, where: str, item: Any, equity: float | None,
          grid: bool) -> tuple[Desk | None, list[Finding]]:  # fmt: skip
    plugin = registry.strategies.get(item.strategy)
    if plugin is None:
        wrong = shared(item.params, f"{where}.params")[1]
        return None, [_elsewhere(config, registry, f"{where}.strategy", item.strategy), *(finding(ERROR, *one) for one in wrong)]
    settings, problems = fill(plugin.thing.Settings, item.params, f"{where}.params")
    findings = [finding(ERROR, *one) for one in problems]
    if item.filters.tick_size is None or item.filters.lot_size is None:
        return None, findings
    price = reference_price(config, item)
    desk = Desk(where, item, item.instrument(), plugin.thing, settings, price, [])
    if problems:
        return desk._replace(price=None), findings
    try:
        plugin.thing.params(settings, desk.instrument)
    except ValueError as error:
        return desk._replace(price=None), [*findings, finding(ERROR, f"{where}.params", None, f"settings that fit together: {error}")]
    if price is None and config.market:
        return desk, findings  # looked at again at the start, with the market's price
    if price is None:
        expected = "the price to fill the grid at: the feed names none"
        return desk, [*findings, finding(ERROR, f"{where}.reference_price", None, expected, "set it near the market's price")]
    if not grid or not equity:
        return desk._replace(price=None), findings
    return desk._replace(legs=filled.full_legs(plugin.thing, settings, desk.instrument, price, equity)), findings


def _folders(config: Config) -> list[Path]:
    """Where plugin files of others lie."""
    return foreign_folders(config.daemon.plugin_dirs, Path(config.files[0]).parent if config.files else Path())


def _elsewhere(config: Config, registry: Registry, where: str, name: str) -> Finding:
    """A strategy that does not ship with the package: doubtful where a plugin file speaks of it, wrong where none does."""
    folders = _folders(config)
    shipped = ", ".join(registry.strategies)
    if file := mentioned(name, folders):
        hint = f"{file} speaks of it: it thinks in a process of its own, and nobody checks its filled grid"
        return finding(WARNING, where, name, f"a strategy that ships with the package: {shipped}", hint)
    looked = ", ".join(map(str, folders))
    expected = f"a strategy that ships with the package ({shipped}) or that a plugin file registers; none in {looked} speaks of it"
    return finding(ERROR, where, name, expected, meant(name, {*registry.strategies, *given_names(folders)}))


def reference_price(config: Config, item: Any) -> float | None:
    """The price at which the grid is filled, USDT; None where neither the instrument nor a synthetic feed names one.

    A recording that --feed plays instead does not change it: `run` refuses what `check` refuses.
    """
    if item.reference_price is not None or config.feed_kind != "synthetic":
        return item.reference_price  # type: ignore[no-any-return]
    if config.feed.start_price is not None:
        return config.feed.start_price
    from hedgegridd.feed.synthetic import DEFAULT_PRICES

    return DEFAULT_PRICES.get(item.symbol, 100.0)


def _filled_tables(config: Config, registry: Registry) -> Iterator[tuple[str, Any]]:
    """(path, filled settings) of what plugins declare; a breaker's common keys first."""
    for name, plugin in registry.breakers.items():
        table = config.breaker.get(name, {})
        keys = common("breaker", name, table)[0]
        default = getattr(plugin.thing, "on_trip", "halt")
        yield (
            f"breaker.{name}",
            {"enabled": table.get("enabled", getattr(plugin.thing, "enabled", True)), "on_trip": keys.on_trip or default, **_rest(keys)},
        )
        yield f"breaker.{name}", fill(getattr(plugin.thing, "Settings", None), own("breaker", table), "")[0] or {}
    for i, item in enumerate(config.instrument):
        strategy = registry.strategies.get(item.strategy)
        if strategy is not None:
            yield f"instrument[{i}].params", fill(strategy.thing.Settings, item.params, "")[0]


def _rest(keys: Any) -> dict[str, Any]:
    return {"warn_fraction": keys.warn_fraction, "grace_seconds": keys.grace_seconds, "cooldown_seconds": keys.cooldown_seconds}


# --- rules --------------------------------------------------------------------------------------------------------------


def plugin_names(case: Case) -> Iterator[Finding]:
    """A table for a plugin that is not there guards nothing; a foreign one may still be dropped in."""
    folders = _folders(case.config)
    for kind in ("breaker", "alert", "service"):
        known = case.registry.of(kind)
        for name in getattr(case.config, kind):
            origins = {origin for path, origin in case.config.origins.items() if path.startswith(f"{kind}.{name}.")}
            if name in known or (origins and all(origin.startswith("preset ") for origin in origins)):
                continue
            if mentioned(name, folders):
                continue  # a foreign file speaks of it: it is that one's table, however near to a name of ours
            near = meant(name, known)
            expected = f"{'an' if kind == 'alert' else 'a'} {kind} that is loaded: {', '.join(known)}"
            yield finding(ERROR if near else WARNING, f"{kind}.{name}", None, expected, near or "a plugin dropped in later may bring it")


def exchange_there(case: Case) -> Iterator[Finding]:
    """The exchanges must be loaded: the one that orders go to, and the one that market data come from."""
    known = case.registry.exchanges
    for name in {case.config.exchange.name, case.config.market} - {""} - known.keys():
        expected = f"an exchange plugin that is loaded: {', '.join(known) or 'none is'}"
        yield finding(ERROR, "exchange.name", name, expected, meant(name, known) or f"no plugin for the exchange {name!r} is there")


def live_gates(case: Case) -> Iterator[Finding]:
    """What real money needs."""
    config = case.config
    if config.mode != "live":
        return
    if not config.allow_live_trading:
        yield finding(ERROR, "allow_live_trading", False, "true: the first of two acts; the other is `run --confirm-live ACCOUNT`")
    if config.exchange.name == "paper":
        yield finding(ERROR, "exchange.name", "paper", "a real exchange, such as binance: mode is live")
    if not config.kill_switch.enabled:
        yield finding(ERROR, "kill_switch.enabled", False, "true: live never runs without its kill switch")
    if config.exchange.name == "binance":
        for key in ("account", "api_key", "api_secret"):
            if not getattr(config.exchange.binance, key):
                yield finding(ERROR, f"exchange.binance.{key}", None, "a value: mode is live")
    folder = config.daemon.state_dir
    if folder and any(os.path.normpath(folder) == one or os.path.normpath(folder).startswith(f"{one}/") for one in TEMPORARY):
        yield finding(WARNING, "daemon.state_dir", folder, "a folder that survives a restart of the machine: mode is live")
    for name, plugin in case.registry.breakers.items():
        if name not in case.breakers and getattr(plugin.thing, "enabled", True):
            yield finding(WARNING, f"breaker.{name}.enabled", False, "true: mode is live")


def second_act(config: Config, account: str | None) -> list[Finding]:
    """Live needs its account named on the command line as well."""
    named = config.exchange.binance.account if config.exchange.name == "binance" else config.exchange.other.get("account", "")
    if account and account == named:
        return []
    expected = f"run --confirm-live {named or 'ACCOUNT'}, the account of exchange.{config.exchange.name}: the second act of live trading"
    return [finding(ERROR, "--confirm-live", account, expected)]


def equity_known(case: Case) -> Iterator[Finding]:
    """Every percentage is of equity."""
    if case.equity is None:
        yield finding(ERROR, "limits.equity_usdt", None, "what the account may be reckoned with: required where mode is live")


def thresholds(case: Case) -> Iterator[Finding]:
    """A threshold at or below zero trips for ever; a warning at the threshold warns of nothing (E30: warn < trip)."""
    for name, settings in case.breakers.items():
        for path, value in leaves(plain(settings, lambda _: "***"), f"breaker.{name}"):
            key = path.rpartition(".")[2]
            if (key.startswith("max_") or "_limit" in key) and isinstance(value, int | float) and value <= 0:
                yield finding(ERROR, path, value, "more than 0: every value is at or above this one")
        fraction = common("breaker", name, case.config.breaker.get(name, {}))[0].warn_fraction
        if fraction >= 1:
            yield finding(ERROR, f"breaker.{name}.warn_fraction", fraction, "less than 1: a warning comes before the trip")


def order_of_levels(case: Case) -> Iterator[Finding]:
    """E30: for the same measure warn < pause < flatten; what lies beyond is never reached."""
    pairs = [("alerts.high_funding_threshold_bps", case.config.alerts.high_funding_threshold_bps, "breaker.funding.max_funding_cost_bps")]
    for desk in case.desks:
        risk = getattr(desk.settings, "risk_management", None)
        if risk is not None and getattr(risk, "enable_drawdown_protection", False):
            pairs.append(
                (f"{desk.where}.params.risk_management.max_drawdown_pct", risk.max_drawdown_pct, "breaker.drawdown.max_drawdown_pct")
            )
    yield from _equity_tiers(case, pairs)
    for path, value, beyond in pairs:
        limit = case.limit(beyond)
        if limit is not None and value >= limit:
            origins = (case.config.origin(path), case.config.origin(beyond))
            mild = origins[0] == "default" or origins[1].startswith("environment ")  # a tighter stop is no reason not to start
            severity = WARNING if mild else ERROR
            yield finding(severity, path, value, f"less than {beyond} = {limit:g}, which comes first: warn < pause < flatten")
    table = case.config.flatten
    if not table.use_market_orders and table.over_seconds >= table.deadline_seconds:
        wanted = (
            f"less than flatten.deadline_seconds = {table.deadline_seconds:g}: what is left then goes at market, and needs time to be flat"
        )
        yield finding(ERROR, "flatten.over_seconds", table.over_seconds, wanted)
    daemon = case.config.daemon
    if not table.use_market_orders and daemon.on_stop == "flatten" and table.over_seconds >= daemon.stop_timeout_seconds:
        wanted = f"less than daemon.stop_timeout_seconds = {daemon.stop_timeout_seconds:g}: a stop that flattens ends then, flat or not"
        yield finding(ERROR, "flatten.over_seconds", table.over_seconds, wanted)


def _equity_tiers(case: Case, pairs: list[tuple[str, float, str]]) -> Iterator[Finding]:
    """Of the equity stop's tiers: warn < reduce < stop."""
    line, stop = case.limit("breaker.drawdown.reduce_drawdown_pct"), case.limit("breaker.drawdown.max_drawdown_pct")
    if line is None or stop is None:
        return
    pairs.append(("breaker.drawdown.reduce_drawdown_pct", line, "breaker.drawdown.max_drawdown_pct"))
    fraction = common("breaker", "drawdown", case.config.breaker.get("drawdown", {}))[0].warn_fraction
    if fraction * stop >= line < stop:
        expected = f"less than {line / stop:.4g}: the warning at {fraction * stop:g} % comes before reduce_drawdown_pct = {line:g} %"
        yield finding(ERROR, "breaker.drawdown.warn_fraction", fraction, expected)


def small_percent(case: Case) -> Iterator[Finding]:
    """E5: 0.02 on a `_pct` key was perhaps meant as a fraction."""
    tables = [("", case.config.raw)] + [(f"breaker.{name}", plain(one, lambda _: "***")) for name, one in case.breakers.items()]
    seen = {path: value for where, table in tables for path, value in leaves(table, where)}
    for path, value in seen.items():
        if path.endswith("_pct") and isinstance(value, int | float) and 0 < value < 0.2 and case.config.origin(path) != "default":
            hint = f"if {value * 100:g} % is meant, write {value * 100:g}; if {value:g} % is, add {path!r} to `accept`"
            yield finding(WARNING, path, value, "percent", hint)


def lax_limits(case: Case) -> Iterator[Finding]:
    """Limits that hardly limit."""
    for path, most in LAX.items():
        value = case.limit(path)
        if value is not None and value > most:
            yield finding(
                WARNING, path, value, f"at most {most:g}: more hardly limits anything", f"if it is meant so, add {path!r} to `accept`"
            )


def both_limits(case: Case) -> Iterator[Finding]:
    """An order must pass the strategy's own limit and the global one; a difference may be a slip (row 95)."""
    for desk in case.desks:
        path = f"{desk.where}.params.position.max_position_pct"
        mine, all_of = getattr(getattr(desk.settings, "position", None), "max_position_pct", None), case.config.limits.max_position_pct
        if mine is not None and case.config.origin(path) != "default" and mine > all_of:
            yield finding(WARNING, path, mine, f"at most limits.max_position_pct = {all_of:g}, which an order must pass as well")


def times_fit(case: Case) -> Iterator[Finding]:
    """Settings that only make sense together."""
    config = case.config
    man, beat = config.dead_mans_switch, config.exchange_countdown
    if man.enabled and man.warning_minutes >= man.timeout_minutes:
        expected = f"less than timeout_minutes = {man.timeout_minutes}: the warning comes so long before"
        yield finding(ERROR, "dead_mans_switch.warning_minutes", man.warning_minutes, expected)
    back = config.recovery
    if config.mode == "live" and back.enabled is not False and back.recovery_time_minutes < 30:
        hint = "if it is meant so, add 'recovery.recovery_time_minutes' to `accept`"
        yield finding(WARNING, "recovery.recovery_time_minutes", back.recovery_time_minutes, "at least 30 for each stage in live", hint)
    if beat.enabled and beat.beat_seconds * 2 > beat.countdown_seconds:
        expected = f"at most half of countdown_seconds = {beat.countdown_seconds}: one lost beat must not cancel everything"
        yield finding(ERROR, "exchange_countdown.beat_seconds", beat.beat_seconds, expected)


def maintenance_fits(case: Case) -> Iterator[Finding]:
    """Windows of maintenance are times that can be."""
    symbols = [item.symbol for item in case.config.instrument]
    return (finding(ERROR, *one) for one in maintenance.windows(case.config.maintenance, symbols)[1])


def feed_fits(case: Case) -> Iterator[Finding]:
    """The feed can be made."""
    from hedgegridd.times import ms

    feed = case.config.feed
    try:
        ms(feed.start)
    except ValueError:
        yield finding(ERROR, "feed.start", feed.start, "a time such as 2025-01-01T00:00:00Z")
    if case.config.mode == "live" and case.config.feed_kind != "live":
        yield finding(
            ERROR, "feed.kind", case.config.feed_kind, "live, or nothing: real orders are not placed on recorded or made-up prices"
        )
    if case.config.feed_kind == "synthetic" and feed.interval not in ("1m", "3m", "5m", "15m", "30m", "1h"):
        yield finding(ERROR, "feed.interval", feed.interval, "minutes that divide an hour: the feed is synthetic")


def instance_fits(case: Case) -> Iterator[Finding]:
    """The instance's name becomes part of a path."""
    from hedgegridd.paths import instance_problem

    name = case.config.daemon.instance
    if name and instance_problem(name):
        yield finding(ERROR, "daemon.instance", name, "letters, digits, '.', '_' and '-', beginning with a letter or digit")


def unheeded(case: Case) -> Iterator[Finding]:
    """What the environment asked for and is not done."""
    return (finding(WARNING, *one) for one in case.config.notes)


#: Settings whose work comes with the real exchange or a later release: said, rather than silently without effect.
NOT_YET = {
    "http.enabled": False,
}


def not_yet(case: Case) -> Iterator[Finding]:
    """Settings that this version does not obey, where they are not at their default."""
    for path, default in NOT_YET.items():
        table, _, key = path.partition(".")
        value = getattr(getattr(case.config, table), key)
        if value != default:
            yield finding(WARNING, path, value, f"{default!r}: this version has no other way yet")


RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    *(plugin_names, exchange_there, live_gates, equity_known, thresholds, order_of_levels, small_percent, lax_limits, both_limits),
    *(times_fit, maintenance_fits, feed_fits, instance_fits, unheeded, not_yet),
)


def feed_carries(case: Case, feed: Path | None) -> Iterator[Finding]:
    """Breakers whose inputs the feed can never carry are disarmed; live does not start like that unless it is accepted by name."""
    kind = case.config.feed_kind
    if feed is not None and case.config.mode == "live":
        yield finding(ERROR, "--feed", str(feed), "nothing: real orders are not placed on a recording")
        return
    recording = feed or (Path(case.config.feed.path) if kind == "recorded" and case.config.feed.path else None)
    if kind == "recorded" and recording is None:
        yield finding(ERROR, "feed.path", None, "a file or folder of recorded data: the feed is recorded")
        return
    needs = {name: set(getattr(case.registry.breakers[name].thing, "needs", ())) for name in case.breakers}
    wanting = {name: need - BARS_ONLY for name, need in needs.items() if need - BARS_ONLY and "vitals" not in need}  # none has those
    if recording is None or not wanting:
        return
    from hedgegridd.errors import FeedError
    from hedgegridd.feed.source import open_feed

    try:
        sized = [item for item in case.config.instrument if item.filters.tick_size and item.filters.lot_size]
        carries = open_feed(case.config.feed, {item.symbol: item.instrument() for item in sized}, recording).carries
    except FeedError as error:
        yield finding(ERROR, "feed.path", str(recording), f"data that can be read: {error}")
        return
    for name, need in wanting.items():
        if need - carries and not (case.config.mode == "live" and f"breaker.{name}" in case.config.accept):
            severity = ERROR if case.config.mode == "live" else WARNING
            expected = f"a feed that carries {', '.join(sorted(need - carries))}: without, this breaker is disarmed"
            yield finding(severity, f"breaker.{name}", None, expected, f"if it is meant so, add 'breaker.{name}' to `accept`")
