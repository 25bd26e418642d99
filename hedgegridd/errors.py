"""The error tree. Every error that a person may read is built here or from here; none is built from a bare string elsewhere.

HedgegriddError
├── ConfigError         the configuration is wrong; carries every problem at once (exit 78)
├── StateError          the state directory is unreadable, newer than this program, or contradicts itself (78)
│   └── JournalDamaged  a record before the last one does not verify; names the segment and the record (1)
├── AlreadyRunning      another instance holds the state directory (exit 75)
├── PluginError         a plugin file was refused, or broke its contract
├── FeedError           market data is missing, malformed or out of order
├── ExchangeError       the exchange refused or could not be reached
├── Refused             a verb was refused by rule; says which rule and what to do
└── Unknown             a risk input is stale, absent or malformed: never to be read as a neutral number
"""

from __future__ import annotations

from typing import NamedTuple


class HedgegriddError(Exception):
    """Anything this package raises on purpose. `exit_code` is what a command ends with."""

    exit_code = 1


class Problem(NamedTuple):
    """One thing wrong with a configuration: where it is, what was given, what was expected, and perhaps what was meant."""

    path: str
    value: object
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        given = "" if self.value is None else f" is {self.value!r},"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{given} expected {self.expected}{hint}"


def extra(name: str) -> str:
    """The command that installs what a plain installation leaves out, for the Python that runs this."""
    import sys

    return f"{sys.executable} -m pip install 'hedgegridd[{name}]'"


class ConfigError(HedgegriddError):
    """Every problem found in a configuration, so that one run of `hedgegridd check` shows them all."""

    exit_code = 78

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(p) for p in problems))


class StateError(HedgegriddError):
    """The state directory cannot be trusted or cannot be used."""

    exit_code = 78


class JournalDamaged(StateError):
    """A record before the end of the journal fails its hash: the account's past is not what it was."""

    exit_code = 1  # found, as `verify` finds it: nothing of the configuration or the folder is at fault

    def __init__(self, segment: str, record: int, why: str, *, after: int = 0, expected: str = "", found: str = "") -> None:
        """`record` counts within the segment; `after` = number of the last sound record of its stream; the rest in words."""
        self.segment, self.record, self.why, self.after, self.expected, self.found = segment, record, why, after, expected, found
        told = f" (after record number {after}; expected {expected}, found {found})" if expected else ""
        super().__init__(f"journal segment {segment}, record {record}: {why}{told}")


class AlreadyRunning(HedgegriddError):
    """A second daemon on the same state directory would be a second hand on the same account."""

    exit_code = 75


class PluginError(HedgegriddError):
    """A plugin file was refused or does not keep its contract: says which file and which rule."""


class FeedError(HedgegriddError):
    """Market data that cannot be read or believed."""


class ExchangeError(HedgegriddError):
    """The exchange refused, or its answer could not be had. `permanent`: asking again changes nothing (a key, a symbol)."""

    permanent = False


class Refused(HedgegriddError):
    """A verb that may not be done now: the message names the rule and what to do next."""


class Unknown(HedgegriddError):
    """A breaker raises this when an input it needs is missing or stale. It blocks openers at once and trips after the grace time."""
