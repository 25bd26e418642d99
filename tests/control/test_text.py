import copy
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.control import text
from hedgegridd.control.protocol import VERBS

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def shown(verb: str, result: dict[str, Any], colour: bool = False) -> str:
    return "\n".join(text.render(verb, result, text.Ink(colour)))


def test_the_status_screen_says_what_matters(running: Any) -> None:
    screen = shown("status", running.daemon.doc)
    for word in ("paper", "inactive", "10,037.50", "drawdown", "BTCUSDT", "sideways", "UNPROTECTED", "stop 47,000", "1 h 2 min", "UTC"):
        assert word in screen
    assert "\x1b" not in screen
    assert "\x1b[" in shown("status", running.daemon.doc, colour=True)


def test_what_is_not_known_is_a_question_mark(running: Any) -> None:
    doc = copy.deepcopy(running.daemon.doc)
    doc["instruments"][0]["mark_price"] = None
    doc["instruments"][0]["long"]["qty"] = None
    doc["account"]["equity_usdt"] = math.nan
    screen = shown("status", doc)
    assert "mark ?" in screen
    assert "equity ?" in screen
    assert "funding   unknown  ? / ?" in screen


def test_an_active_kill_switch_comes_first_with_who_and_why(running: Any) -> None:
    doc = copy.deepcopy(running.daemon.doc)
    doc["kill_switch"].update(active=True, level="flatten", phase="closing", reason="rumour", source="ctl", actor="uid=0(root)",
                              since="2026-01-02T03:04:05.678Z", durable=False)  # fmt: skip
    lines = text.render("status", doc)
    assert "ACTIVE" in lines[1]
    assert "NOT durable" in lines[1]
    assert "rumour" in lines[2]
    assert "2026-01-02 03:04:05 UTC  by ctl uid=0(root)" in lines[3]


def test_the_stage_paper_shows_what_it_made(running: Any) -> None:
    doc = copy.deepcopy(running.daemon.doc)
    made = {"resting": 20, "rested": 22, "fills": 3, "closed": 1, "realized_pnl_usdt": 1.25, "pnl_usdt": -0.5}
    doc["recovery"].update(stage="paper", paper=made)
    assert "on paper: 3 fills, 1 of them closed something, -0.50 USDT at the mark, 1.25 realised" in shown("status", doc)


def test_no_text_from_outside_steers_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\n\r\u202e"
    for verb, result in (
        ("status", {"kill_switch": {"active": True, "reason": evil}, "degraded": [evil], "instruments": [{"symbol": evil}]}),
        ("orders", {"orders": [{"client_id": evil, evil: 1}]}),
        ("breakers", {"breakers": [{"name": evil, "unit": evil}]}),
        ("why", {"why": {evil: [evil]}}),
    ):
        lines = text.render(verb, result)
        assert all(line.isprintable() for line in lines), verb


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"watch"}))
@given(result=st.dictionaries(st.text(max_size=8), ANY, max_size=4))
@settings(max_examples=15)
def test_any_body_can_be_shown(verb: str, result: dict[str, Any]) -> None:
    if verb in ("status", "breakers"):  # these have a fixed shape; anything else goes by its own
        result = {}
    assert all(isinstance(line, str) for line in text.render(verb, result))


def test_rows_are_a_table_and_more_is_said() -> None:
    fills = [{"time": "2026-01-02T03:04:05.000Z", "qty": 0.01, "fee": 0.2, "maker": True, "reason": None},
             {"time": "2026-01-02T03:04:06.000Z", "qty": 12.5, "fee": 0.1, "maker": False, "reason": "adl"}]  # fmt: skip
    lines = text.render("fills", {"schema": 1, "fills": fills, "more": True})
    assert lines[0] == "fills"
    assert lines[1].split() == ["time", "qty", "fee", "maker", "reason"]
    assert lines[2].split() == ["2026-01-02", "03:04:05", "UTC", "0.01", "0.2", "yes", "-"]
    assert lines[1].index("qty") + 3 == lines[2].index("0.01") + 4
    assert "--since" in lines[-1]


def test_metrics_are_shown_raw() -> None:
    assert text.render("metrics", {"text": "a 1\nb 2\n"}) == ["a 1", "b 2"]


def test_small_and_large_figures_are_no_powers_of_ten() -> None:
    assert (text.number(1.7356902e12), text.number(6.04e-5), text.number(-0.5)) == ("1,735,690,200,000", "0.0000604", "-0.5")
    assert (text.measure(1.009e-05), text.measure(0), text.money(-0.002), text.rate(6.041e-5)) == ("0.0000", "0", "0.00", "0.0060 %")


def test_breakers_out_of_force_stand_aside_with_the_reason(running: Any) -> None:
    row = {"name": "spread", "state": "armed", "value": 3.0, "threshold": 30.0, "unit": "bps", "fraction": 0.1, "on_trip": "halt"}
    off = [{"name": name, "state": "disarmed", "reason": "disabled in the configuration"} for name in ("volume", "volatility")]
    by_hand = {"name": "margin", "state": "disarmed", "reason": "disarmed by uid=0(root): tested"}
    lines = text.render("breakers", {"breakers": [row, *off, by_hand]})
    assert lines[-1] == "  disabled in the configuration: volume, volatility"
    assert sum("/" in line for line in lines) == 2  # the one armed, and the one that a person disarmed
    screen = shown("status", {**running.daemon.doc, "breakers": [row, *off, by_hand]})
    assert "2 more are not in force" in screen and "margin" in screen and "volatility" not in screen


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.42, "0.42 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h"), (None, "?"), (math.nan, "?")]
)
def test_durations(seconds: Any, said: str) -> None:
    assert text.duration(seconds) == said


@pytest.mark.parametrize(("fraction", "said"), [(0, "...."), (0.5, "##.."), (7, "####"), (-1, "...."), (None, "?   ")])
def test_bars(fraction: Any, said: str) -> None:
    assert text.bar(fraction, 4) == said


def test_it_is_light() -> None:
    """It lies on the way to every answer."""
    assert Path(text.__file__).read_text().count("\nimport ") == 0
    assert "hedgegridd.control.text" in sys.modules
