"""A bar is for a terminal: it goes with the data's time and leaves the line clean; a pipe hears nothing, and no span is read for it."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest

from hedgegridd.progress import passing, watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Row(NamedTuple):
    time: int


def unasked() -> tuple[int, int]:
    raise AssertionError("nobody looks")


def test_on_a_terminal_a_bar_goes_from_the_first_to_the_last_time() -> None:
    stream = Terminal()
    with watched(lambda: (1_000, 2_000), stream) as show:
        assert list(passing([Row(1_500)], show)) == [Row(1_500)]
        assert " 50.0%" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_pipe_hears_nothing() -> None:
    stream = io.StringIO()
    with watched(unasked, stream) as show:
        assert list(passing([Row(1_500)], show)) == [Row(1_500)]
    assert stream.getvalue() == ""


def test_an_unknown_span_shows_nothing_and_the_line_is_clean_after_an_error() -> None:
    stream = Terminal()
    with watched(lambda: None, stream) as show:
        show(5)
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="torn"), watched(lambda: (1, 2), stream):
        raise ValueError("torn")
    assert stream.getvalue().endswith("\r\x1b[K")
