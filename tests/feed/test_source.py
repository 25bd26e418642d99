from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.feed.recorded import Recorded
from hedgegridd.feed.source import open_feed
from hedgegridd.feed.synthetic import DEFAULT_START_MS, Synthetic
from hedgegridd.model import Funding, Gap, Instrument, Trade

MINUTE = 60_000
T0 = 1_700_006_400_000
Both = dict[str, Instrument]


def table(**keys: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"kind": "synthetic", "seed": 7, "interval": "1m", "max_gap_minutes": 60, **keys})


@pytest.mark.parametrize("start", ["2024-03-01T00:00:00Z", 1_709_251_200_000, datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1)])
def test_a_synthetic_feed(instruments: Both, start: Any) -> None:
    feed = open_feed(table(start=start, start_price=500.0), instruments)
    assert isinstance(feed, Synthetic)
    first = next(iter(feed.events(0)))
    assert isinstance(first, Trade)
    assert (first.time, first.price) == (1_709_251_200_000, 5000)


def test_the_start_has_a_default_and_a_teaching_error(instruments: Both) -> None:
    assert next(iter(open_feed(table(), instruments).events(0))).time == DEFAULT_START_MS
    with pytest.raises(FeedError, match=r"feed\.start: is 'soon', expected a time such as"):
        open_feed(table(start="soon"), instruments)


def test_a_path_given_wins(tmp_path: Path, instruments: Both, klines: Any, text: Callable[..., Path]) -> None:
    path = text(tmp_path / "BTCUSDT.csv", klines(3) + klines(3, T0 + 20 * MINUTE))
    feed = open_feed(table(max_gap_minutes=10, funding_bps=2.0), instruments, path)
    assert isinstance(feed, Recorded)
    events = list(feed.events(0))
    assert [type(e).__name__ for e in events] == ["Funding", *["Bar"] * 3, "Gap", *["Bar"] * 3, "FeedEnd"]
    assert isinstance(events[0], Funding)
    assert events[0].rate == 0.0002
    assert events[4] == Gap("BTCUSDT", T0 + 20 * MINUTE, T0 + 3 * MINUTE)
    assert open_feed(table(kind="recorded", path=str(path)), instruments, funding_bps=0.0).span() == feed.span()


def test_recorded_needs_a_path(instruments: Both) -> None:
    with pytest.raises(FeedError, match=r"feed\.path: not set"):
        open_feed(table(kind="recorded", path=None), instruments)
