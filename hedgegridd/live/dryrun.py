"""Dry run: an exchange that takes every order and sends none. One law: nothing leaves the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hedgegridd.model import Accepted, Amended, Cancelled, Order, Report


class DryRun:
    """Keeps the `Exchange` contract with nobody behind it: orders rest for ever and never fill."""

    orders_cost_network = False

    def __init__(self, name: str) -> None:
        self.name = f"{name} (dry run)"
        self._resting: dict[str, Order] = {}
        self._time = 0
        self._count = 0

    def start(self, emit: Callable[[Any], None], _: Any, __: Any) -> None:
        self._emit = emit

    def market(self, event: Any) -> None:
        self._time = event.time

    def place(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self._count += 1
            self._resting[order.client_id] = order
            self._emit(Accepted(order.client_id, f"dry{self._count}", self._time))

    def amend(self, client_id: str, qty: int) -> None:
        self._emit(Amended(client_id, self._time, qty))

    def cancel(self, orders: Sequence[Order]) -> None:
        for order in orders:
            known = self._resting.pop(order.client_id, None)
            self._emit(Cancelled(order.client_id, self._time, "dry run" if known else "unknown"))

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        self._emit(Report(self._time, 0.0, (), tuple(self._resting.values())))

    def restore(self, report: Report, seen: Sequence[Any] = ()) -> None:
        self._time = report.time
        self._resting = {order.client_id: order for order in report.orders}

    def stop(self) -> None:
        self._resting.clear()
