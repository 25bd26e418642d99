"""From plain tables to typed settings. One law: a value of the wrong kind is a problem with a path, never an exception or a guess.

`fill_settings` fills any class of annotated fields: the daemon's own schema and every plugin's `Settings` alike. Bounds and
explanations are metadata of a dataclass field (`of`) or a mapping in `typing.Annotated`: min, max (inclusive), above
(exclusive), choices, words (names that stand for a value), doc. All problems are collected; a wrong value is replaced by the
default, so that checking can go on. It reads no file and knows no table by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, field, is_dataclass
from datetime import date, datetime
from functools import cache
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from hedgegridd.errors import Problem

UNKNOWN_KEY = "a known key"
REQUIRED = "a value: it is required"
NOTHING: Any = MISSING
SECRET = re.compile(r"secret|token|password|passphrase|webhook|api_key|private_key")


class Outside(str):
    """Text that came from a credential or the environment: it may stand for a number or a switch."""

    __slots__ = ()


class Field(NamedTuple):
    """One setting: its type, its default (NOTHING = required) and what else is said of it."""

    name: str
    hint: Any
    default: Any
    about: Mapping[str, Any]


def of(default: Any = NOTHING, doc: str = "", **about: Any) -> Any:
    """A dataclass field with its default, its explanation and its bounds (see the module). A callable default is a factory."""
    metadata = {"doc": doc, **about}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(metadata=metadata) if default is NOTHING else field(default=default, metadata=metadata)


def fields_of(cls: type) -> list[Field]:
    """The settings of a class in the order in which they are written; dataclass fields marked `internal` are left out."""
    hints = _hints(cls)
    own = {name: found.metadata for name, found in getattr(cls, "__dataclass_fields__", {}).items()}
    return [_field(cls, name, hint, own.get(name, {})) for name, hint in hints.items() if not own.get(name, {}).get("internal")]


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Annotations are text until they are compiled, and a start asks for the same classes again and again."""
    return get_type_hints(cls, include_extras=True)


def _field(cls: type, name: str, hint: Any, about: Mapping[str, Any]) -> Field:
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        about = {**about, **{k: v for extra in extras if isinstance(extra, Mapping) for k, v in extra.items()}}
    declared = getattr(cls, "__dataclass_fields__", {}).get(name)
    default = getattr(cls, name, NOTHING) if declared is None else declared.default
    if declared is not None and declared.default_factory is not MISSING:
        default = declared.default_factory()
    return Field(name, hint, default, about)


def is_section(hint: Any) -> bool:
    """Is this type a class of settings, and so a table of its own?"""
    return isinstance(hint, type) and (is_dataclass(hint) or (hint.__module__ != "builtins" and bool(get_annotations(hint))))


def fill_settings(cls: type, table: Mapping[str, Any], where: str) -> tuple[Any, list[Problem]]:
    """An instance of `cls` filled from `table`, and everything that is wrong with it. `where` is the table's path, "" = the root."""
    problems: list[Problem] = []
    try:
        fields = fields_of(cls)
    except (NameError, TypeError) as error:
        return None, [Problem(where, None, f"settings whose annotations can be understood: {error}")]
    names = [one.name for one in fields]
    problems += [Problem(join(where, key), table[key], UNKNOWN_KEY, meant(key, names)) for key in table if key not in names]
    values = {one.name: _value(one, table, join(where, one.name), problems) for one in fields}
    if is_dataclass(cls) or hasattr(cls, "_fields"):
        return cls(**values), problems
    instance = cls()
    for name, value in values.items():
        setattr(instance, name, value)
    return instance, problems


def _value(one: Field, table: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    if one.name not in table:
        if is_section(one.hint):
            return _section(one.hint, {}, path, problems)
        if one.default is NOTHING:
            problems.append(Problem(path, None, REQUIRED))
            return None
        return one.default
    before = len(problems)
    value = convert(table[one.name], one.hint, path, one.about, problems)
    fine = len(problems) == before or one.default is NOTHING
    return value if fine or is_section(one.hint) or _of_sections(one.hint, value) else one.default


def _of_sections(hint: Any, value: Any) -> bool:
    """A list of tables: each of them is filled as far as it could be."""
    return any(is_section(inner) for inner in get_args(hint)) and not isinstance(value, str) and isinstance(value, Iterable)


def _section(cls: type, table: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    instance, wrong = fill_settings(cls, table, path)
    problems.extend(wrong)
    return instance


def plain(settings: Any, secret: Callable[[str], str | None], where: str = "") -> Any:
    """Filled settings as tables again, as TOML and JSON know them; unset ones are None. `secret` says what stands for a secret."""
    if is_section(type(settings)):
        made = {}
        for one in fields_of(type(settings)):
            value = getattr(settings, one.name)
            words = {v: k for k, v in one.about.get("words", {}).items()}
            known = isinstance(value, float) and value in words
            made[one.name] = words[value] if known else plain(value, secret, join(where, one.name))
        return made
    if isinstance(settings, Mapping):
        return {key: plain(item, secret, join(where, str(key))) for key, item in settings.items()}
    if isinstance(settings, list | tuple):
        return [plain(item, secret, f"{where}[{i}]") for i, item in enumerate(settings)]
    if settings and isinstance(settings, str) and is_secret(where):
        return secret(settings)
    return str(settings) if isinstance(settings, str) else settings


def compact(value: Any) -> Any:
    """The same tables without what is unset."""
    if isinstance(value, dict):
        return {key: compact(item) for key, item in value.items() if item is not None}
    return [compact(item) for item in value] if isinstance(value, list) else value


def leaves(value: Any, where: str = "") -> list[tuple[str, Any]]:
    """[(path, value)] of everything in nested tables and lists of tables."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, join(where, str(key)))]
    if isinstance(value, list | tuple) and value and all(isinstance(item, dict) for item in value):
        return [leaf for i, item in enumerate(value) for leaf in leaves(item, f"{where}[{i}]")]
    return [(where, value)]


def is_secret(path: str) -> bool:
    """Does a key of this path hold a secret? Judged by its name, for plugins' settings are not known here."""
    return SECRET.search(path.rpartition(".")[2]) is not None


# --- one value ----------------------------------------------------------------------------------------------------------


def convert(value: Any, hint: Any, path: str, about: Mapping[str, Any], problems: list[Problem]) -> Any:
    """`value` as the type `hint` wants it. What does not fit is added to `problems` and given back as it was."""
    words = about.get("words", {})
    if isinstance(value, str) and value in words:
        return words[value]
    if is_section(hint):
        if isinstance(value, Mapping):
            return _section(hint, value, path, problems)
        _wrong(value, "a table", path, problems)
        return _section(hint, {}, path, [])
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(value, inner, path, about, problems)
    if origin in (list, tuple):
        return _sequence(value, origin, inner, path, about, problems)
    if origin is dict:
        return _table(value, inner, path, about, problems)
    return _scalar(value, hint, origin, path, about, problems)


def _one_of(value: Any, hints: tuple[Any, ...], path: str, about: Mapping[str, Any], problems: list[Problem]) -> Any:
    tried: list[Problem] = []
    kinds = [hint for hint in hints if hint is not NoneType]
    for hint in kinds:
        tried = []
        result = convert(value, hint, path, about, tried)
        if not tried:
            return result
    expected = tried[-1].expected if len(kinds) == 1 else " or ".join(_called(hint) for hint in kinds) + _bounds(about)
    problems.append(Problem(path, value, expected, tried[-1].hint))
    return value


def _sequence(value: Any, origin: type, inner: tuple[Any, ...], path: str, about: Mapping[str, Any], problems: list[Problem]) -> Any:
    if not isinstance(value, list | tuple):
        return _wrong(value, "a list", path, problems)
    each = inner[0] if inner else Any
    return origin(convert(item, each, f"{path}[{i}]", about, problems) for i, item in enumerate(value))


def _table(value: Any, inner: tuple[Any, ...], path: str, about: Mapping[str, Any], problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        return _wrong(value, "a table", path, problems)
    return {key: convert(item, inner[1], join(path, key), about, problems) for key, item in value.items()}


def _scalar(value: Any, hint: Any, origin: Any, path: str, about: Mapping[str, Any], problems: list[Problem]) -> Any:
    if hint is Any:
        return value
    if origin is Literal:
        about, hint = {**about, "choices": get_args(hint)}, type(get_args(hint)[0])
    value = _parsed(value, hint)
    if not _is(value, hint):
        return _wrong(value, _called(hint) + _bounds(about), path, problems)
    if hint is float:
        value = float(value)
    elif hint is str and isinstance(value, date | datetime):
        value = value.isoformat()
    if not _within(value, about):
        choices = about.get("choices", ())
        hint_text = meant(str(value), [str(one) for one in choices]) if choices else ""
        problems.append(Problem(path, value, (_called(hint) if not choices else "one of") + _bounds(about), hint_text))
    return value


def _parsed(value: Any, hint: Any) -> Any:
    """Text from outside as the number or switch that is wanted; any other value as it is."""
    if not isinstance(value, Outside) or hint is str:
        return value
    if hint is bool:
        return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}.get(
            value.strip().lower(), value
        )
    try:
        return int(value) if hint is int else float(value) if hint is float else value
    except ValueError:
        return value


def _is(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str | date | datetime)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _within(value: Any, about: Mapping[str, Any]) -> bool:
    if about.get("choices"):
        return value in about["choices"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low, high, above = about.get("min"), about.get("max"), about.get("above")
    return (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)


def _wrong(value: Any, expected: str, path: str, problems: list[Problem]) -> Any:
    problems.append(Problem(path, value, expected))
    return value


# --- words --------------------------------------------------------------------------------------------------------------

_CALLED = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a table", list: "a list"}


def _called(hint: Any) -> str:
    return _CALLED.get(get_origin(hint) or hint, getattr(hint, "__name__", str(hint)))


def _bounds(about: Mapping[str, Any]) -> str:
    """How the bounds of a setting are said: ` from 0 to 100`, ` above 0`, ` keep, flatten`."""
    if about.get("choices"):
        return " " + ", ".join(str(one) for one in about["choices"])
    low, high, above = about.get("min"), about.get("max"), about.get("above")
    words = "".join(f", or {word!r}" for word in about.get("words", {}))
    if above is not None:
        return f" above {above:g}" + (f", at most {high:g}" if high is not None else "") + words
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}" + words
    return (f" of at least {low:g}" if low is not None else f" of at most {high:g}" if high is not None else "") + words


def join(where: str, key: str) -> str:
    """The path of a key in the table at `where`."""
    return f"{where}.{key}" if where else key


def meant(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?", or "" where nothing is near."""
    from difflib import get_close_matches  # only a wrong configuration pays for it

    near = get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else ""
