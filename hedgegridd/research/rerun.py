"""A journaled session once more, with something changed: its market and its people as they were, the exchange's answers made anew.

One law: the fills are the paper exchange's own. What the journal says of orders, fills and reports is left out, because it answers
another run's orders; all else a heart was told is told again, in the same order. It performs effects as `full` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hedgegridd.config import parse
from hedgegridd.heart import on_exchange
from hedgegridd.heart.build import build, exchange_of
from hedgegridd.heart.engine import Engine
from hedgegridd.journal.segments import CHECKPOINT, INPUT, Record
from hedgegridd.kernel.metrics import note
from hedgegridd.model import Bar, DiskFailed, Durable, Funding, Gap, Mark, Quote, Report, Started, Trade
from hedgegridd.plugins import Registry
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Mute

MARKET = frozenset({Bar, Quote, Trade, Mark, Funding, Gap})
MADE_ANEW = frozenset({*on_exchange.HANDLERS, Durable, DiskFailed})  #: this run's own exchange and disk say these

Memory = Callable[[Engine], tuple[Report, list[Any]]]  #: the account and the market as an engine knows them, for `restore`


class Traits(NamedTuple):
    """What a heart must know of the feed that the journal's inputs came from."""

    carries: frozenset[str]
    cadence_ms: int


class Rerun(FullRun):
    """A session from one of its checkpoints on; `out` = breakers that are kept out of force."""

    def __init__(self, state: dict[str, Any], registry: Registry, memory: Memory, out: frozenset[str] = frozenset()) -> None:
        traits = state["feed"]
        super().__init__(parse(state["config"]), registry, Traits(frozenset(traits["carries"]), traits["cadence_ms"]), Mute())
        self.registry, self.memory, self.raw, self.out = registry, memory, state["config"], out
        self.engine.load(state["engine"])
        self._keep_out()
        self.exchange.restore(*memory(self.engine))
        self.mark = self.engine.sync_mark  # what waited for the disk then has it now

    def checkpoint(self, state: dict[str, Any]) -> None:
        """A later checkpoint is another run's state; only its configuration counts here."""
        if state["config"] == self.raw:
            return
        self.raw, self.config = state["config"], parse(state["config"])
        engine = build(self.config, self.registry, carries=self.engine.carries, cadence_ms=self.engine.cadence_ms)
        engine.take_over(self.engine)
        self.engine = engine

    def hear(self, event: Any) -> None:
        """One journaled input, and all that comes of it."""
        if type(event) in MADE_ANEW:
            return
        if isinstance(event, Started):
            self._reopen()
        if type(event) in MARKET:
            self.exchange.market(event)
        self.inbox.append(event)
        self._drain()
        self._keep_out()
        note(self.course, self.engine.now, self.engine.account.equity)

    def _keep_out(self) -> None:
        """A file that came back, or a person, may have put them in force."""
        for name in self.out & self.engine.panel.guards.keys():
            guard = self.engine.panel.guards[name]
            if guard.state != "disarmed" or guard.disarmed_until:
                self.engine.panel.disarm(guard, "kept out", self.engine.now)

    def _reopen(self) -> None:
        """A life begins: a paper exchange takes up the account as the heart remembers it."""
        self.exchange = exchange_of(self.config, self.registry)
        instruments = {symbol: desk.instrument for symbol, desk in self.engine.desks.items()}
        self.exchange.start(self.inbox.append, instruments, self.config.exchange.paper)
        self.exchange.restore(*self.memory(self.engine))


def rerun(
    records: Iterable[Record], registry: Registry, memory: Memory, watch: Callable[[int, Engine], bool], out: frozenset[str] = frozenset()
) -> Rerun | None:
    """Play the inputs of these records; None where there is no checkpoint among them. `watch` is told each input's
    number and the heart after it, and answers False to end it there."""
    run: Rerun | None = None
    for record in records:
        if record.kind == CHECKPOINT and record.data["state"] is not None:
            if run is None:
                run = Rerun(record.data["state"], registry, memory, out)
            else:
                run.checkpoint(record.data["state"])
        elif record.kind == INPUT and run is not None:
            run.hear(record.data)
            if not watch(record.seq, run.engine):
                break
    return run
