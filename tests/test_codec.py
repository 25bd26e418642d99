"""Nouns to JSON and back: what comes back is equal, of the same classes, and a stranger's row is refused in words."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd import model, views
from hedgegridd.codec import decode, encode
from hedgegridd.errors import StateError

LEG = views.LegView(0.5, 100.25, 50.1, -0.25, 12.0, None, False)
VIEW = views.InstrumentView(
    "BTCUSDT", 100.5, None, 100.0, None, None, None, None, None, None, None, None, 3, LEG, LEG._replace(protected=True)
)
ORDER = model.Order("hg-1", "BTCUSDT", 0, 1, -1, 1000, 5, 7, model.OrderState.LIVE, 2, "77")
EXAMPLES: list[Any] = [
    model.Bar("BTCUSDT", 1_700_000_000_000, 1, 4, 0, 2, 10, 60_000),
    model.Quote("BTCUSDT", 1, 2, 3, 4, 5),
    model.Trade("BTCUSDT", 1, 2, 3, True),
    model.Mark("BTCUSDT", 1, 2.5),
    model.Mark("BTCUSDT", 1, 2.5, 2.4, -0.0001, 99),
    model.Funding("BTCUSDT", 1, 0.0001, 28_800_000),
    model.Gap("BTCUSDT", 9, 1),
    model.FeedEnd(3),
    model.Accepted("a", "b", 1),
    model.Rejected("a", 1, -5022, "post only"),
    model.Amended("a", 1, 4),
    model.Cancelled("a", 1, "ours"),
    model.Ended(2, (model.Cancelled("a", 1, "ours"), model.Cancelled("b", 2, "ours"))),
    model.Fill("BTCUSDT", 1, 0, 1, 2, 3, 0.1, True, "a", "b", "c"),
    model.FundingPaid("BTCUSDT", 1, 1, -0.3),
    model.Transfer(1, -100.0),
    model.Charged("BTCUSDT", 1, 0.5, "INSURANCE_CLEAR", "77"),
    model.Unsure("a", 1, "timed out"),
    model.Trouble(1, "ban", "too many requests", "", 9),
    model.Report(1, 999.5, (model.Held("BTCUSDT", 0, 5, 1000.5),), (ORDER, ORDER)),
    model.Report(1, 0.0, (), ()),
    model.Timer(1, 2),
    model.Verb(1, 2, "activate", {"reason": "ünï\n\u2028", "n": [1, None]}, "uid 0"),
    model.KillFile(1, None, "", "torn", False),
    model.Durable(1, 2),
    model.DiskFailed(1, 3, "full"),
    model.Answer(1, "x.py", 2, {"trip": ["a", 1.0, None, 2]}),
    model.Missed(1, "x.py", 2, "late"),
    model.Started(1, 2, "", model.KillFile(1, True, "halt", "r"), ""),
    model.Stopping(1, True, "SIGTERM"),
    model.PluginChanged(1, "x.py", "ab", "breaker", ("a", "b"), "loaded", ""),
    views.Snapshot(1, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, None, 0.5, 0, (VIEW,)),
    views.WindowView(0.1, 0.2, 1.5, None, 2.0, 1.0, None, 5.0),
    views.Vitals(1, 2, 3.5, 0.0, 4, None, 5.0, 6, 7, 0, -1.5, 2.0, 3.0, 4.0, "plugin x.py"),
    views.Trip("x", 1.0, 2.0, model.Level.FLATTEN),
    views.Trip("x"),
    views.Measure(1.0, 2.0, "pct"),
    views.Alert(1, model.Severity.CRITICAL, "breaker", "t", "x", {"a": 1}),
    model.Instrument(0.1, 0.001, 1, 10, 5, 5.0, 2.0, 5.0),
]


def wired(event: Any) -> Any:
    return decode(json.loads(json.dumps(encode(event))))


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same classes all the way down (a tuple equals a NamedTuple, an int an enum)."""
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_round_trip(event: Any) -> None:
    back = wired(event)
    if isinstance(event, model.Report):  # an order's state is an int field: the number comes back, equal
        assert back == event and isinstance(back.orders, tuple) and all(isinstance(o, model.Order) for o in back.orders)
    else:
        assert same(back, event)


def test_every_noun_that_events_are_made_of_has_a_plan() -> None:
    unions = (model.MarketEvent, model.ExchangeEvent)
    for noun in [noun for union in unions for noun in union.__args__]:
        assert any(isinstance(event, noun) for event in EXAMPLES), noun


@settings(max_examples=60)
@given(
    st.builds(
        model.Mark, st.text(), st.integers(), st.floats(), st.none() | st.floats(), st.none() | st.floats(), st.none() | st.integers()
    )
)
def test_any_mark_survives_bit_for_bit(mark: model.Mark) -> None:
    back = wired(mark)
    for a, b in zip(mark, back, strict=True):
        assert a == b or (math.isnan(a) and math.isnan(b))
        assert not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b) or math.isnan(a)


def test_fields_an_older_version_did_not_know_take_their_defaults() -> None:
    assert decode(["Mark", "BTCUSDT", 1, 2.5]) == model.Mark("BTCUSDT", 1, 2.5)
    assert decode(["Trip", "x"]) == views.Trip("x")


@pytest.mark.parametrize("row", [["Baar", 1], [], {}, None, "Bar", [["Bar"]], ["Bar", 1], ["Trip", "x", 1.0, 1.0, 9], ["FeedEnd", 1, 2]])
def test_what_is_no_noun_is_refused(row: Any) -> None:
    with pytest.raises(StateError):
        decode(row)


def test_the_refusal_teaches() -> None:
    with pytest.raises(StateError, match=r"'Bra'.*did you mean Bar"):
        decode(["Bra", 1])


def test_only_nouns_of_the_model_are_encoded() -> None:
    class Bar(NamedTuple):
        x: int

    with pytest.raises(TypeError, match="expected a noun"):
        encode(Bar(1))
