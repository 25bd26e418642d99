"""The feed waits for thought, and for nobody in whom there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hedgegridd.live.patience import LOST_SECONDS, MOMENT_SECONDS, Patience


class Clock:
    """Seconds that pass when they are told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def engine(*, heard: bool = True, lost: str = "", asked: int = 0, questions: bool = False, flattening: bool = False) -> Any:
    """As much of an engine as is looked at, with one foreign strategy."""
    desk = SimpleNamespace(strategy=SimpleNamespace(heard=heard, lost=lost, asked=asked))
    return SimpleNamespace(remotes=[desk], questions={1: ("h", "b")} if questions else {}, active=lambda: [1] if flattening else [])


def test_a_feed_without_foreign_files_never_waits() -> None:
    nobody = SimpleNamespace(remotes=[], questions={})
    assert not Patience(True).waits(nobody)  # type: ignore[arg-type]


def test_neither_begins_before_the_strategy_has_spoken_unless_it_takes_too_long() -> None:
    for unpaced in (True, False):
        patience = Patience(unpaced, clock := Clock())
        assert patience.waits(engine(heard=False))
        clock.now += LOST_SECONDS - 0.01
        assert patience.waits(engine(heard=False))
        clock.now += 0.02
        assert not patience.waits(engine(heard=False))


def test_only_an_unpaced_feed_waits_for_every_answer() -> None:
    clock = Clock()
    slow, fast = Patience(False, clock), Patience(True, clock)
    for patience in (slow, fast):
        assert not patience.waits(engine())
        patience.asked()
        assert patience.waits(engine(asked=1))
    clock.now += MOMENT_SECONDS + 0.02
    assert fast.waits(engine(asked=1)) and not slow.waits(engine(asked=1))


def test_one_that_is_lost_later_holds_up_an_unpaced_feed_for_a_while_only() -> None:
    clock = Clock()
    slow, fast = Patience(False, clock), Patience(True, clock)
    assert not slow.waits(engine()) and not fast.waits(engine())
    assert fast.waits(engine(lost="dead")) and not slow.waits(engine(lost="dead"))
    clock.now += LOST_SECONDS + 0.01
    assert not fast.waits(engine(lost="dead"))
    assert not fast.waits(engine())
    assert fast.waits(engine(lost="again"))


def test_a_flatten_waits_for_no_strategy() -> None:
    patience = Patience(True)
    patience.asked()
    assert not patience.waits(engine(heard=False, asked=1, flattening=True))


def test_a_breaker_under_way_is_waited_for_a_moment() -> None:
    patience = Patience(True, clock := Clock())
    patience.asked()
    assert patience.waits(engine(questions=True))
    clock.now += MOMENT_SECONDS + 0.02
    assert not patience.waits(engine(questions=True))
