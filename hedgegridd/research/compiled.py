"""The compiler: the unchanged sources of the kernel, the strategy and the fast engine, as machine code. The only file that knows numba.

One law: what is compiled is the source that plain Python runs (`twins`). Neither fast mathematics nor fused multiplication is allowed, so
both ways give the same bits.

Machine code is kept on disk in a folder named by a hash of every source that went into it (numba itself looks at one file only),
which must belong to the user and be writable by nobody else: code is loaded from it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from hedgegridd.errors import HedgegriddError, extra
from hedgegridd.research.twins import MODULES, TURN, parts_of, twins

KERNEL_AT_EVERY_BAR = frozenset((("hedgegridd.kernel.regime", "update"), ("hedgegridd.kernel.regime", "remember")))


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
    return "" if find_spec("numba") else f"numba is not installed: {extra('fast')}"


def plain(strategy: Any) -> Code:
    """The same doors as plain Python: what the compiled ones are compared with."""
    turn = twins(strategy, lambda function, _: function)[TURN]
    return Code(turn.begin, turn.play, False, False)


def bind(strategy: Any, folder: Path | None = None) -> Code:
    """Compiled doors for a strategy (a module). `folder`: where machine code is kept, else the user's cache."""
    os.environ.setdefault("NUMBA_OPT", "1")  # compiles in half the time what runs as fast: it is no array code; read at its import
    import numba

    if not isinstance(strategy, ModuleType):
        raise Untranslatable(f"strategy {strategy.name} is no module of functions: only such a one can be compiled")
    place = (folder or cache_folder(os.environ)) / fingerprint(strategy)
    safe = _own(place)
    if safe:
        numba.config.CACHE_DIR = str(place)

    def compiled(function: FunctionType, door: bool) -> Any:
        options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
        options["forceinline"] = (function.__module__, function.__name__) in at_every_bar(strategy)
        return _plainly(numba.njit(cache=door and safe, no_cpython_wrapper=not door, **options)(function))

    turn = twins(strategy, compiled)[TURN]
    return Code(Door(turn.begin), Door(turn.play), True, not (safe and any(place.rglob("*.nbi"))))


def at_every_bar(strategy: ModuleType) -> frozenset[tuple[str, str]]:
    """Functions, as (module, name), that become a part of their callers: they are asked at every bar, and take and give so many numbers
    that the call would cost as much as what they do."""
    parts = parts_of(strategy)
    return KERNEL_AT_EVERY_BAR | {(part.__module__, part.__name__) for part in (parts.learn, parts.still, parts.stance)}


# --- doors ----------------------------------------------------------------------------------------------------------------


class Door:
    """A compiled function as it is called from outside, made when it is first asked for with arguments of these types."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *given: Any) -> Any:
        return self.open(*given)(*given)

    def open(self, *given: Any) -> Callable[..., Any]:
        """The machine code for arguments of just these types, which it does not look at again: looking takes milliseconds."""
        kinds = tuple(_kind(one) for one in given)
        if kinds not in self.function.overloads:
            self._make(kinds)
        found: Callable[..., Any] = self.function.overloads[kinds].entry_point
        return found

    def _make(self, kinds: tuple[Any, ...]) -> None:
        try:
            self.function.compile(kinds)
        except Exception as error:  # a fence: whatever the compiler stumbles over, the full engine can play
            raise Untranslatable(_where(str(error) or type(error).__name__)) from error


def opened(door: Callable[..., Any], *given: Any) -> Callable[..., Any]:
    """A door for many calls with arguments of just these types; plain Python's stand open."""
    return door.open(*given) if isinstance(door, Door) else door


def _kind(value: Any) -> Any:
    """The compiler's type of an argument. That of a record takes it a millisecond to find out."""
    import numba
    import numpy

    return _kind_of_record(value.dtype) if isinstance(value, numpy.void) else numba.typeof(value)


@cache
def _kind_of_record(layout: Any) -> Any:
    import numba

    return numba.from_dtype(layout)


def _where(said: str) -> str:
    """The compiler's lament in one line: the place, and what it did not understand there. It tells of callers after what they call."""
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).strip() for line in said.splitlines()]
    places = [found for line in lines if (found := re.search(r'File "([^"]+)", line (\d+)', line))]
    told = [line for line in lines if line and not re.match(r"Failed in|File |- |During|<source|There are|def |>>>|\^", line)]
    what = " ".join(told[:2]) or "not understood"
    return f"{places[0][1]}:{places[0][2]}: outside the kernel dialect: {what}" if places else f"outside the kernel dialect: {what}"


def _plainly(function: Any) -> Any:
    """Let a compiled function take constants and enum members as the numbers that they are: the compiler has a type for each constant,
    and would compile the function once for each."""
    from numba import types

    def number(kind: Any) -> Any:
        kind = types.unliteral(kind)
        return kind.dtype if isinstance(kind, types.IntEnumMember) else kind

    ask = function.get_call_template
    function.get_call_template = lambda args, kws: ask(tuple(map(number, args)), {name: number(kind) for name, kind in kws.items()})
    return function


# --- where machine code is kept -----------------------------------------------------------------------------------------


def cache_folder(env: Mapping[str, str]) -> Path:
    """The user's own: $XDG_CACHE_HOME/hedgegridd or ~/.cache/hedgegridd."""
    base = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "hedgegridd"


def fingerprint(strategy: Any) -> str:
    """A hash of every source that is compiled, and of what compiles it."""
    import numba

    digest = hashlib.sha256(f"{sys.version} {numba.__version__}".encode())
    for name in (*MODULES, "hedgegridd.research.twins", "hedgegridd.research.compiled"):
        digest.update(Path(str(import_module(name).__file__)).read_bytes())
    digest.update(Path(strategy.__file__).read_bytes())
    return digest.hexdigest()[:24]


def _own(folder: Path) -> bool:
    """Make the folder; False where it is not ours alone, and nothing is kept then."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # by itself: what `parents` makes has the mode of the umask
        folder.mkdir(mode=0o700, exist_ok=True)
        return all(_safe(place) for place in (folder, folder.parent))
    except OSError:
        return False


def _safe(place: Path) -> bool:
    found = place.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


# --- lists as memory ------------------------------------------------------------------------------------------------------


def record(value: Any) -> Any:
    """A NamedTuple of numbers, lists of numbers and such NamedTuples, as one record: compiled functions hand it to each other as a single
    address. None of them may return it, or a part of it. What is empty is left out."""
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


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(value, "_fields"):
        raise Untranslatable(f"outside the kernel dialect: {type(value).__name__} is no NamedTuple of numbers")
    return ((name, part) for name, part in zip(value._fields, value, strict=True) if part != ())


def _number(value: Any) -> str:
    """The type of a number, or of the numbers of a list."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, int | float | list):
        raise Untranslatable(f"outside the kernel dialect: {first!r} is no number")
    return "f8" if isinstance(first, float) else "?" if isinstance(first, bool) else "i8"


def _layout(value: Any) -> Any:
    import numpy

    fields = list[Any]()
    for name, part in _parts(value):
        if isinstance(part, list):
            fields.append((name, _number(part), (len(part),)))
        else:
            fields.append((name, _layout(part) if isinstance(part, tuple) else _number(part)))
    return numpy.dtype(fields, align=True)


def _fill(room: Any, value: Any) -> None:
    """The room is all zeros, and a long list mostly one number throughout."""
    for name, part in _parts(value):
        if isinstance(part, tuple):
            _fill(room[name], part)
        elif not isinstance(part, list):
            room[name] = part
        elif part and part.count(part[0]) < len(part):
            room[name][:] = part
        elif part and part[0] != 0:
            room[name][:] = part[0]
