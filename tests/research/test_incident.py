"""An incident: what the journal's records make of it, in the words of a person, with nothing made up."""

from __future__ import annotations

import json
import re
from typing import Any

from hedgegridd.journal.segments import CHECKPOINT, INPUT, KILL, Record
from hedgegridd.model import Bar, DiskFailed, Durable
from hedgegridd.research.incident import MOST_ALERTS, MOST_PRICES, Beside, Span, document, spans
from hedgegridd.research.incidentpage import page

SYMBOL, NOW = "BTCUSDT", 1_735_693_680_000
HOSTILE = '<script src="https://example.org/x.js">alert(1)</script>'
STATE = {
    "version": "0.1.0",
    "config": {"mode": "paper", "instrument": [{"symbol": SYMBOL, "filters": {"tick_size": 0.1, "lot_size": 0.001}}]},
}


def record(seq: int, kind: str, data: Any, time: int = NOW) -> Record:
    return Record(seq, time, time + 5, kind, data, f"{seq:032x}")


def kill(seq: int, active: bool = True, source: str = "breaker.drawdown", actor: str = "", time: int = NOW) -> Record:
    return record(seq, KILL, {"active": active, "level": 3, "reason": HOSTILE, "source": source, "actor": actor}, time)


def bar(seq: int, close: int) -> Record:
    return record(seq, INPUT, Bar(SYMBOL, NOW - 1000 + seq, close, close, close, close, 1, 60_000))


def fill(seq: int, name: str) -> Record:
    figures = {"price": 499_900, "qty": 4, "fee": 0.1, "realized": -1.5, "side": -1, "leg": 0, "role": 3}
    return record(seq, "fill", {"symbol": SYMBOL, "client_id": name, "trade_id": "t", **figures}, NOW + 250)


def tripped() -> list[Record]:
    inputs = {"equity": 9_500.0, "session_peak": 10_000.0}
    trip = {"name": "drawdown", "level": "flatten", "reason": HOSTILE, "value": 5.0, "threshold": 4.0, "inputs": inputs}
    order = {"client_id": "c1", "symbol": SYMBOL, "leg": 0, "role": 3, "side": -1, "price": 0, "qty": 4}
    proof = {"begun_at": NOW + 300, "heard_at": NOW + 400, "reads": 1}
    certificate = {"legs": [], "fees_usdt": 0.1, "slippage_usdt": 0.04, "realized_pnl_usdt": -1.5, "seconds": 0.5, "proof": proof}
    return [
        record(1, CHECKPOINT, {"state": STATE}),
        bar(2, 500_000),
        record(3, "trip", trip),
        kill(4),
        record(5, "flatten", {"reason": HOSTILE, "scope": [[SYMBOL, 0]], "usdt": [200.0]}),
        record(6, "order", order),
        record(7, INPUT, Durable(NOW + 10, 1), NOW + 10),
        fill(8, "c1"),
        record(9, "trip", {**trip, "name": "daily_loss", "value": 6.0}, NOW + 260),
        record(10, "flat", {"reason": HOSTILE, "certificate": certificate}, NOW + 500),
        record(11, "verb", {"name": "deactivate", "params": {"reason": "understood"}, "actor": "uid=1(ada)"}, NOW + 9_000),
        kill(12, active=False, time=NOW + 9_000),
    ]


BREAKERS: list[dict[str, Any]] = [
    {"name": "drawdown", "state": "tripped", "value": 5.0, "threshold": 4.0, "unit": "%", "fraction": 1.25, "on_trip": "flatten",
     "triggered": True},
    {"name": "margin", "state": "armed", "value": None, "threshold": None, "unit": "", "fraction": None, "on_trip": "flatten",
     "triggered": False},
    {"name": "volume", "state": "disarmed", "value": None, "threshold": None, "unit": "", "fraction": None, "on_trip": "pause",
     "triggered": False},
]  # fmt: skip
DELIVERED = {"time": NOW, "severity": "CRITICAL", "rule": "kill", "title": HOSTILE, "channel": "pager", "state": "delivered",
             "queued_at": NOW + 1, "delivered_at": NOW + 2, "given_up_at": None, "failures_noted": 0, "error": None}  # fmt: skip
SOUND = {"verified": True, "why": None, "first_seq": 1, "last_seq": 12}
BESIDE = Beside(SOUND, BREAKERS, {"known": False, "why": "so", "said": HOSTILE}, 1, "", [DELIVERED])


def told(records: list[Record], **changes: Any) -> dict[str, Any]:
    (span,) = spans(records)
    return document(span, records, BESIDE._replace(**changes))


def test_an_activation_and_the_flatten_it_asks_for_are_one_incident() -> None:
    (span,) = spans(tripped())
    assert (span.id, span.last and span.last.seq) == (4, 12)


def test_a_flatten_beside_the_kill_switch_is_one_until_the_exchange_says_zero_or_the_switch_takes_over() -> None:
    begun = record(1, "flatten", {"reason": "r"})
    assert spans([begun, record(2, "flat", {}), kill(3)]) == [Span(begun, record(2, "flat", {})), Span(kill(3), None)]
    assert [(one.id, one.last and one.last.seq) for one in spans([begun, kill(3), record(4, "flat", {})])] == [(1, 3), (3, None)]


def test_the_trigger_holds_the_exact_inputs_of_the_trip() -> None:
    trigger = told(tripped())["trigger"]
    assert (trigger["breaker"], trigger["value"], trigger["threshold"], trigger["seq"]) == ("drawdown", 5.0, 4.0, 3)
    assert trigger["inputs"] == {"equity": 9_500.0, "session_peak": 10_000.0}


def test_the_unit_is_the_breakers_own_and_unknown_without_it() -> None:
    assert told(tripped())["trigger"]["unit"] == "%"
    assert told(tripped(), breakers=[])["trigger"]["unit"] is None


def test_only_an_answer_to_a_sync_that_covers_the_act_proves_it_durable() -> None:
    found = told(tripped())["durable"]
    assert (found["confirmed"], found["act"], found["mark"], found["answered_mark"], found["seq"]) == (True, 4, 1, 1, 7)
    later = told(tripped(), mark=2)["durable"]
    assert later["confirmed"] is None and later["seq"] is None and "covers" in later["why"]
    refused = [*tripped()[:6], record(7, INPUT, DiskFailed(NOW, 1, "no space left")), *tripped()[7:]]
    assert told(refused)["durable"]["confirmed"] is False and "no space left" in told(refused)["durable"]["why"]
    mended = [*refused, record(13, INPUT, Durable(NOW + 20, 2), NOW + 20)]
    assert told(mended)["durable"]["confirmed"] is True
    unknown = told(tripped(), mark=None, why="it was pruned")["durable"]
    assert unknown["confirmed"] is None and unknown["why"] == "it was pruned"


def test_an_alert_is_told_with_its_channel_and_times_and_too_many_are_counted() -> None:
    (one,) = told(tripped())["alerts"]
    assert (one["channel"], one["delivered_at"], one["given_up_at"]) == ("pager", "2025-01-01T01:08:00.002Z", None)
    many = told(tripped(), alerts=[DELIVERED] * (MOST_ALERTS + 3))
    assert (len(many["alerts"]), many["alerts_left_out"]) == (MOST_ALERTS, 3)
    assert told(tripped(), alerts=None)["alerts"] is None


def test_a_person_who_stopped_is_named_with_what_was_said() -> None:
    asked = {"name": "activate", "params": {"reason": "news"}, "actor": "uid=0(root)"}
    trigger = told([record(1, "verb", asked), kill(2, source="ctl", actor="uid=0(root)")])["trigger"]
    assert (trigger["kind"], trigger["actor"], trigger["inputs"]) == ("verb", "uid=0(root)", {"reason": "news"})


def test_a_verb_of_the_same_moment_does_not_stand_for_a_breaker() -> None:
    found = told([record(1, "verb", {"name": "activate", "params": {}, "actor": "ada"}), kill(2)])
    assert found["trigger"]["kind"] == KILL


def test_a_fill_costs_what_it_is_worse_than_the_market_its_order_was_decided_on() -> None:
    (one,) = told(tripped())["fills"]
    assert (one["price_usdt"], one["market_usdt"], one["qty_coins"]) == (49_990.0, 50_000.0, 0.004)
    assert one["slippage_usdt"] == 0.04


def test_what_the_records_do_not_tell_is_unknown() -> None:
    found = told([one for one in tripped() if one.kind not in (CHECKPOINT, INPUT)])
    (one,) = found["fills"]
    assert [one[key] for key in ("price_usdt", "qty_coins", "market_usdt", "slippage_usdt")] == [None] * 4
    assert found["version"] is None and found["durable"]["confirmed"] is None and found["prices"] == {}
    assert "Not known: no record of deliveries" in page(told(tripped(), alerts=None, breakers=[]))


def test_the_end_names_who_let_go_and_the_proof() -> None:
    found = told(tripped())
    assert found["end"]["over"] and found["end"]["deactivated_by"] == "uid=1(ada)" and found["end"]["seconds_to_flat"] == 0.5
    assert found["certificates"][0]["proof"]["heard_at"] == "2025-01-01T01:08:00.400Z"
    assert [(one["name"], one["after"]) for one in found["other_trips"]] == [("daily_loss", True)]
    assert set(found["findings"].values()) == {""}


def test_many_prices_are_thinned_with_their_ends_kept() -> None:
    records = [record(1, CHECKPOINT, {"state": STATE}), *[bar(at, 500_000 + at) for at in range(2, 2_002)], kill(3_000)]
    rows = told(records)["prices"][SYMBOL]
    assert len(rows) == MOST_PRICES and (rows[0]["price_usdt"], rows[-1]["price_usdt"]) == (50_000.2, 50_200.1)


def test_the_page_reaches_nowhere_and_a_hostile_reason_stays_text() -> None:
    html = page(told(tripped()))
    assert "<script" not in html and "&lt;script" in html
    assert not re.search(r"(?:src|href)=[\"'](?!#)|url\(|@import", html)
    assert "default-src 'none'" in html and "prefers-color-scheme: dark" in html
    assert "<polyline" in html and "fill-long" in html
    assert "<th>Realized PnL USDT</th>" in html and "2025-01-01 01:08:00.250</time>" in html and "True" not in html
    assert "125.0 %" in html and "Not in force: volume." in html and "pager" in html


def test_a_document_is_plain_json() -> None:
    assert json.loads(json.dumps(told(tripped()), allow_nan=False))["id"] == 4
