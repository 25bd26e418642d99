"""What a run tells its recorder, as rows. One law: it is told once, when it happens. Kernel dialect."""

from __future__ import annotations

from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Run


def log(
    run: Run, kind: int, ticket: int, leg: int, role: int, side: int, price: int, qty: int, more: int, fee: float, realized: float
) -> None:
    """Tell the recorder."""
    told = run.log
    at = told.count[0]
    if at >= s.LOG_ROWS:
        run.n[s.BAIL] = s.BAIL_FULL_INBOX
        return
    told.kind[at], told.time[at], told.ticket[at], told.leg[at], told.role[at] = kind, run.n[s.NOW], ticket, leg, role
    told.side[at], told.price[at], told.qty[at], told.more[at] = side, price, qty, more
    told.fee[at], told.realized[at] = fee, realized
    told.count[0] = at + 1
