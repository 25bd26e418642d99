"""The form of a record: every bit under its hash, one line whatever the text, and the runs of missing numbers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.journal.segments import GENESIS, holes, line, parse, sound

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@settings(max_examples=80)
@given(st.text(), st.dictionaries(st.text(), json_values, max_size=4), st.integers(0, 10**15))
def test_a_record_is_one_line_that_verifies_and_comes_back(kind: str, data: dict[str, object], number: int) -> None:
    text, digest = line(GENESIS, number, number, number, kind, data)
    assert text.count(b"\n") == 1 and text.endswith(b"\n") and b"\0" not in text
    assert sound(GENESIS, text) == sound(GENESIS, text[:-1]) == digest
    assert parse(text) == (number, number, number, kind, data, digest)


@settings(max_examples=80)
@given(st.dictionaries(st.text(), st.integers(), max_size=3), st.integers(0), st.integers(0, 7))
def test_any_other_bit_fails(data: dict[str, object], at: int, bit: int) -> None:
    text, _ = line(GENESIS, 1, 2, 3, "act", data)
    changed = bytearray(text)
    changed[at % (len(text) - 1)] ^= 1 << bit  # all but the line end, which parts records
    assert not sound(GENESIS, bytes(changed))
    assert not sound("1" + GENESIS[1:], text)


@settings(max_examples=80)
@given(st.sets(st.integers(1, 40)), st.integers(1, 10))
def test_holes_are_what_is_missing(present: set[int], first: int) -> None:
    numbers = sorted(number for number in present if number >= first)
    missing = [number for a, b in holes(numbers, first) for number in range(a, b + 1)]
    assert missing == [number for number in range(first, max(numbers, default=0)) if number not in present]
