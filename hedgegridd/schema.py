"""Every setting there is: its name, type, default, bounds and meaning. One law: a default is written here and nowhere else.

One frozen dataclass per table of the configuration file, a field per key. What plugins declare themselves (`[breaker.NAME]`,
`[alert.NAME]`, `[instrument.params]`) is kept here as plain tables and filled where the plugin is known. Units are in the
names: `_pct` is percent, `_bps`, `_usdt`, `_seconds`, `_minutes`, `_mb`. It loads and judges nothing.
No table has a `repr`, which would show secrets, nor an equality: compare `raw`.
"""

# ruff: noqa: RUF009 - `of` makes a field, as dataclasses.field does

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hedgegridd.errors import ConfigError, Problem
from hedgegridd.model import Bracket, Instrument
from hedgegridd.settings import compact, leaves, of, plain

LEVELS = ("warn", "pause", "halt", "flatten")
INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "1d")
MODES = ("monitor", "paper", "dry_run", "live")

#: What a preset sets; the file's own values win. Documents 000 and 004 name these figures (requirements, row 33).
PRESETS: dict[str, dict[str, Any]] = {
    "conservative": {
        "limits": {"max_risk_per_trade_pct": 1.0, "max_exposure_pct": 20.0, "max_open_trades": 5},
        "breaker": {
            "drawdown": {"max_drawdown_pct": 3.0},
            "margin": {"max_initial_margin_use_pct": 70.0},
            "session_loss": {"max_loss_amount_usdt": 500.0},
            "daily_loss": {"max_daily_loss_pct": 2.0},
        },
    },
    "moderate": {
        "breaker": {
            "drawdown": {"max_drawdown_pct": 5.0},
            "margin": {"max_initial_margin_use_pct": 80.0},
            "session_loss": {"max_loss_amount_usdt": 1000.0},
            "daily_loss": {"max_daily_loss_pct": 2.0},
            "position_size": {"max_position_usdt": 10000.0},
        },
    },
    "aggressive": {
        "limits": {"max_risk_per_trade_pct": 2.0, "max_exposure_pct": 50.0, "max_open_trades": 10},
        "breaker": {
            "drawdown": {"max_drawdown_pct": 10.0},
            "margin": {"max_initial_margin_use_pct": 85.0},
            "session_loss": {"max_loss_amount_usdt": 2000.0},
            "daily_loss": {"max_daily_loss_pct": 5.0},
        },
    },
}


@dataclass(frozen=True, eq=False, repr=False)
class DaemonTable:
    """[daemon]"""

    on_stop: str = of("keep", "at a clean stop: keep positions with their closers and stops, or flatten", choices=("keep", "flatten"))
    stop_timeout_seconds: float = of(50.0, "how long a flatten under way may hold up a stop; systemd is told to wait", min=0, max=3600)
    plugin_dirs: tuple[str, ...] = of((), "further plugin folders, after the shipped one and /etc/hedgegridd/plugins")
    plugin_deadline_seconds: float = of(1.0, "how long a foreign plugin may take to answer", above=0, max=60)
    plugin_memory_mb: int = of(512, "address space of a foreign plugin's process", min=64, max=65536)
    admin_group: str = of("", "members may use the writing verbs; root and the daemon's own user always may")
    group: str = of("", "group of the socket: its members may use the reading verbs")
    socket: str = of("", "path of the control socket; empty = found as the manual says")
    state_dir: str = of("", "state directory; empty = $STATE_DIRECTORY, /var/lib/hedgegridd or $XDG_STATE_HOME/hedgegridd")
    instance: str = of("", "name of this daemon where several run on one machine")
    log_level: str = of("INFO", "nothing less is logged", choices=("DEBUG", "INFO", "WARNING", "ERROR"))


@dataclass(frozen=True, eq=False, repr=False)
class FeedTable:
    """[feed]"""

    kind: str | None = of(
        None,
        "where market data comes from; left out: live where exchange.name is a real one, else synthetic",
        choices=("synthetic", "recorded", "live"),
    )
    path: str = of("", "recorded: a file, or a folder with klines/, funding/ and mark/")
    interval: str = of("1m", "length of a bar", choices=INTERVALS)
    speed: float = of(1.0, 'how many times faster than real time data is played, or "max"', above=0, words={"max": math.inf})
    max_gap_minutes: float = of(60.0, "a longer hole in the data ends a window: openers withdrawn, warm-up again", above=0, max=100000)
    funding_bps: float | None = of(None, "funding rate per settlement where the data has none", min=-300, max=300)
    seed: int = of(1, "synthetic: the same seed gives the same market", min=0)
    start: str = of("2025-01-01T00:00:00Z", "synthetic: when the market begins, UTC")
    start_price: float | None = of(None, "synthetic: price of every symbol at the start, USDT; left out: a usual one for each", above=0)


@dataclass(frozen=True, eq=False, repr=False)
class PaperTable:
    """[exchange.paper]"""

    starting_balance_usdt: float = of(10000.0, "the paper account's first balance", above=0)
    fill_model: str = of(
        "trade_through",
        "when a resting order fills: touched, traded through, or its place in the queue reached",
        choices=("touch", "trade_through", "queue"),
    )
    queue_share_pct: float = of(
        10.0, "fill_model queue on bars: part of a bar's volume that trades at its extreme, and lies ahead", above=0, max=100
    )
    slippage_bps: float = of(1.0, "how much worse than the last price a market order fills", min=0, max=1000)
    latency_ms: float = of(0.0, "an order, a stop too, begins to rest so much after it is placed; on bars it misses one", min=0, max=60000)


@dataclass(frozen=True, eq=False, repr=False)
class BinanceTable:
    """[exchange.binance]"""

    account: str = of("", "a name for the account; `run --confirm-live` must repeat it")
    api_key: str = of("", 'write "${NAME}": a systemd credential or an environment variable')
    api_secret: str = of("", 'write "${NAME}": a systemd credential or an environment variable')
    testnet: bool = of(False, "trade on the exchange's test network")
    rest_url: str = of("", "empty = the exchange's own")
    ws_url: str = of("", "empty = the exchange's own")
    ws_api_url: str = of("", "empty = the exchange's own, or none where rest_url is set")
    recv_window_ms: int = of(5000, "how late a signed request may arrive; the exchange advises 5000 or less", min=100, max=10000)


@dataclass(frozen=True, eq=False, repr=False)
class ExchangeTable:
    """[exchange]"""

    name: str = of("paper", "the exchange plugin that orders go to")
    file: str = of("", "the plugin's file where it does not ship with the package; never loaded unless named here")
    paper: PaperTable = of(PaperTable)
    binance: BinanceTable = of(BinanceTable)
    other: dict[str, Any] = of(dict, internal=True)  #: [exchange.NAME] of a foreign plugin, as it was written


@dataclass(frozen=True, eq=False, repr=False)
class FiltersTable:
    """[instrument.filters], needed where no exchange supplies them"""

    tick_size: float | None = of(None, "smallest price step, USDT", above=0)
    lot_size: float | None = of(None, "smallest quantity step, coins", above=0)
    min_qty: float | None = of(None, "smallest order, coins; one lot where it is left out", above=0)
    max_qty: float | None = of(None, "largest limit order, coins; no limit where it is left out", above=0)
    market_max_qty: float | None = of(None, "largest market order, coins; max_qty where it is left out", above=0)
    min_notional: float = of(5.0, "smallest opening order, USDT", min=0)
    maker_bps: float = of(2.0, "fee of a resting order", min=-10, max=100)
    taker_bps: float = of(5.0, "fee of an order that takes", min=-10, max=100)
    maint_margin_pct: float = of(0.4, "maintenance margin in percent of notional", above=0, max=100)


@dataclass(frozen=True, eq=False, repr=False)
class BracketTable:
    """[[instrument.brackets]], the exchange's own table: maintenance margin by the notional of a leg"""

    notional_floor_usdt: float = of(doc="from this notional of a leg on; the first row's is 0", min=0)
    maint_margin_pct: float = of(doc="maintenance margin in percent of notional", above=0, max=100)
    cum_usdt: float | None = of(None, "less this amount; left out: so much that the margin rises without a step", min=0)


UNLIMITED_LOTS = 10**12


@dataclass(frozen=True, eq=False, repr=False)
class InstrumentTable:
    """[[instrument]], once per symbol"""

    symbol: str = of(doc="as the exchange writes it, such as BTCUSDT")
    strategy: str = of("hedge_grid", "the strategy plugin")
    leverage: float = of(1.0, "initial margin is notional / leverage", min=1, max=150)
    margin_type: str = of("cross", "whether losses may draw on the whole account", choices=("cross", "isolated"))
    adopt: bool = of(False, "live: take up a position that the journal cannot explain")
    reference_price: float | None = of(None, "price that `check` fills the grid at, USDT; left out: the synthetic start price", above=0)
    brackets: tuple[BracketTable, ...] = of(
        (), "rows of notional_floor_usdt, maint_margin_pct, cum_usdt; without, filters.maint_margin_pct whatever a leg's notional"
    )
    params: dict[str, Any] = of(dict, "the strategy's sections")
    filters: FiltersTable = of(FiltersTable)

    def instrument(self) -> Instrument:
        """Sizes in lots. ConfigError where the filters are not given."""
        f = self.filters
        if f.tick_size is None or f.lot_size is None:
            raise ConfigError([Problem(f"instrument {self.symbol}: filters", None, "tick_size and lot_size: no exchange supplies them")])
        largest = max(1, lots(f.max_qty, f.lot_size, UNLIMITED_LOTS))  # a close in pieces of nothing would never end
        return Instrument(
            tick_size=f.tick_size,
            lot_size=f.lot_size,
            min_qty=max(lots(f.min_qty, f.lot_size, 1), 1),
            max_qty=largest,
            market_max_qty=max(1, lots(f.market_max_qty, f.lot_size, largest)),
            min_notional=f.min_notional,
            maker_bps=f.maker_bps,
            taker_bps=f.taker_bps,
            leverage=self.leverage,
            maint_margin_pct=f.maint_margin_pct,
            brackets=self.maintenance(),
        )

    def maintenance(self) -> tuple[Bracket, ...]:
        """The brackets, with every `cum` that was left out; none where a row is not one, which is told elsewhere."""
        made: list[Bracket] = []
        if not all(isinstance(part, int | float) for row in self.brackets for part in (row.notional_floor_usdt, row.maint_margin_pct)):
            return ()
        for row in self.brackets:
            cum = step_free(made[-1] if made else None, row) if row.cum_usdt is None else row.cum_usdt
            made.append(Bracket(row.notional_floor_usdt, row.maint_margin_pct, cum))
        return tuple(made)


def step_free(before: Bracket | None, row: BracketTable) -> float:
    """The `cum` with which a bracket's margin begins where the one before it ends, USDT."""
    if before is None:
        return 0.0
    return before.cum + row.notional_floor_usdt * (row.maint_margin_pct - before.maint_margin_pct) / 100


def lots(coins: float | None, lot_size: float, otherwise: int) -> int:
    """Coins as whole lots; `otherwise` where nothing is said."""
    return otherwise if coins is None else round(coins / lot_size)


@dataclass(frozen=True, eq=False, repr=False)
class LimitsTable:
    """[limits], checked before each opening order; all percentages are of equity"""

    equity_usdt: float | None = of(None, "the equity that `check` reckons with; required in live, paper has its starting balance", above=0)
    max_exposure_pct: float = of(20.0, "notional of all legs together, position + resting + in flight", above=0, max=20000)
    max_position_pct: float = of(100.0, "notional of one leg", above=0, max=20000)
    max_risk_per_trade_pct: float = of(1.0, "what one order may lose at its leg's stop", above=0, max=100)
    max_open_trades: int = of(5, "legs held or being opened: a trade is a leg, not a rung", min=1, max=1000)


@dataclass(frozen=True, eq=False, repr=False)
class KillSwitchTable:
    """[kill_switch]"""

    enabled: bool = of(True, "the master switch of all breakers; off is refused in live")
    on_activate: str = of("flatten", "level where a person, a file or the environment names none", choices=("halt", "flatten"))
    env_var: str = of("HEDGEGRIDD_KILL_SWITCH", "a second variable that engages it at start; HEDGEGRIDD_KILL_SWITCH always does")
    check_interval_seconds: float = of(5.0, "breakers are asked after every event and every second: never later than this", min=1, max=60)


@dataclass(frozen=True, eq=False, repr=False)
class FlattenTable:
    """[flatten]"""

    deadline_seconds: float = of(30.0, "a flatten that is not flat by then is `failed`, pages, and goes on", above=0, max=3600)
    use_market_orders: bool = of(True, "close at market at once; false = by `method` within max_slippage_pct, at market after over_seconds")
    method: str = of("ioc", "auto: market where liquid, else limit; limit: further from the best price step by step; twap, vwap: in slices",
                     choices=("auto", "ioc", "limit", "twap", "vwap"))  # fmt: skip
    max_slippage_pct: float = of(1.0, "how far from the mark such an order may go", above=0, max=50)
    over_seconds: float = of(5.0, "how long such orders have; less than deadline_seconds", above=0, max=3600)
    steps: int = of(5, "in so many steps or slices", min=1, max=1000)
    liquid_spread_bps: float = of(5.0, "auto: a leg within what the best price shows, at no wider a spread, is liquid", above=0)
    tranch_large_positions: bool = of(True, "close a large leg in pieces; always so above the exchange's largest market order")
    large_position_threshold_usdt: float = of(100000.0, "what counts as large", above=0)
    max_tranches: int = of(5, "the most pieces", min=1, max=100)


@dataclass(frozen=True, eq=False, repr=False)
class ProtectTable:
    """[protect]"""

    emergency_stop_pct: float = of(5.0, "a leg without a stop gets one this far from its average entry", above=0, max=90)


@dataclass(frozen=True, eq=False, repr=False)
class DeadMansSwitchTable:
    """[dead_mans_switch], by the operator's clock, never the data's"""

    enabled: bool = of(False, "act when nobody confirms: `hedgegridctl confirm`")
    timeout_minutes: int = of(120, "how long a confirmation lasts", min=1, max=100000)
    warning_minutes: int = of(30, "warn this long before", min=0, max=100000)
    action: str = of("halt", "what is done then", choices=("halt", "flatten"))


@dataclass(frozen=True, eq=False, repr=False)
class ExchangeCountdownTable:
    """[exchange_countdown], the exchange's own dead man's switch"""

    enabled: bool | None = of(None, "the exchange cancels our orders when it does not hear from us; left out: on in live")
    countdown_seconds: int = of(120, "after so long", min=5, max=3600)
    beat_seconds: int = of(30, "how often it hears from us", min=1, max=1800)


@dataclass(frozen=True, eq=False, repr=False)
class RecoveryTable:
    """[recovery], the staged return after a stop: monitor, paper, reduced, full"""

    enabled: bool | None = of(None, "left out: on in live, off elsewhere")
    recovery_time_minutes: float = of(30.0, "how long each stage lasts at least", min=0, max=100000)
    reduced_size_factor: float = of(0.5, "size of openers in the stage `reduced`", above=0, max=1)


@dataclass(frozen=True, eq=False, repr=False)
class MaintenanceTable:
    """[[maintenance]], a window in which nothing opens, by the data's clock, UTC"""

    start: str = of(doc='"HH:MM" of each day, or one moment such as 2026-01-31T02:00:00Z')
    end: str = of(doc="of the same kind; a time of day not after start is the next day's")
    days: tuple[str, ...] = of((), "only days that begin on one of these, mon to sun; empty = every day")
    symbols: tuple[str, ...] = of((), "only these; empty = the account")
    level: str = of("pause", "what its beginning does beside", choices=("pause", "halt", "flatten"))
    minutes_ahead: float = of(5.0, "openers are withheld so long before", min=0, max=1440)
    reason: str = of("", "told with it")


@dataclass(frozen=True, eq=False, repr=False)
class AlertsTable:
    """[alerts]; each switch silences only its own rule"""

    enabled: bool = of(True, "send alerts at all")
    alert_on_flatten: bool = of(True, "a flatten begins or is done; a failed one cannot be silenced")
    alert_on_circuit_breaker: bool = of(True, "a breaker tripped")
    alert_on_breaker_near: bool = of(True, "a breaker has used up its warn_fraction")
    alert_on_large_loss: bool = of(True, "one close lost large_loss_threshold_usdt or more")
    large_loss_threshold_usdt: float = of(100.0, "see above", above=0)
    alert_on_single_loss: bool = of(True, "one close lost max_single_loss_pct of equity or more")
    max_single_loss_pct: float = of(2.0, "see above", above=0, max=100)
    alert_on_day_loss: bool = of(True, "equity fell by max_daily_loss_pct since 00:00 UTC")
    max_daily_loss_pct: float = of(5.0, "see above", above=0, max=100)
    alert_on_high_funding: bool = of(True, "funding costs a leg high_funding_threshold_bps in 8 hours or more")
    high_funding_threshold_bps: float = of(15.0, "see above", above=0)
    alert_on_position_size: bool = of(True, "a leg is larger than max_position_size_usd")
    max_position_size_usd: float = of(10000.0, "see above", above=0)
    alert_on_fills: bool = of(False, "every fill; a grid has many")
    alert_on_errors: bool = of(True, "the exchange refused an order, or a part of the daemon failed")
    alert_on_state_changes: bool = of(True, "start, stop, pause, resume, reload, a stage of the return")
    alert_on_journal_head: bool = of(True, "once a day the journal's number and hash, which prove later that nothing was cut off")


@dataclass(frozen=True, eq=False, repr=False)
class JournalTable:
    """[journal]"""

    keep_inputs_days: float = of(14.0, "how long what replay needs is kept; acts are kept for ever", above=0)
    max_mb: int = of(2048, "the most that inputs may take up", min=16)
    max_segment_mb: float = of(8.0, "a larger segment is closed, compressed and followed by a new one", above=0, max=1024)


@dataclass(frozen=True, eq=False, repr=False)
class MetricsTable:
    """[metrics], for Prometheus"""

    enabled: bool = of(False, "serve http://host:port/metrics")
    host: str = of("127.0.0.1", "address to listen on")
    port: int = of(9090, "port to listen on", min=1, max=65535)


@dataclass(frozen=True, eq=False, repr=False)
class HttpTable:
    """[http], dashboard and REST"""

    enabled: bool = of(False, "serve them")
    host: str = of("127.0.0.1", "address to listen on")
    port: int = of(8080, "port to listen on", min=1, max=65535)
    api_key: str = of("", 'header X-API-Key of writing requests; write "${NAME}"')


@dataclass(frozen=True, eq=False, repr=False)
class BacktestTable:
    """[backtest]; the command line's options win"""

    data: str = of("", "a file, or a folder with klines/, funding/ and mark/")
    symbol: str = of("", "one symbol only; empty = every [[instrument]]")
    interval: str = of("1m", "length of a bar", choices=INTERVALS)
    start: str = of("", "first moment, UTC; empty = all there is")
    end: str = of("", "last moment, UTC; empty = all there is")
    out: str = of("", "folder of the artefacts; empty = artifacts/backtests/<time>")
    engine: str = of("full", "full = the whole heart with breakers, fast = the compiled path", choices=("full", "fast"))
    funding_bps: float | None = of(None, "funding rate per settlement where the data has none", min=-300, max=300)
    fill_models: bool = of(True, "play it under each fill model, to show how much of the profit is an assumption")


@dataclass(frozen=True, eq=False, repr=False)
class ConstraintsTable:
    """[optimize.constraints]; a trial that breaks one is rejected and keeps the reason"""

    min_sharpe_ratio: float = of(1.0, "annualised")
    max_drawdown_pct: float = of(20.0, "of equity", above=0, max=100)
    min_trades: int = of(50, "round trips", min=0)
    min_win_rate_pct: float = of(45.0, "of round trips", min=0, max=100)
    min_profit_factor: float = of(1.1, "gains / losses", min=0)
    min_calmar_ratio: float = of(0.5, "annual return / largest drawdown")


@dataclass(frozen=True, eq=False, repr=False)
class WeightsTable:
    """[optimize.weights] of the score"""

    sharpe_ratio: float = of(0.35, "weight")
    profit_factor: float = of(0.30, "weight")
    calmar_ratio: float = of(0.35, "weight")
    drawdown_penalty: float = of(0.20, "weight, subtracted", min=0)


@dataclass(frozen=True, eq=False, repr=False)
class OptimizeTable:
    """[optimize]"""

    study_name: str = of("hedgegridd", "name of the study")
    trials: int = of(100, "how many", min=1)
    n_jobs: int = of(1, "processes", min=1, max=1024)
    out: str = of("", "folder of the study; empty = artifacts/optimize")
    constraints: ConstraintsTable = of(ConstraintsTable)
    weights: WeightsTable = of(WeightsTable)


@dataclass(frozen=True, eq=False, repr=False)
class Config:
    """The whole configuration. `origins` says of each path that is not at its default where its value came from."""

    mode: str = of("paper", "where released orders go", choices=MODES)
    allow_live_trading: bool = of(False, "the first of the two acts that live needs; `run --confirm-live ACCOUNT` is the other")
    preset: str = of("moderate", "limits and breakers as a set; values in this file win", choices=tuple(PRESETS))
    accept: tuple[str, ...] = of((), "paths of settings whose warning was read and is meant so, such as breaker.funding")
    daemon: DaemonTable = of(DaemonTable)
    feed: FeedTable = of(FeedTable)
    exchange: ExchangeTable = of(ExchangeTable)
    instrument: tuple[InstrumentTable, ...] = of(())
    limits: LimitsTable = of(LimitsTable)
    kill_switch: KillSwitchTable = of(KillSwitchTable)
    breaker: dict[str, dict[str, Any]] = of(dict)
    flatten: FlattenTable = of(FlattenTable)
    protect: ProtectTable = of(ProtectTable)
    dead_mans_switch: DeadMansSwitchTable = of(DeadMansSwitchTable)
    exchange_countdown: ExchangeCountdownTable = of(ExchangeCountdownTable)
    recovery: RecoveryTable = of(RecoveryTable)
    maintenance: tuple[MaintenanceTable, ...] = of(
        (),
        "[[maintenance]]: in which nothing opens, by start, end, days, symbols, level (pause, halt, flatten), minutes_ahead, reason",
    )
    alerts: AlertsTable = of(AlertsTable)
    alert: dict[str, dict[str, Any]] = of(dict)
    service: dict[str, dict[str, Any]] = of(dict)
    journal: JournalTable = of(JournalTable)
    metrics: MetricsTable = of(MetricsTable)
    http: HttpTable = of(HttpTable)
    backtest: BacktestTable = of(BacktestTable)
    optimize: OptimizeTable = of(OptimizeTable)
    origins: dict[str, str] = of(dict, internal=True)
    files: tuple[str, ...] = of((), internal=True)  #: what was read, in order
    notes: tuple[Problem, ...] = of((), internal=True)  #: what was set and is not obeyed, and why

    @property
    def feed_kind(self) -> str:
        """synthetic, recorded or live."""
        return self.feed.kind or ("synthetic" if self.exchange.name == "paper" else "live")

    @property
    def market(self) -> str:
        """The exchange plugin that live market data come from, with sizes and filters; "" = none does."""
        if self.feed_kind != "live" and self.mode != "live":
            return ""
        return "binance" if self.exchange.name == "paper" else self.exchange.name

    @property
    def breakers(self) -> dict[str, dict[str, Any]]:
        """`[breaker.NAME]` by name."""
        return self.breaker

    @property
    def raw(self) -> dict[str, Any]:
        """Every value in force as plain TOML and JSON data, secrets masked; `config.parse` reads it back."""
        filled: dict[str, Any] = compact(self._table())
        return filled

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown."""
        found: list[str] = []

        def note(text: str) -> str:
            found.append(text)
            return text

        plain([self, self.exchange.other], note)
        return tuple(found)

    def rows(self) -> list[dict[str, Any]]:
        """Each value in force, secrets masked, and its origin: [{path, value, origin}]."""
        return [{"path": path, "value": value, "origin": self.origin(path)} for path, value in leaves(self._table())]

    def _table(self) -> dict[str, Any]:
        table: dict[str, Any] = plain(self, lambda _: "***")
        if self.exchange.other:
            table["exchange"][self.exchange.name] = plain(self.exchange.other, lambda _: "***")
        return table

    def origin(self, path: str) -> str:
        """Where the value at `path` came from: a file's name, a preset, the environment, the command line or "default"."""
        return self.origins.get(path, "default")


@dataclass(frozen=True, eq=False, repr=False)
class BreakerKeys:
    """The keys that every [breaker.NAME] has beside its own."""

    enabled: bool = of(True, "whether it is asked at all")
    on_trip: str | None = of(None, "what a trip does; left out: as the breaker says", choices=LEVELS)
    warn_fraction: float = of(0.8, "an alert goes out when so much of the threshold is used", above=0, max=1)
    grace_seconds: float = of(30.0, "an input unknown for longer trips at halt", min=0, max=3600)
    cooldown_seconds: float = of(300.0, "how long a pause lasts", min=0, max=86400)


@dataclass(frozen=True, eq=False, repr=False)
class AlertKeys:
    """The keys that every [alert.NAME] has beside its own."""

    enabled: bool = of(True, "whether this channel is used")
    min_severity: str = of("INFO", "nothing less goes to it", choices=("INFO", "WARNING", "CRITICAL"))


@dataclass(frozen=True, eq=False, repr=False)
class ServiceKeys:
    """The keys that every [service.NAME] has beside its own."""

    enabled: bool = of(True, "whether this service is started")


#: Keys of a plugin's table that are the daemon's.
COMMON: dict[str, type] = {"breaker": BreakerKeys, "alert": AlertKeys, "service": ServiceKeys}
