"""The money: one definition of equity, and the baselines that drawdown, session and day are measured from.

One law: equity = wallet + unrealized, wallet = start + transfers - charged + sum(realized - fees - funding). A transfer x
multiplies every baseline by (equity + x) / equity, so that moving money is never a gain, a loss or a drawdown.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import asdict, dataclass

from hedgegridd.kernel import measures

DAY_MS = 86_400_000
REMEMBERED_INCOME = 2048


@dataclass(slots=True)
class Baseline:
    """Where a measure starts: since when, the equity then, and the highest since."""

    since: int
    start: float
    peak: float

    def rise(self, equity: float) -> None:
        """Keep the peak."""
        if equity > self.peak:
            self.peak = equity

    def scale(self, factor: float) -> None:
        """A transfer moved the equity by this factor."""
        self.start *= factor
        self.peak *= factor


class Account:
    """Wallet, baselines and what each symbol adds."""

    def __init__(self, start_equity: float, time: int = 0) -> None:
        self.start = start_equity
        self.transfers = 0.0
        self.charged = 0.0  # paid for what no fill and no settlement explains
        self.income_time = 0  # of the newest income booked
        self._income: OrderedDict[str, None] = OrderedDict()
        self.net: dict[str, float] = {}  # realized - fees - funding, by symbol
        self.unrealized: dict[str, float] = {}
        self.wallet = self.equity = 0.0  # USDT with nothing marked to market; what breakers, limits, paper and reports mean by equity
        self._reckon()
        self.session = Baseline(time, start_equity, start_equity)
        self.day = Baseline(time - time % DAY_MS, start_equity, start_equity)
        self.smoothed: tuple[float, int] | None = None  # exponential mean of the session's drawdown, a fraction, and when; None = not kept

    def _reckon(self) -> None:
        """Some part of the money is another: whoever changes one calls this."""
        self.wallet = self.start + self.transfers - self.charged + sum(self.net.values())
        self.equity = self.wallet + sum(self.unrealized.values())

    def begin(self, wallet: float, time: int) -> None:
        """The exchange's wallet is what there is: whatever it holds now it began with, and every baseline starts here."""
        self.start += wallet - self.wallet
        self._reckon()
        self.session = Baseline(self.session.since or time, self.equity, self.equity)
        self.day = Baseline(time - time % DAY_MS, self.equity, self.equity)

    def count_income(self, income_id: str, time: int) -> bool:
        """Count a payment once, by the exchange's name for it. False where it was counted before."""
        if income_id in self._income:
            return False
        self._income[income_id] = None
        if len(self._income) > REMEMBERED_INCOME:
            self._income.popitem(last=False)
        self.income_time = max(self.income_time, time)
        return True

    def open_day(self, time: int) -> bool:
        """Begin a new UTC day with the equity as it stood at midnight, i.e. before the first event at or after it."""
        midnight = time - time % DAY_MS
        if midnight <= self.day.since:
            return False
        self.day = Baseline(midnight, self.equity, self.equity)
        return True

    def mark(self, symbol: str, net: float, unrealized: float) -> None:
        """A symbol's sums moved."""
        self.net[symbol] = net
        self.unrealized[symbol] = unrealized
        self._reckon()
        self.session.rise(self.equity)
        self.day.rise(self.equity)

    def transfer(self, amount: float) -> None:
        """Money came in or went out; the baselines move in proportion (E1)."""
        before = self.equity
        self.transfers += amount
        self._reckon()
        if before > 0 and before + amount > 0:
            factor = (before + amount) / before
            self.session.scale(factor)
            self.day.scale(factor)

    def charge(self, amount: float) -> None:
        """Money was paid (+) or got (-) that no fill and no settlement explains: a loss or a gain like any other."""
        self.charged += amount
        self._reckon()
        self.session.rise(self.equity)
        self.day.rise(self.equity)

    def rebase_session(self, time: int) -> Baseline:
        """Start the session anew at today's equity, its peak stays; answers the old one, for the journal."""
        old = self.session
        self.session = Baseline(time, self.equity, old.peak)
        return old

    def rebase_day(self) -> Baseline:
        """Let the day start at today's equity, its peak stays; answers the old one, for the journal."""
        old = self.day
        self.day = Baseline(old.since, self.equity, old.peak)
        return old

    def rebase_peaks(self) -> Baseline:
        """Measure drawdowns from today's equity, the starts stay; answers the old session, for the journal."""
        old, equity, self.smoothed = self.session, self.equity, None
        self.session, self.day = Baseline(old.since, old.start, equity), Baseline(self.day.since, self.day.start, equity)
        return old

    def drawdown(self) -> float:
        """Loss from the session's peak as a fraction of it; refuses to measure from a peak that is not positive."""
        return measures.drawdown(self.session.peak, self.equity) if self.session.peak > 0 else float("nan")

    def smooth(self, now: int, over_ms: float) -> None:
        """Take the drawdown as it is now into its mean over the last `over_ms` ms; 0 = there is none. It begins at nothing."""
        if over_ms <= 0:
            self.smoothed = None
            return
        mean, since = self.smoothed or (0.0, now)
        drawdown = self.drawdown()
        if drawdown == drawdown:
            self.smoothed = mean + (drawdown - mean) * -math.expm1((since - now) / over_ms), now

    def dump(self) -> dict[str, object]:
        """As JSON, for a checkpoint."""
        return {
            "start": self.start,
            "transfers": self.transfers,
            "charged": self.charged,
            "income_time": self.income_time,
            "income": list(self._income),
            "net": self.net,
            "unrealized": self.unrealized,
            "session": asdict(self.session),
            "day": asdict(self.day),
            "smoothed": None if self.smoothed is None else list(self.smoothed),
        }

    def load(self, data: dict) -> None:  # type: ignore[type-arg]
        """From a checkpoint."""
        self.start, self.transfers = data["start"], data["transfers"]
        self.charged, self.income_time = data.get("charged", 0.0), data.get("income_time", 0)
        self._income = OrderedDict.fromkeys(data.get("income", ()))
        self.net, self.unrealized = dict(data["net"]), dict(data["unrealized"])
        self._reckon()
        self.session, self.day = Baseline(**data["session"]), Baseline(**data["day"])
        smoothed = data.get("smoothed")
        self.smoothed = (smoothed[0], smoothed[1]) if smoothed else None
