"""The report of a backtest: one HTML file that opens offline, made from the folder of its artefacts and nothing else.

Its one law: the same folder gives the same bytes. It reads no clock, so it can be made again at any later time; what a run took
(`seconds_run`) is no result and not shown. What a folder lacks, the page lacks; what is there and cannot be read is an error. It
computes nothing of its own but differences of numbers in the files: no fill, no metric.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from itertools import islice
from pathlib import Path
from typing import Any

from hedgegridd.errors import FeedError
from hedgegridd.research.wording import duration, known, number, seconds_of
from hedgegridd.savefile import save

NAME = "report.html"
POSITIONS = 200  #: rows on the page
_VERSION = re.compile(r"\d+(\.\d+)+[\w.+-]*")


def write(folder: Path) -> Path:
    """Make `report.html` in the folder; its path."""
    from hedgegridd.research.page import page

    path = folder / NAME
    save(path, page(data(folder)), mode=0o644)
    return path


def data(folder: Path) -> dict[str, Any]:
    """Everything the page shows, ready for JSON; series are thinned to what a chart can show. FeedError without a summary."""
    summary = _summary(folder)
    metrics, positions = _metrics(folder / "metrics.csv"), _positions(folder / "positions.csv")
    charts, left_out = _charts(folder)
    charts["trips"] = _moments(summary["breaker_trips"] or [])
    return {
        "summary": summary,
        "verdict": _verdict(summary, metrics),
        "charts": charts,
        "metrics": metrics,
        "positions": positions,
        "left_out": left_out,
        "made_of": _made_of(folder),
    }


# --- small files ----------------------------------------------------------------------------------------------------------


def _read(path: Path) -> str | None:
    """The text of a file; None where there is none."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FeedError(f"{path}: not readable: {error}") from None


def _json(path: Path) -> dict[str, Any] | None:
    """A table of JSON, without the numbers that JSON does not know."""
    text = _read(path)
    if text is None:
        return None
    try:
        found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise FeedError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise FeedError(f"{path}: expected a table, not {type(found).__name__}")
    return found


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _rows(path: Path) -> list[dict[str, str]] | None:
    """The rows of a CSV file by column; None where there is no file."""
    text = _read(path)
    try:
        return None if text is None else list(csv.DictReader(io.StringIO(text), restval=""))
    except csv.Error as error:
        raise FeedError(f"{path}: not readable: {error}") from None


def _summary(folder: Path) -> dict[str, Any]:
    """`summary.json` but for what is no result, every part that is to be a list or a table being one."""
    found = _json(folder / "summary.json")
    if found is None:
        raise FeedError(f"{folder}: no summary.json, expected the folder of a backtest's artefacts")
    found.pop("seconds_run", None)
    trips, models, switch = (found.get(name) for name in ("breaker_trips", "fill_models", "kill_switch"))
    return found | {
        "symbols": _list(found.get("symbols")),
        "notes": _list(found.get("notes")),
        "breaker_trips": [trip for trip in trips if isinstance(trip, dict)] if isinstance(trips, list) else None,
        "fill_models": models if isinstance(models, dict) else {},
        "kill_switch": switch if isinstance(switch, dict) else {},
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics in the file's order, gathered by group; a value that is not defined is None."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(path) or []:
        one = {name: row.get(name, "") for name in ("name", "value", "unit", "definition")}
        groups.setdefault(row.get("group", ""), []).append(one | {"value": known(one["value"])})
    return [{"group": group, "rows": rows} for group, rows in groups.items()]


def _positions(path: Path) -> dict[str, Any]:
    """The first of them, and how many there are. The file is streamed: it may be long."""
    if not path.exists():
        return {"total": 0, "rows": []}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, restval="")
            first = [{name: value for name, value in row.items() if isinstance(name, str)} for row in islice(rows, POSITIONS)]
            return {"total": len(first) + sum(1 for _ in rows.reader), "rows": first}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeedError(f"{path}: not readable: {error}") from None


def _made_of(folder: Path) -> dict[str, Any]:
    """What the run was made with: versions, and the fingerprint of its configuration."""
    config = _read(folder / "config.toml")
    return {
        "versions": dict(_versions(_json(folder / "environment.json") or {})),
        "config_sha256": hashlib.sha256(config.encode()).hexdigest() if config is not None else None,
    }


def _versions(table: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Whatever looks like a version, at any depth. `version` itself is named by the table it stands in."""
    found = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _versions(value, name)
        elif isinstance(value, str) and _VERSION.fullmatch(value):
            found.append((above if name == "version" and above else name, value))
    return found


# --- what the page begins with --------------------------------------------------------------------------------------------


def _verdict(summary: dict[str, Any], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """The eight numbers of the header; None = not known."""
    by_name = {row["name"]: row["value"] for group in metrics for row in group["rows"]}
    start, end = known(summary.get("equity_start_usdt")), known(summary.get("equity_end_usdt"))
    pnl = by_name.get("total_pnl_usdt") if start is None or end is None else end - start
    return {
        "pnl_usdt": pnl,
        "return_pct": by_name.get("total_return_pct") if pnl is None or not start else pnl / start * 100,
        "max_drawdown_pct": known(summary.get("max_drawdown_pct", by_name.get("max_drawdown_pct"))),
        "sharpe_ratio": by_name.get("sharpe_ratio"),
        "total_trades": by_name.get("total_trades"),
        "fees_usdt": known(summary.get("fees_usdt", by_name.get("fees_usdt"))),
        "funding_usdt": known(summary.get("funding_usdt", by_name.get("funding_net_usdt"))),
        "breaker_trips": None if summary["breaker_trips"] is None else len(summary["breaker_trips"]),
    }


def _moments(trips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """When which breaker tripped, numbered as in the table."""
    found = []
    for number_, trip in enumerate(trips, 1):
        at = seconds_of(trip.get("time"))
        if at is not None:
            found.append({"n": number_, "t": at, "name": str(trip.get("name", ""))})
    return found


# --- charts ---------------------------------------------------------------------------------------------------------------


def _charts(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The charts and, in words, what they leave out. Without the course of the run there are none."""
    from hedgegridd.research import charts, marks

    course = charts.read(folder / "equity.parquet")
    if course is None:
        return {}, ["There are no charts: equity.parquet is missing or empty."]
    fields = {
        symbol: marks.Field(course.span, min(one["close"]["v"], default=0.0), max(one["close"]["v"], default=0.0))
        for symbol, one in course.symbols.items()
    }
    left_out = [_thinned(course)] if course.thinned else []
    fills, rungs = marks.fills(folder / "fills.csv", fields), marks.rungs(folder / "orders.csv", fields)
    for symbol, one in course.symbols.items():
        one["fills"] = fills[symbol]
        one["rungs"], one["band"] = rungs[symbol]
        left_out += _fewer(symbol, one["fills"], one["rungs"])
    shown = {
        "start": course.span.start / 1000,
        "end": course.span.end / 1000,
        "bar": course.bar,
        "spacing": course.spacing,
        "account": course.account,
        "symbols": list(course.symbols.values()),
    }
    return shown, left_out


def _thinned(course: Any) -> str:
    length = duration(course.spacing)
    return (
        f"Price, equity and drawdown are drawn from the lowest and the highest bar of each of 1,000 equal spans of {length}, each at its "
        f"own time; {number(course.rows)} rows lie behind them. Quantities, averages, stops and rates are drawn change by change, or "
        "likewise by spans where one changes more than 2,000 times."
    )


def _fewer(symbol: str, fills: dict[str, Any], rungs: dict[str, Any]) -> list[str]:
    """A sentence for each kind of mark of which not every one is drawn."""
    said = []
    if len(fills["t"]) < fills["total"]:
        seconds, usdt = fills["cell"]
        said.append(
            f"{symbol}: {number(len(fills['t']))} of {number(fills['total'])} fills are drawn. Each one left out has a drawn one of its "
            f"kind and leg within {duration(seconds)} and {number(usdt)} USDT."
        )
    if len(rungs["t"]) < rungs["total"]:
        said.append(
            f"{symbol}: {number(len(rungs['t']))} of {number(rungs['total'])} resting entries are drawn, the longest-lived; none left out "
            f"rested longer than {duration(rungs['longest_left_out'])}. The band from nearest to deepest rung is of all of them."
        )
    return said
