from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.errors import FeedError
from hedgegridd.feed.steps import Place, to_step, to_steps, to_times

AT = Place(Path("x.csv"), 10)


@given(st.lists(st.integers(0, 10**8), max_size=20), st.sampled_from([0.1, 0.01, 0.001, 0.5, 1e-5, 1.0, 25.0]))
def test_every_multiple_comes_back(counts: list[int], step: float) -> None:
    assert to_steps([round(n * step, 8) for n in counts], step, "price", AT) == counts


@pytest.mark.parametrize("bad", [100.05, 100.1001, float("nan"), float("inf"), None, "100.1"])
def test_a_value_off_the_grid_names_file_row_and_value(bad: object) -> None:
    with pytest.raises(FeedError, match=r"x\.csv, row 12: price") as caught:
        to_steps([100.0, 100.1, bad], 0.1, "price", AT)
    assert repr(bad) in str(caught.value)


def test_a_single_value() -> None:
    assert to_step(28145.1, 0.1, "price", AT) == 281451
    for bad in (28145.15, float("nan"), float("inf")):
        with pytest.raises(FeedError, match="row 10"):
            to_step(bad, 0.1, "price", AT)


def test_the_message_names_the_filter_to_look_at() -> None:
    with pytest.raises(FeedError, match=r"lot_size 0\.01"):
        to_steps([0.001], 0.01, "volume", AT)


def test_times_in_ms_and_us() -> None:
    assert to_times([1.7e12, 1_700_000_060_000], "open_time", AT) == [1_700_000_000_000, 1_700_000_060_000]
    assert to_times([1_700_000_000_000_000], "open_time", AT) == [1_700_000_000_000]


@pytest.mark.parametrize("bad", [None, float("nan"), 12345, 1.7e9])
def test_what_is_no_time_is_refused(bad: object) -> None:
    with pytest.raises(FeedError, match=r"row 10: open_time .* expected milliseconds"):
        to_times([bad], "open_time", AT)
