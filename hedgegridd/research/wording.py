"""Numbers, times and names as a report says them. One law: what is not known is a dash, never a number.

Pure functions from a value to text. `text` makes whatever came from a file harmless in HTML; the others answer plain text that
still has to pass it.
"""

from __future__ import annotations

import html
import math
from datetime import UTC, datetime
from typing import Any

from hedgegridd.times import ms

DASH, MINUS = "–", "−"
UNITS = ("usdt", "pct", "bps", "hours", "seconds")
#: Words that are written in capitals.
CAPITALS = {"usdt": "USDT", "pnl": "PnL", "cagr": "CAGR", "id": "ID", "utc": "UTC", "avg": "average"}


def text(value: object) -> str:
    """Anything as harmless HTML, in an attribute too."""
    return html.escape(str(value), quote=True)


def known(value: Any) -> float | None:
    """A finite number, also one written as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def number(value: Any, decimals: int | None = None, sign: bool = False) -> str:
    """With thousands and a true minus. Without `decimals` as short as it can be said: 0.0123, 4.21, 1,234.50."""
    found = known(value)
    if found is None:
        return DASH
    if decimals is None:
        decimals = _decimals(abs(found))
    shown = f"{abs(found):,.{decimals}f}"
    below = found < 0 and shown.strip("0.,") != ""
    return f"{MINUS if below else '+' if sign and found > 0 else ''}{shown}"


def _decimals(size: float) -> int:
    """Two, none for whole numbers, and for small ones as many as show three digits."""
    if size == int(size) and size < 1e15:
        return 0
    return 2 if size >= 1 else min(8, 2 - math.floor(math.log10(size)))


def amount(value: Any) -> str:
    """A price or a quantity: seven digits, none of them a zero at the end."""
    found = known(value)
    if not found:
        return DASH if found is None else "0"
    places = min(12, max(0, 6 - math.floor(math.log10(abs(found)))))
    return number(found, len(f"{found:.{places}f}".rstrip("0").partition(".")[2]))


def money(value: Any, sign: bool = False) -> str:
    """USDT, two digits."""
    return number(value, 2, sign)


def measured(value: Any, unit: str) -> str:
    """A number with its unit."""
    if known(value) is None:
        return DASH
    if unit == "hours":
        return duration(float(value) * 3600)
    decimals = 2 if unit in ("USDT", "%") else None
    return f"{number(value, decimals)} {unit}" if unit and unit not in ("count", "ratio") else number(value, decimals)


def tone(value: float | None) -> str:
    """Better or worse than nothing, as a class."""
    return f' class="{"gain" if value > 0 else "loss"}"' if value else ""


def duration(seconds: float) -> str:
    """`4 d 6 h`, `6 h 20 min`, `20 min`, `12 s`: the two largest parts."""
    left, parts = round(abs(seconds)), list[str]()
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def seconds_of(value: Any) -> float | None:
    """ISO 8601 or milliseconds as seconds since 1970; None where it is neither."""
    try:
        return ms(str(value)) / 1000
    except (ValueError, OverflowError):
        return None


def moment(value: Any) -> str:
    """`3 Feb 2025, 02:07`, UTC; what is no time is shown as it stands."""
    at = seconds_of(value)
    try:
        when = None if at is None else datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        when = None
    if when is None:
        return str(value) if value else DASH
    clock = f"{when:%H:%M:%S}" if when.second else f"{when:%H:%M}"
    return f"{when.day} {when:%b %Y}, {clock}"


def named(name: str) -> str:
    """`max_drawdown_pct` as `Max drawdown`: the unit stands beside the value."""
    words = name.split("_")
    if len(words) > 1 and words[-1] in UNITS:
        words.pop()
    said = " ".join(CAPITALS.get(word, word) for word in words)
    return said[:1].upper() + said[1:]
