"""The hash of decisions: the same whenever it is asked for, and another for another order or figure."""

import hashlib

from hedgegridd.heart.decisions import Decisions

ROWS = [("order", {"t": 1, "client_id": "a", "qty": 2}), ("cancel", {"t": 2, "client_ids": ["a", "b"]}), ("fill", {"t": 3, "price": 0.5})]


def hash_of(rows: list, ask: bool = False, known: str = "") -> str:  # type: ignore[type-arg]
    decisions = Decisions(known)
    for kind, data in rows:
        decisions.add(kind, data)
        if ask:
            assert decisions.hash
    return decisions.hash


def test_nothing_decided_has_no_hash() -> None:
    assert Decisions().hash == ""


def test_it_is_the_chain_of_all_decisions_whenever_it_is_asked_for() -> None:
    chain = ""
    for kind, data in ROWS:
        chain = hashlib.sha256(f"{chain}{kind}{sorted(data.items())}".encode()).hexdigest()[:32]
    assert hash_of(ROWS) == hash_of(ROWS, ask=True) == chain
    assert hash_of(ROWS[2:], known=hash_of(ROWS[:2])) == chain, "a checkpoint goes on with what it knew"


def test_another_order_or_figure_is_another_hash() -> None:
    other = [*ROWS[:2], ("fill", {"t": 3, "price": 0.25})]
    assert len({hash_of(ROWS), hash_of(ROWS[::-1]), hash_of(other), hash_of(ROWS[:2])}) == 4
