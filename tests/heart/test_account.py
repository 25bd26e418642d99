"""Equity has one definition; moving money is never a gain, a loss or a drawdown (E1)."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.heart.account import DAY_MS, Account

money = st.floats(-5_000, 5_000)


@given(money, money, money)
def test_equity_is_wallet_plus_unrealized_over_all_symbols(net: float, transfer: float, unrealized: float) -> None:
    account = Account(10_000.0)
    account.mark("A", net, unrealized)
    account.mark("B", -net, 2 * unrealized)
    account.transfer(transfer)
    assert math.isclose(account.wallet, 10_000.0 + transfer, abs_tol=1e-6)
    assert math.isclose(account.equity, 10_000.0 + transfer + 3 * unrealized, abs_tol=1e-6)


CHANGES = st.tuples(st.sampled_from(["mark", "transfer", "charge", "begin", "load"]), st.sampled_from("AB"), money, money)


@given(st.lists(CHANGES, max_size=20))
def test_what_is_kept_of_the_money_is_what_it_comes_to_after_every_change(changes: list[tuple[str, str, float, float]]) -> None:
    account = Account(10_000.0)
    for what, symbol, one, other in changes:
        if what == "mark":
            account.mark(symbol, one, other)
        elif what == "begin":
            account.begin(10_000.0 + one, 5)
        elif what == "load":
            dumped, account = json.loads(json.dumps(account.dump())), Account(other)
            account.load(dumped)
        else:
            getattr(account, what)(one)
        assert account.wallet == account.start + account.transfers - account.charged + sum(account.net.values())
        assert account.equity == account.wallet + sum(account.unrealized.values())


@given(st.floats(-9_000, 50_000), st.floats(-900, 900))
def test_a_transfer_leaves_every_fraction_as_it_was(amount: float, loss: float) -> None:
    account = Account(10_000.0)
    account.mark("A", 500.0, 0.0)
    account.mark("A", 500.0, -loss - 1000)
    before = (
        account.drawdown(),
        account.equity / account.session.start,
        account.equity / account.day.start,
        account.equity / account.day.peak,
    )
    account.transfer(amount if account.equity + amount > 0 else 1.0)
    after = (
        account.drawdown(),
        account.equity / account.session.start,
        account.equity / account.day.start,
        account.equity / account.day.peak,
    )
    assert all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(before, after, strict=True))


def test_the_document_s_own_example_is_what_it_should_be() -> None:
    """E1: 1000 gained and 1050 lost again is 5.25 % of 20,000 and not 105 %."""
    account = Account(19_000.0)
    account.mark("A", 1000.0, 0.0)
    account.mark("A", -50.0, 0.0)
    assert account.drawdown() * 100 == 5.25


def test_a_day_begins_with_the_equity_at_midnight() -> None:
    account = Account(1000.0, 5 * DAY_MS + 1)
    account.mark("A", 100.0, 0.0)
    assert account.day.start == 1000.0 and account.day.peak == 1100.0
    assert not account.open_day(6 * DAY_MS - 1)
    assert account.open_day(6 * DAY_MS) and not account.open_day(6 * DAY_MS + 5)
    assert (account.day.since, account.day.start, account.day.peak) == (6 * DAY_MS, 1100.0, 1100.0)
    assert account.session.start == 1000.0, "a session lasts until a person ends it"


def test_a_peak_that_is_not_positive_measures_nothing() -> None:
    account = Account(10.0)
    account.session.peak = 0.0
    assert math.isnan(account.drawdown())


def test_survives_a_checkpoint() -> None:
    account, other = Account(1000.0, DAY_MS), Account(1.0)
    account.mark("A", 5.0, -2.5)
    account.transfer(100.0)
    other.load(json.loads(json.dumps(account.dump())))
    assert other.dump() == account.dump() and other.equity == account.equity
