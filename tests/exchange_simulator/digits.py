"""Numbers as the exchange writes them: plain decimal strings, never an exponent.

Its one law: a float becomes text here and nowhere else.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache


@lru_cache(1 << 16)  # most of what is told of hundreds of orders is told of each
def fixed(value: float | Decimal, places: int = 8) -> str:
    """With exactly so many places; there is no minus zero."""
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    text = format(number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN), "f")
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def places_of(step: Decimal) -> int:
    """Places a step is written with, its trailing zeros included."""
    exponent = step.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def money(value: float) -> str:
    """USDT, eight places."""
    return fixed(value, 8)
