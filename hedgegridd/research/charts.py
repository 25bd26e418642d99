"""The course of a backtest as charts can show it: `equity.parquet` in about two thousand points a series.

Its one law: no extreme is lost, and every point is a row of the file at its own time. What moves all the time (price, equity,
drawdown) keeps the lowest and the highest of each of a thousand equal spans. What moves in steps (quantities, stops, rates) is
kept exactly while it changes seldom; else the lowest, highest and last of each span. The file is streamed: one batch of it is in
memory. It draws nothing and judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hedgegridd.errors import FeedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Whether = NDArray[np.bool_]

POINTS = 2_000  #: of one series, at most (and its first and last row)
BATCH = 16_384  #: rows in memory at once
DIGITS = 9  #: significant digits of the largest number of a series
UP, DOWN = "long", "short"

#: Series of the whole account, and of one symbol: column of the file -> (name in the JSON, does it move in steps?).
ACCOUNT = {"equity_usdt": ("equity", False), "drawdown_pct": ("drawdown", False), "wallet_usdt": ("wallet", True)}
SYMBOL = {"close": ("close", False), "regime": ("regime", True), "center": ("center", True), "funding_rate": ("rate", True),
          "funding_usdt": ("funding", True)}  # fmt: skip
LEG = {"qty": "qty", "entry": "entry", "stop": "stop", "rungs": "rungs"}


class Span(NamedTuple):
    """First and last moment of a run, ms UTC."""

    start: int
    end: int

    def slot(self, times: Any, slots: int) -> Any:
        """Which of so many equal spans of the run these times lie in."""
        return (times - self.start) * slots // (self.end - self.start + 1)


class Extremes:
    """The lowest, the highest and the last row of each of `slots` equal spans."""

    def __init__(self, span: Span, slots: int) -> None:
        import numpy as np

        self.span, self.slots = span, slots
        self.times = np.full((3, slots), -1, np.int64)  # -1: nothing was seen in this span
        self.values = np.repeat([[math.inf], [-math.inf], [0.0]], slots, axis=1)
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)

    def add(self, times: Ints, values: Floats) -> None:
        """Take in more rows, oldest first."""
        import numpy as np

        slot = self.span.slot(times, self.slots)
        starts = np.flatnonzero(changes(slot, -1))
        lengths = np.diff(starts, append=len(slot))
        for row, choose, better in ((0, np.minimum, np.less), (1, np.maximum, np.greater)):
            hits = np.flatnonzero(values == np.repeat(choose.reduceat(values, starts), lengths))
            rows = hits[changes(slot[hits], -1)]  # the first of equals is when it came to that
            self._keep(row, slot[rows], times[rows], values[rows], better(values[rows], self.values[row, slot[rows]]))
        ends = starts + lengths - 1
        self._keep(2, slot[ends], times[ends], values[ends], times[ends] >= self.times[2, slot[ends]])
        self.first = self.first or (int(times[0]), float(values[0]))
        self.last = max(self.last, (int(times[-1]), float(values[-1])))

    def _keep(self, row: int, at: Ints, times: Ints, values: Floats, better: Whether) -> None:
        self.times[row, at[better]] = times[better]
        self.values[row, at[better]] = values[better]

    def points(self, rows: int) -> tuple[Ints, Floats]:
        """What was kept, oldest first: 2 rows are the extremes, 3 the last of each span as well. The run's ends are always there."""
        import numpy as np

        there = self.times[:rows] >= 0
        ends = [self.first, self.last] if self.first else []
        times = np.concatenate([self.times[:rows][there], np.array([time for time, _ in ends], np.int64)])
        values = np.concatenate([self.values[:rows][there], np.array([value for _, value in ends], np.float64)])
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        new = (np.diff(times, prepend=-1) != 0) | (np.diff(values, prepend=math.inf) != 0)
        return times[new], values[new]


def changes(values: Any, before: float) -> Whether:
    """Where a value is another one than the one before it; `before` stands before the first."""
    import numpy as np

    found = np.empty(len(values), bool)
    found[0] = values[0] != before
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


class Line:
    """A series that moves all the time."""

    def __init__(self, span: Span) -> None:
        self.kept = Extremes(span, POINTS // 2)

    def add(self, times: Ints, values: Floats) -> None:
        self.kept.add(times, values)

    def points(self) -> tuple[Ints, Floats]:
        return self.kept.points(2)


class Steps:
    """A series that keeps its value until it changes: every change while there are few, else the extremes of the changes."""

    def __init__(self, span: Span) -> None:
        self.before = math.nan
        self.changes: list[tuple[Ints, Floats]] | None = []
        self.count = 0
        self.kept = Extremes(span, POINTS // 3)

    def add(self, times: Ints, values: Floats) -> None:
        import numpy as np

        changed = np.flatnonzero(changes(values, self.before))
        self.before = float(values[-1])
        if not len(changed):
            return
        times, values = times[changed], values[changed]
        self.kept.add(times, values)
        self.count += len(changed)
        if self.changes is not None:
            self.changes.append((times, values))
            if self.count > POINTS:
                self.changes = None

    def points(self) -> tuple[Ints, Floats]:
        import numpy as np

        if self.changes is None:
            times, values = self.kept.points(3)
        elif self.changes:
            times, values = (np.concatenate(parts) for parts in zip(*self.changes, strict=True))
        else:
            return np.zeros(0, np.int64), np.zeros(0)
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        new = np.flatnonzero(np.diff(values, prepend=math.nan))
        return times[new], values[new]


class Part:
    """The series of the account or of one symbol, as its rows come by."""

    def __init__(self, span: Span, columns: dict[str, tuple[str, bool]]) -> None:
        self.rows = 0
        self.series: dict[str, tuple[str, Line | Steps]] = {
            column: (name, Steps(span) if steps else Line(span)) for column, (name, steps) in columns.items()
        }

    def add(self, times: Ints, columns: dict[str, Floats]) -> None:
        import numpy as np

        self.rows += len(times)
        for column, (_, series) in self.series.items():
            if column in columns:
                known = np.isfinite(columns[column])
                some = known.all()
                when, values = (times, columns[column]) if some else (times[known], columns[column][known])
                if len(values):
                    series.add(when, values)

    def shown(self) -> dict[str, Any]:
        """Every series as `{"t": seconds since 1970, "v": values}`."""
        return {name: as_series(*series.points()) for name, series in self.series.values()}


class Course(NamedTuple):
    """A run as its charts show it. `account` and `symbols` hold series; `thinned` says of which not every change is there."""

    span: Span
    bar: float  #: seconds between bars
    spacing: float  #: seconds of a span of which a line has the lowest and the highest bar; `bar` where it has every one
    rows: int
    account: dict[str, Any]
    symbols: dict[str, dict[str, Any]]
    thinned: bool


def read(path: Path) -> Course | None:
    """The course of the run; None where there is no file or no row. FeedError where it cannot be read."""
    from pyarrow import ArrowException

    if not path.exists():
        return None
    try:
        return _read(path)
    except (OSError, KeyError, ArrowException) as error:
        raise FeedError(f"{path}: not readable, expected the equity.parquet of a backtest: {error}") from None


def _read(path: Path) -> Course | None:
    span = _span(path)
    if span is None:
        return None
    account, parts = Part(span, ACCOUNT), dict[str, Part]()
    for symbols, times, columns in _batches(path, [*ACCOUNT, *SYMBOL, *_of_legs()]):
        account.add(times, columns)
        for symbol, mine in symbols.items():
            part = parts.get(symbol) or parts.setdefault(symbol, Part(span, {**SYMBOL, **_of_legs()}))
            part.add(times[mine], {name: values[mine] for name, values in columns.items()})
    shown = {symbol: {"symbol": symbol, "bars": part.rows, **_with_legs(part.shown())} for symbol, part in sorted(parts.items())}
    steps = [series for part in (account, *parts.values()) for _, series in part.series.values() if isinstance(series, Steps)]
    bars = max(part.rows for part in parts.values())
    length = (span.end - span.start) / 1000
    bar = length / max(1, bars - 1)
    thinned = bars > POINTS // 2
    spacing = length / (POINTS // 2) if thinned else bar
    return Course(span, bar, spacing, account.rows, account.shown(), shown, thinned or any(one.changes is None for one in steps))


def _of_legs() -> dict[str, tuple[str, bool]]:
    return {f"{leg}_{column}": (f"{leg}_{name}", True) for leg in (UP, DOWN) for column, name in LEG.items()}


def _with_legs(series: dict[str, Any]) -> dict[str, Any]:
    """`long_qty` and its like in a table of their leg."""
    plain = {name: one for name, one in series.items() if not name.startswith((f"{UP}_", f"{DOWN}_"))}
    return plain | {leg: {name: series[f"{leg}_{name}"] for name in LEG.values()} for leg in (UP, DOWN)}


def _open(path: Path) -> Any:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(path, read_dictionary=["symbol"], buffer_size=1 << 18, pre_buffer=False)


def _span(path: Path) -> Span | None:
    """First and last time. The file's own statistics are not trusted to be there."""
    with _open(path) as file:
        times = (_numbers(batch, "time") for batch in file.iter_batches(BATCH, columns=["time"], use_threads=False))
        ends = [(int(some.min()), int(some.max())) for some in times if len(some)]
    return Span(min(start for start, _ in ends), max(end for _, end in ends)) if ends else None


def _batches(path: Path, wanted: list[str]) -> Iterator[tuple[dict[str, Any], Ints, dict[str, Floats]]]:
    """For each batch which rows are of which symbol, the times, and every wanted column that the file has."""
    import numpy as np
    from pyarrow import default_memory_pool

    pool = default_memory_pool()
    with _open(path) as file:
        have = [name for name in wanted if name in file.schema_arrow.names]
        for batch in file.iter_batches(BATCH, columns=["time", "symbol", *have], use_threads=False):
            if batch.num_rows:
                columns = {name: _numbers(batch, name).astype(np.float64, copy=False) for name in have}
                yield _symbols(batch), _numbers(batch, "time"), columns
                del columns, batch
                pool.release_unused()  # else it keeps what it once had, and a long run takes 30 MB more


def _symbols(batch: Any) -> dict[str, Any]:
    import numpy as np

    column = batch.column("symbol")
    codes, names = column.indices.to_numpy(zero_copy_only=False), column.dictionary.to_pylist()
    used = np.unique(codes).tolist()
    if len(used) == 1:
        return {names[used[0]]: slice(None)}
    return {names[code]: codes == code for code in used}


def _numbers(batch: Any, name: str) -> Any:
    return batch.column(name).to_numpy(zero_copy_only=False)


def as_series(times: Ints, values: Floats) -> dict[str, list[Any]]:
    """Times as seconds, values in as many digits as their largest one needs."""
    return {"t": seconds(times), "v": rounded(values)}


def seconds(times: Ints) -> list[Any]:
    """Milliseconds as seconds since 1970, without a fraction where none has one."""
    whole: list[Any] = (times / 1000).tolist() if (times % 1000).any() else (times // 1000).tolist()
    return whole


def rounded(values: Floats) -> list[Any]:
    """As numbers that JSON can write, short."""
    import numpy as np

    if not len(values):
        return []
    top = float(np.abs(values).max())
    short = np.round(values, DIGITS - 1 - (math.floor(math.log10(top)) if top > 0 else 0)) + 0.0  # no minus zero
    whole = (short == np.floor(short)).all() and top < 2**53
    return short.astype(np.int64).tolist() if whole else short.tolist()  # type: ignore[no-any-return]
