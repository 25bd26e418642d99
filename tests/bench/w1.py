"""W1, the reference workload, on the shipped matching and ledger: `w1_grid`, compiled and as plain Python, beside the C kernel.

Counts and equity must come out as the C kernel's, and compiled the same as plain to the last bit. Needs the shared folder's w1.py
(and with it numpy and gcc) and numba; without them the same strategy runs in plain Python on made-up bars and proves nothing.

Time is the thread's own processor time, medians of turns that alternate between both sides: what else the machine does is in neither.

    python tests/bench/w1.py [--quick]
"""

from __future__ import annotations

import ctypes
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import stage
import w1_grid
from stage import Row

from hedgegridd.research import compiled

EXPECTED = {"entries": 4105, "take_profits": 2939, "stops": 1162, "recentres": 137}
EQUITY, WITHIN = 9_909.79, 0.05
YEAR, TURNS = 525_600, 31


class Result(NamedTuple):
    """How a run ended."""

    counts: dict[str, int]
    equity: float
    deepest: float
    all: tuple[list[float], ...]


class Doors(NamedTuple):
    """The strategy as it is run: plain or compiled."""

    begin: Callable[..., None]
    play: Callable[..., None]
    new_run: Callable[[], Any]
    terms: Any


PLAIN = Doors(w1_grid.begin, w1_grid.play, w1_grid.new_run, w1_grid.new_terms())


def played(doors: Doors, bars: Sequence[int]) -> tuple[float, Result]:
    """All bars but the first, which only says where the grid begins: processor seconds, and the end."""
    run, first, last = doors.new_run(), int(bars[2]), int(bars[-1])
    begun = time.thread_time()
    doors.begin(run, doors.terms, first)
    doors.play(run, doors.terms, bars, 1, len(bars) // 3)
    seconds = time.thread_time() - begun
    cells = tuple([float(value) for value in part] for part in (run.n, run.x, run.cells))
    equity = w1_grid.equity(w1_grid.books_of(run.cells), w1_grid.new_terms(), float(last))
    return seconds, Result(dict(zip(EXPECTED, map(int, run.n), strict=False)), equity, float(run.x[w1_grid.DEEPEST]), cells)


def compiled_doors(folder: Path | None = None) -> Doors:
    """`w1_grid` and the kernel's modules as machine code; kept in `folder`, if given."""
    import numba

    if folder is not None:
        numba.config.CACHE_DIR = str(folder / compiled.fingerprint(w1_grid))

    def wrap(function: Any, _: bool) -> Any:
        door = function.__module__ == w1_grid.__name__ and function.__name__ in ("begin", "play")
        options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
        return numba.njit(cache=door and folder is not None, no_cpython_wrapper=not door, **options)(function)

    twin = compiled.twins(w1_grid, wrap)[w1_grid.__name__]
    return Doors(twin.begin, twin.play, lambda: compiled.record(w1_grid.new_run()), as_record(w1_grid.new_terms()))


def as_record(value: Any) -> Any:
    """A NamedTuple of numbers and lists as one record: compiled functions hand it to each other as an address, not as twenty numbers.
    What is empty is left out, as no compiled function asks for it."""
    import numpy

    def fields(part: Any) -> list[tuple[str, Any]]:
        return [(name, cell) for name, cell in zip(part._fields, part, strict=True) if cell != ()]

    def layout(cell: Any) -> Any:
        if isinstance(cell, tuple):
            return numpy.dtype([(name, *(layout(inner) if isinstance(inner, list) else (layout(inner),))) for name, inner in fields(cell)])
        if isinstance(cell, list):
            return layout(cell[0]), (len(cell),)
        return "f8" if isinstance(cell, float) else "i8"

    def cells(cell: Any) -> Any:
        return tuple(cells(inner) for _, inner in fields(cell)) if isinstance(cell, tuple) else cell

    return numpy.array([cells(value)], dtype=layout(value)).view(numpy.recarray)[0]


def measure(quick: bool = False) -> list[Row]:
    """The year, and the C kernel beside it; or a few made-up days."""
    reference = None if quick or compiled.available() else shared()
    if reference is None:
        bars = made_up(2_000 if quick else YEAR)
        speed = (len(bars) // 3 - 1) / played(PLAIN, bars)[0]
        return [Row("W1 on the shipped matching, plain Python", speed, "bars/s", "", "made-up bars: proves nothing")]
    columns = reference.data()
    packed = in_ticks(columns)
    with stage.folder() as folder:
        whole, resident = whole_process(packed, folder)
    seconds, plain = played(PLAIN, packed.tolist())
    check(plain)
    kernel, theirs = of_the_kernel(reference, columns)
    doors, ours = compiled_doors(), list[float]()
    for _ in range(TURNS):
        took, machine = played(doors, packed)
        ours.append(took)
        theirs.append(kernel())
    if machine != plain:
        raise RuntimeError(f"compiled and plain differ:\n{machine}\n{plain}")
    count = len(packed) // 3 - 1
    fast, slow, c = count / statistics.median(ours[1:]), count / seconds, count / statistics.median(theirs[1:])
    counts, how = "/".join(map(str, EXPECTED.values())), f"medians of {TURNS} turns each; C {c / 1e6:.0f} M bars/s"
    return [
        Row("W1 on the shipped matching, compiled", fast, "bars/s", "", "equity, peak and drawdown at every bar"),
        Row("W1 compiled / C kernel", fast / c, "x", "0.30, moonshot 0.7", how),
        Row("W1 compiled / plain", fast / slow, "x", "", f"plain Python {slow / 1000:.0f} k bars/s, bit for bit the same"),
        Row("W1 compiled, whole process, warm cache", whole, "s", "C 0.11", "reads its bars from a file"),
        Row("W1 compiled, whole process, peak memory", resident, "MB", "C 42"),
        Row("W1 equity at the end", plain.equity, "USDT", f"{EQUITY:,.2f}", f"counts {counts}, as expected"),
    ]


def check(result: Result) -> None:
    """RuntimeError unless it is W1's known end."""
    if result.counts != EXPECTED or abs(result.equity - EQUITY) > WITHIN:
        raise RuntimeError(f"W1 came out as {result.counts} and {result.equity:.4f}, expected {EXPECTED} and {EQUITY}")


# --- bars -----------------------------------------------------------------------------------------------------------------


def made_up(bars: int) -> list[int]:
    """High, low and close of seeded minutes, side by side, in ticks."""
    return [value for close in stage.closes(bars, price=50_000.0) for value in (close + 20, close - 20, close)]


def in_ticks(columns: Sequence[Any]) -> Any:
    """The reference's high, low and close side by side: four bytes hold a price in ticks."""
    import numpy

    return numpy.round(numpy.stack(columns[1:], axis=1) / w1_grid.TICK).astype("i4").reshape(-1)


# --- the other side -------------------------------------------------------------------------------------------------------


def shared() -> ModuleType | None:
    """The reference, where it is there and can run."""
    path = stage.SHARED / "bench/w1.py"
    if not path.is_file() or importlib.util.find_spec("numpy") is None:
        return None
    spec = importlib.util.spec_from_file_location("w1_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_the_kernel(reference: Any, columns: Sequence[Any]) -> tuple[Callable[[], float], list[float]]:
    """One turn of the C kernel in processor seconds, as a function; and the first turn, whose end is looked at."""
    call = reference.library().w1_full
    double = ctypes.POINTER(ctypes.c_double)
    pointers = [column.ctypes.data_as(double) for column in columns[1:]]
    parameters, result, bars = reference.Par(**reference.PARAMETERS), reference.Res(), ctypes.c_int64(len(columns[3]))

    def turn() -> float:
        begun = time.thread_time()
        call(*pointers, bars, ctypes.byref(parameters), ctypes.byref(result))
        return time.thread_time() - begun

    first = turn()
    if (result.entries, result.tps, result.sls, result.recentres) != tuple(EXPECTED.values()) or abs(result.equity - EQUITY) > WITHIN:
        raise RuntimeError(f"the C kernel came out at {result.equity}")
    return turn, [first]


# --- a process of its own ---------------------------------------------------------------------------------------------------


def whole_process(packed: Any, folder: Path) -> tuple[float, float]:
    """Seconds and peak MB of a process that reads its bars, binds the compiled strategy from a warm cache and runs it once."""
    import numpy

    numpy.save(folder / "bars.npy", packed)
    turns = [stage.spent([sys.executable, __file__, "--one-run", str(folder)]) for _ in range(4)]
    return statistics.median(seconds for seconds, _ in turns[1:]), turns[-1][1]


def one_run(folder: Path) -> None:
    """What `whole_process` starts."""
    import numpy

    check(played(compiled_doors(folder), numpy.load(folder / "bars.npy"))[1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one-run"]:
        one_run(Path(sys.argv[2]))
    else:
        stage.main(measure)
