"""The account picture that breakers see. One law: what is not known is None, never a neutral number."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from hedgegridd.views import InstrumentView, LegView, Snapshot, Vitals, WindowView

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

BLIND_MS = 30_000  # of the wall clock; the shell measures every second and says it at least every ten


def picture(engine: Engine) -> Snapshot:
    """One consistent picture, in plain units."""
    return engine.sights.picture(engine.now, len(engine.errors), vitals(engine))


def vitals(engine: Engine) -> Vitals | None:
    """The last measurement; one too old to say anything of now has no figures left."""
    last = engine.vitals
    return last if last is None or engine.wall - last.wall < BLIND_MS else Vitals(last.time, last.wall)


def plain(value: Any) -> Any:
    """A nested NamedTuple as nested dicts, for the journal and for people."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(item) for name, item in zip(value._fields, value, strict=True)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def snapshot_of(data: dict[str, Any]) -> Snapshot:
    """A snapshot from its journaled form, the inverse of `plain`. KeyError or TypeError where it is none of this version's."""
    views, last = [_view(item) for item in data["instruments"]], data.get("vitals")
    return Snapshot(**{**data, "instruments": tuple(views), "vitals": Vitals(**last) if last else None})


def _view(item: dict[str, Any]) -> InstrumentView:
    legs, window = {leg: LegView(**item[leg]) for leg in ("long", "short")}, item.get("window")
    return InstrumentView(**{**item, **legs, "window": WindowView(**window) if window else None})
