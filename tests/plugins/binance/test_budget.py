"""The budget: headers win over our own count, a fifth is kept, windows end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plugins._binance.budget import LIMITS, ORDERS_1M, ORDERS_10S, WEIGHT, Budget, Cost

NOW = 1_700_000_040_000  # a minute begins


def spend(budget: Budget, cost: Cost, now: int, **headers: str) -> None:
    budget.end(budget.begin(cost, now), {name.replace("_", "-"): value for name, value in headers.items()}, now)


def test_the_reserve_is_for_what_closes() -> None:
    budget = Budget()
    spend(budget, Cost(1), NOW, x_mbx_used_weight_1m=str(int(LIMITS[WEIGHT] * 0.8)))
    assert not budget.may(Cost(1), urgent=False, now=NOW)
    assert budget.may(Cost(1), urgent=True, now=NOW)
    assert budget.may(Cost(0, 1, 1), urgent=False, now=NOW), "orders are counted apart"
    assert budget.room_at(Cost(1), NOW) == NOW + 60_000
    assert budget.may(Cost(1), urgent=False, now=NOW + 60_000)


def test_nothing_goes_beyond_the_limit() -> None:
    budget = Budget()
    spend(budget, Cost(1), NOW, x_mbx_order_count_10s="300")
    assert not budget.may(Cost(0, 1, 1), urgent=True, now=NOW)
    assert budget.may(Cost(0, 1, 1), urgent=True, now=NOW + 10_000)


def test_what_is_on_its_way_counts() -> None:
    budget = Budget()
    for _ in range(48):
        budget.begin(Cost(5, 5, 1), NOW)
    assert not budget.may(Cost(5, 5, 1), urgent=False, now=NOW)
    assert budget.counters[ORDERS_10S].level(NOW) == 240


def test_a_header_of_the_last_window_says_nothing_of_this_one() -> None:
    budget = Budget()
    ticket = budget.begin(Cost(1), NOW - 10)
    budget.end(ticket, {"x-mbx-used-weight-1m": "2399"}, NOW + 10)
    assert budget.may(Cost(1), urgent=False, now=NOW + 10)


def test_another_program_on_the_address_is_seen() -> None:
    budget = Budget()
    spend(budget, Cost(1), NOW, x_mbx_used_weight_1m="1200")
    assert budget.fullest_pct(NOW) == 50.0


def test_the_testnet_counts_nothing() -> None:
    budget = Budget()
    spend(budget, Cost(7), NOW, x_mbx_used_weight_1m="-1", x_mbx_order_count_10s="2")
    assert budget.counters[WEIGHT].level(NOW) == 7
    assert budget.counters[ORDERS_10S].level(NOW) == 2


def test_limits_are_learnt() -> None:
    budget = Budget()
    budget.learn([
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 10},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 3},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 1},
    ])  # fmt: skip
    assert [budget.counters[name].limit for name in (WEIGHT, ORDERS_10S, ORDERS_1M)] == [6000, 10, 1200]


def test_a_second_429_is_a_ban_on_its_way() -> None:
    budget = Budget()
    assert not budget.grows(NOW, NOW - 9)
    assert not budget.grows(NOW + 1, NOW - 9), "it was on its way when the first was heard"
    assert budget.grows(NOW + 60_000, NOW + 59_990)
    assert not budget.grows(NOW + 3_600_000, NOW + 3_599_990)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 9), st.booleans(), st.integers(0, 3000)), max_size=40))
def test_it_never_counts_less_than_what_is_on_its_way(steps: list[tuple[int, int, bool, int]]) -> None:
    budget, now, open_ = Budget(), NOW, []
    for wait, weight, finish, told in steps:
        now += wait
        open_.append(budget.begin(Cost(weight, weight, weight), now))
        if finish:
            budget.end(open_.pop(0), {"x-mbx-used-weight-1m": str(told)}, now)
        pending = sum(ticket.cost.weight for ticket in open_)
        assert all(counter.level(now) >= pending for counter in budget.counters.values())
        assert all(counter.pending == pending for counter in budget.counters.values())
