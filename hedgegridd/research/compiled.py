"""The compiler: the unchanged sources of the kernel, the strategy and the fast engine, as machine code. The only file that knows numba.

One law: what is compiled is the source that plain Python runs. Each module gets a twin: a copy of its namespace in which its own
functions are compiled ones, and those of other modules are their twins. Neither fast mathematics nor fused multiplication is
allowed, so both ways give the same bits.

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
        options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
        return _plainly(numba.njit(cache=door and safe, no_cpython_wrapper=not door, **options)(function))

    turn = twins(strategy, compiled)[TURN]
    return Code(Door(turn.begin), Door(turn.play), True, not (safe and any(cache.iterdir())))


class Door:
    """A compiled function as it is called from outside, made when it is first asked for with arguments of these types."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *given: Any) -> Any:
        return self.open(*given)(*given)

    def open(self, *given: Any) -> Callable[..., Any]:
        """The machine code for arguments of just these types, which it does not look at again: looking takes milliseconds."""
        import numba

        kinds = tuple(numba.typeof(one) for one in given)
        if kinds not in self.function.overloads:
            self._make(kinds)
        found: Callable[..., Any] = self.function.overloads[kinds].entry_point
        return found

    def _make(self, kinds: tuple[Any, ...]) -> None:
        from numba.core.errors import NumbaError

        try:
            with _linked_once():
                self.function.compile(kinds)
        except NumbaError as error:
            raise Untranslatable(_where(error)) from error


def _where(error: Exception) -> str:
    """What the compiler did not understand, and where: the innermost place that it names."""
    places = re.findall(r'File "([^"]+)", line (\d+)', str(error))
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{places[-1][0]}:{places[-1][1]}: {said[0]}" if places else said[0]


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
            door = name == TURN and function.__name__ in ("begin", "play")
            copy.__module__, copy.__qualname__ = function.__module__, f"{DOOR if door else ''}{function.__qualname__}"
            known[function] = wrap(copy, door)
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


# --- one piece of machine code ------------------------------------------------------------------------------------------

ASIDE = ("wishes", "step", "risk", "compare", "rescue_bare", "advance", "sum_up", "count_up", "hear_out", "listen", "3pit7see_bar", "warm", "settle")
DOOR = "door."  # what the name of a door begins with, for the compiler


@contextmanager
def _linked_once() -> Iterator[None]:
    """While a door is compiled: functions are put together first and made machine code of once, as the door. The compiler would
    make it of every function with all that it calls, which takes twice as long."""
    from numba.core.registry import cpu_target

    maker, tidying = cpu_target.target_context.codegen(), gc.isenabled()
    before = maker._library_class
    maker._library_class = _part_of(before)
    gc.disable()  # a compiler makes millions of small things, and hardly any garbage
    try:
        yield
    finally:
        maker._library_class = before
        if tidying:
            gc.enable()


@cache
def _part_of(library: Any) -> Any:
    """The compiler's own kind of library, lazy."""

    class Nowhere:
        """Where the environment of a function goes that is no machine code by itself."""

        def set_env(self, *_: Any) -> None: ...

    class Bare:
        """A part without what it calls, for the one place that has a list of all."""

        def __init__(self, part: Any) -> None:
            self.part, self._reload_init = part, part._reload_init

        def _get_module_for_linking(self) -> Any:
            return self.part.alone()

    class Part(library):  # type: ignore[misc]
        """A function's code: of a door finished as usual, with every part that it calls, and those by nobody else; else left alone."""

        @property
        def codegen(self) -> Any:
            return self._codegen if self.whole else Nowhere()

        @property
        def whole(self) -> bool:
            return bool(self._name.startswith(DOOR))

        def finalize(self) -> None:
            if not self.whole:
                self._finalized = True
                return
            self._own = {function.name for function in self._final_module.functions if not function.is_declaration}
            self._linking_libraries = [Bare(part) if isinstance(part, Part) else part for part in self.called({})]
            super().finalize()

        def called(self, known: dict[Any, None]) -> dict[Any, None]:
            """All that is called from here, however far away."""
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
            module = self.alone()
            if not self.whole:
                module = module.clone()
                for part in self.called({}):
                    module.link_in(part.alone() if isinstance(part, Part) else part._get_module_for_linking(), preserve=True)
            return module

        def add_llvm_module(self, module: Any) -> None:
            module.data_layout = self._codegen._data_layout
            self._final_module.link_in(module)

        def _optimize_final_module(self) -> None:
            for function in self._final_module.functions:
                if not function.is_declaration and function.name not in self._own:
                    function.linkage = "internal"
            _in_one(self._final_module, self._own)
            manager, builder = self._codegen._module_pass_manager(opt=2, loop_vectorize=False, slp_vectorize=False)
            manager.run(self._final_module, builder)

    return Part


def _in_one(module: Any, door: set[str]) -> None:
    """What a calm bar goes through becomes one piece without calls, and what `turn.ASIDE` names stays out of it."""
    defined = {function.name: function for function in module.functions if not function.is_declaration}
    aside = {name for name in defined if any((one if one[0].isdigit() else f"{len(one)}{one}") + "B" in name for one in ASIDE)}
    for name in aside:
        defined[name].add_function_attribute("noinline")
    found, seen = [name for name in door if "play" in name], aside | door
    while found:
        function = defined[found.pop()]
        for callee in _called(function):
            if callee in defined and callee not in seen:
                seen.add(callee)
                found.append(callee)
                defined[callee].add_function_attribute("alwaysinline")


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
        if part == ():
            continue
        if isinstance(part, tuple):
            fields.append((name, _layout(part)))
        else:
            fields.append((name, _number(part), (len(part),)) if isinstance(part, list) else (name, _number(part)))
    return numpy.dtype(fields, align=True)


def _fill(room: Any, value: Any) -> None:
    for name, part in zip(value._fields, value, strict=True):
        if part == ():
            continue
        if isinstance(part, tuple):
            _fill(room[name], part)
        else:
            room[name] = part
