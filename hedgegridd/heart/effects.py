"""What the heart may ask of the shell. One law: an effect says what to do and nothing of how.

The shell performs effects in the order given. What comes of them comes back as events.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hedgegridd.model import Order
from hedgegridd.views import Alert


class Write(NamedTuple):
    """Append an act to the journal: at once, without waiting for the disk."""

    kind: str
    data: dict[str, Any]


class Sync(NamedTuple):
    """Bring the journal to the disk; the answer is `Durable` or `DiskFailed` with this mark. `latch`: the kill switch file too.

    `latch_last`: the file after the journal (a release), else before it (an engagement): a crash between the two leaves
    "active" in one of them.
    """

    mark: int
    latch: dict[str, Any] | None = None
    latch_last: bool = False


class Place(NamedTuple):
    orders: tuple[Order, ...]


class Amend(NamedTuple):
    client_id: str
    qty: int


class Cancel(NamedTuple):
    orders: tuple[Order, ...]


class AskReport(NamedTuple):
    """Ask the exchange for the whole picture: it answers with a `Report`. `doubted` are asked for by name where it does not show them."""

    doubted: tuple[Order, ...] = ()


class Countdown(NamedTuple):
    """The exchange cancels these symbols' orders when it hears nothing like this for `ms`; 0 = no more."""

    symbols: tuple[str, ...]
    ms: int


class Ask(NamedTuple):
    """Ask a plugin host; it answers with `Answer` or `Missed`."""

    host: str
    seq: int
    kind: str
    name: str
    payload: Any


class InForce(NamedTuple):
    """A new version of a plugin file is in force now: the host of the old one may go."""

    host: str


class Retired(NamedTuple):
    """Nothing on the panel needs this plugin file's host any more."""

    host: str


class Notify(NamedTuple):
    alert: Alert


class Reply(NamedTuple):
    """Answer the verb with this ticket: a result, or the text of a refusal."""

    ticket: int
    result: dict[str, Any] | None
    refusal: str = ""


class Finished(NamedTuple):
    """The daemon may end now: nothing is left to do. `flat` says whether a flatten it waited for succeeded."""

    flat: bool


Effect = Write | Sync | Place | Amend | Cancel | AskReport | Countdown | Ask | InForce | Retired | Notify | Reply | Finished
