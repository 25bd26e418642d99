"""The hooks a plugin file may implement, and the contracts of what it registers. Hooks only register; they start nothing.

A plugin is one Python file. It marks each hook it implements with `@hookimpl` and is handed a `register` callable:

    from hedgegridd import Trip, hookimpl

    class Spread:
        name = "spread"
        class Settings:
            max_spread_bps: float = 30.0
        def check(self, snapshot):
            ...

    @hookimpl
    def register_breakers(register):
        register(Spread)

Shipped files run inside the daemon. Every foreign file runs in a child process of its own, is asked with a deadline, killed
and replaced when it does not answer, and quarantined after three deaths: it can only hurt itself. That guards against
accidents, not malice: the child has the daemon's user id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import pluggy

from hedgegridd.model import Bar, Instrument, Market, MarketEvent, Order, Report, Wish
from hedgegridd.views import Alert, Measure, Snapshot, Trip

PROJECT = "hedgegridd"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Register = Callable[[Any], None]


@hookspec
def register_strategies(register: Register) -> None:
    """Call `register(strategy)` with each object that keeps the `Strategy` contract: a module, a class or an instance."""


@hookspec
def register_breakers(register: Register) -> None:
    """Call `register(breaker)` with each class (or instance) that keeps the `Breaker` contract."""


@hookspec
def register_alerts(register: Register) -> None:
    """Call `register(channel)` with each class (or instance) that keeps the `AlertChannel` contract."""


@hookspec
def register_exchanges(register: Register) -> None:
    """Call `register(exchange)` with each class that keeps the `Exchange` contract. Never hot-loaded; named in the configuration."""


@hookspec
def register_services(register: Register) -> None:
    """Call `register(service)` with each class that keeps the `Service` contract."""


class Breaker(Protocol):
    """A guard: looks at the account and says stop.

    It must be pure: no I/O, no clock, no memory between calls; all it may know is in the snapshot and in `self.settings`.
    `Settings` is a class of annotated defaults (a dataclass or plain); `[breaker.NAME]` fills it and `self.settings` holds
    it before the first call. Besides its own keys every breaker has `enabled`, `on_trip`, `warn_fraction`, `grace_seconds`
    and, for pauses, `cooldown_seconds`.

    `check` answers None, or a `Trip` for as long as the breach lasts. It raises `hedgegridd.Unknown` where an input is missing
    or stale: openers are then withheld at once and the breaker trips at `halt` after its grace time.
    """

    name: str

    def check(self, snapshot: Snapshot) -> Trip | None:
        """Is the line crossed now? Called after each event that could move an input, at the latest every `check_interval_seconds`."""


class MeasuringBreaker(Breaker, Protocol):
    """A breaker that can show how near it is. `measure` is optional; with it `check` may simply be `self.measure(s).trip()`."""

    on_trip: str  #: default level, "warn" | "pause" | "halt" | "flatten"; "halt" where a breaker does not say
    enabled: bool  #: whether it is asked where its table does not say; True where a breaker does not say
    #: what must be there beside the account: "marks" "quotes" "funding" "volume" "index" of the feed; "vitals" of a live one, and
    #: "requests" where its exchange tells of them and of its clock; "window" = have the rolling figures kept
    needs: tuple[str, ...]

    def measure(self, snapshot: Snapshot) -> Measure:
        """Value, threshold and unit now; raises Unknown like `check`."""


class AlertChannel(Protocol):
    """A way to reach a person.

    `send` may block and may raise: it runs in a thread of its own (shipped) or in a child process (foreign), is retried with
    back-off, and never delays another channel or trading. `Settings` as for a breaker, from `[alert.NAME]`; a secret is a
    setting written `"${NAME}"` in the configuration. A foreign channel is used only where that table exists.
    """

    name: str

    def send(self, alert: Alert) -> None:
        """Deliver, or raise. Must be done within 10 s; returning means delivered."""


class Strategy(Protocol):
    """What should rest now, as a pure function of numbers.

    `Settings` is a dataclass of sections, each a dataclass, read from `[instrument.params.<section>]`. `Params` and `State` are
    NamedTuples of numbers (and flat lists of numbers), so a state can be saved, restored, hashed and compared bit for bit.
    Beside its own sections every strategy has `execution`, `position` and `risk_management`, which the engine reads; it is
    handed those that it declares.

    A foreign file's strategy is asked one moment after the other, its state going out and coming back with each. Until it has
    answered, and has seen its `warmup_bars`, nothing opens; where it does not answer, its last closers and stops stay, its
    openers are withheld, and it is asked about the same moment again. An edited version takes up the old one's state if that
    has the shape of its `State`, else it begins with `initial`.

    Only `name`, `Params`, `State` and `step` are needed. Left out, the rest is plain: no settings but those named like a field of
    `Params`, every default of `State`, no warm-up, ready at once.
    """

    name: str
    Settings: type
    Params: type
    State: type

    def params(self, settings: Any, instrument: Instrument) -> Any:
        """Settings in people's units to `Params` in ticks and lots."""

    def initial(self, params: Any) -> Any:
        """The state before the first bar."""

    def warmup_bars(self, params: Any) -> int:
        """Bars needed until less than 1 % of the seed's weight is left in any indicator. Until then nothing opens."""

    def step(self, params: Any, state: Any, market: Market, wish: Wish) -> Any:
        """Look at one moment, overwrite `wish` with every rung that should rest now, return the next state.

        Must be deterministic: no clock, no random, no I/O. Lists inside `state` may be changed in place.
        """

    def describe(self, params: Any, state: Any) -> dict[str, float]:
        """For people: at least `ready` (0/1), `regime` (-1/0/1), `center` (ticks), `strength` (0..1), `change_24h_pct`, `atr_bps`."""


class Fact(NamedTuple):
    """One row of an exchange's preflight: what was looked at, how it is, how it should be. `ok` False keeps live from starting."""

    name: str
    ok: bool
    found: str
    wanted: str = ""
    advice: str = ""


class Terms(NamedTuple):
    """What the configuration says of a symbol that an exchange must be told, or cannot tell itself."""

    leverage: float
    margin_type: str  #: cross | isolated
    maker_bps: float
    taker_bps: float
    maint_margin_pct: float


class Stream(NamedTuple):
    """One stream of messages and how long it has been silent; None = it has not spoken yet."""

    name: str
    age_ms: int | None


class Health(NamedTuple):
    """How the line to an exchange is."""

    connected: bool
    streams: tuple[Stream, ...] = ()
    time_offset_ms: float | None = None  #: the exchange's clock less ours
    weight_used_pct: float | None = None  #: of the requests allowed, the fullest of its counters
    latency_ms: float | None = None  #: the third slowest request of the last minute, those under way included
    requests_1m: int | None = None  #: None = this exchange does not tell
    errors_1m: int | None = None  #: of these, how many had no answer, or one that says the exchange cannot


class Exchange(Protocol):
    """A place of trade. Its methods must not block and must not raise for what the exchange says: answers come back as events.

    The daemon calls `start` once, then the others from one thread. Every event goes through `emit`, in the order in which
    it happened. Prices and quantities are ticks and lots; turning them into the exchange's strings is done here and nowhere else.
    """

    name: str
    orders_cost_network: bool  #: False for paper: it opens no socket

    def start(self, emit: Callable[[Any], None], instruments: dict[str, Instrument], settings: Any) -> None:
        """Remember where events go. May begin connecting; must return at once."""

    def market(self, event: MarketEvent) -> None:
        """A market event of the daemon's own feed, before the heart sees it. Paper fills against it; a real exchange ignores it."""

    def place(self, orders: Sequence[Order]) -> None:
        """Send new orders. Each ends in Accepted, Rejected, Unsure or silence (then the heart asks); fills may come before Accepted.

        A CLOSE is done at once: at market, or immediate-or-cancel where it has a price.
        An id that the exchange has already is not refused: it is there, which is Unsure until a report says how."""

    def amend(self, client_id: str, qty: int) -> None:
        """Change the whole quantity (filled part included) of a resting limit order: Amended, or Rejected which leaves it as it was."""

    def cancel(self, orders: Sequence[Order]) -> None:
        """Cancel these: Cancelled for each, or a Fill that was faster; Unsure where it was not done or nobody knows. An order not known
        is answered Cancelled("unknown")."""

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        """Answer with one `Report`: positions and own and foreign orders, read from the exchange after this call.

        `now` is the heart's time; the report's `since` is that of the newest call made before its reading began. Before it every fill
        and payment not told yet is told. `doubted` are orders whose outcome is not known: each that the lists do not show is asked for
        by name; one that is over is told (Fill, Cancelled, Rejected), one not known goes into `absent`."""

    def restore(self, report: Report, seen: Sequence[MarketEvent]) -> None:
        """After `start`: the account as the journal remembers it and the last market events. Only paper needs it: a real exchange
        remembers by itself, and must ignore it."""

    def stop(self) -> None:
        """Let go of sockets and threads, also where `start` was never called. Leaves orders as they are."""


class NetworkExchange(Exchange, Protocol):
    """A real place of trade. Beside the `Exchange` contract: its market data, and what the daemon must know before it trades.

    The `async` methods are awaited before `start` and may take seconds; they raise ExchangeError, with the exchange's own words, where
    an answer cannot be had. Nothing that needs a key is sent but by `preflight`, and by what follows a `start` with `trading`.
    Every event carries the exchange's time, ms UTC, as far as it is believable; what is received is told at once and in order.
    What may be lost on the way is made good: streams are reopened for ever, a lost bar is read again, a fill not heard is told
    before the next `Report`, a message that is not understood is passed over and counted.
    """

    trading: bool  #: set before `start`: False = market data only, without a key

    async def instruments(self, terms: dict[str, Terms], settings: Any) -> dict[str, Instrument]:
        """Sizes, filters, fees and brackets of these symbols; what takes a key is left at the terms' own where `trading` is False."""

    async def preflight(self, instruments: dict[str, Instrument], terms: dict[str, Terms], settings: Any) -> list[Fact]:
        """Look at the account and put right what may be (hedge mode, leverage, margin type), in this order: clock, key and its rights,
        position mode, multi-asset mode, leverage and margin type, a far stop placed and cancelled, foreign orders and positions.
        The fact `balance` has the wallet, USDT, as its `found`; `countdown`, where it was tried over the far stop, "spares stops", and
        "not tried: ..." where orders are in its way."""

    async def history(self, symbol: str, interval_ms: int, bars: int) -> list[Bar]:
        """The last complete bars, oldest first, at most `bars`."""

    def listen(self, interval_ms: int, trades: bool) -> None:
        """Before `start`: the bars wanted, and whether public trades are (for paper fills). `start` then also begins to emit Bar, Quote
        (whenever the best price moved), Mark (with index, funding rate and next settlement), Trade, and Funding at each settlement."""

    def catch_up(self, last_trade: dict[str, int], income_time: int) -> None:
        """After `start` with `trading`: the newest own trade by symbol and the newest income that the journal has; what came later and
        was not heard is told before the first `Report`. A symbol that is missing begins with the trades since `income_time`."""

    def countdown(self, symbols: Sequence[str], ms: int) -> None:
        """The exchange cancels these symbols' orders when nothing like this is heard for `ms`; 0 = no more."""

    async def closed(self) -> None:
        """After `stop`: returns once what was asked last (a countdown taken off) is answered and the sockets are gone, within 2 s."""

    def health(self) -> Health:
        """How the line is; asked for `status`, answered from memory."""


class Service(Protocol):
    """Something that publishes the daemon's status (metrics endpoint, display). Runs in a process of its own, sees nothing else.

    A foreign one runs unless `[service.NAME]` says `enabled = false`, a shipped one only where its table asks for it.
    """

    name: str

    def start(self) -> None:
        """Begin; called in the service's own process before the first update, again where it raised."""

    def update(self, status: dict[str, Any]) -> None:
        """The newest `status` document, about once a second; none while the last call has not returned. Has
        `daemon.plugin_deadline_seconds`; what it raises is shown in `plugins` and `degraded`."""
