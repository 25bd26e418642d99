"""Times as people and scripts read them. One law: milliseconds UTC inside, ISO 8601 with Z outside."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(time: int | None) -> str | None:
    """Milliseconds since the epoch as `2025-02-03T02:07:00.000Z`; None and 0 (never) as None."""
    if not time:
        return None
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms(text: str) -> int:
    """ISO 8601 text, or plain milliseconds, as milliseconds UTC. ValueError where it is neither."""
    if text.isdigit() and len(text) >= 12:
        return int(text)
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
