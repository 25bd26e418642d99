"""A request's parameters: names in any case, values checked as the exchange checks them.

Its one law: what is malformed is refused here with the code of its kind; what is unknown is let pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from exchange_simulator.refusals import Refused

NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?")
LEGAL_NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")


class Params(Mapping[str, str]):
    """Names are compared without case."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self.raw = dict(pairs)
        self._by_name = {name.lower(): value for name, value in pairs.items()}

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name

    def text(self, name: str, default: str = "") -> str:
        return self._by_name.get(name.lower(), default)

    def need(self, name: str) -> str:
        """A mandatory parameter."""
        value = self.text(name)
        if not value:
            raise Refused(-1102, name=name)
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """An integer; without a default it is mandatory."""
        if not self.text(name):
            if default is None:
                raise Refused(-1102, name=name)
            return default
        value = self.text(name)
        if not re.fullmatch(r"-?\d{1,20}", value):
            raise Refused(-1102, name=name)
        return int(value)

    def maybe(self, name: str) -> int | None:
        """An integer, where it was sent."""
        return self.whole(name, 0) if self.text(name) else None

    def number(self, name: str) -> Decimal:
        """A mandatory plain decimal: an exponent, a sign or a blank is refused."""
        value = self.need(name)
        if not NUMBER.fullmatch(value):
            raise Refused(-1100, name=name, legal=LEGAL_NUMBER)
        return Decimal(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.text(name).lower()
        if value not in ("", "true", "false"):
            raise Refused(-1102, name=name)
        return value == "true" if value else default

    def limit(self, default: int, most: int) -> int:
        """`limit`, at least 1 and at most so many."""
        value = self.whole("limit", default)
        if not 1 <= value <= most:
            raise Refused(-1130, name="limit")
        return value

    def client_id(self, name: str) -> str:
        """A client's id of an order; "" where none was sent."""
        value = self.text(name)
        if value and len(value) > 36:
            raise Refused(-4015)
        if value and not CLIENT_ID.fullmatch(value):
            raise Refused(-1100, name=name, legal=r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
        return value
