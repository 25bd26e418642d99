"""Drills: the table, the judge on tapes that are made up, and twins in this process whose faults end, or never do."""

from __future__ import annotations

import asyncio
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rig import BARS, Rig, calm, config_of, hold, instrument_table

from hedgegridd.live.drill import Drills, for_twin
from hedgegridd.live.scenarios import BAN_SECONDS, SCENARIOS, Fault, Finding, Row, judge, text_of
from hedgegridd.live.twin import Fence, _scenarios, price_of, shipped_without_doors, stand_in, try_fault
from hedgegridd.live.twinexchange import REFUSED, Tape, TwinExchange, moved
from hedgegridd.model import Accepted, Bar, Cancelled, Fill, Mark, Order, Quote, Rejected, Report, Role, Side, Trade
from hedgegridd.plugins import load_shipped

LONG, SHORT = 0, 1
RULES = [
    "acknowledged = latched",
    "flat in time",
    "never more closed than held",
    "no opener once ordered to stop",
    "both legs covered",
    "flatten certified",
    "every fill booked",
    "its journal replays",
    "twin kept to itself",
]


CERTIFICATE = {"legs": [], "slippage_usdt": 0.1, "fees_usdt": 0.2, "proof": {"reads": 1}}


def ask(t: float, leg: int, role: int = Role.CLOSE) -> Row:
    return {"t": t, "what": "ask", "symbol": "BTCUSDT", "leg": leg, "role": int(role), "qty": 3}


def fill(t: float, leg: int, qty: int = 3, opens: bool = False) -> Row:
    side = (1 if leg == LONG else -1) * (1 if opens else -1)
    return {"t": t, "what": "fill", "symbol": "BTCUSDT", "leg": leg, "side": side, "qty": qty, "price": 500_000}


def tape(**changed: Any) -> list[Row]:
    """What a good twin leaves, with the rows of these names changed or, where None, taken out."""
    rows: list[Row] = [
        {"t": 9.0, "what": "held", "legs": [["BTCUSDT", LONG, 3, False], ["BTCUSDT", SHORT, 3, True]]},
        {"t": 10.0, "what": "begin"},
        ask(10.01, LONG),
        ask(10.01, SHORT),
        {"t": 10.02, "what": "ack", "durable": True, "latched": True, "disk_refuses": False},
        fill(10.03, LONG),
        fill(10.03, SHORT),
        {"t": 10.5, "what": "flat"},
        {
            "t": 11.0,
            "what": "end",
            "latched": True,
            "held": [],
            "orders": 0,
            "result": {"status": "flat", "reason": "drill", "closing_positions": [1, 2], "cancelled_orders": 4, "certificate": CERTIFICATE},
            "acts": 12,
            "mismatches": 0,
            "tries": [],
            "unbooked": [],
        },
    ]
    kept = [row for row in rows if changed.get(row["what"], {}) is not None]
    return [{**row, **(changed.get(row["what"]) or {})} for row in kept]


def broken(rows: list[Row], deadline: float = 5.0) -> list[str]:
    """The rules that did not hold."""
    found = judge(rows, deadline)
    assert [one.rule for one in found] == RULES
    return [one.rule for one in found if not one.held]


# --- the table --------------------------------------------------------------------------------------------------------------


def test_the_table_has_the_drills_that_were_promised() -> None:
    assert list(SCENARIOS) == ["kill", "stream-loss", "ban", "gap", "crash", "disk", "thin"]
    assert all(row.name == name and row.happens and row.faults for name, row in SCENARIOS.items())
    faults = [fault for row in SCENARIOS.values() for fault in row.faults]
    assert len(set(faults)) == len(faults), "no fault is tried twice"
    assert sorted(fault.jump_pct for fault in SCENARIOS["gap"].faults) == [-5.0, 5.0]


# --- the judge --------------------------------------------------------------------------------------------------------------


def test_a_good_tape_passes_with_its_times() -> None:
    assert broken(tape()) == []
    latched, flat, *_ = judge(tape(), 5.0)
    assert latched.seconds == pytest.approx(0.02) and flat.seconds == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (tape(ack={"latched": False}), RULES[0]),  # it said durable, and the file was not written
        (tape(ack={"durable": False}), RULES[0]),  # it said NOT durable on a disk that takes everything
        (tape(end={"latched": False}), RULES[0]),
        (tape(flat=None), RULES[1]),
        (tape(flat={"t": 15.03}), RULES[1]),  # the deadline counts from the acknowledgement
        (tape(end={"held": [["BTCUSDT", LONG, 1]]}), RULES[1]),
        (tape(end={"orders": 1}), RULES[1]),
        ([*tape(), fill(12.0, LONG, 1)], RULES[2]),
        ([*tape(), ask(12.0, LONG, Role.ENTRY)], RULES[3]),
        ([row for row in tape() if row != fill(10.03, SHORT)], RULES[4]),
        (tape(held={"legs": [["BTCUSDT", LONG, 3, False]]}), RULES[4]),
        (tape(end={"result": None}), RULES[5]),
        (tape(end={"result": {"status": "failed", "reason": "drill"}}), RULES[5]),
        (tape(end={"result": {"status": "flat", "reason": "drill"}}), RULES[5]),
        (tape(end={"unbooked": ["p-1"]}), RULES[6]),
        (tape(end={"mismatches": 1}), RULES[7]),
        (tape(end={"acts": 0}), RULES[7]),
        (tape(end={"tries": ["socket.connect ('1.2.3.4', 443)"]}), RULES[8]),
    ],
)
def test_each_rule_can_fail(rows: list[Row], rule: str) -> None:
    assert rule in broken(rows)


def test_an_opener_between_order_and_acknowledgement_fails_too() -> None:
    rows = tape()
    rows.insert(2, ask(10.005, SHORT, Role.ENTRY))
    assert broken(rows) == [RULES[3]]
    assert broken([ask(9.9, SHORT, Role.ENTRY), *tape()]) == [], "what came before the order is no matter"


def test_an_honest_not_durable_passes_while_the_disk_refuses() -> None:
    assert broken(tape(ack={"durable": False, "latched": False, "disk_refuses": True})) == []


def test_what_opened_may_be_closed_again_but_no_more() -> None:
    rows = [*tape(), fill(12.0, LONG, 2, opens=True), fill(12.1, LONG, 2)]
    assert broken(rows) == []
    assert broken([*rows, fill(12.2, LONG, 1)]) == [RULES[2]]


def test_no_tape_is_no_proof() -> None:
    assert broken([]) == RULES
    assert set(RULES[:2]) < set(broken(tape(ack=None)))


# --- told -------------------------------------------------------------------------------------------------------------------


def test_the_report_says_which_rule_failed_and_when() -> None:
    findings = [Finding("flat in time", False, "not flat within 1 s", 1.5)._asdict()]
    row = {"scenario": "ban", "happens": "the exchange refuses everything", "result": "fail", "findings": findings}
    live = {"result": "pass", "findings": []}
    report = {"id": "1", "result": "fail", "mode": "paper", "actor": "uid=0", "seconds": 2.0, "scenarios": [row], "live": live}
    text = text_of(report)
    assert text.splitlines()[0] == "drill 1  FAIL  mode paper, by uid=0, 2.0 s"
    assert "FAIL  ban: the exchange refuses everything" in text
    assert "FAIL     1.500 s  flat in time: not flat within 1 s" in text


def test_a_report_that_is_none_any_more_keeps_no_daemon_from_starting(tmp_path: Path) -> None:
    folder = tmp_path / "drills"
    (folder / ".twin-left").mkdir(parents=True)
    (folder / "3.json").write_text("{torn")
    (folder / "2.json").write_text('{"id": "2"}')
    whole = {"id": "1", "at": "t", "actor": "a", "mode": "paper", "result": "pass", "seconds": 1.0}
    (folder / "1.json").write_text(json.dumps({**whole, "scenarios": [], "live": {"scenario": "live", "result": "pass"}}))
    daemon: Any = SimpleNamespace(drill={"running": None, "last": None})
    drills = Drills(daemon, tmp_path, dict)
    assert daemon.drill["last"] == {**whole, "scenarios": 0, "failed": []}
    assert asyncio.run(drills.listed())["drill"] == [daemon.drill["last"]]
    assert not (folder / ".twin-left").exists(), "what a killed daemon left is swept"


# --- what a twin gets -------------------------------------------------------------------------------------------------------


def test_a_twin_gets_no_key_no_address_and_no_channel() -> None:
    config = config_of(
        mode="live",
        exchange={"name": "binance", "binance": {"api_key": "k" * 20, "api_secret": "s" * 20, "rest_url": "http://example.invalid"}},
        alert={"slack": {"webhook_url": "https://example.invalid/hook"}},
        daemon={"plugin_dirs": ["/opt/plugins"], "socket": "/run/s"},
        limits={"equity_usdt": 10_000.0},
    )
    given = for_twin(config.raw)
    assert given["mode"] == "live" and given["exchange"] == {"name": "paper", "paper": config.raw["exchange"]["paper"]}
    text = json.dumps(given)
    assert not [word for word in ("binance", "example.invalid", "kkkk", "ssss", "***", "/opt/plugins", "/run/s") if word in text]
    assert {for_twin({**config.raw, "mode": mode})["mode"] for mode in ("monitor", "dry_run", "paper")} == {"paper"}


def test_a_twin_knows_no_exchange_but_paper_and_no_way_to_a_person() -> None:
    registry = shipped_without_doors()
    assert list(registry.exchanges) == ["paper"] and not registry.alerts and not registry.services
    assert registry.strategies and registry.breakers


def test_the_fence_refuses_connections_and_files_elsewhere(tmp_path: Path) -> None:
    fence = Fence(tmp_path)
    fence.look("open", (str(tmp_path / "tape"), "w", os.O_WRONLY | os.O_CREAT))
    fence.look("open", ("/etc/hostname", "r", os.O_RDONLY))
    fence.look("os.rename", (str(tmp_path / "a"), str(tmp_path / "b"), -1, -1))
    assert fence.tries == []
    for event, args in (
        ("socket.connect", (None, ("192.0.2.1", 443))),
        ("socket.getaddrinfo", ("example.invalid", 443, 0, 0, 0)),
        ("open", ("/tmp/elsewhere", "w", os.O_WRONLY | os.O_CREAT)),
        ("open", (f"{tmp_path}-too", "w", os.O_WRONLY)),
        ("os.remove", ("/var/lib/hedgegridd/killswitch.json", -1)),
    ):
        with pytest.raises(PermissionError, match="a twin may not"):
            fence.look(event, args)
    assert len(fence.tries) == 5


# --- its exchange -----------------------------------------------------------------------------------------------------------


def exchange(fault: Fault, folder: Path) -> tuple[TwinExchange, list[Any]]:
    """A twin's exchange with three lots held long, and what it says."""
    rig, said = hold(calm(), "long"), list[Any]()
    twin = TwinExchange(rig.exchange, iter(()), fault, Tape(folder / "tape"), False, 0)
    twin.start(said.append, {"BTCUSDT": rig.desk().instrument}, rig.config.exchange.paper)
    twin.restore(*account(rig))
    return twin, said


def account(rig: Rig) -> tuple[Any, Any]:
    from hedgegridd.live.memory import account_of, last_seen

    return account_of(rig.engine), last_seen(rig.engine)


def close(name: str, qty: int) -> Order:
    return Order(name, "BTCUSDT", LONG, Role.CLOSE, Side.SELL, 0, qty)


def test_closes_are_refused_so_often_then_halved_then_filled(tmp_path: Path) -> None:
    twin, said = exchange(Fault(refusals=1, halves=1), tmp_path)
    twin.place([close("a", 2)])
    assert [(type(event), event.code) for event in said] == [(Rejected, REFUSED)]
    said.clear()
    twin.place([close("b", 2)])
    kinds = [type(event) for event in said if getattr(event, "client_id", "") == "b"]
    assert kinds == [Accepted, Fill, Cancelled]
    assert [event.qty for event in said if isinstance(event, Fill)] == [1]
    said.clear()
    twin.place([close("c", 1)])
    assert [event.qty for event in said if isinstance(event, Fill)] == [1]
    assert [row["what"] for row in twin.tape.rows] == ["ask", "ask", "fill", "ask", "fill"]
    assert Tape(tmp_path / "tape").rows == twin.tape.rows, "a killed process leaves its tape"


@pytest.mark.parametrize("network", [False, True], ids=["paper", "over a network"])
def test_the_market_goes_on_while_nobody_lives(tmp_path: Path, network: bool) -> None:
    rig, said = hold(calm(), "long"), list[Any]()
    (stop,) = rig.resting(Role.STOP)
    report, seen = account(rig)
    twin = TwinExchange(rig.exchange, iter(()), Fault(), Tape(tmp_path / "tape"), network, 0)
    twin.prices, twin.orphan_pct = {"BTCUSDT": price_of(rig.desk())}, -5.0
    twin.start(said.append, {"BTCUSDT": rig.desk().instrument}, rig.config.exchange.paper)
    twin.restore(report, seen)
    assert [row["what"] for row in twin.tape.rows][:2] == ["fault", "fill"] and "nobody lives" in twin.tape.rows[0]["text"]
    assert not [event for event in said if isinstance(event, Trade | Quote | Mark)], "nobody hears the market either"
    if network:
        assert said == []
        twin._report((), rig.engine.now)
    fills = [event for event in said if isinstance(event, Fill)]
    assert stop.client_id in {fill.client_id for fill in fills} and twin.prices["BTCUSDT"] < stop.price
    if network:
        assert isinstance(said[-1], Report) and said[-1].held[LONG].qty == 0 and fills == said[:-1], "the fills before the report"


def test_a_jump_moves_every_price() -> None:
    assert moved(Trade("X", 1, 1000, 5, True), 0.95).price == 950
    assert moved(Mark("X", 1, 1000.0, 1000.0), 1.05)[2:4] == (1050.0, 1050.0)
    assert moved(Quote("X", 1, 1000, 1, 1001, 1), 0.5)[2:] == (500, 1, 501, 1), "never crossed"
    bar = moved(Bar("X", 1, 100, 120, 80, 110, 7, 60_000), 0.5)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (50, 60, 40, 55, 7)


# --- whole twins, in this process -------------------------------------------------------------------------------------------


def forked(folder: Path, *legs: str, **tables: Any) -> Path:
    """A fork of a heart that holds these legs, as the daemon writes it."""
    rig = calm(**tables)
    for symbol in rig.engine.desks:
        if rig.desk(symbol).bar is None:
            rig.bars([500_000] * 3, symbol)
    if legs:
        hold(rig, *legs)
    traits = {"carries": sorted(BARS), "cadence_ms": rig.cadence_ms}
    checkpoint = {"version": "test", "config": for_twin(rig.config.raw), "feed": traits, "engine": rig.engine.dump()}
    (folder / "fork.json").write_text(json.dumps({"now": rig.engine.now, "wall": wall(), "checkpoint": checkpoint}))
    return folder


def wall() -> int:
    import time

    return time.time_ns() // 1_000_000


def tried(folder: Path, fault: Fault, deadline: float) -> dict[str, Finding]:
    rows = asyncio.run(try_fault(folder, "one", fault, deadline, Fence(folder)))
    return {one.rule: one for one in judge(rows, deadline)}


def test_a_twin_is_stopped_and_flat(tmp_path: Path) -> None:
    found = tried(forked(tmp_path, "long", "short"), Fault(), 5.0)
    assert [rule for rule, one in found.items() if not one.held] == []


def test_a_twin_that_is_killed_finds_what_filled_while_it_was_dead(tmp_path: Path) -> None:
    found = tried(forked(tmp_path, "long", "short"), Fault(crash=True), 10.0)
    assert [rule for rule, one in found.items() if not one.held] == []
    rows = [row for row in Tape(tmp_path / "one" / "tape").rows if row["what"] in ("fault", "fill", "ask")]
    killed = next(at for at, row in enumerate(rows) if row.get("text") == "SIGKILL")
    assert "nobody lives" in rows[killed + 1]["text"]
    assert (rows[killed + 2]["what"], rows[killed + 2]["leg"]) == ("fill", LONG), "its stop, before anything was asked of the exchange"


@pytest.mark.parametrize("method", ["limit", "twap"])
def test_whatever_way_of_closing_is_configured_is_drilled(tmp_path: Path, method: str) -> None:
    table = {"use_market_orders": False, "method": method, "over_seconds": 1.0}
    found = tried(forked(tmp_path, "long", "short", flatten=table), Fault(refusals=1, halves=1), 6.0)
    assert [rule for rule, one in found.items() if not one.held] == []


def test_two_symbols_are_four_legs(tmp_path: Path) -> None:
    both = [instrument_table("BTCUSDT"), instrument_table("ETHUSDT")]
    found = tried(forked(tmp_path, "long", instrument=both), Fault(jump_pct=5.0), 5.0)
    assert [rule for rule, one in found.items() if not one.held] == []
    assert "4 legs held and closed, 3 of them" in found["both legs covered"].text


def test_an_empty_account_is_given_both_legs(tmp_path: Path) -> None:
    found = tried(forked(tmp_path), Fault(jump_pct=-5.0), 5.0)
    assert [rule for rule, one in found.items() if not one.held] == []
    assert "2 of them opened for the drill" in found["both legs covered"].text


def test_a_fork_under_the_kill_switch_is_drilled_all_the_same(tmp_path: Path) -> None:
    folder = forked(tmp_path, "long")
    fork = json.loads((folder / "fork.json").read_text())
    fork["checkpoint"]["engine"]["kill"] |= {"active": True, "level": 3, "phase": "idle", "reason": "live is halted"}
    (folder / "fork.json").write_text(json.dumps(fork))
    assert all(one.held for one in tried(folder, Fault(), 5.0).values())


@pytest.mark.parametrize("fault", [Fault(ban_seconds=math.inf), Fault(refusals=10**9)], ids=["ban", "refusals"])
def test_a_fault_that_never_ends_fails(tmp_path: Path, fault: Fault) -> None:
    found = tried(forked(tmp_path, "long", "short"), fault, 1.0)
    assert not found["flat in time"].held and "still shows BTCUSDT long" in found["flat in time"].text
    assert not found["both legs covered"].held and not found["flatten certified"].held
    assert found["acknowledged = latched"].held and found["never more closed than held"].held
    assert found["its journal replays"].held


def test_a_twin_that_dies_is_told_as_a_failure(tmp_path: Path) -> None:
    said = list[dict[str, Any]]()
    order = {"folder": str(tmp_path), "scenarios": ["kill"], "deadline": 1.0}  # there is no fork to begin with
    asyncio.run(_scenarios(order, Fence(tmp_path), said.append))
    findings = said[1]["findings"]
    assert [row["rule"] for row in findings if not row["held"]] == [*RULES, "the twin lived"]
    assert "FileNotFoundError" in findings[-1]["text"]


def test_a_stand_in_is_large_enough_for_the_exchange() -> None:
    desk = calm().desk()
    usdt = stand_in(desk) * desk.instrument.lot_size * price_of(desk) * desk.instrument.tick_size
    assert stand_in(desk) >= 2 and usdt > desk.instrument.min_notional


def test_a_ban_is_shorter_than_the_usual_deadline() -> None:
    assert config_of().flatten.deadline_seconds > 2 * BAN_SECONDS


def test_everything_shipped_is_still_there_for_others() -> None:
    assert len(load_shipped().exchanges) > 1
