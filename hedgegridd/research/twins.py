"""Each module that is compiled, a second time: its functions are whatever a compiler makes of them, and call only one another.

One law: a twin runs the very code of its original. It knows no compiler: plain Python's twins are the functions themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

#: Every module of ours that is compiled. Constants, shapes and the words are shared with the originals.
MODULES = (
    "hedgegridd.model",
    *(f"hedgegridd.kernel.{name}" for name in ("ledger", "book", "matching", "diff", "ladder", "exits", "placement", "funding", "regime")),
    *(f"hedgegridd.kernel.{name}" for name in ("measures", "metrics")),
    *(
        f"hedgegridd.research.fast.{name}"
        for name in ("shapes", "told", "refusals", "panel", "ease", "pit", "gate", "hear", "glide", "turn")
    ),
)
TURN = "hedgegridd.research.fast.turn"
BOUND = (TURN, "hedgegridd.research.fast.glide")  # modules that call parts of the strategy
DOORS = ("begin", "play")  # functions of `turn` that are called from outside


class Parts(NamedTuple):
    """What the fast engine asks of a strategy. `learn`, `still` and `wishes` are its `step` at a bar, taken apart."""

    step: Callable[..., Any]
    stance: Callable[..., Any]
    learn: Callable[..., Any]
    still: Callable[..., Any]
    wishes: Callable[..., Any]


def parts_of(strategy: Any) -> Parts:
    """A strategy may leave out `stance` and `parts`; without these its `step` is asked at every bar."""
    learn, still, wishes = getattr(strategy, "parts", (_taught_nothing, _never, strategy.step))
    return Parts(strategy.step, getattr(strategy, "stance", _no_stance), learn, still, wishes)


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
            known[function] = wrap(copy, name == TURN and function.__name__ in DOORS)
    absent: tuple[Any, ...] = (_no_stance, _taught_nothing, _never)
    known |= {missing: wrap(missing, False) for missing in absent}
    bound = {**parts_of(strategy)._asdict(), "note": metrics.note}
    for name, twin_module in made.items():
        space = {**twin_module.__dict__, **(bound if name in BOUND else {})}
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
