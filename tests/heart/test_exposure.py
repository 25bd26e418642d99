"""What is kept of every leg equals what is reckoned from all desks at once, after every event of wild runs."""

from __future__ import annotations

from typing import Any

import pytest
from rig import Rig, calm, hold
from wild import Wild

from hedgegridd.heart.desk import LEGS
from hedgegridd.heart.modes import LegMode
from hedgegridd.kernel import measures
from hedgegridd.model import Leg


def exact(rig: Rig, event: Any, effects: list[Any]) -> None:
    exposure, desks = rig.engine.exposure, list(rig.engine.desks.values())
    legs = [(desk, leg) for desk in desks for leg in LEGS]
    used = {(desk.symbol, leg) for desk, leg in legs if desk.held(leg) or desk.tally.entries[leg]}
    assert exposure.gross_usdt() == sum(desk.held_usdt(leg) + desk.openers_usdt(leg) for desk, leg in legs), event
    bound = [measures.initial_usdt(desk.held_usdt(leg), desk.openers_usdt(leg), desk.instrument.leverage) for desk, leg in legs]
    assert exposure.initial_usdt() == sum(bound)
    for desk, leg in legs:
        assert exposure.legs_with(desk, leg) == len(used | {(desk.symbol, leg)})
        assert exposure.leg_usdt(desk, leg) == desk.held_usdt(leg) + desk.openers_usdt(leg)
    assert exposure.bare() == [desk for desk in desks if any(desk.held(leg) and not desk.tally.closing[leg] for leg in LEGS)]
    assert exposure.unlike() == [desk for desk in desks if any(one.mode != LegMode.NORMAL for one in desk.standing)]


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_all_desks_come_to(seed: int) -> None:
    Wild(seed, exact).run(200)


def test_a_bare_leg_is_known_until_its_stop_rests() -> None:
    rig = hold(calm(), "long")
    assert not rig.engine.exposure.bare()
    for stop in rig.desk().orders.of(Leg.LONG, 2):
        rig.desk().orders.drop(stop.client_id)
    assert rig.engine.exposure.bare() == [rig.desk()]


def test_what_was_weighed_anew_is_told_once() -> None:
    rig = calm()
    rig.engine.exposure.resized()
    assert not rig.engine.exposure.resized()
    rig.desk().books = rig.desk().books._replace(fees=5.0)
    assert rig.engine.exposure.resized() == [rig.desk()] and not rig.engine.exposure.resized()
