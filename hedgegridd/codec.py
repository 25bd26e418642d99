"""Nouns to JSON and back. One law: what `decode(encode(x))` gives equals x, also with a `json.dumps` and `json.loads` between.

A noun becomes a list that starts with its name: `["Bar", "BTCUSDT", 1700000000000, ...]`; nouns inside it likewise, enums as
their number or word, tuples as lists. How is read once from the annotations of each class in `hedgegridd.model` and `hedgegridd.views`.
What is annotated `Any` or `dict` must be plain JSON already. Fields that an older version did not know take their defaults.
It judges no values: the journal's hashes vouch for what was written, and what a stranger sent is checked where it arrives.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from difflib import get_close_matches
from enum import Enum
from typing import Any, Union

from hedgegridd import model, views
from hedgegridd.errors import StateError

_Way = Callable[[Any], Any]
_Ways = tuple[_Way, _Way]  # there and back
_Step = tuple[int, _Way, _Way]  # the same for one field, at its place in the row

_NOUNS: dict[str, type[tuple[Any, ...]]] = {
    name: thing
    for name, thing in (vars(model) | vars(views)).items()
    if isinstance(thing, type) and issubclass(thing, tuple) and hasattr(thing, "_fields")
}
_PLAIN = (int, float, str, bool, type(None), dict, list, Any)
_plans: dict[type[Any], tuple[str, tuple[_Step, ...]]] = {}


def encode(event: tuple[Any, ...]) -> list[Any]:
    """A noun of `hedgegridd.model` as a JSON-ready list. TypeError for anything else."""
    try:
        name, steps = _plans[event.__class__]
    except KeyError:
        name, steps = _plan(event.__class__)
    row: list[Any] = [name, *event]
    for at, there, _ in steps:
        row[at] = there(row[at])
    return row


def decode(row: list[Any]) -> Any:
    """The noun that `encode` made this list of. StateError for an unknown name or a row that does not fit its noun."""
    try:
        noun = _NOUNS[row[0]]
    except (KeyError, IndexError, TypeError):
        raise StateError(_unknown(row)) from None
    _, steps = _plans.get(noun) or _plan(noun)
    try:
        if not steps:
            return noun(*row[1:])
        values = list(row)
        for at, _, back in steps[: _known(steps, len(row))]:
            values[at] = back(values[at])
        return noun(*values[1:])
    except (TypeError, ValueError) as error:
        raise StateError(f"a stored {row[0]} does not fit its noun: {error}") from error


def _known(steps: tuple[_Step, ...], length: int) -> int:
    """How many steps lie within a row that a version with fewer fields may have written."""
    return sum(at < length for at, _, _ in steps)


def _unknown(row: object) -> str:
    name = row[0] if isinstance(row, list) and row else row
    close = get_close_matches(str(name), _NOUNS, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"stored noun {str(name)[:80]!r}, expected a list that starts with a noun of hedgegridd.model{hint}"


def _plan(noun: type[Any]) -> tuple[str, tuple[_Step, ...]]:
    """Which fields of a noun need work, and what; kept for the next time."""
    if _NOUNS.get(noun.__name__) is not noun:
        raise TypeError(f"cannot encode {noun.__module__}.{noun.__qualname__}: expected a noun of hedgegridd.model")
    hints = typing.get_type_hints(noun)
    found = ((at, _ways(hint)) for at, hint in enumerate(hints.values(), 1))
    steps = tuple((at, *ways) for at, ways in found if ways)
    _plans[noun] = noun.__name__, steps
    return _plans[noun]


def _ways(hint: Any) -> _Ways | None:
    """How a value of this annotation goes there and back; None where JSON carries it as it is."""
    origin = typing.get_origin(hint) or hint
    if origin in _PLAIN:
        return None
    if origin in (Union, types.UnionType):
        return _optional([_ways(part) for part in typing.get_args(hint) if part is not type(None)], hint)
    if origin is tuple:
        return _row_of(typing.get_args(hint), hint)
    if isinstance(origin, type) and issubclass(origin, Enum):
        return lambda value: origin(value).value, origin
    if isinstance(origin, type) and issubclass(origin, tuple):
        return encode, decode
    raise TypeError(f"no JSON form is known for the annotation {hint!r}")


def _optional(parts: list[_Ways | None], hint: Any) -> _Ways | None:
    if not any(parts):
        return None
    if len(parts) != 1 or parts[0] is None:
        raise TypeError(f"only `X | None` has a JSON form, not {hint!r}")
    there, back = parts[0]
    return lambda value: None if value is None else there(value), lambda value: None if value is None else back(value)


def _row_of(arguments: tuple[Any, ...], hint: Any) -> _Ways:
    if len(arguments) != 2 or arguments[1] is not Ellipsis:
        raise TypeError(f"only `tuple[X, ...]` has a JSON form, not {hint!r}")
    ways = _ways(arguments[0])
    if ways is None:
        return list, tuple
    there, back = ways
    return lambda values: [there(value) for value in values], lambda values: tuple(back(value) for value in values)
