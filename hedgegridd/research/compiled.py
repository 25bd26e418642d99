"""The compiler: the unchanged sources of the kernel, the strategy and the fast engine, as machine code. The only file that knows numba.

One law: what is compiled is the source that plain Python runs (`twins`). Neither fast mathematics nor fused multiplication is allowed, so
both ways give the same bits.

Machine code is kept on disk in a folder named by a hash of every source that went into it (numba itself looks at one file only),
which must belong to the user and be writable by nobody else: code is loaded from it.
"""

from __future__ import annotations

import gc
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from hedgegridd.errors import HedgegriddError
from hedgegridd.research.twins import MODULES, TURN, parts_of, twins


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

    if not isinstance(strategy, ModuleType):
        raise Untranslatable(f"strategy {strategy.name} is no module of functions: only such a one can be compiled")
    place = (folder or cache_folder(os.environ)) / fingerprint(strategy)
    safe = _own(place)
    if safe:
        numba.config.CACHE_DIR = str(place)

    def compiled(function: FunctionType, door: bool) -> Any:
        options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
        if door:
            function.__qualname__ = f"{DOOR}{function.__name__}"
        return _plainly(numba.njit(cache=door and safe, no_cpython_wrapper=not door, **options)(function))

    turn, parts = twins(strategy, compiled)[TURN], parts_of(strategy)
    aside = (*ASIDE, *(f"{strategy.__name__}.{part.__name__}" for part in (parts.step, parts.wishes)))
    return Code(Door(turn.begin, aside), Door(turn.play, aside), True, not (safe and any(place.iterdir())))


# --- doors ----------------------------------------------------------------------------------------------------------------


class Door:
    """A compiled function as it is called from outside, made when it is first asked for with arguments of these types."""

    def __init__(self, function: Any, aside: tuple[str, ...]) -> None:
        self.function, self.aside = function, aside

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
        from numba.core.errors import NumbaError

        try:
            with _hurried(self.aside):
                self.function.compile(kinds)
        except NumbaError as error:
            raise Untranslatable(_where(str(error))) from error


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


# --- one piece of machine code ------------------------------------------------------------------------------------------

DOOR = "door."  # what the name of a door begins with, for the compiler
#: What a calm bar does not go through.
ASIDE = ("pit.see_bar", "pit.settle", "gate.sum_up", "gate.count_up",
         *(f"turn.{name}" for name in ("warm", "listen", "hear_out", "risk", "compare", "rescue_bare", "advance")))  # fmt: skip


@contextmanager
def _hurried(aside: tuple[str, ...]) -> Iterator[None]:
    """While a door is compiled. Functions are put together first and made machine code of once, as the door: the compiler would do it with
    every function and all that it calls. Questions about numbers are answered once, and garbage is looked for less often, as there is
    hardly any. Of compilers whose insides look different nothing of this is asked, and they take three times as long."""
    from numba.core.registry import cpu_target
    from numba.core.types.functions import BaseFunction

    maker, limits, ask = cpu_target.target_context.codegen(), gc.get_threshold(), BaseFunction.get_call_type
    library = getattr(maker, "_library_class", None)
    if not all(hasattr(library, name) for name in ("finalize", "add_llvm_module", "_get_module_for_linking", "_optimize_final_module")):
        yield
        return
    maker._library_class, BaseFunction.get_call_type = _part_of(library, aside), _remembering(ask)
    gc.set_threshold(50_000, *limits[1:])
    try:
        yield
    finally:
        maker._library_class, BaseFunction.get_call_type = library, ask
        gc.set_threshold(*limits)


def _remembering(ask: Any) -> Any:
    """Which of the many things that `+` can mean is meant between two numbers is found out once."""
    from numba.core import types

    simple = (types.Number, types.Boolean, types.Literal, types.IntEnumMember, types.Array, types.NestedArray)
    known: dict[Any, Any] = {}

    def remember(self: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws or not all(isinstance(kind, simple) for kind in args):
            return ask(self, context, args, kws)
        question = self.key, tuple(args)
        if question not in known:
            meant = ask(self, context, args, kws)
            if meant is None:
                return None
            known[question] = meant, self._impl_keys[meant.args]
        meant, self._impl_keys[meant.args] = known[question][0], known[question][1]
        return meant

    return remember


def _part_of(library: Any, aside: tuple[str, ...]) -> Any:
    """The compiler's own kind of library, lazy."""

    class Nowhere:
        """Where the environment of a function goes that is no machine code by itself."""

        def set_env(self, *_: Any) -> None: ...

    class Bare:
        """A part without what it calls, for the one place that has a list of all."""

        def __init__(self, part: Any) -> None:
            self.part, self._reload_init = part, getattr(part, "_reload_init", set[Any]())

        def _get_module_for_linking(self) -> Any:
            return self.part.alone()

    class Part(library):  # type: ignore[misc]
        """A function's code. That of a door is finished as usual, with all that it calls at whatever remove; others are left as they are."""

        @property
        def whole(self) -> bool:
            return bool(self.name.startswith(DOOR))

        @property
        def codegen(self) -> Any:
            return self._codegen if self.whole else Nowhere()

        def finalize(self) -> None:
            if not self.whole:
                self._finalized = True
                return
            self.own = {function.name for function in _defined(self._final_module)}
            self._linking_libraries = [Bare(part) if isinstance(part, Part) else part for part in self.called({})]
            super().finalize()

        def called(self, known: dict[Any, None]) -> dict[Any, None]:
            """All that is called from here."""
            for part in self._linking_libraries:
                if part not in known:
                    known[part] = None
                    if isinstance(part, Part):
                        part.called(known)
            return known

        def alone(self) -> Any:
            """Only its own functions."""
            return super()._get_module_for_linking()

        def _get_module_for_linking(self) -> Any:
            """For a stranger's library: with all that it calls."""
            if self.whole:
                return self.alone()
            module = self.alone().clone()
            for part in self.called({}):
                module.link_in(part.alone() if isinstance(part, Part) else part._get_module_for_linking(), preserve=True)
            return module

        def add_llvm_module(self, module: Any) -> None:
            module.data_layout = self._codegen._data_layout
            self._final_module.link_in(module)

        def _optimize_final_module(self) -> None:
            _in_one(self._final_module, self.own, aside)
            made = self._codegen._module_pass_manager(opt=2, loop_vectorize=False, slp_vectorize=False)
            if isinstance(made, tuple):
                made[0].run(self._final_module, made[1])
            else:
                made.run(self._final_module)

    return Part


def _in_one(module: Any, door: set[str], aside: tuple[str, ...]) -> None:
    """What a calm bar goes through becomes one piece without calls; what is `aside` stays out of it."""
    known = {function.name: function for function in _defined(module)}
    away = ["".join(f"{len(word)}{word}" for word in name.split(".")) + "B" for name in aside]
    found, seen = [name for name in door if "play" in name], set(door)
    for name, function in known.items():
        if name not in door:
            function.linkage = "internal"
        if any(one in name for one in away):
            function.add_function_attribute("noinline")
            seen.add(name)
    while found:
        for callee in _called(known[found.pop()]):
            if callee in known and callee not in seen:
                known[callee].add_function_attribute("alwaysinline")
                seen.add(callee)
                found.append(callee)


def _defined(module: Any) -> list[Any]:
    return [function for function in module.functions if not function.is_declaration]


def _called(function: Any) -> Iterator[str]:
    for block in function.blocks:
        for instruction in block.instructions:
            if instruction.opcode == "call":
                *_, callee = instruction.operands
                yield callee.name


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
