"""Nothing that figures are kept of can change untold, and every reader hears of it once."""

from __future__ import annotations

import ast
import inspect
import textwrap

from rig import calm

from hedgegridd.heart.desk import Desk
from hedgegridd.heart.moves import Moves, Told

FIXED = {"symbol", "instrument", "unit", "carries_marks", "max_gap_ms", "tiers"}  # for a desk's whole life
BY_ITSELF = {"orders", "tally"}  # open orders tell, see below
KEPT = {"_legs", "_legs_of"}  # made of the others, and of which


def read(name: str, seen: set[str]) -> set[str]:
    """The fields of a desk that a method of it is made of, and those it calls."""
    member = inspect.getattr_static(Desk, name)
    source = inspect.getsource(member.fget if isinstance(member, property) else member)
    found = {node.attr for node in ast.walk(ast.parse(textwrap.dedent(source)))
             if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"}  # fmt: skip
    fields = set()
    for one in found - seen:
        seen.add(one)
        method = isinstance(inspect.getattr_static(Desk, one, None), property) or inspect.isfunction(getattr(Desk, one, None))
        fields |= read(one, seen) if method and one not in BY_ITSELF else {one}
    return fields


def test_every_field_that_a_view_is_made_of_is_told() -> None:
    told = {name for name, member in vars(Desk).items() if isinstance(member, Told)}
    made_of = read("view", set()) | read("dormant", set()) | read("held_usdt", set())
    assert made_of - FIXED - BY_ITSELF - KEPT <= told, "let these be `told()`"
    assert told - made_of == {"standing"}, "of this the exposure alone is made"


def test_each_reader_hears_of_every_move_once() -> None:
    moves = Moves([calm().desk(), calm().desk()])
    one, other = moves.reader(), moves.reader()
    assert one.take() == {0, 1} and one.take() == set()
    moves.desks[1].mark = 5.0
    assert one.take() == {1} and one.take() == set()
    moves.desks[0].books = moves.desks[0].books._replace(fees=1.0)
    assert one.take() == {0}
    assert other.take() == {0, 1} and other.take() == set()


def test_an_order_that_changes_a_sum_is_told_and_one_that_does_not_is_not() -> None:
    desk = calm().desk()
    reader = Moves([desk]).reader()
    reader.take()
    entry = next(order for order in desk.orders.open.values() if order.role == 0)
    tally = desk.tally
    desk.orders.doubt_one(entry.client_id)
    assert not reader.take() and desk.tally is tally
    desk.orders.resize(entry.client_id, entry.qty + 1)
    assert reader.take() == {0} and desk.tally != tally
    desk.orders.drop(entry.client_id)
    assert reader.take() == {0}
