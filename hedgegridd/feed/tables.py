"""Reading recorded tables in batches: Parquet, and CSV as the exchange's public archive has it (plain, gzip or zip).

One law: a file is streamed; no more than one batch of it is in memory. What a file holds is told by its content, not by its
name. It knows columns, not markets: order, holes and steps are judged by its callers.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NamedTuple

from hedgegridd.errors import FeedError, extra
from hedgegridd.feed.steps import Place

BATCH = 4096


class Kind(NamedTuple):
    """What a table may be. Per column the names it goes by; the first is ours, lower case and without `_` when compared."""

    columns: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...] = ()


KINDS = {
    "klines": Kind((("open_time",), ("open",), ("high",), ("low",), ("close",), ("volume",))),
    "trades": Kind((
        ("id", "agg_trade_id", "trade_id"),
        ("price",),
        ("qty", "quantity"),
        ("time", "transact_time"),
        ("is_buyer_maker",),
    )),
    "funding": Kind(
        (("funding_time", "calc_time"), ("funding_rate", "last_funding_rate"), ("funding_interval_hours",)), ("funding_interval_hours",)
    ),
}  # fmt: skip

# A CSV without header: its kind and the places of the kind's columns, by number of cells and whether the last is true/false.
BARE: dict[tuple[int, bool], tuple[str, tuple[int, ...]]] = {
    (12, False): ("klines", (0, 1, 2, 3, 4, 5)),
    (11, False): ("klines", (0, 1, 2, 3, 4, 5)),
    (6, False): ("klines", (0, 1, 2, 3, 4, 5)),
    (7, True): ("trades", (0, 1, 2, 5, 6)),
    (6, True): ("trades", (0, 1, 2, 4, 5)),
    (3, False): ("funding", (0, 2, 1)),
}

_FLAGS = {"true": 1.0, "false": 0.0}


class Batch(NamedTuple):
    """Some rows of a table. `column(i)` decodes column i of its kind: a list of numbers, or of None for an absent one."""

    place: Place
    column: Callable[[int], list[Any]]


class Shape(NamedTuple):
    """What a file turned out to be: `kind` of KINDS or "capture", and where its columns are (None = an optional one is absent)."""

    kind: str
    places: tuple[Any, ...] = ()
    header: bool = False


def shape(path: Path) -> Shape:
    """Look into a file and say what it is. Raises FeedError where it is nothing known."""
    if magic(path) == b"PAR1":
        with _parquet(path) as file:
            return _named(path, file.schema_arrow.names, header=False)
    lines = open_lines(path)
    try:
        first = next(lines, "")
    finally:
        lines.close()
    if first.lstrip("0123456789 ").startswith("{"):
        return Shape("capture")
    cells = next(csv.reader([first]), [])
    if cells and not _number(cells[0]):
        return _named(path, cells, header=True)
    bare = BARE.get((len(cells), bool(cells) and cells[-1].lower() in _FLAGS))
    if bare is None:
        raise FeedError(
            f"{path}, row 1: {len(cells)} cells and no header: expected klines (12 cells), aggTrades (7), trades (6) or funding (3)"
        )
    return Shape(*bare)


def batches(path: Path, form: Shape) -> Iterator[Batch]:
    """The rows of a table, some thousands at a time."""
    return _parquet_batches(path, form) if magic(path) == b"PAR1" else _csv_batches(path, form)


def magic(path: Path) -> bytes:
    """The first four bytes of a file: what it is, whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise FeedError(f"{path}: {error.strerror}: expected a file of market data") from None


def open_lines(path: Path) -> Generator[str, None, None]:
    """The lines of a text file, unpacked as it is read. A generator: close it when done."""
    try:
        with _open_text(path) as text:
            yield from text
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise FeedError(f"{path}: damaged or cut short: {error}") from None


def _open_text(path: Path) -> IO[str]:
    start = magic(path)
    if start[:2] == b"\x1f\x8b":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    if start == b"PK\x03\x04":
        archive = zipfile.ZipFile(path)
        return io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "")


def _named(path: Path, names: Sequence[str], *, header: bool) -> Shape:
    """The kind whose columns are all among `names`. Parquet columns are placed by name, CSV columns by number."""
    at = {_plain(name): i if header else name for i, name in enumerate(names)}
    for kind, (columns, optional) in KINDS.items():
        places = tuple(next((at[_plain(n)] for n in column if _plain(n) in at), None) for column in columns)
        if all(place is not None or column[0] in optional for place, column in zip(places, columns, strict=True)):
            return Shape(kind, places, header)
    wanted = "; ".join(f"{kind}: {', '.join(c[0] for c in row.columns if c[0] not in row.optional)}" for kind, row in KINDS.items())
    raise FeedError(f"{path}: columns {', '.join(names)}: expected those of one of {wanted}")


# --- CSV ----------------------------------------------------------------------------------------------------------------


def _csv_batches(path: Path, form: Shape) -> Iterator[Batch]:
    lines = open_lines(path)
    rows = csv.reader(lines)
    width = len(first) if (first := next(rows, None)) is not None else 0
    number = 1
    if form.header:
        number, first = 2, None
    source = rows if first is None else chain([first], rows)
    try:
        while chunk := list(islice(source, BATCH)):
            place = Place(path, number)
            number += len(chunk)
            for i, row in enumerate(chunk):
                if len(row) != width:
                    raise place.error(f"{len(row)} cells, expected {width} as in the first row", i)
            yield Batch(place, partial(_cells, chunk, form, place))
    finally:
        lines.close()


def _cells(rows: list[list[str]], form: Shape, place: Place, index: int) -> list[Any]:
    at = form.places[index]
    if at is None:
        return [None] * len(rows)
    cells = list(map(itemgetter(at), rows))
    try:
        return list(map(float, cells))
    except ValueError:
        return [_cell(text, form, index, place, i) for i, text in enumerate(cells)]


def _cell(text: str, form: Shape, index: int, place: Place, offset: int) -> float:
    flag = _FLAGS.get(text.strip().lower())
    if flag is not None:
        return flag
    try:
        return float(text)
    except ValueError:
        raise place.error(f"{KINDS[form.kind].columns[index][0]} is {text!r}, expected a number", offset) from None


# --- Parquet ------------------------------------------------------------------------------------------------------------


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise FeedError(f"{path}: reading Parquet needs pyarrow: {extra('data')}; CSV needs nothing") from None
    try:
        return ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise FeedError(f"{path}: not a readable Parquet file: {error}") from None


def _parquet_batches(path: Path, form: Shape) -> Iterator[Batch]:
    from pyarrow import ArrowException

    number = 1
    with _parquet(path) as file:
        rows = file.iter_batches(batch_size=4 * BATCH, columns=[name for name in form.places if name is not None])
        while True:
            try:
                batch = next(rows, None)
            except (OSError, ArrowException) as error:
                raise FeedError(f"{path}, from row {number}: not readable: {error}") from None
            if batch is None:
                return
            place = Place(path, number)
            number += batch.num_rows
            if batch.num_rows:
                yield Batch(place, partial(_column, batch, form, place))


def _column(batch: Any, form: Shape, place: Place, index: int) -> list[Any]:
    import pyarrow

    name = form.places[index]
    if name is None:
        return [None] * int(batch.num_rows)
    column, types = batch.column(name), pyarrow.types
    try:
        if types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("ms", column.type.tz), safe=False).cast(pyarrow.int64())
        elif not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)):
            column = column.cast(pyarrow.float64())
    except pyarrow.ArrowException as error:
        raise place.error(f"column {name} is of type {batch.column(name).type}, expected numbers: {error}") from None
    values: list[Any] = column.to_pylist()
    return values
