"""Flatten: from a decision to zero, as the exchange reports it."""

from __future__ import annotations

import pytest
from rig import START, Rig, check, config_of, steady

from hedgegridd.heart.flatten import Flatten
from hedgegridd.model import Cancelled, Fill, Held, Leg, Level, Order, Rejected, Report, Role, Trouble


def both_legs(**tables: object) -> Rig:
    """Long and short held at once."""
    rig = steady(Rig(config_of(**tables)).start())
    rig.bars([500_000], reach=3_200)  # one bar that touches the nearest rung of each side
    assert rig.desk().books.long_qty > 0
    assert rig.desk().books.short_qty > 0
    return rig


def held(rig: Rig) -> tuple[int, int]:
    return rig.desk().books.long_qty, rig.desk().books.short_qty


def test_activate_closes_everything_and_only_then_says_flat() -> None:
    rig = both_legs()
    assert any(held(rig))
    reply = rig.verb("activate", reason="rumour")
    assert reply is not None
    assert reply.result["durable"]
    assert held(rig) == (0, 0)
    assert not rig.desk().orders.open
    assert rig.engine.kill.phase == "flat"
    assert rig.latch["phase"] == "flat"
    (flat,) = rig.of("flat")
    assert flat["status"] == "flat"
    kinds = [act.kind for act in rig.acts]
    assert kinds.index("flat") > max(i for i, kind in enumerate(kinds) if kind in ("fill", "cancelled"))
    check(rig)


def test_closes_leave_before_the_disk_is_asked() -> None:
    rig = both_legs()
    effects = [type(effect).__name__ for effect in rig.take_only("activate", reason="x")]
    assert effects.index("Place") < effects.index("Sync")
    assert effects.index("Cancel") < effects.index("Sync")


def test_one_leg_and_the_other_stays() -> None:
    rig = both_legs()
    leg = Leg.LONG if rig.desk().books.long_qty else Leg.SHORT
    other = rig.desk().held(1 - leg)
    reply = rig.verb("flatten", leg=leg.name.lower(), reason="one only")
    assert reply.result["status"] == "flat"
    assert rig.desk().held(leg) == 0
    assert rig.desk().held(1 - leg) == other
    assert rig.desk().standing[leg].shut
    assert not [order for order in rig.resting(Role.ENTRY) if order.leg == leg], "the grid must not buy it back"
    rig.verb("resume")
    rig.bars([rig.desk().bar.close])
    assert [order for order in rig.resting(Role.ENTRY) if order.leg == leg]


def test_a_late_fill_is_closed_again() -> None:
    rig = both_legs()
    rig.verb("activate", reason="x")
    late = Fill("BTCUSDT", rig.engine.now, Leg.LONG, 1, 497_000, 3, 0.0, True, "hg-BTCUSDT-LE-497000-zz", "late", "late-1")
    rig.exchange.pits["BTCUSDT"].books = rig.exchange.pits["BTCUSDT"].books._replace(long_qty=3, long_entry=497_000.0)
    rig.take(late)
    rig.timer(1)
    assert held(rig) == (0, 0)
    assert rig.engine.kill.phase == "flat"


def test_a_large_leg_is_closed_in_pieces_the_exchange_takes() -> None:
    rig = both_legs()
    rig.desk().instrument = rig.desk().instrument._replace(market_max_qty=1)
    rig.verb("activate", reason="x")
    closes = [order for order in rig.sent if order.role == Role.CLOSE]
    assert closes
    assert all(order.qty == 1 for order in closes)
    assert held(rig) == (0, 0)


class Deaf:
    """An exchange that refuses to close for a while."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.real, self.deaf = rig, rig.exchange.place, True
        rig.exchange.place = self.place  # the rig's own exchange object, not our code

    def place(self, orders: tuple) -> None:  # type: ignore[type-arg]
        for order in orders:
            if self.deaf and order.role == Role.CLOSE:
                self.rig.inbox.append(Rejected(order.client_id, self.rig.engine.now, -4131, "no liquidity"))
            else:
                self.real([order])


def test_past_its_deadline_it_is_failed_pages_again_and_still_ends_flat() -> None:
    rig = both_legs(flatten={"deadline_seconds": 5.0})
    deaf = Deaf(rig)
    rig.verb("activate", reason="x")
    for _ in range(80):
        rig.timer(1)
    assert rig.engine.kill.phase == "failed"
    pages = [alert for alert in rig.alerts if alert.rule == "flatten_failed"]
    assert len(pages) >= 2, "a failed flatten pages again and again"
    assert any(held(rig))
    deaf.deaf = False
    for _ in range(10):
        rig.timer(1)
    assert held(rig) == (0, 0)
    assert rig.engine.kill.phase == "flat"


def test_a_market_without_room_hears_one_piece_at_a_time() -> None:
    rig = both_legs()
    deaf, held_before = Deaf(rig), held(rig)
    rig.verb("activate", reason="x")
    unanswered: list[str] = []
    rig.exchange.place = lambda orders: unanswered.extend(order.client_id for order in orders)  # its answers take a while
    for _ in range(20):
        rig.mark(500_000.0, seconds=0.05)
    legs = [name.split("-")[2][0] for name in unanswered]
    assert sorted(legs) == sorted(set(legs)) and legs, "one of each leg, whatever else happens meanwhile"
    rig.exchange.place, deaf.deaf = deaf.real, False
    for name in unanswered:
        rig.take(Rejected(name, rig.engine.now, -4131, "no liquidity"))
    for _ in range(40):
        rig.timer(1)
    assert held_before != held(rig) == (0, 0) and rig.engine.kill.phase == "flat"


def test_halt_cancels_openers_and_leaves_exits_and_stops() -> None:
    rig = both_legs()
    before = held(rig)
    rig.verb("activate", reason="x", level="halt")
    assert held(rig) == before
    assert not rig.resting(Role.ENTRY)
    assert rig.resting(Role.STOP)
    assert rig.resting(Role.TAKE_PROFIT)
    assert rig.engine.kill.phase == "idle"
    rig.verb("activate", reason="worse", level="flatten")
    assert held(rig) == (0, 0)


@pytest.mark.parametrize("moment", range(6))
def test_a_restart_in_the_middle_goes_on_where_it_was(moment: int) -> None:
    rig = both_legs()
    deaf = Deaf(rig)
    rig.verb("activate", reason="x")
    for _ in range(moment):
        rig.timer(1)
    deaf.deaf = False
    rig.exchange.place = deaf.real
    again = rig.restarted()
    for _ in range(8):
        again.timer(1)
    assert again.engine.kill.active
    assert again.engine.kill.level == Level.FLATTEN
    assert held(again) == (0, 0)
    assert again.engine.kill.phase == "flat"
    assert not [order for order in again.sent if order.role == Role.ENTRY]
    check(again)


def test_nothing_opens_after_the_kill() -> None:
    rig = both_legs()
    rig.verb("activate", reason="x")
    sent = len(rig.sent)
    rig.bars([490_000, 505_000, 480_000, 500_000])
    assert not [order for order in rig.sent[sent:] if order.role == Role.ENTRY]
    assert not [event for event in rig.inputs[-4:] if isinstance(event, Cancelled)]
    assert rig.engine.now > START


ZERO = Report(START, 10_000.0, (Held("BTCUSDT", 0, 0, 0.0), Held("BTCUSDT", 1, 0, 0.0)), ())
OWN = Order("hg-BTCUSDT-LT-500000-1", "BTCUSDT", Leg.LONG, Role.TAKE_PROFIT, -1, 500_000, 1)


@pytest.mark.parametrize(
    ("report", "flat"),
    [
        (ZERO, True),
        (ZERO._replace(held=(Held("BTCUSDT", 1, 3, 500_000.0),)), False),
        (ZERO._replace(orders=(OWN,)), False),
        (ZERO._replace(orders=(OWN._replace(client_id="web_1"),)), True),  # another hand's order is not ours to wait for
        (ZERO._replace(held=(Held("ETHUSDT", 0, 3, 1.0),)), True),  # not in its scope
    ],
)
def test_only_the_exchanges_own_zero_is_flat(report: Report, flat: bool) -> None:
    flatten = Flatten([("BTCUSDT", 0), ("BTCUSDT", 1)], "x", START, 1_000)
    assert not flatten.judge(report, START), "nobody asked for a report yet"
    flatten.phase, flatten.asked_at = "verifying", START
    assert flatten.judge(report, START + 1) is flat
    assert (flatten.phase == "flat") is flat


def test_books_that_say_zero_do_not_make_it_flat() -> None:
    rig = both_legs()
    pit = rig.exchange.pits["BTCUSDT"]
    rig.verb("activate", reason="x")
    pit.books = pit.books._replace(short_qty=2, short_entry=500_000.0)  # a fill we never heard of, just before the next look
    rig.engine.start_flatten(rig.engine.everything(), "again", kill=True)
    rig.timer(1)
    for _ in range(4):
        rig.timer(1)
    assert pit.books.short_qty == 0, "found in the exchange's report, and closed"
    assert rig.engine.kill.phase == "flat"


def closes(rig: Rig) -> list[Order]:
    return [order for order in rig.sent if order.role == Role.CLOSE]


def test_pieces_that_are_refused_together_wait_as_long_as_one() -> None:
    rig = both_legs()
    rig.desk().instrument = rig.desk().instrument._replace(market_max_qty=1)
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE else 0
    rig.verb("activate", reason="x")
    once = len(closes(rig))
    assert once > 2
    rig.timer(0.25)
    assert len(closes(rig)) == 2 * once
    rig.timer(0.5)
    assert len(closes(rig)) == 3 * once
    works = rig.engine.active()[0].works
    assert [work.retry_ms for work in works] == [2_000, 2_000]


def test_a_leg_that_is_refused_holds_no_other_back() -> None:
    rig = both_legs()
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE and order.leg == Leg.SHORT else 0
    rig.verb("activate", reason="x")
    rig.timer(1)
    rig.timer(1)
    rig.timer(2)
    assert rig.desk().books.long_qty == 0
    pit = rig.exchange.pits["BTCUSDT"]
    pit.books = pit.books._replace(long_qty=3, long_entry=497_000.0)
    rig.take(Fill("BTCUSDT", rig.engine.now, Leg.LONG, 1, 497_000, 3, 0.0, True, "hg-BTCUSDT-LE-497000-zz", "late", "late-1"))
    assert rig.desk().books.long_qty == 0, "a late fill is closed at once, whatever becomes of the short leg"


def test_when_a_ban_ends_closes_leave_at_once() -> None:
    rig = both_legs()
    end = rig.engine.now + 8_000
    rig.take(Trouble(rig.engine.now, "ban", "banned", until=end))
    rig.refuse = lambda order: -1003 if order.role == Role.CLOSE and rig.engine.now < end else 0
    rig.verb("activate", reason="x")
    for _ in range(7):
        rig.timer(1)
    assert all(held(rig))
    rig.timer(1)
    assert rig.engine.now == end
    assert held(rig) == (0, 0)


def test_a_flatten_of_an_older_checkpoint_is_taken_up() -> None:
    new = Flatten([("BTCUSDT", 0)], "x", START, 1_000).dump()
    old = {key: value for key, value in new.items() if key not in ("works", "way", "proof", "reads")}
    taken = Flatten.load({**old, "retry_ms": 500, "retry_at": START})
    assert taken.dump() == new


def test_reports_are_counted_once() -> None:
    flatten = Flatten([("BTCUSDT", 0), ("BTCUSDT", 1)], "x", START, 1_000)
    flatten.phase = "verifying"
    assert flatten.judge(ZERO._replace(since=START + 1), START + 2)
    assert flatten.proof["reads"] == 1
