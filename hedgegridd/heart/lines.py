"""Lines that people want to be told of, and that stop nothing: the day's loss and a leg's size (row 46). One law: once per crossing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hedgegridd.heart import notices
from hedgegridd.heart.desk import LEGS

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine


def look(engine: Engine) -> None:
    """Tell of a line that was crossed since the last look; below it again, it may be told again."""
    switches, start = engine.config.alerts, engine.account.day.start
    loss = start - engine.account.equity
    if _crosses(engine, "day_loss", start > 0 and loss / start * 100 >= switches.max_daily_loss_pct):
        engine.tell(notices.day_loss, loss, start, switches)
    for desk in engine.exposure.resized():
        for leg in LEGS:
            size = engine.exposure.leg_usdt(desk, leg)
            if _crosses(engine, f"{desk.symbol} {int(leg)}", size >= switches.max_position_size_usd):
                engine.tell(notices.position_size, desk.symbol, leg, size, switches)


def _crosses(engine: Engine, line: str, beyond: bool) -> bool:
    """Is this line crossed now, and was not before?"""
    if not beyond:
        engine.told.discard(line)
        return False
    new = line not in engine.told
    engine.told.add(line)
    return new
