"""hedgegridd: a daemon that trades a hedge-mode grid and, above all, stops when it must.

The names a plugin author needs, loaded on first use: importing this package costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: hedgegridctl imports this package on every call, and typing costs it a third of its time
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOME = {
    "hookimpl": "hookspecs",
    "Unknown": "errors",
    **dict.fromkeys(
        ("Instrument", "Leg", "Level", "Market", "Moment", "Role", "Severity", "Side", "Wish"),
        "model",
    ),
    **dict.fromkeys(("Alert", "InstrumentView", "LegView", "Measure", "Snapshot", "Trip", "Vitals", "WindowView"), "views"),
}  # fmt: skip
__all__ = sorted(_HOME)  # noqa: PLE0605 - a list all the same

if TYPE_CHECKING:
    from hedgegridd.errors import Unknown as Unknown
    from hedgegridd.hookspecs import hookimpl as hookimpl
    from hedgegridd.model import Instrument as Instrument
    from hedgegridd.model import Leg as Leg
    from hedgegridd.model import Level as Level
    from hedgegridd.model import Market as Market
    from hedgegridd.model import Moment as Moment
    from hedgegridd.model import Role as Role
    from hedgegridd.model import Severity as Severity
    from hedgegridd.model import Side as Side
    from hedgegridd.model import Wish as Wish
    from hedgegridd.views import Alert as Alert
    from hedgegridd.views import InstrumentView as InstrumentView
    from hedgegridd.views import LegView as LegView
    from hedgegridd.views import Measure as Measure
    from hedgegridd.views import Snapshot as Snapshot
    from hedgegridd.views import Trip as Trip
    from hedgegridd.views import Vitals as Vitals
    from hedgegridd.views import WindowView as WindowView


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hedgegridd' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(f"hedgegridd.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
