"""The compiler: the unchanged sources of the kernel, the strategy and the fast engine, as machine code. The only file that knows numba.

One law: what is compiled is the source that plain Python runs. Each module gets a twin: a copy of its namespace in which its own
functions are compiled ones, and those of other modules are their twins. Neither fast mathematics nor fused multiplication is
allowed, so both ways give the same bits.

Machine code is kept on disk in a folder named by a hash of every source that went into it (numba itself looks at one file only),
which must belong to the user and be writable by nobody else: code is loaded from it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from hedgegridd.errors import HedgegriddError

#: Every module of ours that is compiled. Constants, shapes and the words are shared with the originals.
MODULES = (
    "hedgegridd.model",
    *(f"hedgegridd.kernel.{name}" for name in ("ledger", "book", "matching", "diff", "ladder", "exits", "placement", "funding", "regime")),
    *(f"hedgegridd.kernel.{name}" for name in ("measures", "metrics")),
    *(f"hedgegridd.research.fast.{name}" for name in ("shapes", "told", "refusals", "panel", "ease", "pit", "gate", "hear", "turn")),
)
TURN = "hedgegridd.research.fast.turn"


class Code(NamedTuple):
    """The two doors of the fast engine, bound to a strategy. `fresh`: nothing of it was compiled before."""

    begin: Callable[..., Any]
    play: Callable[..., Any]
    compiled: bool
    fresh: bool


class Untranslatable(HedgegriddError):
    """The strategy is outside the dialect; says which line."""


def available() -> str:
    """Why nothing can be compiled here; "" = it can."""
    try:
        import numba
    except ImportError:
        return "numba is not installed: pip install 'hedgegridd[fast]'"
    return "" if numba else ""


def plain(strategy: Any) -> Code:
    """The same doors as plain Python: what the compiled ones are compared with."""
    turn = twins(strategy, lambda function, _: function)[TURN]
    return Code(turn.begin, turn.play, False, False)


def bind(strategy: Any, folder: Path | None = None) -> Code:
    """Compiled doors for a strategy (a module). `folder`: where machine code is kept, else the user's cache."""
    import numba

    cache = (folder or cache_folder(os.environ)) / fingerprint(strategy)
    safe = _own(cache)
    if safe:
        numba.config.CACHE_DIR = str(cache)

    def compiled(function: FunctionType, door: bool) -> Any:
        return _plainly(numba.njit(cache=door and safe, nogil=True, error_model="numpy", no_cpython_wrapper=not door, no_cfunc_wrapper=True, _nrt=False)(function))

    turn = twins(strategy, compiled)[TURN]
    return Code(turn.begin, turn.play, True, not (safe and any(cache.iterdir())))


def _plainly(function: Any) -> Any:
    """Let a compiled function take constants and enum members as the numbers that they are: the compiler has a type for each constant,
    and would compile the function once for each."""
    from numba import types

    def number(kind: Any) -> Any:
        kind = types.unliteral(kind)
        return kind.dtype if isinstance(kind, types.IntEnumMember) else kind

    ask = function.get_call_template
    function.get_call_template = lambda args, kws: ask(tuple(number(kind) for kind in args), {name: number(kind) for name, kind in kws.items()})
    return function


def twins(strategy: Any, wrap: Callable[[FunctionType, bool], Any]) -> dict[str, ModuleType]:
    """A twin of every module, with `wrap(function, is it a door)` in place of each of its own functions."""
    from hedgegridd.kernel import metrics

    originals = {name: import_module(name) for name in MODULES} | {strategy.__name__: strategy}
    made = {name: ModuleType(name) for name in originals}
    known: dict[Any, Any] = {original: made[name] for name, original in originals.items()}
    for name, original in originals.items():
        twin = made[name].__dict__
        twin.update(original.__dict__)
        for function in _functions(original):
            copy = FunctionType(function.__code__, twin, function.__name__, function.__defaults__)
            copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
            known[function] = wrap(copy, name == TURN and function.__name__ in ("play", "begin"))
    learn, still, wishes = getattr(strategy, "parts", (_taught_nothing, _never, strategy.step))
    stance = getattr(strategy, "stance", _no_stance)
    bound = {"step": strategy.step, "stance": stance, "note": metrics.note, "learn": learn, "still": still, "wishes": wishes}
    for missing in (_no_stance, _taught_nothing, _never):
        known[missing] = wrap(missing, False)
    for name, twin_module in made.items():
        space = {**twin_module.__dict__, **(bound if name == TURN else {})}
        twin_module.__dict__.update({key: known[value] for key, value in space.items() if _hashable(value) and value in known})
    return made


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The module's own. Those outside the dialect are compiled by nobody: it is done when a function is first called."""
    for value in list(module.__dict__.values()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value


def _hashable(value: Any) -> bool:
    return isinstance(value, FunctionType | ModuleType)


def _no_stance(params: Any, state: Any) -> tuple[int, int]:
    """A strategy that has no `stance` shows none."""
    return 0, 0


def _taught_nothing(params: Any, state: Any, market: Any) -> Any:
    """A strategy whose `step` is not taken apart."""
    return state


def _never(params: Any, state: Any, market: Any) -> bool:
    """Nor does anybody know whether its wish stays the same."""
    return False


# --- where machine code is kept -----------------------------------------------------------------------------------------


def cache_folder(env: Mapping[str, str]) -> Path:
    """The user's own: $XDG_CACHE_HOME/hedgegridd or ~/.cache/hedgegridd."""
    base = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "hedgegridd"


def fingerprint(strategy: Any) -> str:
    """A hash of every source that is compiled, and of what compiles it."""
    import numba

    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for name in (*MODULES, "hedgegridd.research.compiled"):
        digest.update(Path(str(import_module(name).__file__)).read_bytes())
    digest.update(Path(strategy.__file__).read_bytes())
    return digest.hexdigest()[:24]


def _own(folder: Path) -> bool:
    """Make the folder; False where it is not ours alone, and nothing is kept then."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return all(_safe(place) for place in (folder, folder.parent))
    except OSError:
        return False


def _safe(place: Path) -> bool:
    found = place.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


# --- lists as memory ------------------------------------------------------------------------------------------------------


def record(value: Any) -> Any:
    """A NamedTuple of numbers, lists of numbers and such NamedTuples, as one record: compiled functions hand it to each other as a single
    address. None of them may return it, or a part of it."""
    import numpy

    room = numpy.zeros(1, dtype=_layout(value)).view(numpy.recarray)[0]
    _fill(room, value)
    return room


def arrays(value: Any) -> Any:
    """A NamedTuple of the same shape with arrays for lists: what functions return cannot be a record."""
    import numpy

    if isinstance(value, tuple):
        return type(value)(*(arrays(part) for part in value))
    return numpy.array(value, dtype=_number(value)) if isinstance(value, list) else value


def _number(value: Any) -> str:
    """The type of a number, or of the numbers of a list."""
    first = value[0] if isinstance(value, list) and value else value
    return "f8" if isinstance(first, float) else "?" if isinstance(first, bool) else "i8"


def _layout(value: Any) -> Any:
    import numpy

    fields = list[Any]()
    for name, part in zip(value._fields, value, strict=True):
        if isinstance(part, tuple):
            fields.append((name, _layout(part)))
        else:
            fields.append((name, _number(part), (len(part),)) if isinstance(part, list) else (name, _number(part)))
    return numpy.dtype(fields, align=True)


def _fill(room: Any, value: Any) -> None:
    for name, part in zip(value._fields, value, strict=True):
        if isinstance(part, tuple):
            _fill(room[name], part)
        else:
            room[name] = part
