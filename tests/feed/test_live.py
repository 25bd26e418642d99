"""The live feed has no events of its own: it knows what the market carries, and what came before the start."""

from __future__ import annotations

from hedgegridd.feed.live import Live
from hedgegridd.model import Bar


def test_it_is_pushed_and_never_ends() -> None:
    feed = Live(["BTCUSDT"], {}, trades=False)
    assert feed.pushed and not list(feed.events()) and feed.span() is None and feed.notes() == []
    assert "trades" not in feed.carries and "trades" in Live(["BTCUSDT"], {}, trades=True).carries


def test_warm_up_is_the_newest_of_what_was_read() -> None:
    bars = [Bar("BTCUSDT", minute * 60_000, 1, 1, 1, 1, 1, 60_000) for minute in range(5)]
    feed = Live(["BTCUSDT"], {"BTCUSDT": bars}, trades=False)
    assert feed.warmup("BTCUSDT", 2) == bars[-2:] and feed.warmup("ETHUSDT", 2) == []
