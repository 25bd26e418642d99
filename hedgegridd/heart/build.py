"""Build an engine from a configuration and the plugins found. One law: live, replay and backtest build it here, so it is the same.

Knows the configuration's tables and the registry's contents; reads nothing by itself.
"""

from __future__ import annotations

from typing import Any

from hedgegridd.config import own
from hedgegridd.errors import ConfigError, PluginError, Problem
from hedgegridd.heart.account import Account
from hedgegridd.heart.breakers import Guard, Panel, take_settings
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.maintenance import windows
from hedgegridd.heart.remote import SECTIONS, Remote, RemoteDesk, shared
from hedgegridd.model import Mode
from hedgegridd.plugins import equip
from hedgegridd.settings import fields_of, fill_settings


def build(config: Any, registry: Any, *, carries: frozenset[str], cadence_ms: int) -> Engine:
    """An engine with one desk an instrument and every shipped breaker on its panel; a strategy that is not shipped thinks elsewhere.

    `carries` says what the feed brings (bars, marks, quotes, trades, funding, volume, index, vitals, requests): a breaker that needs
    what it does not bring is disarmed with that reason. Raises ConfigError with every problem in the instruments' and breakers' tables.
    """
    problems: list[Problem] = []
    carries = carries | {"window"}  # which is the heart's own
    desks = _desks(config, registry, carries, problems)
    problems.extend(windows(config.maintenance, (item.symbol for item in config.instrument))[1])
    panel = Panel(Mode(config.mode) == Mode.LIVE)
    for plugin in registry.breakers.values():
        if not plugin.foreign:
            _add(panel, plugin, config, carries, problems)
    if problems:
        raise ConfigError(problems)
    engine = Engine(config, desks, Account(start_equity(config)), panel, carries, cadence_ms)
    for guard in panel.guards.values():
        if guard.state != "disarmed" and "window" in getattr(guard.breaker, "needs", ()):
            engine.keep_windows()
    return engine


def start_equity(config: Any) -> float:
    """What the account begins with: the paper balance, or in live `limits.equity_usdt` until the exchange has reported, USDT."""
    return float(config.limits.equity_usdt if Mode(config.mode) == Mode.LIVE else config.exchange.paper.starting_balance_usdt)


def _desks(config: Any, registry: Any, carries: frozenset[str], problems: list[Problem]) -> dict[str, Desk]:
    desks = {}
    for position, item in enumerate(config.instrument):
        where = f"instrument[{position}]"
        strategy, settings, wrong = _strategy(registry, item, f"{where}.params")
        problems.extend(wrong)
        if wrong:
            continue
        desk = RemoteDesk if isinstance(strategy, Remote) else Desk
        try:
            gap = int(config.feed.max_gap_minutes * 60_000)
            made = desk(item.symbol, item.instrument(), strategy, settings, marks="marks" in carries, max_gap_ms=gap)
            made.adopts = item.adopt
            desks[item.symbol] = made
        except ValueError as error:
            problems.append(Problem(f"{where}.params", None, str(error)))
    return desks


def _strategy(registry: Any, item: Any, where: str) -> tuple[Any, Any, list[Problem]]:
    """An instrument's strategy, its settings, and what is wrong with them; one that does not ship with the package thinks elsewhere."""
    plugin = registry.strategies.get(item.strategy)
    if plugin is None:
        return Remote(item.strategy, item.instrument(), item.params), *shared(item.params, where)
    if not plugin.foreign:
        return plugin.thing, *fill_settings(plugin.thing.Settings, item.params, where)
    return plugin.thing, *_guest_settings(plugin.thing, item.params, where)


def _guest_settings(strategy: Any, params: dict[str, Any], where: str) -> tuple[Any, list[Problem]]:
    """The settings of a foreign strategy that runs in this process (a backtest's): what it declares, and beside it what the engine
    reads of each instrument."""
    declared = {one.name for one in fields_of(strategy.Settings)}
    own = {name: value for name, value in params.items() if name in declared or name not in SECTIONS}
    settings, problems = fill_settings(strategy.Settings, own, where)
    ours, wrong = shared(params, where)
    for name in SECTIONS.keys() - declared:
        setattr(settings, name, getattr(ours, name))
    return settings, [*problems, *wrong]


def _add(panel: Panel, plugin: Any, config: Any, carries: frozenset[str], problems: list[Problem]) -> None:
    table = dict(config.breakers.get(plugin.name, {}))
    breaker, wrong = equip(plugin.thing, own("breaker", table), f"breaker.{plugin.name}")
    problems.extend(wrong)
    if wrong:
        return
    guard = Guard(plugin.name, plugin.file.name, breaker, plugin.sha256, of_vitals=getattr(breaker, "needs", ())[:1] == ("vitals",))
    take_settings(guard, table, getattr(breaker, "on_trip", "halt"))
    panel.add(guard)
    missing = [need for need in getattr(breaker, "needs", ()) if need not in carries]
    guard.switched_off = f"the feed does not carry {', '.join(missing)}" if missing else ""
    if not table.get("enabled", getattr(breaker, "enabled", True)):
        guard.switched_off = "disabled in the configuration"
    if guard.switched_off:
        panel.disarm(guard, guard.switched_off, 0)


def exchange_of(config: Any, registry: Any, name: str = "") -> Any:
    """A new exchange: `name`, or the one that this configuration's orders go to, which is the paper exchange unless mode is live."""
    name = name or (config.exchange.name if Mode(config.mode) == Mode.LIVE else "paper")
    plugin = registry.exchanges.get(name)
    if plugin is None or plugin.thing is None:
        raise PluginError(f"exchange {name!r} is not there; loaded: {', '.join(registry.exchanges)}")
    return plugin.thing() if isinstance(plugin.thing, type) else plugin.thing


def settings_of(config: Any, exchange: Any) -> Any:
    """`[exchange.NAME]` of this exchange; ConfigError where a foreign one's table does not fit what it declares."""
    table = getattr(config.exchange, exchange.name, None)
    if table is not None or not hasattr(exchange, "Settings"):
        return table
    filled, problems = fill_settings(exchange.Settings, config.exchange.other, f"exchange.{exchange.name}")
    if problems:
        raise ConfigError(problems)
    return filled
