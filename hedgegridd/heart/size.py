"""The size of openers that breakers leave. One law: it falls at once, and rises only when its measure lies well below the line again.

The middle tier of the equity stop: warn, reduce, stop. A breaker says with its measure from which value on openers are smaller
(`Measure.shrink`); the panel keeps the factor, the engine multiplies every opener by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hedgegridd.heart import notices
from hedgegridd.model import Moment

if TYPE_CHECKING:
    from hedgegridd.heart.breakers import Panel
    from hedgegridd.heart.engine import Engine

MINUTE_MS = 60_000


def smoothing_ms(panel: Panel) -> float:
    """Over how long the drawdown breaker wants drawdowns averaged; 0 = not at all."""
    guard = panel.guards.get("drawdown")
    minutes = getattr(getattr(guard.breaker, "settings", None), "smoothing_minutes", 0.0) if guard is not None else 0.0
    return float(minutes * MINUTE_MS)


def look(engine: Engine) -> None:
    """Breakers have spoken: does the size change? Then it is told, and strategies say again what should rest."""
    panel = engine.panel
    smaller = {guard.name: guard.size_factor for guard in panel.guards.values() if guard.size_factor < 1.0}
    factor = min(smaller.values(), default=1.0)
    if factor == panel.size_factor:
        return
    was, panel.size_factor = panel.size_factor, factor
    by = ", ".join(smaller)
    engine.write("size", factor=factor, was=was, by=by)
    engine.tell(notices.state_change, f"openers: size x {was:g} -> x {factor:g}", f"breaker {by}" if by else "well below the line again")
    for desk in engine.desks.values():
        engine.think(desk, Moment.LOOK)
