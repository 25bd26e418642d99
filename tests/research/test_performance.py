"""The report of a session is that of the backtest it was, number by number; a part, an empty time and a cut journal are told sensibly."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from pathlib import Path

import pytest
from research.cases import Case
from research.journaled import Kept
from rig import REGISTRY

from hedgegridd.errors import ConfigError, StateError
from hedgegridd.journal import Journal
from hedgegridd.kernel import metrics

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[data]'")
pytest.importorskip("numpy", reason="numpy is not installed: pip install -e '.[fast]'")

from hedgegridd.heart.build import start_equity
from hedgegridd.research import incidents, performance, report
from hedgegridd.research.recorder import Recorder


class Session:
    """A backtest with its own recorder, and its journal."""

    def __init__(self, seed: int, folder: Path) -> None:
        case = Case(seed)
        instruments = {item.symbol: item.instrument() for item in case.config.instrument}
        self.recorder = Recorder(None, instruments, start_equity(case.config))
        self.run = Kept(case, folder / "journal", self.recorder)
        self.outcome = self.run.run(lambda _: None)
        self.run.journal.close()
        self.digest = self.recorder.close()
        self.rows = metrics.compute(self.recorder.facts(self.outcome))
        self.folder = folder / "journal"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Session]:
    """A few with fills, one of them stopped by a breaker."""
    found: list[Session] = []
    for seed in range(300):
        try:
            one = Session(seed, tmp_path_factory.mktemp("session"))
        except ConfigError:  # drawn so that the strategy refuses it
            continue
        if one.outcome.fills > 20 and (len(found) < 5 or one.outcome.kill["active"]):
            found.append(one)
        if len(found) >= 6 and found[-1].outcome.kill["active"]:
            return found
    raise AssertionError("no seed trips a breaker")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_a_report_is(sessions: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = next(one for one in sessions if one.outcome.kill["active"])
    number = incidents.listed(stopped.folder)[0].id
    for work in (lambda: performance.made(stopped.folder, REGISTRY, None, None, None), lambda: incidents.made(stopped.folder, number)):
        monkeypatch.setattr(sys, "stderr", Terminal())
        work()
        assert "%" in sys.stderr.getvalue() and sys.stderr.getvalue().endswith("\r\x1b[K")  # type: ignore[attr-defined]


def test_a_session_is_reported_as_the_backtest_it_was(sessions: list[Session]) -> None:
    for one in sessions:
        found = performance.made(one.folder, REGISTRY, None, None, None)
        assert found["fills_sha256"] == one.digest and found["fills"] == one.outcome.fills
        assert (found["bars"], found["orders"]) == (one.outcome.bars, one.outcome.orders)
        assert found["equity_end_usdt"] == one.outcome.equity
        for mine, theirs in ((found["realized_usdt"], one.outcome.realized), (found["fees_usdt"], one.outcome.fees),
                             (found["funding_usdt"], one.outcome.funding)):  # fmt: skip
            assert mine == pytest.approx(theirs, abs=1e-9)
        assert [trip["name"] for trip in found["breaker_trips"]] == [trip["name"] for trip in one.recorder.trips]
        assert [trip["unit"] for trip in found["breaker_trips"]] == [trip["unit"] for trip in one.recorder.trips]
        assert found["kill_switch"]["active"] == one.outcome.kill["active"] == bool(found["stops"])
        alone = len(found["symbols"]) == 1  # of several symbols' bars of one moment, the journal does not tell which was done with first
        for row in one.rows:
            mine = found["metrics"][row.name]
            assert (mine is None) == (row.value is None), row.name
            if row.value is not None and alone:
                assert mine == pytest.approx(row.value, rel=1e-9, abs=1e-9), row.name
    assert any(len(one.run.engine.desks) == 1 for one in sessions)


def test_legs_add_up_to_the_account(sessions: list[Session]) -> None:
    for one in sessions:
        found = performance.made(one.folder, REGISTRY, None, None, None)
        net = sum(leg["net_usdt"] + leg["unrealized_usdt"] for leg in found["legs"])
        assert net == pytest.approx(found["equity_end_usdt"] - found["equity_start_usdt"], abs=1e-6)
        assert sum(leg["fills"] for leg in found["legs"]) == found["fills"]


def test_parts_add_up_to_the_whole(sessions: list[Session]) -> None:
    one = sessions[0]
    whole = performance.made(one.folder, REGISTRY, None, None, None)
    middle = one.recorder.course.first + (one.recorder.course.last - one.recorder.course.first) // 2
    early = performance.made(one.folder, REGISTRY, None, middle, None)
    late = performance.made(one.folder, REGISTRY, middle + 1, None, None)
    for name in ("fills", "bars", "orders"):
        assert early[name] + late[name] == whole[name], name
    assert early["realized_usdt"] + late["realized_usdt"] == pytest.approx(whole["realized_usdt"], abs=1e-9)
    assert late["equity_start_usdt"] == pytest.approx(early["equity_end_usdt"], rel=1e-3)
    assert late["equity_end_usdt"] == whole["equity_end_usdt"]
    assert all(value is None or math.isfinite(value) for value in late["metrics"].values())


def test_the_page_and_the_tables_are_written(sessions: list[Session], tmp_path: Path) -> None:
    stopped = next(one for one in sessions if one.outcome.kill["active"])
    found = performance.made(stopped.folder, REGISTRY, None, None, tmp_path)
    html = report.write(tmp_path).read_text()
    assert f"<h1>Session of {', '.join(found['symbols'])}</h1>" in html
    for part in ("Kill switch active at the end", 'id="legs"', 'id="stops"', 'id="trips"', 'id="metrics"', 'id="charts"', "Max drawdown"):
        assert part in html, part
    assert json.loads((tmp_path / "summary.json").read_text()) == found
    assert {path.name for path in tmp_path.iterdir()} == {
        "fills.csv", "orders.csv", "positions.csv", "equity.parquet", "summary.json", "metrics.csv", "report.html"}  # fmt: skip
    said = performance.text(found)
    assert f"incident {found['stops'][0]['id']}" in said and re.search(r"^fills +\d", said, re.MULTILINE)


def test_a_time_without_anything_is_an_empty_report(sessions: list[Session], tmp_path: Path) -> None:
    one = sessions[0]
    found = performance.made(one.folder, REGISTRY, one.recorder.course.last + 10**10, None, tmp_path)
    assert (found["fills"], found["bars"], found["orders"]) == (0, 0, 0)
    assert found["equity_start_usdt"] == found["equity_end_usdt"] == one.outcome.equity
    assert any("before the time asked for" in note for note in found["notes"])
    html = report.write(tmp_path).read_text()
    assert "There are no charts" in html and not (tmp_path / "equity.parquet").exists()
    assert "nothing was filled" in performance.text(found)


def test_a_damaged_journal_is_told_up_to_the_damage(sessions: list[Session], tmp_path: Path) -> None:
    whole = performance.made(sessions[0].folder, REGISTRY, None, None, None)
    copy = tmp_path / "journal"
    copy.mkdir()
    for path in sessions[0].folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    newest = max(copy.glob("acts-*.jsonl"))
    lines = newest.read_bytes().splitlines(keepends=True)
    at = len(lines) // 2
    lines[at] = lines[at].replace(b'"t":', b'"u":', 1) if b'"t":' in lines[at] else lines[at][:-3] + b"x}\n"
    newest.write_bytes(b"".join(lines))
    found = performance.made(copy, REGISTRY, None, None, None)
    assert any("damaged" in note for note in found["notes"])
    assert found["bars"] < whole["bars"]


def test_without_a_journal_or_a_checkpoint_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no journal"):
        performance.made(tmp_path / "none", REGISTRY, None, None, None)
    empty = Journal(tmp_path / "journal")
    empty.open()
    empty.close()
    with pytest.raises(StateError, match="no checkpoint"):
        performance.made(tmp_path / "journal", REGISTRY, None, None, None)


def test_a_journal_whose_beginning_was_pruned_is_told_from_where_it_is_kept(tmp_path: Path) -> None:
    run = Kept(Case(3), tmp_path / "journal")
    turns: list[int] = []

    def turn(now: int) -> None:
        turns.append(now)
        if len(turns) == 60:
            traits = {"carries": sorted(run.feed.carries), "cadence_ms": run.feed.cadence_ms}
            engine = json.loads(json.dumps(run.engine.dump()))
            run.journal.rotate({"version": "0", "config": run.config.raw, "feed": traits, "engine": engine})

    outcome = run.run(turn)
    run.journal.close()
    assert len(turns) > 100
    whole = performance.made(tmp_path / "journal", REGISTRY, None, None, None)
    names = sorted({path.name.split(".")[0] for path in (tmp_path / "journal").glob("inputs-*")})
    for path in (tmp_path / "journal").glob("inputs-*"):
        if path.name.split(".")[0] != names[-1]:
            path.unlink()
    found = performance.made(tmp_path / "journal", REGISTRY, None, None, None)
    assert any("were pruned" in note for note in found["notes"]), found["notes"]
    assert 0 < found["bars"] < whole["bars"] and found["equity_end_usdt"] == whole["equity_end_usdt"] == outcome.equity
