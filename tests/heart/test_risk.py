"""Which desks have a look at each event, and which need none while nothing is near to a line."""

from __future__ import annotations

from typing import Any

import pytest
from rig import Rig, calm
from wild import Wild


@pytest.mark.parametrize("seed", range(6))
def test_a_desk_that_had_no_look_would_not_have_changed(seed: int) -> None:
    looks = [0, 0]

    def after(rig: Rig, event: Any, effects: list[Any]) -> None:
        engine = rig.engine
        if engine.dirty:
            return
        drawdown = engine.account.drawdown()
        for desk in engine.desks.values():
            before = (desk.guarded, desk.errors_until)
            looks[bool(before[0])] += 1
            if drawdown * 100 < desk.drawdown_line and not desk.guarded:
                assert not desk.guard(engine.now, drawdown) and (desk.guarded, desk.errors_until) == before, event

    Wild(seed, after).run(200)
    assert looks[0]


def test_errors_are_forgotten_after_a_minute_though_nothing_else_happens() -> None:
    rig = calm()
    rig.desk().errors.append(rig.engine.now)
    rig.engine.errors.append(rig.engine.now)
    rig.timer(59)
    assert rig.desk().errors
    rig.timer(2)
    assert not rig.desk().errors and not rig.engine.errors
