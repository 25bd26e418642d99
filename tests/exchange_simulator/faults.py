"""Faults: what goes wrong on the way, on request.

Its one law: a fault is a row of a table, applied where requests and events pass; it never touches the account, unless it says that the
request was executed. Chance comes from the seed alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from exchange_simulator.records import Json
from exchange_simulator.refusals import WORDS, Refused

UNKNOWN_TEXT = "Unknown error, please check your request or try again later."
UNAVAILABLE_TEXT = "Service Unavailable."
INTERNAL_TEXT = "Internal error; unable to process your request. Please try again."
HTML = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>"


class Kind(NamedTuple):
    """One way to fail: is the request executed, how does the answer look."""

    executed: bool
    way: str  #: answer | slow | ban | reset | late | hang | text | pass
    status: int = 0
    code: int = 0
    text: str = ""


KINDS: dict[str, Kind] = {
    "reset_executed": Kind(True, "reset"),
    "reset_not_executed": Kind(False, "reset"),
    "reset_executed_late": Kind(False, "late"),  # torn at once, done `ms` later
    "hang_executed": Kind(True, "hang"),
    "hang_not_executed": Kind(False, "hang"),
    "unknown_executed": Kind(True, "answer", 503, -1000, UNKNOWN_TEXT),
    "unknown_not_executed": Kind(False, "answer", 503, -1000, UNKNOWN_TEXT),
    "unavailable": Kind(False, "answer", 503, -1000, UNAVAILABLE_TEXT),
    "internal": Kind(False, "answer", 503, -1000, INTERNAL_TEXT),
    "timeout_executed": Kind(True, "answer", 408, -1007),
    "timeout_not_executed": Kind(False, "answer", 408, -1007),
    "overloaded": Kind(False, "answer", 503, -1008),
    "too_many": Kind(False, "slow", 429, -1003),
    "too_many_orders": Kind(False, "slow", 429, -1015, "Too many new orders; current limit is 300 orders per 10 SECOND."),
    "banned": Kind(False, "ban", 418, -1003),
    "clock": Kind(False, "answer", 400, -1021),
    "expired_at_engine": Kind(False, "answer", 400, -5028),
    "html": Kind(False, "text", 502, 0, HTML),
    "html_executed": Kind(True, "text", 502, 0, HTML),
    "html_ok": Kind(False, "text", 200, 0, HTML),
    "empty": Kind(False, "text", 200, 0, ""),
    "year_2100": Kind(False, "text", 200, 0, '{"serverTime":4102444800000}'),
    "empty_list": Kind(False, "text", 200, 0, "[]"),
    "empty_executed": Kind(True, "text", 200, 0, ""),
    "forbidden": Kind(False, "text", 403, 0, HTML.replace("502 Bad Gateway", "403 Forbidden")),
    "delay": Kind(True, "pass"),
    "error": Kind(False, "answer", 400, -1000),
}


@dataclass
class Rule:
    """A fault that waits for its requests. `times` -1 = for ever; `skip` lets so many pass first; `rate` is a probability."""

    kind: str
    path: str = "*"  #: pattern on "METHOD /path", or on the path alone; a handshake's method is WS
    times: int = 1
    skip: int = 0
    rate: float = 1.0
    ms: int = 0  #: delay, before it is executed
    after_ms: int = 0  #: delay of the answer
    seconds: int = 60  #: Retry-After
    code: int = 0
    status: int = 0
    msg: str = ""
    params: dict[str, str] = field(default_factory=dict)  #: only requests with these parameters
    hits: int = 0

    @property
    def way(self) -> Kind:
        return KINDS[self.kind]

    def refusal(self) -> Refused:
        """What an answering fault says."""
        kind = self.way
        code = self.code or kind.code
        return Refused(code, self.status or kind.status, self.msg or kind.text or WORDS.get(code, UNKNOWN_TEXT), limit=2400)


@dataclass
class EventRule:
    """What happens to the next user events of a type: drop, duplicate, late, reorder."""

    what: str
    event: str = "*"
    times: int = 1
    ms: int = 500
    execution: str = "*"  #: pattern on `x` of an ORDER_TRADE_UPDATE


class Fate(NamedTuple):
    """How an event travels: the delays of its copies, ms; none = it is lost."""

    delays: tuple[int, ...]


class Faults:
    """All that goes wrong."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"{seed}/faults")
        self.rules: list[Rule] = []
        self.event_rules: list[EventRule] = []
        self.rates: dict[str, float] = {"drop": 0.0, "duplicate": 0.0, "late": 0.0, "reorder": 0.0}
        self.late_ms = 500
        self.silent: set[str] = set()  # routes that say nothing: public, market, private
        self.frozen_until = 0.0  # by the loop's clock
        self.down_until = 0.0

    # --- requests -----------------------------------------------------------------------------------------------------

    def add(self, kind: str, path: str = "*", **options: Any) -> Rule:
        """Let requests that match fail. Raises KeyError for a kind nobody knows."""
        rule = Rule(KINDS[kind] and kind, path, **options)
        self.rules.append(rule)
        return rule

    def meets(self, method: str, path: str, params: dict[str, str], closing: bool) -> Rule | None:
        """The fault of this request, which is used up by it. Overload sheds no request that closes."""
        for rule in self.rules:
            if rule.times == 0 or not _fits(rule, method, path, params) or (rule.kind == "overloaded" and closing):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.rate < 1.0 and self.chance.random() >= rule.rate:
                continue
            rule.times -= rule.times > 0
            rule.hits += 1
            return rule
        return None

    # --- events -------------------------------------------------------------------------------------------------------

    def event(self, what: str, event: str = "*", times: int = 1, ms: int = 500, execution: str = "*") -> None:
        """Let the next user events of this type be lost (drop), told twice (duplicate), late, or overtaken (reorder)."""
        if what not in self.rates:
            raise KeyError(f"{what} is none of {', '.join(self.rates)}")
        self.event_rules.append(EventRule(what, event, times, ms, execution))

    def events(self, late_ms: int = 500, **rates: float) -> None:
        """Let user events go wrong at random, from now on: drop=0.01, duplicate=0.05, late=0.1, reorder=0.1."""
        unknown = rates.keys() - self.rates.keys()
        if unknown:
            raise KeyError(f"{', '.join(sorted(unknown))}: none of {', '.join(self.rates)}")
        self.rates.update(rates)
        self.late_ms = late_ms

    def fate(self, event: Json) -> Fate:
        """What becomes of one user event."""
        for rule in self.event_rules:
            execution = str(event.get("o", {}).get("x", ""))
            if rule.times and fnmatchcase(event["e"], rule.event) and fnmatchcase(execution, rule.execution):
                rule.times -= rule.times > 0
                return self._as(rule.what, rule.ms)
        for what, rate in self.rates.items():
            if rate and self.chance.random() < rate:
                return self._as(what, self.late_ms)
        return Fate((0,))

    def _as(self, what: str, ms: int) -> Fate:
        return {
            "drop": Fate(()),
            "duplicate": Fate((0, self.chance.randint(0, 50))),
            "late": Fate((ms,)),
            "reorder": Fate((self.chance.randint(5, 60),)),
        }[what]

    # --- all of it ----------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.rules.clear()
        self.event_rules.clear()
        self.silent.clear()
        self.rates = dict.fromkeys(self.rates, 0.0)
        self.frozen_until = self.down_until = 0.0


def _fits(rule: Rule, method: str, path: str, params: dict[str, str]) -> bool:
    if not (fnmatchcase(f"{method} {path}", rule.path) or (method != "WS" and fnmatchcase(path, rule.path))):
        return False
    return all(fnmatchcase(params.get(name, ""), pattern) for name, pattern in rule.params.items())
