"""The journal's head: number and hash of the last record of each stream, as it leaves the machine with every alert.

One law: a head is of records that are on the disk. Whoever kept one can prove later that a journal still holds what it held then, which
the chain alone cannot: whole records cut from its end leave a sound, shorter journal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hedgegridd.errors import Refused
from hedgegridd.journal import Verification
from hedgegridd.journal.records import Heads
from hedgegridd.views import Alert

_ONE = re.compile(r"(\d{1,18}):([0-9a-f]{32})")


def text(heads: Heads) -> str:
    """As people keep it: `18:ab..,20:cd..`, the oldest first."""
    return ",".join(f"{seq}:{digest}" for seq, digest in sorted(heads))


def read(given: str) -> Heads:
    """The inverse of `text`; "" = none. Refused where it is no head."""
    parts = [part.strip() for part in given.split(",")] if given.strip() else []
    found = [_ONE.fullmatch(part) for part in parts]
    if not all(found):
        raise Refused(f"head is {given[:80]!r}, expected SEQ:HASH with 32 hex digits, more than one with a comma between")
    return tuple((int(match[1]), match[2]) for match in found if match)


def carried(alert: Alert, heads: Mapping[str, tuple[int, str]]) -> Alert:
    """The alert with the journal's head under its text and in its fields; as it is where nothing is on the disk yet."""
    if not heads:
        return alert
    shown = text(tuple(heads.values()))
    return alert._replace(text=f"{alert.text}\nJournal: {shown}", fields={**alert.fields, "journal_head": shown})


def shown(found: Verification, asked: str = "") -> dict[str, Any]:
    """What a verification found, as JSON. `head` is what to keep; `asked` the one that had to be there."""
    bad = found.first_bad
    where = {"segment": bad[0], "record": bad[1], "after_seq": found.after, "why": bad[2]} if bad else None
    return {
        "ok": found.ok,
        "records": found.records,
        "first_bad": list(bad) if bad else None,
        "damage": {**where, "expected": found.expected or None, "found": found.found or None} if where else None,
        "notes": list(found.notes),
        "head": (text(found.heads) or None) if found.ok else None,
        "asked": asked or None,
    }
