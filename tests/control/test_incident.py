"""An incident on a terminal: what tripped, what was done, what proves it; what is not known is said so; strangers' text is harmless."""

from __future__ import annotations

from typing import Any

from research.test_incident import BREAKERS, HOSTILE, told, tripped

from hedgegridd.control import text
from hedgegridd.control.incident import shown
from hedgegridd.research.incident import row, spans


def lines(**changes: Any) -> str:
    return "\n".join(shown({**told(tripped()), **changes}))


def test_it_tells_what_tripped_what_was_closed_and_what_proves_it() -> None:
    said = lines()
    for part in (
        "incident 4  2025-01-01 01:08:00 UTC  mode paper",
        "breaker.drawdown, level flatten",
        "measured     5 of 4 %",
        "inputs       equity 9,500, session_peak 10,000",
        "at 49,990",
        "market 50,000",
        "slippage 0.04",
        "certificate  flat 2025-01-01 01:08:00 UTC, 0.5 s; fees 0.10, slippage 0.04, realised -1.50 USDT",
        "proven by 1 read of the exchange",
        "daily_loss",
        "delivered 2025-01-01 01:08:00 UTC",
        "over since 2025-01-01 01:08:09 UTC, by uid=1(ada): understood",
        "durable      act 4 was on the disk 0.01 s after it was written (sync 1 covers 1)",
        "hashes hold",
    ):
        assert part in said, (part, said)


def test_what_is_not_known_is_said() -> None:
    bare = told([one for one in tripped() if one.kind not in ("checkpoint", "input")], alerts=None, breakers=[], mark=None, why="pruned")
    said = "\n".join(shown(bare))
    for part in (
        "(unit not known)",
        "at ?",
        "slippage ?",
        "not known: no record of deliveries",
        "durable      not known: pruned",
        "mode ?",
    ):
        assert part in said, (part, said)
    unproven = told([one for one in tripped() if one.kind != "flat"])
    assert "certificate  none" in "\n".join(shown(unproven)) and "flat         never" in "\n".join(shown(unproven))


def test_a_failed_delivery_stands_out() -> None:
    row = {**told(tripped())["alerts"][0], "delivered_at": None, "given_up_at": "2025-01-01T02:00:00.000Z", "error": "no line"}
    assert "NOT delivered, given up 2025-01-01 02:00:00 UTC: no line" in lines(alerts=[row])
    assert "not delivered yet: no line" in lines(alerts=[{**row, "given_up_at": None}])


def test_what_was_left_out_is_counted_and_the_page_is_named() -> None:
    said = lines(left_out={"orders": 7}, page="hedgegridd report incident 4 --state-dir /d")
    assert "left out     7 of orders" in said and said.endswith("page         hedgegridd report incident 4 --state-dir /d")


def test_the_list_and_the_screen_of_the_verb() -> None:
    listed = {"schema": 1, "incident": [row(span) for span in spans(tripped())]}
    (line,) = text.render("incident", listed)
    assert line.split()[0] == "4" and "breaker.drawdown" in line and "until 2025-01-01" in line
    assert text.render("incident", {"schema": 1, "incident": []}) == ["no incident in this journal"]
    assert text.render("incident", told(tripped()))[0].startswith("incident 4")


def test_no_text_from_outside_moves_the_terminal() -> None:
    evil = "\x1b[2J" + HOSTILE
    document = told(tripped(), breakers=[{**BREAKERS[0], "name": evil}])
    document["trigger"]["reason"] = document["next_breaker"]["said"] = document["timeline"][0]["data"]["reason"] = evil
    document["alerts"][0]["title"] = document["end"]["reason"] = evil
    assert "\x1b" not in "".join(shown(document))
