"""The live feed: what is known of a market that an exchange tells as it happens. One law: it never ends and is never waited for.

The events come through the exchange plugin, straight into the daemon's inbox; here is only what a feed is asked beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hedgegridd.model import Bar, FeedEnd, MarketEvent

CADENCE_MS = 1_000  # a mark price a second


class Live:
    """Keeps the `Feed` contract. `past`: bars from before the start, by symbol; `requests`: does the exchange tell how they fare?"""

    pushed = True
    cadence_ms = CADENCE_MS

    def __init__(self, symbols: Iterable[str], past: Mapping[str, Sequence[Bar]], trades: bool, requests: bool = False) -> None:
        self.symbols = tuple(symbols)
        self.past = past
        told = {"trades": trades, "requests": requests}
        market = {"bars", "marks", "quotes", "funding", "volume", "index", "vitals"}
        self.carries = frozenset(market | {name for name, there in told.items() if there})

    def warmup(self, symbol: str, bars: int) -> list[Bar]:
        """The last bars before the start."""
        return list(self.past.get(symbol, ()))[-bars:]

    def events(self, after: int = 0) -> Iterator[MarketEvent | FeedEnd]:
        """None: they are pushed."""
        return iter(())

    def span(self) -> tuple[int, int] | None:
        """Nobody knows when it ends."""
        return None

    def next_funding(self, symbol: str, after: int) -> tuple[int, float | None]:
        """Told by each mark."""
        return 0, None

    def notes(self) -> list[str]:
        """Nothing to say."""
        return []
