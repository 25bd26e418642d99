"""The report: one page made of a folder, that shows what is there, leaves out nothing in silence and lets no text act."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import json
import math
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.times import iso

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[data]'")
np = pytest.importorskip("numpy", reason="numpy is not installed: pip install -e '.[fast]'")

from hedgegridd.research import charts, marks, report, wording  # noqa: E402

START, MINUTE, DAY = 1_738_540_800_000, 60_000, 86_400_000  # 3 Feb 2025
HOSTILE = "</script ><!-- <script></script><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""
LONG, SHORT = "long", "short"


# --- a month of a made-up grid ----------------------------------------------------------------------------------------------


class Leg:
    """One leg of a toy grid: ten rungs 50 bps apart, each lot with its take-profit one step away, one stop."""

    def __init__(self, run: Run, leg: str) -> None:
        self.run, self.leg, self.way = run, leg, 1 if leg == LONG else -1
        self.lots: list[tuple[float, float, int]] = []  # price, quantity, time
        self.rungs: dict[float, int] = {}  # price -> since
        self.exits = self.entries = 0
        self.most = self.gain = 0.0

    @property
    def qty(self) -> float:
        return round(sum(qty for _, qty, _ in self.lots), 3)

    @property
    def entry(self) -> float:
        return sum(price * qty for price, qty, _ in self.lots) / self.qty if self.lots else 0.0

    @property
    def stop(self) -> float:
        return round(self.entry * (1 - 0.035 * self.way), 1)

    def ladder(self, time: int, center: float) -> None:
        wanted = {round(center * (1 - 0.005 * k * self.way), 1) for k in range(1, 11)} - {price for price, _, _ in self.lots}
        for price in [price for price in self.rungs if price not in wanted]:
            self.run.ordered(self, self.rungs.pop(price), time, price, "cancelled")
        for price in wanted - self.rungs.keys():
            self.rungs[price] = time

    def step(self, time: int, price: float) -> None:
        for rung in sorted(self.rungs, reverse=self.way > 0):
            if (price - rung) * self.way < 0:
                self.run.ordered(self, self.rungs.pop(rung), time, rung, "filled")
                self.lots.append((rung, 0.012, time))
                self.entries, self.most = self.entries + 1, max(self.most, self.qty)
                self.run.filled(time, self, "entry", rung, 0.012, 0.0)
        for lot in [lot for lot in self.lots if (price - lot[0] * (1 + 0.006 * self.way)) * self.way >= 0]:
            self.close(time, lot, round(lot[0] * (1 + 0.006 * self.way), 1), "take_profit", "")
        if self.lots and (price - self.stop) * self.way < 0:
            self.close_all(time, self.stop, "stop", "stop loss of the leg")

    def close_all(self, time: int, price: float, role: str, reason: str) -> None:
        for lot in list(self.lots):
            self.close(time, lot, price, role, reason)

    def close(self, time: int, lot: tuple[float, float, int], price: float, role: str, reason: str) -> None:
        gain = (price - lot[0]) * lot[1] * self.way
        opened, entry = min(since for _, _, since in self.lots), self.entry
        self.lots.remove(lot)
        self.exits, self.gain = self.exits + 1, self.gain + gain
        self.run.filled(time, self, role, price, lot[1], gain, reason)
        if not self.lots:
            fees = self.most * price * 0.0004
            row = [
                self.run.symbol,
                self.leg,
                iso(opened),
                iso(time),
                self.most,
                round(entry, 2),
                price,
                round(self.gain, 4),
                round(fees, 4),
            ]
            self.run.positions.append([*row, 0.01, round(self.gain - fees - 0.01, 4), self.entries, self.exits])
            self.entries = self.exits = 0
            self.most = self.gain = 0.0


class Run:
    """A symbol's month: a walk with trends, two legs, fees, funding, and a breaker that flattens once."""

    def __init__(self, symbol: str, seed: int, minutes: int, price: float) -> None:
        self.symbol, self.dice, self.price = symbol, random.Random(seed), price
        self.fills: list[list[Any]] = []
        self.orders: list[list[Any]] = []
        self.positions: list[list[Any]] = []
        self.rows: list[tuple[Any, ...]] = []
        self.realized = self.fees = self.funding = 0.0
        self.center, self.drift, self.halted = price, 0.0, 0
        self.trip: dict[str, Any] | None = None
        self.legs = {leg: Leg(self, leg) for leg in (LONG, SHORT)}
        for minute in range(minutes):
            self.minute(START + (minute + 1) * MINUTE, minute, minutes)
        for leg in self.legs.values():
            for rung, since in leg.rungs.items():
                self.ordered(leg, since, None, rung, "live")

    def minute(self, time: int, minute: int, minutes: int) -> None:
        if minute % 720 == 0:
            self.drift = self.dice.gauss(0, 0.000012)
        self.price = round(self.price * math.exp(self.drift + self.dice.gauss(0, 0.0005)), 1)
        if abs(self.price / self.center - 1) > 0.02:
            self.center = self.price
        if minute == minutes * 19 // 28:
            self.flatten(time)
        if time >= self.halted:
            for leg in self.legs.values():
                leg.step(time, self.price)
                leg.ladder(time, self.center)
        rate = 0.0001 + 0.00008 * math.sin(minute / 3000)
        if time % (DAY // 3) == 0:
            self.funding += (self.legs[LONG].qty - self.legs[SHORT].qty) * self.price * rate
        self.row(time, rate)

    def flatten(self, time: int) -> None:
        self.halted = time + 2 * DAY
        for leg in self.legs.values():
            leg.close_all(time, self.price, "close", "drawdown: flatten")
            leg.ladder(time, 1e9 if leg.way < 0 else 1e-9)
            leg.rungs.clear()
        self.trip = {"time": iso(time), "name": "drawdown", "level": "flatten", "value": 2.13, "threshold": 2.0, "unit": "%",
                     "reason": "equity 9,787.00 USDT is 2.13 % below its session peak 10,000.00 USDT", "equity_usdt": 9787.0,
                     "did": "cancelled 20 orders and closed both legs in 60 s", "saved_usdt": 41.37,
                     "inputs": {"equity": 9787.0, "wallet": 9850.2, "maint_margin_ratio": None,
                                "instruments": [{"symbol": self.symbol, "mark": self.price, "long": {"qty": 0.04, "entry": 99_000.5}}]},
                     }  # fmt: skip

    def row(self, time: int, rate: float) -> None:
        long, short = self.legs[LONG], self.legs[SHORT]
        open_ = sum((self.price - price) * qty * leg.way for leg in self.legs.values() for price, qty, _ in leg.lots)
        wallet = self.realized - self.fees - self.funding
        regime = (self.drift > 0.000008) - (self.drift < -0.000008)
        self.rows.append((time, self.symbol, self.price, regime, self.center, long.qty, short.qty, long.entry, short.entry,
                          long.stop, short.stop, len(long.rungs), len(short.rungs), rate, self.realized, self.fees, self.funding,
                          wallet + open_, wallet))  # fmt: skip

    def filled(self, time: int, leg: Leg, role: str, price: float, qty: float, gain: float, reason: str = "") -> None:
        fee = price * qty * 0.0002
        self.realized, self.fees = self.realized + gain, self.fees + fee
        number = len(self.fills)
        side = "buy" if (leg.leg == LONG) == (role == "entry") else "sell"
        row = [iso(time), self.symbol, leg.leg, side, role, price, qty, round(fee, 6), role in ("entry", "take_profit"), round(gain, 6)]
        self.fills.append([*row, f"c{number}", f"o{number}", f"t{number}", reason])

    def ordered(self, leg: Leg, since: int, until: int | None, price: float, state: str) -> None:
        side = "buy" if leg.leg == LONG else "sell"
        row = [iso(since), iso(until) or "", self.symbol, leg.leg, side, "entry", price, 0.012, 0.012 if state == "filled" else 0, state]
        self.orders.append([*row, "", f"c{len(self.orders)}", f"o{len(self.orders)}"])


FILLS = ["time", "symbol", "leg", "side", "role", "price", "qty", "fee_usdt", "maker", "realized_usdt", "client_id", "order_id",
         "trade_id", "reason"]  # fmt: skip
ORDERS = ["placed_at", "ended_at", "symbol", "leg", "side", "role", "price", "qty", "filled", "state", "reason", "client_id", "order_id"]
POSITIONS = ["symbol", "leg", "opened_at", "closed_at", "max_qty", "entry_price", "exit_price", "realized_usdt", "fees_usdt",
             "funding_usdt", "net_usdt", "entries", "exits"]  # fmt: skip
ROWS = ["time", "symbol", "close", "regime", "center", "long_qty", "short_qty", "long_entry", "short_entry", "long_stop", "short_stop",
        "long_rungs", "short_rungs", "funding_rate", "realized_usdt", "fees_usdt", "funding_usdt", "equity_usdt", "wallet_usdt",
        "drawdown_pct"]  # fmt: skip


def table(path: Path, names: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])


def parquet(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow
    from pyarrow import parquet

    small = {"regime": pyarrow.int8(), "time": pyarrow.int64()}
    table = pyarrow.table({name: pyarrow.array(values, small.get(name)) for name, values in columns.items()})
    parquet.write_table(table, path, row_group_size=20_000)


def artefacts(folder: Path, symbols: tuple[str, ...] = ("BTCUSDT",), minutes: int = 28 * 1440, seed: int = 7) -> Path:
    """A plausible folder of a backtest."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = [Run(symbol, seed + at, minutes, 99_000.0 / 30**at) for at, symbol in enumerate(symbols)]
    course = account(runs)
    parquet(folder / "equity.parquet", dict(zip(ROWS, zip(*course, strict=True), strict=True)))
    table(folder / "fills.csv", FILLS, sorted((row for run in runs for row in run.fills), key=lambda row: str(row[0])))
    table(folder / "orders.csv", ORDERS, sorted((row for run in runs for row in run.orders), key=lambda row: str(row[0])))
    table(folder / "positions.csv", POSITIONS, [row for run in runs for row in run.positions])
    table(folder / "metrics.csv", ["group", "name", "value", "unit", "definition"], METRICS)
    (folder / "summary.json").write_text(json.dumps(summary(runs, course)))
    (folder / "environment.json").write_text(
        json.dumps({"python": "3.11.7", "packages": {"pyarrow": "26.0.1"}, "at": "2026-01-01T00:00:00Z"})
    )
    (folder / "config.toml").write_text('mode = "paper"\n')
    return folder


def account(runs: list[Run]) -> list[tuple[Any, ...]]:
    """The rows of all symbols by time, with the account's equity, wallet and drawdown."""
    found, peak = [], 10_000.0
    for rows in zip(*(run.rows for run in runs), strict=True):
        equity, wallet = (10_000.0 + sum(row[at] for row in rows) for at in (-2, -1))
        peak = max(peak, equity)
        found += [(*row[:-2], equity, wallet, (peak - equity) / peak * 100) for row in rows]
    return found


METRICS: list[list[Any]] = [
    ["returns", "total_pnl_usdt", 123.45, "USDT", "Equity at the end less equity at the start, after fees and funding."],
    ["returns", "cagr_pct", 17.2, "%", "Compound annual growth rate: (end equity / start equity) ^ (365 days / time) - 1 [Bacon]."],
    ["returns", "best_day_pct", 1.31, "%", "Highest return of a whole UTC day."],
    ["returns", "worst_day_pct", -0.92, "%", "Lowest return of a whole UTC day."],
    ["risk", "volatility_pct", 8.61, "%", "Sample standard deviation (n - 1) of the returns of whole UTC days, x sqrt(365) [Bacon]."],
    ["risk", "sharpe_ratio", 1.87, "ratio", "Mean over sample standard deviation of the returns of whole UTC days, x sqrt(365)."],
    ["risk", "calmar_ratio", "", "ratio", "CAGR over the deepest drawdown, both of the whole run."],
    ["drawdown", "max_drawdown_pct", 2.13, "%", "Deepest fall of equity below its highest value so far, as a percentage of that value."],
    ["drawdown", "recovery_time_hours", 101.5, "hours", "Longest time from a peak until equity was back at or above it."],
    ["trades", "total_trades", 312, "count", "Number of round trips: closing orders, each against the average entry of its leg."],
    ["trades", "win_rate_pct", 91.4, "%", "Round trips with a net above 0 as a percentage of all; net is after fees and funding."],
    ["trades", "profit_factor", 1.62, "ratio", "Sum of the nets of winning round trips over that of losing ones, without its sign."],
    ["trades", "holding_time_avg_hours", 6.42, "hours", "Mean time from the entry of a round trip to its exit."],
    ["execution", "maker_ratio_pct", 97.8, "%", "Executions as maker as a percentage of all executions, by number."],
    ["execution", "slippage_bps", 1.0, "bps", "What takers paid beyond the price that triggered them."],
    ["funding", "funding_net_usdt", 0.51, "USDT", "Funding paid less funding received: positive = paid, as everywhere."],
    ["ladder", "ladder_depth_avg", 2.31, "rungs", "Mean number of rungs held on the leg, counted at each execution of an entry."],
    ["ladder", "ladder_fill_rate_pct", 12.7, "%", "Entry orders that were executed as a percentage of those that rested."],
]  # fmt: skip


def summary(runs: list[Run], course: list[tuple[Any, ...]]) -> dict[str, Any]:
    end = course[-1][-3]
    pnl = end - 10_000.0
    models = {"touch": pnl * 1.31 + 20, "trade_through": pnl, "queue": pnl * 0.42 - 10}
    return {
        "schema": 1, "version": "0.1.0", "engine": "full", "symbols": [run.symbol for run in runs], "interval": "1m", "data": "data/klines",
        "start": iso(START), "end": iso(course[-1][0]), "bars": len(course), "fills": sum(len(run.fills) for run in runs),
        "orders": sum(len(run.orders) for run in runs), "equity_start_usdt": 10_000.0, "equity_end_usdt": end,
        "fees_usdt": sum(run.fees for run in runs), "funding_usdt": sum(run.funding for run in runs),
        "max_drawdown_pct": max(row[-1] for row in course), "breaker_trips": [run.trip for run in runs],
        "kill_switch": {"active": False, "level": None, "phase": None, "reason": "", "since": None}, "fill_model": "trade_through",
        "fill_models": {name: {"fills": 700 - 90 * at, "equity_end_usdt": 10_000 + value, "pnl_usdt": value, "max_drawdown_pct": 2.1}
                        for at, (name, value) in enumerate(models.items())},
        "notes": ["Funding was not in the data: 1 bps each 8 hours was assumed."], "fills_sha256": "ab" * 32, "seconds_run": 3.21,
    }  # fmt: skip


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefacts(tmp_path_factory.mktemp("month"))


@pytest.fixture
def folder(month: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(month, tmp_path / "run")
    return tmp_path / "run"


# --- the page ---------------------------------------------------------------------------------------------------------------


class Tags(html.parser.HTMLParser):
    """What a browser makes of a page: elements in order, what scripts hold, and all text outside them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self._in = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._in = tag
        for kept, name in ((self.scripts, "script"), (self.styles, "style")):
            if tag == name:
                kept.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in == "style":
            self.styles[-1] += data
        else:
            self.text += data


def made(folder: Path) -> Tags:
    return Tags(report.write(folder).read_text("utf-8"))


def change(folder: Path, **keys: Any) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_the_same_folder_gives_the_same_bytes(folder: Path) -> None:
    first = report.write(folder).read_bytes()
    change(folder, seconds_run=99.9)
    assert report.write(folder).read_bytes() == first
    assert not list(folder.glob(".*"))


def test_nothing_on_the_page_can_reach_out(folder: Path) -> None:
    page = made(folder)
    reaching = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "style"}
    assert not [(name, value) for name, value in page.attributes if name in reaching or name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    style, script = page.styles[0], page.scripts[1]
    assert not re.search(r"@import|url\(|@font-face", style)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import|eval|innerHTML|localStorage)\b", script)


def test_the_policy_names_the_only_style_and_the_only_script(folder: Path) -> None:
    page = made(folder)
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for source in (page.styles[0], page.scripts[1]):
        assert f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}" in policy
    assert len(page.styles) == 1 and len(page.scripts) == 2


def test_text_from_files_cannot_act(folder: Path) -> None:
    before = made(folder).tags
    said = json.loads((folder / "summary.json").read_text())
    trip = said["breaker_trips"][0] | {"reason": HOSTILE, "did": HOSTILE, "name": HOSTILE, "unit": HOSTILE, "level": HOSTILE}
    trip["inputs"] = {HOSTILE: [HOSTILE, 1]}
    notes = [HOSTILE]
    models = {HOSTILE: said["fill_models"]["touch"]}
    change(
        folder, breaker_trips=[trip], notes=notes, fill_models=models, fill_model=HOSTILE, symbols=[HOSTILE], engine=HOSTILE, data=HOSTILE
    )
    change(folder, version=HOSTILE, interval=HOSTILE, fills_sha256=HOSTILE, start=HOSTILE,
           kill_switch={"active": True, "level": HOSTILE, "phase": HOSTILE, "since": HOSTILE, "reason": HOSTILE})  # fmt: skip
    spoil(folder / "fills.csv", "reason", HOSTILE)
    spoil(folder / "positions.csv", "symbol", HOSTILE)
    spoil(folder / "positions.csv", "opened_at", HOSTILE)
    for column in ("group", "name", "unit", "definition"):
        spoil(folder / "metrics.csv", column, HOSTILE)
    page = made(folder)
    assert page.text.count(HOSTILE) >= 20
    assert set(page.tags) <= {*before, "b"} and page.tags.count("script") == 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<" not in page.scripts[0]
    assert json.loads(page.scripts[0])["symbols"][0]["fills"]["reasons"] == [HOSTILE]


def spoil(path: Path, column: str, value: str) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table(path, list(rows[0]), [list((row | {column: value}).values()) for row in rows])


def test_a_hostile_symbol_names_its_charts_and_nothing_more(folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = folder / "equity.parquet"
    rows = parquet.read_table(path)
    at = rows.schema.get_field_index("symbol")
    parquet.write_table(rows.set_column(at, "symbol", pyarrow.array([HOSTILE, "BTCUSDT"] * (len(rows) // 2))), path)
    page = made(folder)
    assert ("aria-label", f"{HOSTILE} price") in page.attributes
    assert page.tags.count("script") == 2 and "img" not in page.tags


def test_the_page_says_what_was_tested_and_how_it_went(folder: Path) -> None:
    change(folder, equity_start_usdt=10_000.0, equity_end_usdt=10_123.45, max_drawdown_pct=2.134, fees_usdt=12.3456, funding_usdt=-0.5)
    text = made(folder).text
    for said in ("Backtest of BTCUSDT", "3 Feb 2025, 00:00 – 3 Mar 2025, 00:00 UTC", "full engine", "40,320 bars seen", "1m bars",
                 "Made 123.45 USDT on 10,000.00 USDT in 28 days; at worst equity lay 2.13 % below its peak.", "+123.45", "+1.23", "−0.50",
                 "python 3.11.7", "pyarrow 26.0.1", "Funding was not in the data", "1.87", "312"):  # fmt: skip
        assert said in text, said
    assert "2026-01-01" not in text and "99.9" not in text


def test_trips_tell_what_they_did_saved_or_cost_and_what_they_saw(folder: Path) -> None:
    trip = json.loads((folder / "summary.json").read_text())["breaker_trips"][0]
    change(folder, breaker_trips=[trip, trip | {"saved_usdt": -12.5}, trip | {"saved_usdt": None, "inputs": None}])
    page = made(folder)
    for said in ("cancelled 20 orders and closed both legs in 60 s", "saved 41.37 USDT", "cost 12.50 USDT", "2.13 %",
                 "instruments.0.long.entry", "99000.5", "not known", "What it saw: 7 inputs"):  # fmt: skip
        assert said in page.text, said
    assert page.tags.count("details") == 2
    assert [one["n"] for one in json.loads(page.scripts[0])["trips"]] == [1, 2, 3]


@pytest.mark.parametrize(("trips", "said"), [([], "No breaker tripped."), (None, ""), ("three", "")])
def test_no_trip_is_not_the_same_as_not_known(folder: Path, trips: Any, said: str) -> None:
    change(folder, breaker_trips=trips)
    page = made(folder)
    assert ("No breaker tripped." in page.text) == bool(said)
    assert (("id", "trips") in page.attributes) == bool(said)


def test_the_assumption_in_the_profit_is_told(folder: Path) -> None:
    profits = {"queue": 40.0, "zeal": 50.0, "touch": 130.0, "trade_through": 100.0, "auction": 60.0}
    models = {name: {"pnl_usdt": profit, "fills": 1} for name, profit in profits.items()}
    change(folder, fill_models=models)
    page = made(folder)
    assert "lie 90.00 USDT, 90 % of the profit reported here. This report is of trade_through." in page.text
    table = page.text[page.text.index("A resting order") :]
    assert sorted(profits, key=table.index) == ["touch", "trade_through", "queue", "auction", "zeal"]
    widths = [float(value) for name, value in page.attributes if name == "width"]
    assert widths == [100.0, 76.92, 30.77, 46.15, 38.46]


def test_a_loss_is_no_share_of_a_profit(folder: Path) -> None:
    change(folder, fill_models={"touch": {"pnl_usdt": 5.0}, "trade_through": {"pnl_usdt": -5.0}})
    text = made(folder).text
    assert "lie 10.00 USDT. This report" in text and "of the profit reported" not in text


def test_metrics_have_their_definitions_and_undefined_ones_no_number(folder: Path) -> None:
    page = made(folder)
    assert all(str(row[4]) in page.text for row in METRICS)
    for said in ("Recovery time4 d 5 h", "Calmar ratio–", "Max drawdown2.13 %", "CAGR17.20 %", "Ladder depth average2.31 rungs"):
        assert said in page.text, said


def test_of_many_positions_the_first_two_hundred_are_shown(folder: Path) -> None:
    row = ["BTCUSDT", LONG, iso(START), "", 0.048, 99_000.123456, "", 1.5, 0.1, 0.01, 1.39, 4, 0]
    table(folder / "positions.csv", POSITIONS, [row] * 1234)
    page = made(folder)
    assert "The first 200 of 1,234 positions" in page.text and page.text.count("99,000.12") == 200
    assert "open" in page.text


def test_a_folder_with_a_summary_alone_still_makes_a_page(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    page = made(tmp_path)
    assert "There are no charts: equity.parquet is missing or empty." in page.text
    assert "figure" not in page.tags and page.tags.count("section") == 1
    assert json.loads(page.scripts[0]) == {"trips": []}


@pytest.mark.parametrize(
    "gone", ["equity.parquet", "fills.csv", "orders.csv", "positions.csv", "metrics.csv", "environment.json", "config.toml"]
)
def test_what_a_folder_lacks_the_page_lacks(folder: Path, gone: str) -> None:
    (folder / gone).unlink()
    assert "Backtest of BTCUSDT" in made(folder).text


@pytest.mark.parametrize(
    "key", ["symbols", "start", "equity_start_usdt", "fill_models", "fill_model", "kill_switch", "notes", "max_drawdown_pct"]
)
def test_any_key_of_the_summary_may_be_missing(folder: Path, key: str) -> None:
    said = json.loads((folder / "summary.json").read_text())
    del said[key]
    (folder / "summary.json").write_text(json.dumps(said))
    assert "Backtest" in made(folder).text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", None),
        ("environment.json", "nonsense"),
        ("equity.parquet", "nonsense"),
        ("metrics.csv", "name\n" + "x" * 200_000),
        ("positions.csv", "symbol\n" + "x" * 200_000),
        ("fills.csv", ",".join(FILLS) + "\nyesterday,BTCUSDT,long,buy,entry,1,1,0,True,0,c,o,t,\n"),
        ("orders.csv", ",".join(ORDERS) + "\nshort row\n"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_the_file(folder: Path, name: str, content: str | None) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(FeedError, match=name):
        report.write(folder)
    assert not (folder / "report.html").exists()


def test_numbers_that_json_does_not_know_are_not_known(folder: Path) -> None:
    text = (folder / "summary.json").read_text().replace('"fees_usdt": ', '"fees_usdt": NaN, "x": 1e999, "y": ')
    (folder / "summary.json").write_text(text)
    found = report.data(folder)
    assert found["verdict"]["fees_usdt"] is None
    json.dumps(found, allow_nan=False)


def test_everything_on_the_page_is_in_the_data_and_small(folder: Path) -> None:
    found = report.data(folder)
    assert json.loads(made(folder).scripts[0]) == json.loads(json.dumps(found["charts"]))
    assert found["summary"]["fills_sha256"] == "ab" * 32 and "seconds_run" not in found["summary"]
    assert len(found["metrics"]) == 7
    assert (folder / "report.html").stat().st_size < 500_000


def test_several_symbols_have_a_price_and_an_inventory_chart_each(tmp_path: Path) -> None:
    folder = artefacts(tmp_path / "two", ("BTCUSDT", "ETHUSDT"), minutes=3000)
    page = made(folder)
    kinds = [value for name, value in page.attributes if name == "data-kind"]
    assert kinds == ["price", "price", "equity", "drawdown", "held", "held", "rate", "funding"]
    assert "ETHUSDT price" in page.text and "BTCUSDT inventory" in page.text
    btc, eth = json.loads(page.scripts[0])["symbols"]
    assert (btc["symbol"], eth["symbol"], btc["bars"], eth["bars"]) == ("BTCUSDT", "ETHUSDT", 3000, 3000)
    assert min(btc["close"]["v"]) > 50_000 > max(eth["close"]["v"])
    with (folder / "fills.csv").open(newline="") as file:
        symbols = [row["symbol"] for row in csv.DictReader(file)]
    assert (btc["fills"]["total"], eth["fills"]["total"]) == (symbols.count("BTCUSDT"), symbols.count("ETHUSDT"))


def test_every_chart_on_the_page_is_one_that_the_script_draws_in_colours_of_both_schemes() -> None:
    script, style = ((Path(report.__file__).with_name(name)).read_text() for name in ("report.js", "report.css"))
    drawn = re.search(r"const KINDS = \{(.*?)\n  \};", script, re.S)
    assert drawn and set(re.findall(r"^    (\w+):", drawn[1], re.M)) == {"price", "held", "equity", "drawdown", "rate", "funding"}
    named = re.search(r"const NAMES = \[(.*?)\];", script, re.S)
    assert named
    for name in re.findall(r'"(\w+)"', named[1]):
        assert style.count(f"--{name}:") == 2, name


def test_importing_the_report_costs_nothing() -> None:
    code = "import sys, hedgegridd.research.report; print([m for m in ('pyarrow', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


# --- what the charts are made of --------------------------------------------------------------------------------------------


def rows_of(folder: Path) -> dict[str, list[Any]]:
    from pyarrow import parquet

    return dict(parquet.read_table(folder / "equity.parquet").to_pydict())


@pytest.mark.parametrize(
    ("column", "part", "name"),
    [("close", "symbol", "close"), ("equity_usdt", "account", "equity"), ("drawdown_pct", "account", "drawdown")],
)
def test_no_extreme_of_any_span_is_lost(month: Path, column: str, part: str, name: str) -> None:
    course = charts.read(month / "equity.parquet")
    assert course is not None
    series = (course.account if part == "account" else course.symbols["BTCUSDT"])[name]
    rows = rows_of(month)
    start, length = rows["time"][0], rows["time"][-1] - rows["time"][0] + 1
    spans: dict[int, list[float]] = {}
    for time, value in zip(rows["time"], rows[column], strict=True):
        spans.setdefault((time - start) * 1000 // length, []).append(value)
    kept: dict[int, list[float]] = {}
    for time, value in zip(series["t"], series["v"], strict=True):
        kept.setdefault(int((time * 1000 - start) * 1000 // length), []).append(value)
    assert kept.keys() == spans.keys()
    for at, values in spans.items():
        assert [min(kept[at]), max(kept[at])] == pytest.approx([min(values), max(values)], rel=1e-7, abs=1e-7)
    assert len(series["t"]) <= charts.POINTS + 2


#: Column of the file -> where its series is.
PLACES = {"close": ("close",), "equity_usdt": ("equity",), "long_qty": (LONG, "qty"), "short_entry": (SHORT, "entry"),
          "long_stop": (LONG, "stop"), "regime": ("regime",), "funding_rate": ("rate",), "wallet_usdt": ("wallet",)}  # fmt: skip


@pytest.mark.parametrize("column", PLACES)
def test_every_point_is_a_row_at_its_own_time(month: Path, column: str) -> None:
    course = charts.read(month / "equity.parquet")
    assert course is not None
    series = course.account | course.symbols["BTCUSDT"]
    for name in PLACES[column]:
        series = series[name]
    rows = rows_of(month)
    at = dict(zip(rows["time"], rows[column], strict=True))
    assert len(series["t"]) > 3 and series["t"] == sorted(series["t"])
    for time, value in zip(series["t"], series["v"], strict=True):
        assert value == pytest.approx(at[time * 1000], rel=1e-7, abs=1e-9)


def test_few_steps_are_kept_exactly(month: Path) -> None:
    course = charts.read(month / "equity.parquet")
    assert course is not None
    rows = rows_of(month)
    held = [math.nan, *rows["long_qty"]]
    changes = [at for at, value in enumerate(rows["long_qty"]) if value != held[at]]
    series = course.symbols["BTCUSDT"][LONG]["qty"]
    assert series["t"] == [rows["time"][at] / 1000 for at in changes]
    assert series["v"] == [rows["long_qty"][at] for at in changes]


def test_many_steps_keep_their_extremes_and_where_each_span_ends(tmp_path: Path) -> None:
    count = 50_000
    dice = random.Random(3)
    values = [float(dice.randrange(1000)) for _ in range(count)]
    values[31_234] = 5000.0
    times = [START + at * MINUTE for at in range(count)]
    parquet(tmp_path / "equity.parquet", {"time": times, "symbol": ["X"] * count, "close": values, "long_qty": values})
    course = charts.read(tmp_path / "equity.parquet")
    assert course is not None and course.thinned
    series = course.symbols["X"][LONG]["qty"]
    assert len(series["t"]) <= charts.POINTS + 2
    assert (times[31_234] / 1000, 5000.0) in zip(series["t"], series["v"], strict=True)
    assert (series["t"][0], series["v"][-1]) == (times[0] / 1000, values[-1])


def test_what_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    nan = math.nan
    columns = {"time": [START, START + 1500, START + 3000], "symbol": ["X"] * 3, "close": [nan, 2.0, 3.0], "funding_rate": [nan] * 3}
    parquet(tmp_path / "equity.parquet", columns)
    course = charts.read(tmp_path / "equity.parquet")
    assert course is not None and not course.thinned
    assert course.symbols["X"]["close"] == {"t": [START / 1000 + 1.5, START / 1000 + 3.0], "v": [2, 3]}
    assert course.symbols["X"]["rate"] == {"t": [], "v": []}
    assert course.account["equity"] == {"t": [], "v": []}


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_the_shortest_runs_have_a_page_too(tmp_path: Path, rows: int) -> None:
    (tmp_path / "summary.json").write_text("{}")
    columns = {"time": [START + at for at in range(rows)], "symbol": ["X"] * rows, "close": [1.0] * rows}
    parquet(
        tmp_path / "equity.parquet",
        {name: np.array(values, {"time": "i8", "close": "f8"}.get(name, "U1")) for name, values in columns.items()},
    )
    assert ("figure" in made(tmp_path).tags) == bool(rows)


# --- marks ------------------------------------------------------------------------------------------------------------------

SPAN = charts.Span(START, START + 28 * DAY)
FIELD = marks.Field(SPAN, 90_000.0, 110_000.0)


def written(path: Path, names: list[str], rows: list[dict[str, Any]]) -> Path:
    table(path, names, [[row.get(name, "") for name in names] for row in rows])
    return path


def some_fills(count: int) -> list[dict[str, Any]]:
    dice = random.Random(5)
    roles = ["entry", "take_profit"] * 50 + ["stop", "close"]
    fills = []
    for time in sorted(dice.randrange(SPAN.start, SPAN.end) for _ in range(count)):
        price = round(100_000 + 8_000 * math.sin(time / 4e8) + dice.gauss(0, 400), 1)
        kind = {"leg": dice.choice((LONG, SHORT)), "role": dice.choice(roles)}
        fills.append(kind | {"time": iso(time), "symbol": "X", "qty": 0.01, "fee_usdt": 0.2, "price": price, "realized_usdt": 1.0})
    return fills


def test_few_fills_are_all_shown(tmp_path: Path) -> None:
    fills = some_fills(marks.FILLS)
    shown = marks.fills(written(tmp_path / "fills.csv", FILLS, fills), {"X": FIELD})["X"]
    assert (shown["total"], len(shown["t"])) == (marks.FILLS, marks.FILLS)
    assert shown["price"] == [fill["price"] for fill in fills]
    assert [marks.ROLES[role] for role in shown["role"]] == [fill["role"] for fill in fills]


def test_of_many_fills_each_left_out_has_its_like_beside_it(tmp_path: Path) -> None:
    fills = some_fills(60_000)
    shown = marks.fills(written(tmp_path / "fills.csv", FILLS, fills), {"X": FIELD})["X"]
    assert shown["total"] == 60_000 and marks.FILLS / 4 < len(shown["t"]) <= marks.FILLS
    wide, tall = shown["cell"]
    kept: dict[tuple[str, str], Any] = {}
    for time, leg, role, price in zip(shown["t"], shown["leg"], shown["role"], shown["price"], strict=True):
        kept.setdefault((marks.LEGS[leg], marks.ROLES[role]), []).append((time, price))
    kept = {kind: np.array(points) for kind, points in kept.items()}
    for fill in fills[::50]:
        points = kept[fill["leg"], fill["role"]]
        near = np.abs(points[:, 0] - wording.seconds_of(fill["time"])) <= wide + 1e-3
        assert (near & (np.abs(points[:, 1] - fill["price"]) <= tall + 1e-6)).any()


def order(start: int, end: int | None, price: float, **keys: Any) -> dict[str, Any]:
    ended = "" if end is None else iso(START + end * MINUTE)
    return {"placed_at": iso(START + start * MINUTE), "ended_at": ended, "symbol": "X", "leg": LONG, "role": "entry", "price": price} | keys


def test_rungs_are_the_entries_and_the_open_ones_rest_to_the_end(tmp_path: Path) -> None:
    orders = [order(0, 10, 99_000.0), order(5, None, 98_500.0), order(0, 10, 1.0, role="take_profit"), order(0, 10, 1.0, leg="sideways")]
    shown, band = marks.rungs(written(tmp_path / "orders.csv", ORDERS, orders), {"X": FIELD})["X"]
    assert shown["total"] == 2 and shown["price"] == [99_000, 98_500]
    assert shown["end"] == [START // 1000 + 600, SPAN.end // 1000]
    assert (band[LONG]["low"][0], band[LONG]["high"][0], band[LONG]["high"][1], band[SHORT]["low"][0]) == (98_500, 99_000, 98_500, None)
    assert band[LONG]["low"][-1] == 98_500


def test_of_many_rungs_the_longest_lived_are_kept_and_the_band_is_of_all(tmp_path: Path) -> None:
    orders = [order(at % 40_000, at % 40_000 + 5, 95_000.0 + at % 100) for at in range(40_000)]
    orders += [order(at * 9, at * 9 + 200, 97_000.0) for at in range(marks.ORDERS - 1)]
    orders.append(order(20_000, 20_001, 91_000.0))
    shown, band = marks.rungs(written(tmp_path / "orders.csv", ORDERS, orders), {"X": FIELD})["X"]
    assert (shown["total"], len(shown["t"]), shown["longest_left_out"]) == (len(orders), marks.ORDERS, 300.0)
    assert shown["price"].count(97_000) == marks.ORDERS - 1
    assert min(low for low in band[LONG]["low"] if low is not None) == 91_000


def test_what_is_left_out_is_told_on_the_page(folder: Path) -> None:
    fills = [fill | {"symbol": "BTCUSDT"} for fill in some_fills(20_000)]
    written(folder / "fills.csv", FILLS, fills)
    written(folder / "orders.csv", ORDERS, [order(at, at + 3, 95_000.0, symbol="BTCUSDT") for at in range(5_000)])
    text = made(folder).text
    assert re.search(r"BTCUSDT: [\d,]+ of 20,000 fills are drawn", text)
    assert "BTCUSDT: 4,000 of 5,000 resting entries are drawn, the longest-lived; none left out rested longer than 3 min." in text
    assert "each of 1,000 equal spans of 40 min 19 s" in text and "40,320 rows" in text


# --- words ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.number(1234.5), "1,234.50"),
        (wording.number(-0.01234), "−0.0123"),
        (wording.number(12), "12"),
        (wording.number(-0.001, 2), "0.00"),
        (wording.number("inf"), "–"),
        (wording.number(None), "–"),
        (wording.number(True), "–"),
        (wording.money(3, sign=True), "+3.00"),
        (wording.amount(99_000.123456), "99,000.12"),
        (wording.amount("0.048"), "0.048"),
        (wording.amount(0), "0"),
        (wording.amount(0.0000123456789), "0.00001234568"),
        (wording.amount(98_505.0), "98,505"),
        (wording.measured(6.42, "hours"), "6 h 25 min"),
        (wording.measured(312, "count"), "312"),
        (wording.measured("", "USDT"), "–"),
        (wording.duration(0.4), "0 s"),
        (wording.duration(90_061), "1 d 1 h"),
        (wording.moment("2025-02-03T02:07:00.000Z"), "3 Feb 2025, 02:07"),
        (wording.moment("2025-02-03T02:07:09.5Z"), "3 Feb 2025, 02:07:09"),
        (wording.moment(START), "3 Feb 2025, 00:00"),
        (wording.moment("soon"), "soon"),
        (wording.moment(""), "–"),
        (wording.named("total_pnl_usdt"), "Total PnL"),
        (wording.named("sharpe_ratio"), "Sharpe ratio"),
        (wording.text("<a href='x'>"), "&lt;a href=&#x27;x&#x27;&gt;"),
    ],
)
def test_numbers_times_and_names_are_said_plainly(said: str, expected: str) -> None:
    assert said == expected
