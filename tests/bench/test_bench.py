"""Every benchmark runs, at tiny sizes. How fast it is is no test's business; the figures must only be there and make sense."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NOT_ALONE = ("all", "stage", "livestage", "killfloor", "soak", "test_bench", "w1_grid", "false_alarms")
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_ALONE)


@pytest.fixture(autouse=True)
def as_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks import each other as the scripts they are."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.mark.parametrize("name", NAMES)
def test_measures_something(name: str) -> None:
    rows = import_module(name).measure(True)
    assert rows
    assert all(math.isfinite(row.value) and 0 < row.value < 1e12 for row in rows), rows


def test_the_table_of_all_has_every_benchmark() -> None:
    assert {module.__name__ for module in import_module("all").BENCHMARKS} == set(NAMES)


def test_a_short_soak_ends_as_it_must() -> None:
    rows = import_module("soak").soak(0.1, every=(0.5, 1.5))
    assert {row.name: row.value for row in rows}["things that went wrong"] >= 3


def test_the_table_lines_up() -> None:
    stage = import_module("stage")
    lines = stage.table([stage.Row("long name of a figure", 12_345.6, "1/s", "> 1", "note"), stage.Row("x", 0.00123, "s")]).splitlines()
    assert len(lines) == 3
    assert {line.index(word) + len(word) for line, word in zip(lines, ("measured", "12,346", "0.00123"), strict=True)} == {
        lines[0].index("measured") + 8
    }


def test_w1_sees_the_equity_of_every_bar_though_it_skips_most() -> None:
    """Peak and deepest fall are those of an account that is looked at after each single bar."""
    w1, grid = import_module("w1"), import_module("w1_grid")
    bars, peak, deepest = w1.made_up(20_000), grid.CASH, 0.0

    def bar_by_bar(run: Any, terms: Any, _: Any, first: int, last: int) -> None:
        nonlocal peak, deepest
        for at in range(first, last):
            grid.play(run, terms, bars, at, at + 1)
            seen = run.x[grid.AT_ZERO] + run.x[grid.A_TICK] * bars[3 * at + 2]
            peak = max(peak, seen)
            deepest = max(deepest, (peak - seen) / peak)

    _, slow = w1.played(w1.PLAIN._replace(play=bar_by_bar), bars)
    _, whole = w1.played(w1.PLAIN, bars)
    assert slow == whole
    assert (whole.all[1][grid.PEAK], whole.deepest) == (peak, deepest)
    assert whole.counts["entries"] > 50 and peak > grid.CASH and deepest > 0


def test_a_peer_that_cannot_be_asked_says_why(tmp_path: Path) -> None:
    peers = import_module("peers")
    (tmp_path / "file").touch()  # where no environment can be made
    assert "HEDGEGRIDD_PEERS" in peers.installed(peers.PEERS[0], None)
    why = peers.installed(peers.PEERS[0], tmp_path / "file")
    row = peers.absent(peers.PEERS[0], why)
    assert isinstance(why, str) and why in row.note and math.isnan(row.value)


def test_what_a_peer_came_to_stands_beside_ours() -> None:
    peers, w1 = import_module("peers"), import_module("w1")
    ours = w1.Result(dict(zip(w1.EXPECTED, (4, 3, 1, 2), strict=True)), 10_000.0, 0.0, ())
    told = {"version": "1", "bars": 1_000, "seconds": 2.0, "whole": 5.0, "rss_mb": 80.0, "equity": 9_999.5, **ours.counts}
    speed, ratio, whole = peers.of_a_peer(peers.PEERS[1], [told], ours, 1e6, 500.0, 1.0)
    assert (speed.value, ratio.value, whole.value) == (500.0, 2_000.0, 1.0)
    assert "counts as ours" in speed.note and "equity -0.500" in speed.note
    odd = peers.of_a_peer(peers.PEERS[0], [{**told, "stops": 2}], ours, 1e6, 500.0, 1.0)
    assert "counts [4, 3, 2, 2], ours [4, 3, 1, 2]" in odd[0].note and odd[-1].value == 0.2


def test_peers_play_the_same_w1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their scripts can import nothing of ours, and so have its figures a second time."""
    scripts = HERE.parent / "peers"
    monkeypatch.syspath_prepend(str(scripts))
    theirs, ours = import_module("w1_rules"), import_module("w1_grid")
    names = ("STEPS", "SPACING", "GROWTH", "QTY", "TAKE_PROFIT_STEPS", "STOP_STEPS", "RECENTRE", "FUNDING", "FUNDING_EVERY", "CASH",
             "TICK", "LOT", "ENTRY", "TAKE_PROFIT", "STOP")  # fmt: skip
    assert {name: getattr(theirs, name) for name in names} == {name: getattr(ours, name) for name in names}
    assert list(ours.new_run().qty) == theirs.LOTS
    terms = ours.new_terms()
    assert (terms.maker, terms.taker) == (theirs.MAKER, theirs.TAKER)
    assert all((scripts / f"{peer.name}_w1.py").is_file() for peer in import_module("peers").PEERS)


def test_the_false_alarms_are_counted_by_month_and_by_what_can_trip_at_all() -> None:
    alarms = import_module("false_alarms")
    trips = alarms.Trips()
    for name, time in (("volume", 0), ("volume", 299_999), ("volume", 700_000), ("drawdown moderate", 5)):
        trips.tripped({"name": name, "time": time})
    assert trips.trips["volume", "aggressive"] == 2 and trips.trips["drawdown", "moderate"] == 1
    assert not trips.trips["drawdown", "aggressive"]
    lines = alarms.table([alarms.Played("1m", trips.trips, int(alarms.MONTH_MS * 2), frozenset({"loop_lag"}))])
    assert "| volume | 1 / - / - | 1 / - / - | 1 / - / - | - |" in lines
    assert "| drawdown | 0 / - / - | 0.5 / - / - | 0 / - / - | - |" in lines
    assert lines[-1] == "No recording carries what these need: loop_lag."
