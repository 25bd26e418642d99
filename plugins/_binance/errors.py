"""What an error of the exchange means, as one table. One law: what is not proven to have failed is UNKNOWN, never failed.

Pure: it is handed a status, a code and a text, and answers what became of the request and what must follow for trading.
No text made here holds an address, a query or a key.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, NamedTuple

from hedgegridd.errors import ExchangeError

MINUTE = 60_000
NO_ANSWER, NEVER_SENT, NOT_JSON, OVER_BUDGET = -1, -2, -3, -4  # codes of our own, where the exchange gave none
BANNED_CODE = -1003
BUSY = -1008
WALL = 403  # the status by which the firewall before the exchange refuses


class Act(StrEnum):
    """What became of the request."""

    FINE = "fine"  # refused because it is so already
    EXISTS = "exists"  # an order of this client id is there
    GONE = "gone"  # no such order (any more)
    REFUSED = "refused"  # not done
    FAILED = "failed"  # not done, and the same again may succeed
    CLOCK = "clock"  # not done: our time was wrong
    UNKNOWN = "unknown"  # done or not done


class Meaning(NamedTuple):
    """One row: what became of it, and the `Trouble` it makes: its kind, for how long, and whether for all symbols."""

    act: Act
    trouble: str = ""
    pause_ms: int = 0
    everywhere: bool = True


REFUSED, UNKNOWN = Meaning(Act.REFUSED), Meaning(Act.UNKNOWN)
GONE, CLOCK = Meaning(Act.GONE), Meaning(Act.CLOCK)
FAILED = Meaning(Act.FAILED, "slow", 5_000)
SHORT_OF_MARGIN = Meaning(Act.REFUSED, "slow", MINUTE)
AT_A_LIMIT = Meaning(Act.REFUSED, "slow", 30_000)
TOO_FAST = Meaning(Act.REFUSED, "slow", 10_000)
BANNED = Meaning(Act.REFUSED, "ban", 2 * MINUTE)
WALLED = Meaning(Act.FAILED, "wall", MINUTE)  # no ban of our address: what closes is tried again, as nothing else may protect
KEYS = Meaning(Act.REFUSED, "halt")
BUG = Meaning(Act.REFUSED, "halt", 0, False)

#: code -> meaning. What is not listed is a refusal that nobody foresaw: the symbol halts and a person looks.
CODES: dict[int, Meaning] = {
    NO_ANSWER: UNKNOWN,
    NOT_JSON: UNKNOWN,
    NEVER_SENT: FAILED,
    OVER_BUDGET: TOO_FAST,
    -1000: UNKNOWN,
    -1001: UNKNOWN,
    -1006: UNKNOWN,
    -1007: UNKNOWN,
    BUSY: FAILED,
    -1016: FAILED,
    -1002: KEYS,
    -1022: KEYS,
    -2014: KEYS,
    -2015: KEYS,
    -4061: KEYS,  # the position mode was changed behind our back
    BANNED_CODE: Meaning(Act.REFUSED, "slow", MINUTE),
    -1015: TOO_FAST,
    -1021: CLOCK,
    -5028: CLOCK,
    -1125: GONE,  # listen key
    -2010: SHORT_OF_MARGIN,
    -2018: SHORT_OF_MARGIN,
    -2019: SHORT_OF_MARGIN,
    -2023: SHORT_OF_MARGIN,
    -2027: SHORT_OF_MARGIN,
    -2028: SHORT_OF_MARGIN,
    -2025: AT_A_LIMIT,
    -4045: AT_A_LIMIT,
    -2011: GONE,
    -2013: GONE,
    -2020: REFUSED,
    -2021: REFUSED,
    -2022: REFUSED,
    -2024: REFUSED,
    -4003: REFUSED,
    -4004: REFUSED,
    -4005: REFUSED,
    -4016: REFUSED,
    -4024: REFUSED,
    -4118: REFUSED,
    -4130: REFUSED,
    -4131: REFUSED,
    -4164: REFUSED,
    -4509: REFUSED,
    -5021: REFUSED,
    -5022: REFUSED,
    -4047: REFUSED,
    -4048: REFUSED,
    -4067: REFUSED,
    -4068: REFUSED,
    -4161: REFUSED,
    -4168: REFUSED,
    -4531: REFUSED,
    -4046: Meaning(Act.FINE),
    -4059: Meaning(Act.FINE),
    -5027: Meaning(Act.FINE),
    -4116: Meaning(Act.EXISTS),
    -4117: Meaning(Act.EXISTS),
    -1102: BUG,
    -1106: BUG,
    -1111: BUG,
    -1116: BUG,
    -1117: BUG,
    -1121: BUG,
    -4014: BUG,
    -4015: BUG,
    -4023: BUG,
    -4120: BUG,
    -4137: BUG,
    -4140: BUG,
    -4192: BUG,
    -4400: BUG,
}

#: status -> meaning, whatever the code: the exchange's wall speaks before its engine.
STATUSES: dict[int, Meaning] = {401: KEYS, WALL: WALLED, 408: UNKNOWN, 418: BANNED}
#: what a 503 says of itself, and a 429 without a code we know
UNKNOWN_503, FAILED_503 = ("unknown error", "execution status unknown"), ("service unavailable", "internal error; unable to process")
UNTIL = re.compile(r"banned until (\d{13})")


def judge(status: int, code: int, text: str) -> Meaning:
    """What this answer means."""
    if status in STATUSES:
        return STATUSES[status]
    if status == 503 and code != BUSY:
        return _judge_503(text.lower())
    if code in CODES:
        return CODES[code]
    if status == 429:
        return CODES[BANNED_CODE]
    return UNKNOWN if status >= 500 or status == 0 or 300 <= status < 400 else BUG


def _judge_503(text: str) -> Meaning:
    """Two texts of a 503 prove that nothing was done; any other leaves it open."""
    if any(words in text for words in UNKNOWN_503):
        return UNKNOWN
    return FAILED if any(words in text for words in FAILED_503) else UNKNOWN


def banned_until(text: str) -> int:
    """The moment a ban names in its text, ms; 0 where it names none."""
    found = UNTIL.search(text)
    return int(found[1]) if found else 0


class Misfit(ExchangeError):
    """What is asked for is not there, however often one asks."""

    permanent = True


class Fault(ExchangeError):
    """A request that did not end in an answer to use. `code` is the exchange's, or one of our own where it gave none."""

    def __init__(self, status: int, code: int, text: str, retry_after_ms: int = 0) -> None:
        self.status, self.text, self.retry_after_ms = status, text, retry_after_ms
        self.code = NEVER_SENT if status == WALL else code  # whatever the wall says: the exchange behind it has not seen the request
        self.meaning = judge(status, code, text)
        super().__init__(f"{text} ({self.code})" if status in (0, 200) else f"{text} ({self.code}, HTTP {status})")

    @property
    def act(self) -> Act:
        return self.meaning.act

    @property
    def passing(self) -> bool:
        """Says nothing of what was asked for: the same again, later, may be answered."""
        return self.act in (Act.UNKNOWN, Act.FAILED, Act.CLOCK) or self.meaning.trouble in ("slow", "wall", "ban")

    @property
    def permanent(self) -> bool:  # type: ignore[override]
        """Keys that are refused, or a request that is wrong in itself."""
        return self.meaning.trouble == "halt"


def fault_in(status: int, row: Any, retry_after_ms: int = 0) -> Fault | None:
    """The error that a decoded answer carries, by itself or as one element of a batch; None where it carries none."""
    if not isinstance(row, dict) or "code" not in row or "orderId" in row or "algoId" in row:
        return None
    try:
        code = int(row["code"])
    except (TypeError, ValueError):
        code = NOT_JSON
    return None if code in (0, 200) else Fault(status, code, str(row.get("msg"))[:300], retry_after_ms)
