"""The gate: the one door for orders. One law: nothing reaches the exchange but through here, and openers pass every rule.

Two questions. `hold`: may any opener of this leg rest now (kill switch, mode, pauses, breakers, storage)? `refuse`: does this one
opener keep every limit, counting position + resting + in flight? Closers are never asked. A rule is a row in a table; a refusal
names limit, value and threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hedgegridd.heart.account import Account
from hedgegridd.heart.breakers import Panel
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.exposure import Exposure
from hedgegridd.heart.killswitch import KillSwitch
from hedgegridd.heart.maintenance import Maintenance
from hedgegridd.heart.recovery import Recovery
from hedgegridd.kernel import measures
from hedgegridd.model import Leg, Mode, OrderState, Role


class Ask(NamedTuple):
    """One opener before the gate."""

    desk: Desk
    leg: int
    price: int
    qty: int

    @property
    def notional(self) -> float:
        """USDT at the order's price."""
        return self.qty * self.price * self.desk.unit


class Gate:
    """The rules, and what they look at."""

    def __init__(self, mode: Mode, limits: Any, max_position_usdt: float, stop_pct: float, kill: KillSwitch, panel: Panel,
                 recovery: Recovery, account: Account, exposure: Exposure) -> None:  # fmt: skip
        self.mode, self.limits, self.max_position_usdt, self.stop_pct = mode, limits, max_position_usdt, stop_pct
        self.kill, self.panel, self.recovery, self.account, self.exposure = kill, panel, recovery, account, exposure
        self.maintenance = Maintenance(())
        self.storage_failed = ""
        self.unsettled = "start-up: the exchange has not reported yet"
        self.stopping = ""
        self.busy = ""  # why the exchange wants no openers for a while

    # --- may anything open? -----------------------------------------------------------------------------------------

    def hold(self, rehearsing: bool = False) -> str:
        """Why no opener may rest anywhere, or `rehearsing`: not even on paper; "" = openers may."""
        if self.kill.active:
            return f"kill switch is active ({self.kill.level.name.lower()}): {self.kill.reason}"
        if self.mode == Mode.MONITOR:
            return "mode is monitor: nothing is sent"
        if self.storage_failed:
            return f"journal cannot be written: {self.storage_failed}"
        if self.stopping or self.patient:
            return self.stopping or self.patient
        if self.recovery.size_factor == 0.0 and not rehearsing:
            return f"staged return: stage {self.recovery.stage} opens nothing"
        return self.maintenance.hold() or self.panel.hold()

    @property
    def patient(self) -> str:
        """Why no new opener may leave for a moment, while those that rest keep their place."""
        return self.unsettled or self.busy

    def leg_hold(self, desk: Desk, leg: int) -> str:
        """Why no opener may rest on this leg; "" = it may."""
        if desk.halted:
            return f"{desk.symbol} is halted: {desk.halted}"
        if desk.guarded:
            return f"{desk.symbol}: {desk.guarded}"
        if desk.window is not None and not desk.window.warm:
            return f"{desk.symbol}: breakers have not seen enough yet to compare with"
        why = desk.standing[leg].hold()
        if why:
            return f"{desk.symbol} {Leg(leg).name.lower()} {why}"
        return self.maintenance.hold(desk.symbol) or self.panel.hold(desk.symbol, leg)

    def holds(self, desk: Desk) -> tuple[str, str]:
        """The first reason that withholds each leg's openers."""
        everywhere = self.hold()
        if everywhere:
            return everywhere, everywhere
        return self.leg_hold(desk, Leg.LONG), self.leg_hold(desk, Leg.SHORT)

    # --- may this one? ----------------------------------------------------------------------------------------------

    def refuse(self, desk: Desk, leg: int, price: int, qty: int) -> str:
        """Why this opener breaks a limit; "" = it keeps them all."""
        ask = Ask(desk, leg, price, qty)
        for rule in RULES:
            why = rule(self, ask)
            if why:
                return why
        return ""


def over(name: str, value: float, threshold: float, unit: str) -> str:
    """The sentence of a refusal, where value > threshold, or is no number."""
    return "" if value <= threshold else f"{name}: {value:,.2f} {unit} > {threshold:,.2f} {unit}"


def _settled_rung(_: Gate, ask: Ask) -> str:
    """Pain 1: a rung whose order nobody is sure of is closed to new orders."""
    for order in ask.desk.orders.open.values():
        if order.price == ask.price and order.leg == ask.leg and order.role == Role.ENTRY and order.state != OrderState.DONE:
            return f"rung {ask.price} has order {order.client_id} ({order.state!s})"
    late = ask.desk.orders.awaited(ask.leg, Role.ENTRY, ask.price)
    return f"rung {ask.price}: order {late} was lost on its way and may still arrive" if late else ""


def _leg_size(gate: Gate, ask: Ask) -> str:
    total = measures.leg_usdt(ask.desk.held_usdt(ask.leg), ask.desk.openers_usdt(ask.leg), ask.notional)
    if not total < gate.max_position_usdt:  # the position-size breaker trips at its line: the gate stays below it
        return f"max_position_usdt: {total:,.2f} USDT >= {gate.max_position_usdt:,.2f} USDT"
    equity = gate.account.equity
    if not equity > 0:
        return f"equity is not positive: {equity:,.2f} USDT"
    share = measures.share_pct(total, equity)
    own = ask.desk.max_position_pct
    return over("limits.max_position_pct", share, gate.limits.max_position_pct, "%") or over("position.max_position_pct", share, own, "%")


def _exposure(gate: Gate, ask: Ask) -> str:
    value = measures.share_pct(gate.exposure.gross_usdt() + ask.notional, gate.account.equity)
    return over("max_exposure_pct", value, gate.limits.max_exposure_pct, "%")


def _risk(gate: Gate, ask: Ask) -> str:
    """What this order loses at the leg's stop, or at the emergency stop where none rests yet."""
    stop = ask.desk.stop(ask.leg)
    if stop is None:
        loss = measures.stop_loss_usdt(ask.notional, gate.stop_pct)
    else:
        loss = measures.stop_distance_usdt(ask.price, stop, ask.qty, ask.desk.unit)
    return over("max_risk_per_trade_pct", measures.share_pct(loss, gate.account.equity), gate.limits.max_risk_per_trade_pct, "%")


def _legs(gate: Gate, ask: Ask) -> str:
    """A trade is a leg (E6): twenty rungs of one leg are one."""
    return over("max_open_trades", gate.exposure.legs_with(ask.desk, ask.leg), gate.limits.max_open_trades, "legs")


def _margin(gate: Gate, ask: Ask) -> str:
    return over("initial margin", gate.exposure.initial_usdt() + ask.notional / ask.desk.instrument.leverage, gate.account.equity, "USDT")


RULES: tuple[Callable[[Gate, Ask], str], ...] = (_settled_rung, _leg_size, _exposure, _risk, _legs, _margin)
