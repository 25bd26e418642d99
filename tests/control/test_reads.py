from typing import Any

import pytest

from hedgegridd.control import reads, text
from hedgegridd.control.text import PLAIN

ORDER = {"seq": 12, "time": "2025-01-01T00:10:00.000Z", "kind": "order", "t": 1735690200000, "client_id": "hg-1",
         "symbol": "BTCUSDT", "leg": "short", "role": "entry", "side": "sell", "price": 100509.5, "qty": 0.002}  # fmt: skip
WIDTH = 140


def shown(verb: str, result: dict[str, Any]) -> list[str]:
    lines = text.render(verb, {"schema": 1, **result})
    assert all(len(line) <= WIDTH for line in lines), lines
    return lines


def test_an_act_is_one_line_in_prices_and_coins_with_its_id() -> None:
    assert reads.act(ORDER) == "BTCUSDT short entry sell 0.002 @ 100,509.5 hg-1"
    assert reads.act({"client_id": "hg-1", "qty": 0.001}) == "0.001 hg-1"
    assert reads.act({"kind": "kill_phase", "phase": "closing"}) == "closing"
    assert reads.act({"kind": "odd", "t": 1, "speed": 2.5, "deep": {}}) == "speed 2.5"
    tail = shown("journal.tail", {"journal.tail": [ORDER]})
    assert tail[1].split()[:5] == ["12", "2025-01-01", "00:10:00", "UTC", "order"]


@pytest.mark.parametrize("verb", ["orders", "fills", "ladders", "positions", "config", "drill"])
def test_a_list_without_rows_is_a_sentence(verb: str) -> None:
    (line,) = shown(verb, {verb: []})
    assert line.startswith("no ")


def test_a_flat_leg_has_no_entry_price_and_an_unknown_one_is_a_question_mark() -> None:
    flat = {"symbol": "BTCUSDT", "leg": "long", "mode": "normal", "qty": 0, "entry_price": None, "unrealized_pnl_usdt": None}
    held = {**flat, "leg": "short", "qty": 0.002, "entry_price": 100759.55, "unrealized_pnl_usdt": -0.36}
    title, heads, one, two = shown("positions", {"positions": [flat, held]})
    assert (title, heads.split()) == ("positions", ["symbol", "leg", "mode", "qty", "entry_price", "unrealized_pnl"])
    assert one.split() == ["BTCUSDT", "long", "normal", "0", "-", "?"]
    assert two.split()[-2:] == ["100,759.55", "-0.36"]


def test_why_says_that_all_is_well_or_what_is_withheld() -> None:
    assert shown("why", {"why": [], "hold": None}) == ["every wished rung has its resting order"]
    rung = {"symbol": "BTCUSDT", "leg": "long", "role": "entry", "price": 99.5, "qty": 1.0, "reason": "no margin"}
    held, _, row = shown("why", {"why": [rung, {"symbol": "ETHUSDT", "reason": "warming up"}], "hold": "kill switch"})[:3]
    assert "withheld: kill switch" in held and row.endswith("no margin")


def test_plugins_are_listed_folder_by_folder() -> None:
    folder = "/opt/hedgegridd/lib/python3.11/site-packages/hedgegridd/shipped/plugins"
    rows = [{"name": name, "kind": "breaker", "file": f"{folder}/breaker_{name}.py", "state": "loaded", "reason": ""} for name in "ab"]
    foreign = {"name": "c", "kind": "", "file": "/etc/x/c.py", "state": "refused", "reason": "others may write it"}
    lines = shown("plugins", {"plugins": [*rows, foreign]})
    assert lines[0] == folder and [line for line in lines if line.startswith("/")] == [folder, "/etc/x"]
    assert lines[2].split() == ["breaker", "a", "loaded", "breaker_a.py"]
    assert lines[-1].endswith("others may write it")


def test_what_changes_nothing_says_so() -> None:
    assert shown("reload", {"changed": []}) == ["read again; nothing changed"]
    assert "grid" in "\n".join(shown("reload", {"changed": ["grid"]}))
    assert shown("confirm", {"confirmed": True, "enabled": False, "left_seconds": 0}) == ["confirmed; the dead man's switch is off"]
    assert shown("confirm", {"confirmed": True, "enabled": True, "left_seconds": 7200})[0].endswith("due within 2 h 0 min")


def test_an_answer_of_another_version_is_shown_by_its_shape() -> None:
    assert "no kind of list" in "\n".join(text.render("orders", {"orders": "no kind of list"}))
    assert reads.SCREENS["ping"]({"version": "0.1.0", "pid": 7}, PLAIN) == ["pong: hedgegridd 0.1.0, pid 7"]
