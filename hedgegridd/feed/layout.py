"""Where recorded data lie: a file, a folder of files, or a root with `klines/<interval>/<SYMBOL>.parquet` and `funding/`.

One law: what is looked for and not there is an error that says where it was looked for and what is there instead.
A file's or folder's symbol is told by the first word of its name (`BTCUSDT-1m-2024-01.csv`, `btcusdt_20230404.dat.gz`).
Where a single file would do, a folder of that name may hold it in parts (daily, monthly), taken in order of their names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hedgegridd.errors import FeedError
from hedgegridd.feed.tables import shape

UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DEFAULT_INTERVAL = "1m"
SUFFIXES = (".parquet", ".csv", ".csv.gz", ".zip")
CAPTURE_SUFFIXES = (".gz", ".dat", ".jsonl", ".json", ".txt")
_INTERVAL = re.compile(r"(\d+)([smhd])")


class Source(NamedTuple):
    """Files of one kind that follow one another. `symbol` "" = told by the messages themselves (captures)."""

    symbol: str
    kind: str
    files: tuple[Path, ...]
    interval_ms: int


def interval_ms(text: str) -> int:
    """The length of "1m", "15m", "1h" ... in ms."""
    match = _INTERVAL.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise FeedError(f"interval {text!r}: expected a number and one of s m h d, such as 1m or 15m")
    return int(match[1]) * UNIT_MS[match[2]]


def interval_text(length_ms: int) -> str:
    """The length in ms as "1m", "15m", "1h" ..., in the largest unit that is whole."""
    unit = max((name for name, size in UNIT_MS.items() if length_ms % size == 0), key=UNIT_MS.__getitem__)
    return f"{length_ms // UNIT_MS[unit]}{unit}"


def find(path: Path, symbols: Sequence[str], interval: str = DEFAULT_INTERVAL, symbol: str | None = None) -> list[Source]:
    """What to read at `path` for `symbols`. `symbol` says what a file holds, whatever its name; in a root it picks one."""
    if symbol is not None and symbol not in symbols:
        raise FeedError(
            f"symbol {symbol}: not an [[instrument]] of the configuration{_meant(symbol, symbols)}; it has {', '.join(symbols)}"
        )
    if not path.exists():
        raise FeedError(f"{path}: no such file or folder")
    if (path / "klines").is_dir():
        return _in_root(path, [symbol] if symbol else symbols, interval)
    return _loose(path, symbols, interval, symbol)


def funding_files(path: Path, symbol: str) -> tuple[Path, ...]:
    """Recorded funding of `symbol` for the data at `path`: in `funding/` of the root around it, or archive files beside it."""
    for root in (path, *path.resolve().parents[:4]):
        if (root / "funding").is_dir():
            return _parts(root / "funding", symbol)
    folder = path if path.is_dir() else path.parent
    return tuple(sorted(file for file in folder.glob(f"{symbol}-fundingRate-*") if file.name.endswith(SUFFIXES)))


def _in_root(root: Path, symbols: Iterable[str], interval: str) -> list[Source]:
    folder, length = root / "klines" / interval, interval_ms(interval)
    if not folder.is_dir():
        there = ", ".join(sorted(child.name for child in (root / "klines").iterdir() if child.is_dir()))
        raise FeedError(f"{folder}: no such folder; intervals there: {there or 'none'}")
    sources = []
    for symbol in symbols:
        files = _parts(folder, symbol)
        if not files:
            names = sorted({child.name.split(".")[0] for child in folder.iterdir()})
            raise FeedError(f"{folder}: no data for {symbol}{_meant(symbol, names)}; there is {', '.join(names) or 'nothing'}")
        sources.append(Source(symbol, "klines", files, length))
    return sources


def _parts(folder: Path, symbol: str) -> tuple[Path, ...]:
    """`<SYMBOL>.parquet` and the like, or all files of the folder `<SYMBOL>/`."""
    for suffix in SUFFIXES:
        if (folder / (symbol + suffix)).is_file():
            return (folder / (symbol + suffix),)
    inside = folder / symbol
    return tuple(sorted(file for file in inside.iterdir() if file.name.endswith(SUFFIXES))) if inside.is_dir() else ()


def _loose(path: Path, symbols: Sequence[str], interval: str, symbol: str | None) -> list[Source]:
    """A file, or the files of a folder: those of one symbol and kind follow one another."""
    known = (*SUFFIXES, *CAPTURE_SUFFIXES)
    files = sorted(f for f in path.iterdir() if f.is_file() and f.name.endswith(known)) if path.is_dir() else [path]
    groups: dict[tuple[str, str, int], list[Path]] = {}
    for file in files:
        kind = shape(file).kind
        named = symbol or _named(file, symbols, kind)
        if named is not None and (kind != "funding" or not path.is_dir()):
            groups.setdefault((named, kind, _interval_of(file, interval)), []).append(file)
    if not groups:
        given = sorted({_word(file) for file in files})
        raise FeedError(
            f"{path}: holds {', '.join(given) or 'nothing'}, the configuration has {', '.join(symbols)}"
            " (`backtest --symbol S` says what a file holds)"
        )
    sources = [Source(named, kind, tuple(parts), length) for (named, kind, length), parts in groups.items()]
    return sorted(sources, key=lambda source: symbols.index(source.symbol) if source.symbol in symbols else len(symbols))


def _word(path: Path) -> str:
    return re.split(r"[-_.]", path.name)[0].upper()


def _named(file: Path, symbols: Sequence[str], kind: str) -> str | None:
    """The symbol a file is about; None: another one than ours. "" leaves it to the messages of a capture."""
    for word in (_word(file), file.parent.name.upper()):
        if word in symbols:
            return word
    if re.fullmatch(r"[A-Z0-9]+(USDT|USDC|BUSD)", _word(file)):
        return None
    if kind == "capture":
        return ""
    return symbols[0] if len(symbols) == 1 else None


def _interval_of(file: Path, interval: str) -> int:
    """The interval said by the folder or name of a file, else the one asked for; refused where they contradict."""
    words = [file.parent.name, *re.split(r"[-_.]", file.name)]
    said = next((word for word in words if _INTERVAL.fullmatch(word)), interval)
    if interval not in (said, DEFAULT_INTERVAL):
        raise FeedError(f"{file}: holds bars of {said} by its name, expected {interval}")
    return interval_ms(said)


def _meant(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f" (did you mean {near[0]}?)" if near else ""
