"""The hash of every decision and fill so far. One law: equal runs have equal hashes; and nothing waits for one to be counted.

A flatten decides hundreds of cancels in one event, and their requests are to leave at once: what was decided is kept as it is, and
counted when somebody asks, or the next event comes.
"""

from __future__ import annotations

import hashlib
from typing import Any

LENGTH = 32  # of a hash, hex digits


class Decisions:
    """Counts decisions in their order. The data of one must not change after it was added."""

    def __init__(self, known: str = "") -> None:
        self._hash = known
        self._new: list[tuple[str, dict[str, Any]]] = []

    def add(self, kind: str, data: dict[str, Any]) -> None:
        self._new.append((kind, data))

    def count(self) -> None:
        """Put what was added into the hash."""
        for kind, data in self._new:
            text = f"{self._hash}{kind}{sorted(data.items())}"
            self._hash = hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
        self._new.clear()

    @property
    def hash(self) -> str:
        """Of all of them; "" = nothing was decided."""
        self.count()
        return self._hash
