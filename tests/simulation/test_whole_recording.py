"""The whole recorded year-and-a-half of minutes through the heart and the paper exchange, looking after every event."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rig import BARS, Rig, check, config_of, instrument_table

from hedgegridd.feed.source import open_feed
from hedgegridd.model import Bar, FeedEnd, Gap, Outlook

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[2] / ".." / "shared"))
FILTER_CODES = {-1111, -1013, -4003, -4004, -4005, -4014, -4023, -4164, -2022, -1106, -4061}

pytestmark = pytest.mark.skipif(not (SHARED / "data" / "klines").exists(), reason="HEDGEGRIDD_SHARED: no recorded data there")


def play(every: int) -> Rig:
    """Trade the recording, with the invariants checked at every `every`-th event and at each fill."""
    config = config_of(instrument=[instrument_table("BTCUSDT", regime={})])
    rig = Rig(config, BARS)
    feed = open_feed(config.feed, {"BTCUSDT": rig.desk().instrument}, SHARED / "data" / "klines" / "1m" / "BTCUSDT.parquet")
    events = feed.events()
    first = next(events)
    rig.start(time=first.time)
    _window(rig, feed, first.time)
    rig.market(first)
    for count, event in enumerate(events):
        if isinstance(event, FeedEnd):
            break
        fills = rig.engine.counts["fills"]
        rig.market(event)
        if isinstance(event, Gap):
            _window(rig, feed, event.time)
        if count % every == 0 or rig.engine.counts["fills"] != fills:
            check(rig)
    return rig


def _window(rig: Rig, feed: object, time: int) -> None:
    due, rate = feed.next_funding("BTCUSDT", time)  # type: ignore[attr-defined]
    rig.take(Outlook("BTCUSDT", time, rate, due))


@pytest.mark.slow
def test_it_trades_every_window_through_the_crash_and_the_books_agree() -> None:
    rig = play(every=1)
    bars = [event for event in rig.inputs if isinstance(event, Bar)]
    assert len(bars) == 159_537
    assert len([event for event in rig.inputs if isinstance(event, Gap)]) == 2
    assert rig.engine.counts["fills"] > 100
    refused = {act["code"] for act in rig.of("rejected")}
    assert not refused & FILTER_CODES, f"orders the filters refuse: {refused & FILTER_CODES}"
    held = {(leg.leg): leg.qty for leg in _report(rig).held}
    assert held == {0: rig.desk().books.long_qty, 1: rig.desk().books.short_qty}
    assert abs(rig.exchange.equity - rig.engine.account.equity) <= 1e-9 * rig.engine.account.equity
    again = play(every=1_000)
    assert again.engine.decisions.hash == rig.engine.decisions.hash


def _report(rig: Rig):  # type: ignore[no-untyped-def]
    rig.exchange.report()
    return rig.inbox.pop()
