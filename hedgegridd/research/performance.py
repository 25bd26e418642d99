"""`hedgegridd report`: what a session really made, from its journal, as the report of a backtest shows it.

One law: what was done is the journal's own acts, and equity is that of the heart which takes the journal's inputs in again; nothing is
filled or decided anew. Where that heart decides otherwise than the journal, the report says so. It reads the journal of a daemon that
runs or not, and changes nothing in there.
"""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Any

from hedgegridd import __version__
from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.heart.desk import Desk
from hedgegridd.journal import records
from hedgegridd.journal.segments import INPUTS, header, segments
from hedgegridd.kernel import metrics
from hedgegridd.plugins import Registry
from hedgegridd.progress import passing, watched
from hedgegridd.research import artefacts, incidents
from hedgegridd.research.backtest import needs, trip_row
from hedgegridd.research.incident import row
from hedgegridd.research.retelling import Retelling
from hedgegridd.times import iso

Document = dict[str, Any]


def made(folder: Path, registry: Registry, since: int | None, until: int | None, out: Path | None) -> Document:
    """The summary of the session in this journal from `since` to `until` (ms; None = as far as it goes); the artefacts in `out`.

    StateError where there is no journal, or none of its checkpoints is left.
    """
    needs()
    stops = incidents.listed(folder)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    told = Retelling(registry, since, until, out)
    notes = _missing(folder, since)
    try:
        with watched(lambda: _span(folder, since, until)) as show:
            told.play(passing(records.replayable(folder, _begin(folder, since)), show))
    except JournalDamaged as error:
        if told.run.engine is None:
            raise
        notes.append(f"the journal is damaged, and the report ends there: {error}")
    told.end()
    digest, rows = told.recorder.close(), metrics.compute(told.recorder.facts(told.outcome()))
    within = [row(span) for span in stops if span.first.time <= told.last and (span.last is None or span.last.time >= told.begun)]
    summary = {
        **_head(told, folder),
        "breaker_trips": [trip_row(trip, None) for trip in told.recorder.trips],
        "stops": within,
        "legs": [_leg(told, desk, leg) for desk in told.engine.desks.values() for leg in (0, 1)],
        "fill_models": {},
        "notes": [*notes, *told.notes()],
        "metrics": {one.name: one.value for one in rows},
        "fills_sha256": digest,
    }
    if out is not None:
        artefacts.results(out, summary, rows)
    return summary


def fresh() -> Path:
    """A folder for a report of now."""
    return Path("artifacts/reports") / clock.strftime("%Y%m%dT%H%M%SZ", clock.gmtime())


def _span(folder: Path, since: int | None, until: int | None) -> tuple[int, int] | None:
    """The time that is read, for a bar."""
    whole = records.span(folder, _begin(folder, since))
    return whole if whole is None or until is None else (whole[0], min(whole[1], until))


def _begin(folder: Path, since: int | None) -> int | None:
    """The number of the newest checkpoint that is not after this time."""
    before = None
    for segment in segments(folder, INPUTS) if since is not None else ():
        try:
            record, says = header(segment)
        except (JournalDamaged, StateError):  # the reading itself will name it
            break
        if record.time > (since or 0):
            break
        before = segment.first if says.state is not None or before is None else before
    return before


def _missing(folder: Path, since: int | None) -> list[str]:
    """What the journal no longer holds of the time asked for."""
    gone, first = records.pruned(folder), next(iter(segments(folder, INPUTS)), None)
    if gone is None or first is None:
        return []
    kept = header(first)[0].time
    if since is not None and since >= kept:
        return []
    return [f"inputs of records {gone[0]} to {gone[1]} were pruned: the report begins at {iso(kept)}, with what was held then"]


def _head(told: Retelling, folder: Path) -> Document:
    engine, result = told.engine, told.outcome()
    kill = engine.kill
    return {
        "schema": 1,
        "kind": "Session",
        "version": __version__,
        "mode": engine.mode.value,
        "symbols": list(engine.desks),
        "data": str(folder),
        "start": iso(told.begun),
        "end": iso(told.last),
        "bars": result.bars,
        "orders": result.orders,
        "fills": result.fills,
        "equity_start_usdt": told.recorder.start_equity,
        "equity_end_usdt": result.equity,
        "transfers_usdt": told.transfers,
        "realized_usdt": result.realized,
        "unrealized_usdt": result.unrealized,
        "fees_usdt": result.fees,
        "funding_usdt": result.funding,
        "max_drawdown_pct": result.course[metrics.DEEPEST] * 100.0,
        "kill_switch": {
            "active": kill.active,
            "level": kill.level.name.lower() if kill.active else None,
            "phase": kill.phase,
            "reason": kill.reason or None,
            "since": iso(kill.since) if kill.active else None,
        },
    }


def _leg(told: Retelling, desk: Desk, leg: int) -> Document:
    """What one leg did and holds."""
    did = told.recorder.did(desk.symbol, leg)
    view = desk.leg_view(leg)
    return {
        "symbol": desk.symbol,
        "leg": ("long", "short")[leg],
        **did._asdict(),
        "net_usdt": did.realized_usdt - did.fees_usdt - did.funding_usdt,
        "held_coins": view.qty,
        "unrealized_usdt": view.unrealized_usdt,
    }


# --- in words -------------------------------------------------------------------------------------------------------------


def text(summary: Document) -> str:
    """The summary as a person reads it."""
    start, end = summary["equity_start_usdt"], summary["equity_end_usdt"]
    share = f", {(end - start) / start:+.2%}" if start > 0 else ""
    rows = [
        ("session", f"{', '.join(summary['symbols'])}, mode {summary['mode']}"),
        ("period", f"{summary['start'] or '-'} to {summary['end'] or '-'}, {summary['bars']:,} bars"),
        ("equity", f"{start:,.2f} -> {end:,.2f} USDT ({end - start:+,.2f}{share})"),
        ("drawdown", f"{summary['max_drawdown_pct']:.2f} %"),
        ("fills", f"{summary['fills']:,}, of {summary['orders']:,} orders placed in this time"),
        ("made", f"realised {summary['realized_usdt']:+,.2f}, unrealised {summary['unrealized_usdt']:+,.2f} USDT"),
        ("paid", f"fees {summary['fees_usdt']:,.2f}, funding {summary['funding_usdt']:,.2f} USDT"),
    ]
    rows += [
        ("leg", f"{row['symbol']} {row['leg']:<5} {row['fills']:>6,} fills, net {row['net_usdt']:+,.2f} USDT, holds {row['held_coins']:g}")
        for row in summary["legs"]
    ]
    rows += [
        ("trip", f"{trip['time']} {trip['name']}: {trip['level']}: {_plain(trip['reason'])}") for trip in summary["breaker_trips"][-10:]
    ]
    rows += [("stop", f"{one['time']} {one['level']} by {one['source']}: incident {one['id']}") for one in summary["stops"][-10:]]
    rows += [("note", _plain(note)) for note in summary["notes"]]
    return "\n".join(f"{name:<10}{value}" for name, value in rows)


def _plain(value: object) -> str:
    """A stranger's text without what moves a terminal."""
    return "".join(one if one.isprintable() else "?" for one in str(value))[:300]
