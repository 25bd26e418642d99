"""Fills and resting rungs of a backtest, as marks on its price chart: `fills.csv` and `orders.csv` in a few thousand marks.

Its one law: what is left out could not have been seen apart. Of too many fills the first of each cell of a fine grid of time and
price is kept, by leg and role; of too many rungs the longest-lived, and the band from the nearest to the deepest rung is of all
of them. How many there were is always told. The files are streamed. It draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hedgegridd.errors import FeedError
from hedgegridd.research.charts import Span, rounded, seconds

if TYPE_CHECKING:
    Columns = dict[str, Any]  # numpy arrays of one length

FILLS, ORDERS = 6_000, 4_000  #: marks on the page, of all symbols together
FINE = 4_096  #: cells of time in the finest grid; of price a quarter of it
BAND = 600  #: spans of time of the ladder's band
BLOCK = 1 << 18  #: bytes of a CSV file in memory at once
LEGS, ROLES = ("long", "short"), ("entry", "take_profit", "stop", "close")
ENTRY = 0

_NAME, _TEXT, _TIME, _NUMBER = "name", "text", "time", "number"  # a name is one of few
_FILL = {"time": _TIME, "symbol": _NAME, "leg": _NAME, "role": _NAME, "price": _NUMBER, "qty": _NUMBER, "fee_usdt": _NUMBER,
         "realized_usdt": _NUMBER, "reason": _TEXT}  # fmt: skip
_ORDER = {"placed_at": _TIME, "ended_at": _TIME, "symbol": _NAME, "leg": _NAME, "role": _NAME, "price": _NUMBER}


class Field(NamedTuple):
    """Where a symbol's marks lie: the time of the run and the prices it saw."""

    span: Span
    low: float
    high: float


class Fills:
    """Fills of one symbol: all of them, or one for each cell of the finest grid that leaves few enough."""

    def __init__(self, field: Field, most: int) -> None:
        self.field, self.most = field, most
        self.total = self.held = 0
        self.fine = FINE
        self.parts: list[Columns] = []

    def add(self, columns: Columns) -> None:
        rows = len(columns["time"])
        self.total, self.held = self.total + rows, self.held + rows
        self.parts.append(columns)
        if self.held > 4 * self.most:
            self._thin(2 * self.most)

    def _thin(self, most: int) -> None:
        import numpy as np

        columns = joined(self.parts)
        while len(columns["time"]) > most and self.fine > 1:
            _, first = np.unique(self._cells(columns), return_index=True)
            columns = picked(columns, np.sort(first))
            self.fine //= 1 if len(first) <= most else 2
        self.parts, self.held = [columns], len(columns["time"])

    def _cells(self, columns: Columns) -> Any:
        import numpy as np

        field, tall = self.field, self._tall()
        across = field.span.slot(columns["time"], self.fine)
        up = ((columns["price"] - field.low) / max(field.high - field.low, 1e-12) * tall).clip(0, tall - 1).astype(np.int64)
        return ((across * tall + up) * len(ROLES) + columns["role"]) * len(LEGS) + columns["leg"]

    def _tall(self) -> int:
        return max(1, self.fine // 4)

    def shown(self) -> dict[str, Any]:
        """Columns of the fills that are kept; `why` is an index into `reasons`, `cell` how near (seconds, USDT) a left-out one is."""
        if self.held > self.most:
            self._thin(self.most)
        if not self.parts:
            return {"total": 0, "t": []}
        columns = joined(self.parts)
        reasons = sorted({*columns["reason"].tolist()})
        at = {reason: index for index, reason in enumerate(reasons)}
        names = {"price": "price", "qty": "qty", "fee": "fee_usdt", "realized": "realized_usdt"}
        return {
            "total": self.total,
            "cell": [(self.field.span.end - self.field.span.start) / 1000 / self.fine, (self.field.high - self.field.low) / self._tall()],
            "t": seconds(columns["time"]),
            "leg": columns["leg"].tolist(),
            "role": columns["role"].tolist(),
            **{name: rounded(columns[column]) for name, column in names.items()},
            "why": [at[reason] for reason in columns["reason"].tolist()],
            "reasons": reasons,
        }


class Rungs:
    """The entries of one symbol while they rested: the longest-lived, and for each leg the band that all of them lay in."""

    def __init__(self, span: Span, most: int) -> None:
        import numpy as np

        self.span, self.most = span, most
        self.total = self.held = 0
        self.shortest = 0  #: ms; what is left out rested no longer
        self.parts: list[Columns] = []
        self.low, self.high = np.full((2, BAND), np.inf), np.full((2, BAND), -np.inf)

    def add(self, columns: Columns) -> None:
        columns = picked(columns, columns["role"] == ENTRY)
        rows = len(columns["time"])
        columns["end"] = columns["end"].clip(columns["time"], self.span.end)
        self.total, self.held = self.total + rows, self.held + rows
        self._widen(columns)
        self.parts.append(columns)
        if self.held > 4 * self.most:
            self._thin()

    def _widen(self, columns: Columns) -> None:
        """The band, in every span of time in which an order rested."""
        import numpy as np

        first = self.span.slot(columns["time"], BAND).clip(0, BAND - 1)
        count = self.span.slot(columns["end"], BAND).clip(0, BAND - 1) - first + 1
        at = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count) + np.repeat(first, count)
        leg, price = np.repeat(columns["leg"], count), np.repeat(columns["price"], count)
        np.minimum.at(self.low, (leg, at), price)
        np.maximum.at(self.high, (leg, at), price)

    def _thin(self) -> None:
        import numpy as np

        columns = joined(self.parts)
        life = columns["end"] - columns["time"]
        longest = np.argsort(-life, kind="stable")
        if len(longest) > self.most:
            self.shortest = max(self.shortest, int(life[longest[self.most]]))
        columns = picked(columns, np.sort(longest[: self.most]))
        self.parts, self.held = [columns], len(columns["time"])

    def shown(self) -> dict[str, Any]:
        """Columns of the orders that are kept; `longest_left_out` in seconds where some are not."""
        if self.held > self.most:
            self._thin()
        if not self.parts:
            return {"total": 0, "t": []}
        columns = joined(self.parts)
        return {
            "total": self.total,
            "longest_left_out": self.shortest / 1000,
            "t": seconds(columns["time"]),
            "end": seconds(columns["end"]),
            "leg": columns["leg"].tolist(),
            "price": rounded(columns["price"]),
        }

    def band(self) -> dict[str, Any]:
        """For each leg the lowest and highest rung of each span of time, null where none rested."""
        import numpy as np

        edges = self.span.start + (self.span.end - self.span.start + 1) * np.arange(BAND) // BAND
        sides = {leg: {"low": _or_none(self.low[at]), "high": _or_none(self.high[at])} for at, leg in enumerate(LEGS)}
        return {"t": seconds(edges), **sides}


def fills(path: Path, fields: dict[str, Field]) -> dict[str, dict[str, Any]]:
    """Per symbol the fills to show. A symbol without prices is not shown."""
    found = {symbol: Fills(field, FILLS // len(fields)) for symbol, field in fields.items()}
    for symbol, columns in _rows(path, _FILL):
        if symbol in found:
            found[symbol].add(columns)
    return {symbol: one.shown() for symbol, one in found.items()}


def rungs(path: Path, fields: dict[str, Field]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Per symbol the resting entries to show, and their band. An order that did not end rested until the end of the run."""
    found = {symbol: Rungs(field.span, ORDERS // len(fields)) for symbol, field in fields.items()}
    for symbol, columns in _rows(path, _ORDER):
        if symbol in found:
            ends = columns.pop("ended_at")
            columns["end"] = _or(ends, ends < 0, fields[symbol].span.end)
            columns["time"] = columns.pop("placed_at")
            found[symbol].add(columns)
    return {symbol: (one.shown(), one.band()) for symbol, one in found.items()}


# --- columns --------------------------------------------------------------------------------------------------------------


def joined(parts: list[Columns]) -> Columns:
    """Several parts as one."""
    import numpy as np

    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def picked(columns: Columns, rows: Any) -> Columns:
    """Some rows of every column."""
    return {name: values[rows] for name, values in columns.items()}


def _or(values: Any, where: Any, instead: int) -> Any:
    import numpy as np

    return np.where(where, instead, values)


def _or_none(values: Any) -> list[float | None]:
    import numpy as np

    known = np.isfinite(values)
    numbers = iter(rounded(values[known]))
    return [next(numbers) if there else None for there in known.tolist()]


def _rows(path: Path, wanted: dict[str, str]) -> Iterator[tuple[str, Columns]]:
    """The rows of each symbol in each block of a CSV file; nothing where there is no file. FeedError where it cannot be read."""
    from pyarrow import ArrowException

    if not path.exists() or not path.stat().st_size:
        return
    try:
        with _csv(path, wanted) as blocks:
            for block in blocks:
                columns = {name: _column(block.column(name), kind) for name, kind in wanted.items() if kind != _NAME}
                columns["leg"], columns["role"] = _codes(block.column("leg"), LEGS), _codes(block.column("role"), ROLES)
                known = (columns["leg"] >= 0) & (columns["role"] >= 0)
                for symbol, mine in _of_symbol(block.column("symbol")):
                    yield symbol, picked(columns, mine[known[mine]])
    except (OSError, ArrowException) as error:
        raise FeedError(f"{path}: not readable, expected the {path.name} of a backtest: {error}") from None


def _csv(path: Path, wanted: dict[str, str]) -> Any:
    import pyarrow
    from pyarrow import csv

    names = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    types = {_NAME: names, _TEXT: pyarrow.string(), _TIME: pyarrow.timestamp("ms", "UTC"), _NUMBER: pyarrow.float64()}
    convert = csv.ConvertOptions(
        column_types={name: types[kind] for name, kind in wanted.items()},
        include_columns=list(wanted),
        include_missing_columns=True,
        null_values=[""],
    )
    reading = csv.ReadOptions(block_size=BLOCK, use_threads=False)
    return csv.open_csv(path, reading, csv.ParseOptions(newlines_in_values=True), convert, pyarrow.system_memory_pool())


def _column(column: Any, kind: str) -> Any:
    """A column as numpy has it: missing times as -1, missing numbers as 0, missing text as ''. Arrow's own functions are asked only
    where something is missing: to load them takes its time."""
    if kind == _TIME:
        return _whole(column.view("int64"))
    known = column.fill_null(0.0 if kind == _NUMBER else "") if column.null_count else column
    return known.to_numpy(zero_copy_only=False)


def _whole(column: Any) -> Any:
    """Whole numbers, -1 for a missing one: numpy gets these as a float that is not a number."""
    import numpy as np

    values = column.to_numpy(zero_copy_only=False)
    return np.where(np.isnan(values), -1, values).astype(np.int64) if column.null_count else values


def _codes(column: Any, names: tuple[str, ...]) -> Any:
    """Each text of a column of names as its place among these; -1 for one that is none of them."""
    import numpy as np

    at = {name: index for index, name in enumerate(names)}
    return np.array([*(at.get(text, -1) for text in column.dictionary.to_pylist()), -1])[_whole(column.indices)]


def _of_symbol(column: Any) -> Iterator[tuple[str, Any]]:
    """Each symbol, and its rows."""
    import numpy as np

    codes = _whole(column.indices)
    for code, name in enumerate(column.dictionary.to_pylist()):
        yield name, np.flatnonzero(codes == code)
