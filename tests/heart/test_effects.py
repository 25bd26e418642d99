"""Effects say what to do: each has exactly one hand that does it, in the daemon."""

from __future__ import annotations

from typing import get_args

from hedgegridd.heart.effects import Effect
from hedgegridd.live.daemon import _PERFORM


def test_every_effect_is_performed_by_the_daemon() -> None:
    assert set(get_args(Effect)) == set(_PERFORM)
