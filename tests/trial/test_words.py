"""A trial in words: one line that claims no more than the figures."""

from __future__ import annotations

from typing import Any

from hedgegridd.trial.words import share, span, text, verdict, worth

TOLD = {"time": "2025-01-02T03:04:05.000Z", "level": "flatten", "reason": "42 bps >= 30 bps", "value": 42.0, "threshold": 30.0,
        "unit": "bps", "equity_usdt": 9_990.0,
        "held": [{"symbol": "BTCUSDT", "mark_price": 50_000.0, "long_qty": 0.004, "short_qty": 0.001}]}  # fmt: skip


def found(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "spread", "over": "journal", "where": "state/journal", "mode": "paper", "from": "2025-01-01T00:00:00.000Z",
        "to": "2025-01-15T00:00:00.000Z", "seconds": 14 * 86_400.0, "failed": "", "asks": 10, "unknowns": 0, "errors": 0,
        "last_unknown": "", "last_error": "", "ask_ms_p50": 0.1, "ask_ms_p99": 0.2, "trips": 0, "told": [], "near_misses": 0,
        "nearest": [], "peak": {"fraction": 0.9996, "time": "2025-01-03T00:00:00.000Z"}, "notes": [],
        "now": {"state": "fine", "value": 1.0, "threshold": 30.0, "unit": "bps", "reason": ""}, "equity_start_usdt": 10_000.0,
        "equity_end_usdt": 10_010.0, "max_drawdown_pct": 0.5,
        "effect": {"kind": "none", "saved_usdt": 0.0, "basis": "it did not trip"},
    }  # fmt: skip
    return {**row, **changes}


def test_the_verdict_is_one_line() -> None:
    two = verdict(found(trips=2, told=[TOLD, TOLD]))
    assert two == "would have tripped 2 times in 14 days; the first 2025-01-02 03:04:05 UTC at 42 of 30 bps, flatten: 42 bps >= 30 bps"
    assert verdict(found()) == "would not have tripped in 14 days; at its nearest 99.9 % of the threshold, 2025-01-03 00:00:00 UTC"
    assert verdict(found(unknowns=10, last_unknown="no quotes")) == "knew nothing in 14 days: no quotes"
    assert verdict(found(errors=10, last_error="KeyError: 1")) == "fails whenever it is asked: KeyError: 1"
    assert verdict(found(failed="quarantined: no answer")) == "cannot be asked: quarantined: no answer"
    assert verdict(found(asks=0, notes=["never asked: the feed does not carry quotes"])) == "never asked: the feed does not carry quotes"
    assert "it failed once: KeyError" in verdict(found(errors=1, last_error="KeyError: 1"))


def test_an_estimate_is_called_one() -> None:
    effect = {"kind": "estimate", "saved_usdt": 12.5, "basis": "so and so"}
    assert worth(effect) == "would have saved 12.50 USDT, an estimate (so and so)"
    assert worth({**effect, "kind": "rerun", "saved_usdt": -3.0}) == "would have cost 3.00 USDT (so and so)"
    assert worth({**effect, "saved_usdt": None}) == "not known: so and so"


def test_a_person_sees_the_moment_the_inputs_and_the_money() -> None:
    rows = found(trips=12, told=[TOLD] * 12, effect={"kind": "rerun", "saved_usdt": -3.0, "equity_end_usdt": 10_007.0,
                                                     "max_drawdown_pct": 0.4, "basis": "two runs"})  # fmt: skip
    rows["verdict"] = verdict(rows)
    lines = text({"file": "breaker_spread.py", "failed": "", "runs": [rows]})
    whole = "\n".join(lines)
    for part in ("2025-01-02 03:04:05 flatten", "42 of 30 bps, equity 9,990.00 USDT; BTCUSDT mark 50,000, long 0.004, short 0.001",
                 "and 7 more", "0.1 ms p50", "with it -> 10,007.00 USDT", "would have cost 3.00 USDT"):  # fmt: skip
        assert part in whole, whole


def test_what_does_not_load_says_so() -> None:
    assert "does not load: 1 / 0" in "\n".join(text({"file": "x.py", "failed": "1 / 0", "runs": []}))


def test_spans_and_shares() -> None:
    assert [span(seconds) for seconds in (8, 300, 7_200, 14 * 86_400)] == ["8 s", "5 minutes", "2 hours", "14 days"]
    assert [share(part) for part in (0.9999, 1.0, 0.5)] == ["99.9 %", "100 %", "50 %"]
