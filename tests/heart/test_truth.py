"""The heart where the exchange is heard over a network: what the simulation of a bad one found, each case by itself."""

from __future__ import annotations

from rig import calm, hold

from hedgegridd.heart.effects import AskReport
from hedgegridd.model import OrderState, Rejected, Role, Trouble


def test_a_close_that_our_own_take_profits_stand_in_the_way_of_gets_through() -> None:
    rig = hold(calm(), "long")
    stop = rig.resting(Role.STOP)[0]
    rig.refuse = lambda order: (
        -2021 if order.role == Role.STOP else -2022 if order.role == Role.CLOSE and rig.resting(Role.TAKE_PROFIT) else 0
    )
    rig.exchange.cancel((stop,))
    rig.drain()
    for _ in range(20):
        rig.timer(0.5)
    assert not rig.desk().books.long_qty
    assert rig.of("flat")


def test_a_refusal_of_an_older_request_does_not_forget_the_order_that_rests() -> None:
    rig = calm()
    resting = rig.resting(Role.ENTRY)[0]
    assert resting.state == OrderState.LIVE
    rig.take(Rejected(resting.client_id, rig.engine.now, -1021, "timestamp outside of the receive window"))
    assert rig.desk().orders.open[resting.client_id].state == OrderState.LIVE, "the report says that it rests"


def test_an_exchange_that_says_again_and_again_that_it_is_deaf_is_not_asked_as_often() -> None:
    rig = calm()
    rig.timer(2.0)
    effects = [effect for _ in range(5) for effect in rig.take_one(Trouble(rig.engine.now, "deaf", "the stream is down"))]
    assert len([effect for effect in effects if isinstance(effect, AskReport)]) == 1
