"""The picture that is kept is the one that would be made from nothing, after every event of wild runs."""

from __future__ import annotations

from typing import Any

import pytest
from rig import Rig, calm, config_of, instrument_table
from wild import Wild, fresh

from hedgegridd.heart.snapshot import picture
from hedgegridd.model import Mark, Quote


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_one_made_from_nothing_is(seed: int) -> None:
    seen = set[int]()

    def after(rig: Rig, event: Any, effects: list[Any]) -> None:
        if len(rig.inputs) % 3 == seed % 3:  # else only what breakers asked for was made
            made = picture(rig.engine)
            assert repr(made) == repr(fresh(rig.engine)), event
            seen.add(len(made.instruments))

    Wild(seed, after).run(200)
    assert seen


def test_a_view_is_made_anew_only_where_something_moved() -> None:
    config = config_of(instrument=[instrument_table("BTCUSDT"), instrument_table("ETHUSDT")])
    rig = Rig(config, frozenset({"bars", "marks", "index", "quotes"}), cadence_ms=1_000).start()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rig.take(Mark(symbol, rig.engine.now, 500_000.0, 500_000.0))
    sights = rig.engine.sights
    one, other = sights.views
    rig.take(Quote("BTCUSDT", rig.engine.now + 900, 499_999, 5, 500_001, 5))
    assert sights.views[0] is not one and sights.views[1] is other
    one = sights.views[0]
    rig.take(Mark("BTCUSDT", rig.engine.now + 600, 500_000.0, 500_000.0))
    assert sights.views[1] is not None and sights.views[1].data_age_ms == 500, "time itself moved it"
    assert sights.views[0] is not one


def test_the_sums_are_the_same_object_while_no_money_moved() -> None:
    rig = calm()
    sights = rig.engine.sights
    before = sights.sums(0)
    rig.timer(1)
    assert sights.sums(0) is before
    assert sights.sums(1) is not before
    rig.engine.account.transfer(5.0)
    assert sights.sums(1).transfers == 5.0
