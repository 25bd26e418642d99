"""Before a real market is traded or watched: sizes, filters and fees of its symbols, and the account looked over.

One law: what the exchange says of a symbol stands in the configuration that the journal keeps, so a replay needs no exchange; and one
fact that is not as it should be keeps live from starting, unless legs are held, which are then watched with the kill switch at halt.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import click

from hedgegridd.errors import ConfigError, ExchangeError, Problem
from hedgegridd.feed.layout import interval_ms
from hedgegridd.feed.live import Live
from hedgegridd.heart.build import exchange_of, settings_of
from hedgegridd.heart.engine import Engine
from hedgegridd.hookspecs import Fact, Terms
from hedgegridd.live import lease, log
from hedgegridd.live.notify import Notifier
from hedgegridd.model import Instrument, Mode
from hedgegridd.plugins import Registry
from hedgegridd.schema import BracketTable, Config, FiltersTable

SPARES, NOT_TRIED = "spares stops", "not tried"  # how the fact `countdown` begins where stops outlive it; where orders are in the way
PATIENCE_SECONDS = 60.0  # of a command; a daemon waits for ever
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, TOLD_AGAIN_SECONDS = 0.1, 1.0, 15.0
T = TypeVar("T")


class Surveyed(NamedTuple):
    """A market that was looked over: the configuration with what the exchange says, its plugin, and the facts of the account."""

    config: Config
    source: Any
    facts: list[Fact]

    @property
    def wrong(self) -> list[Fact]:
        """The facts that keep live from starting."""
        return [fact for fact in self.facts if not fact.ok]


async def survey(config: Config, registry: Registry, look: bool) -> Surveyed:
    """Ask the exchange of this configuration's market; `look` = at the account too, which takes a key."""
    source = exchange_of(config, registry, config.market)
    source.trading = look
    settings, terms = settings_of(config, source), terms_of(config)
    try:
        instruments = await _patiently(lambda: source.instruments(terms, settings))
        prices = {symbol: await _price(source, config, symbol, one) for symbol, one in instruments.items()}
        filled = complete(config, instruments, prices)
        facts = await _patiently(lambda: source.preflight(instruments, terms, settings)) if look else []
    except BaseException:
        source.stop()
        await source.closed()
        raise
    return Surveyed(filled, source, facts)


def terms_of(config: Config) -> dict[str, Terms]:
    """What the configuration says of each symbol that an exchange must be told."""
    return {
        item.symbol: Terms(item.leverage, item.margin_type, item.filters.maker_bps, item.filters.taker_bps, item.filters.maint_margin_pct)
        for item in config.instrument
    }


async def _price(source: Any, config: Config, symbol: str, instrument: Instrument) -> float | None:
    """Where the market is: what the filled grid is reckoned at."""
    bars = await _patiently(lambda: source.history(symbol, interval_ms(config.feed.interval), 1))
    return bars[-1].close * instrument.tick_size if bars else None


def as_probed(config: Config, facts: list[Fact], before: bool | None) -> Config:
    """Whether the exchange's countdown may be used: only where stops were seen to outlive it, now or (`before`) by an earlier life.

    A leg without a stop is worse than an order too many.
    """
    found, table = next((fact.found for fact in facts if fact.name == "countdown"), ""), config.exchange_countdown
    if table.enabled is False or Mode(config.mode) != Mode.LIVE:
        return config
    proven = found == SPARES or (bool(before) and found.startswith(NOT_TRIED))
    if not proven:
        why = found or "was not tried"
        log.event("WARNING", f"the exchange's countdown stays off ({why}): nothing there withdraws openers should this machine die")
    return replace(config, exchange_countdown=replace(table, enabled=proven))


def as_funded(surveyed: Surveyed) -> Config:
    """The configuration as it must fit the account: its limits reckoned with what is there, where that is less than was written."""
    config, found = surveyed.config, next((float(fact.found) for fact in surveyed.facts if fact.name == "balance"), None)
    written = config.limits.equity_usdt
    if found is None or written is None or found >= written:
        return config
    return replace(config, limits=replace(config.limits, equity_usdt=max(found, 0.01)))


async def _patiently(ask: Callable[[], Awaitable[T]], patience: float = math.inf) -> T:
    """Ask until the exchange answers: a daemon that starts while its line is down must not give up its place, and says so meanwhile."""
    loop, notifier, told = asyncio.get_running_loop(), Notifier(), -math.inf
    end, wait = loop.time() + patience, FIRST_WAIT_SECONDS
    try:
        while True:
            try:
                return await ask()
            except ExchangeError as error:
                if error.permanent:
                    raise ConfigError(
                        [Problem("preflight: exchange", None, "an account and symbols that may be used", str(error))]
                    ) from error
                if loop.time() + wait > end:
                    raise
                if loop.time() - told >= TOLD_AGAIN_SECONDS:
                    told = loop.time()
                    log.event("WARNING", f"the exchange does not answer, asked again: {error}")
                notifier.status(f"waiting for the exchange: {error}")
                notifier.extend_timeout(2 * TOLD_AGAIN_SECONDS)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
    finally:
        notifier.close()


# --- the configuration, filled --------------------------------------------------------------------------------------------


def complete(config: Config, instruments: Mapping[str, Instrument], prices: Mapping[str, float | None] | None = None) -> Config:
    """The configuration with the exchange's own sizes, fees and brackets, and a price to reckon at where it names none."""
    origins, rows = dict(config.origins), []
    for i, item in enumerate(config.instrument):
        found = instruments.get(item.symbol)
        if found is None:
            raise ConfigError([Problem(f"instrument[{i}].symbol", item.symbol, f"a symbol that {config.market} trades")])
        price = item.reference_price or (prices or {}).get(item.symbol)
        rows.append(replace(item, filters=_filters(found), brackets=_brackets(found), reference_price=price))
        origins |= {f"instrument[{i}].filters.{key}": config.market for key in FiltersTable.__dataclass_fields__}
    return replace(config, instrument=tuple(rows), origins=origins)


def _filters(one: Instrument) -> FiltersTable:
    smallest, largest, market = (round(lots * one.lot_size, 12) for lots in (one.min_qty, one.max_qty, one.market_max_qty))
    return FiltersTable(
        tick_size=one.tick_size,
        lot_size=one.lot_size,
        min_qty=smallest,
        max_qty=largest,
        market_max_qty=market,
        min_notional=one.min_notional,
        maker_bps=one.maker_bps,
        taker_bps=one.taker_bps,
        maint_margin_pct=one.maint_margin_pct,
    )


def _brackets(one: Instrument) -> tuple[BracketTable, ...]:
    return tuple(
        BracketTable(notional_floor_usdt=row.floor, maint_margin_pct=row.maint_margin_pct, cum_usdt=row.cum) for row in one.brackets
    )


def as_kept(config: Config, checkpoint: dict[str, Any] | None) -> Config:
    """The configuration with the sizes that a journal's checkpoint keeps, where it has none of its own; in live, with the exchange's
    countdown only where the run that wrote it had it proven (`as_probed`)."""
    ran = (checkpoint or {}).get("config", {})
    kept = {row["symbol"]: row for row in ran.get("instrument", [])}
    rows = [item if item.filters.tick_size else _kept(item, kept.get(item.symbol, {})) for item in config.instrument]
    config, table = replace(config, instrument=tuple(rows)), config.exchange_countdown
    if Mode(config.mode) != Mode.LIVE:
        return config
    proven = bool(ran.get("exchange_countdown", {}).get("enabled"))
    return replace(config, exchange_countdown=replace(table, enabled=proven and table.enabled is not False))


def _kept(item: Any, row: dict[str, Any]) -> Any:
    filters = FiltersTable(**{**{key: getattr(item.filters, key) for key in FiltersTable.__dataclass_fields__}, **row.get("filters", {})})
    return replace(item, filters=filters, brackets=tuple(BracketTable(**one) for one in row.get("brackets", [])))


async def as_told(config: Config, registry: Registry) -> Config:
    """The configuration with the exchange's own sizes, where neither it nor a journal has any: whoever must close needs them."""
    if not config.market or all(item.filters.tick_size for item in config.instrument):
        return config
    source = exchange_of(config, registry, config.market)
    try:
        return complete(
            config, await _patiently(lambda: source.instruments(terms_of(config), settings_of(config, source)), PATIENCE_SECONDS)
        )
    finally:
        source.stop()
        await source.closed()


# --- the feed -------------------------------------------------------------------------------------------------------------


def live_feed(surveyed: Surveyed) -> Live:
    """The feed of this market; its history comes once the strategies say how much they need."""
    config = surveyed.config
    trades = Mode(config.mode) == Mode.PAPER
    surveyed.source.listen(interval_ms(config.feed.interval), trades)
    return Live([item.symbol for item in config.instrument], {}, trades, surveyed.source.health().requests_1m is not None)


async def learn(feed: Live, surveyed: Surveyed, engine: Engine) -> None:
    """Read as many bars as each strategy needs to warm up."""
    length = interval_ms(surveyed.config.feed.interval)
    desks = list(engine.desks.values())
    wanted = [_patiently(lambda desk=desk: _history(surveyed.source, desk, length)) for desk in desks]  # type: ignore[misc]
    feed.past = {desk.symbol: bars for desk, bars in zip(desks, await asyncio.gather(*wanted), strict=True)}


async def _history(source: Any, desk: Any, length: int) -> Any:
    return await source.history(desk.symbol, length, desk.warmup_bars())


# --- people ---------------------------------------------------------------------------------------------------------------


def table(facts: list[Fact], plain: bool = False) -> list[str]:
    """The facts as people read them, one line each."""
    wide = max((len(fact.name) for fact in facts), default=0)
    return [click.unstyle(_line(fact, wide)) if plain else _line(fact, wide) for fact in facts]


def _line(fact: Fact, wide: int) -> str:
    mark = click.style("ok  ", fg="green") if fact.ok else click.style("FAIL", fg="red", bold=True)
    wanted = "" if fact.ok or not fact.wanted else f", expected {fact.wanted}"
    advice = f"; {fact.advice}" if fact.advice and not fact.ok else ""
    return f"{mark} {fact.name:<{wide}}  {fact.found}{wanted}{advice}"


async def preflight(config: Config, registry: Registry) -> list[Fact]:
    """`hedgegridd preflight`: the facts alone, nothing is started. AlreadyRunning where a daemon trades the account.

    ConfigError where the exchange of the configuration is no real one.
    """
    if not config.market:
        expected = "an exchange with an account, such as binance: on paper there is nothing to look over, `hedgegridd check` does it all"
        raise ConfigError([Problem("exchange.name", config.exchange.name, expected)])
    with lease.of(config):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                surveyed = await survey(config, registry, look=True)
        except TimeoutError:
            raise ExchangeError(f"the exchange did not answer within {PATIENCE_SECONDS:.0f} s") from None
        surveyed.source.stop()
        await surveyed.source.closed()
        return surveyed.facts
