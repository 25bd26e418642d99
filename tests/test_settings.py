"""fill_settings: right kinds in, problems with paths out, never an exception."""

# ruff: noqa: RUF009

from dataclasses import dataclass, field
from typing import Annotated, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hedgegridd.settings import Outside, fields_of, fill_settings, leaves, of, plain


@dataclass(frozen=True)
class Inner:
    size: float = of(1.0, "a size", above=0, max=10)
    count: int = of(3, "a count", min=0)


@dataclass(frozen=True)
class Outer:
    name: str = of(doc="required")
    level: str = of("warn", "a level", choices=("warn", "halt"))
    maybe: float | None = of(None, "may be unset")
    speed: float = of(1.0, "a speed", above=0, words={"max": float("inf")})
    many: tuple[str, ...] = of(())
    inner: Inner = of(Inner)
    tables: dict[str, Any] = of(dict)


class Plain:
    limit_pct: float = 5.0
    floor: Annotated[int, {"min": 2}] = 2
    on: bool = True


def problems(cls: type, table: dict[str, Any]) -> list[str]:
    return [str(one) for one in fill_settings(cls, table, "t")[1]]


def test_defaults_and_values() -> None:
    made, wrong = fill_settings(Outer, {"name": "x", "inner": {"size": 2}, "speed": "max", "many": ["a"]}, "")
    assert wrong == []
    assert (made.inner.size, made.inner.count, made.maybe, made.speed, made.many) == (2.0, 3, None, float("inf"), ("a",))
    assert isinstance(made.inner.size, float)


def test_plain_class_like_a_plugins() -> None:
    made, wrong = fill_settings(Plain, {"limit_pct": 3}, "breaker.x")
    assert wrong == [] and made.limit_pct == 3.0 and made.on is True
    assert Plain.limit_pct == 5.0
    assert problems(Plain, {"floor": 1}) == ["t.floor: is 1, expected a whole number of at least 2"]


def test_every_problem_at_once_with_path_value_and_hint() -> None:
    assert problems(Outer, {"levle": "halt", "level": "hlat", "inner": {"size": 0, "count": 1.5}, "maybe": "x", "many": "a"}) == [
        "t.levle: is 'halt', expected a known key (did you mean 'level'?)",
        "t.name: expected a value: it is required",
        "t.level: is 'hlat', expected one of warn, halt (did you mean 'halt'?)",
        "t.maybe: is 'x', expected a number",
        "t.many: is 'a', expected a list",
        "t.inner.size: is 0.0, expected a number above 0, at most 10",
        "t.inner.count: is 1.5, expected a whole number of at least 0",
    ]


def test_what_is_wrong_stands_at_its_default() -> None:
    made, _ = fill_settings(Outer, {"name": "x", "inner": {"size": -1, "count": 4}}, "")
    assert (made.inner.size, made.inner.count) == (1.0, 4)


def test_no_bool_for_a_number_and_no_nan() -> None:
    assert problems(Inner, {"count": True}) and problems(Inner, {"size": float("nan")}) and problems(Inner, {"size": float("inf")})


def test_text_from_outside_may_stand_for_a_number() -> None:
    made, wrong = fill_settings(Inner, {"size": Outside("2.5"), "count": Outside("7")}, "")
    assert wrong == [] and (made.size, made.count) == (2.5, 7)
    assert fill_settings(Plain, {"on": Outside("no")}, "")[0].on is False
    assert problems(Inner, {"size": Outside("many")})
    assert problems(Inner, {"size": "2.5"})


def test_a_missing_annotation_is_a_problem_not_a_crash() -> None:
    class Broken:
        x: "Nowhere" = 1  # type: ignore[name-defined]  # noqa: F821

    assert "annotations" in problems(Broken, {})[0]


def test_mutable_defaults_are_not_shared() -> None:
    @dataclass
    class Shared:
        rows: list[int] = field(default_factory=list)

    one, two = fill_settings(Shared, {}, "")[0], fill_settings(Shared, {}, "")[0]
    one.rows.append(1)
    assert two.rows == []


def test_plain_and_leaves_go_back() -> None:
    made, _ = fill_settings(Outer, {"name": "x", "tables": {"slack": {"webhook_url": "http://s", "n": 1}}, "speed": "max"}, "")
    table = plain(made, lambda _: "***")
    assert table["tables"]["slack"] == {"webhook_url": "***", "n": 1} and table["speed"] == "max"
    assert ("inner.size", 1.0) in leaves(table)
    assert [one.name for one in fields_of(Inner)] == ["size", "count"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # that says how busy the machine is
@given(st.dictionaries(st.sampled_from(["name", "level", "maybe", "speed", "many", "inner", "tables", "x"]), VALUES))
def test_never_raises(table: dict[str, Any]) -> None:
    made, wrong = fill_settings(Outer, table, "")
    assert made is not None
    assert made.level in ("warn", "halt") and made.inner.size > 0
    assert all(one.path for one in wrong)
