"""The tables of a backtest's report as HTML: breaker trips, fill models, metrics, positions.

Its one law: every text that came from a file passes `text`. A section without anything to show is empty text. It reads no
artefact and computes nothing but the differences it states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hedgegridd.research.wording import DASH, amount, known, measured, moment, money, named, number, seconds_of, text, tone

INPUTS = 200  #: rows of a trip's inputs on the page
MODELS = {
    "touch": "fills as soon as the price reaches it",
    "trade_through": "fills when the price goes beyond it",
    "queue": "fills when all that lay ahead of it has traded",
}

SAVED = "Saved or cost: equity at the end of this run, less equity at the end of the same run without that breaker."
#: Headings; a `>` before a name: a column of numbers.
TRIP = ("#", "Time, UTC", "Breaker", "Level", ">Measured", ">Threshold", "It did", ">Saved or cost")
MODEL = ("Model", "A resting order", ">Fills", ">Equity at the end", ">Max drawdown", ">PnL", "")

Data = dict[str, Any]


# --- breaker trips --------------------------------------------------------------------------------------------------------


def trips(data: Data) -> str:
    found = data["summary"]["breaker_trips"]
    if not found:
        return "" if found is None else "<p>No breaker tripped.</p>\n"
    weighed = any(known(trip.get("saved_usdt")) is not None for trip in found)
    rows = "".join(_trip(at, trip) for at, trip in enumerate(found, 1))
    return (f"<p>{SAVED}</p>\n" if weighed else "") + table("trips", TRIP, rows)


def table(kind: str, names: Iterable[str], rows: str) -> str:
    """A table under these headings; `rows` = its bodies."""
    head = "".join(f'<th class="n">{name[1:]}</th>' if name[:1] == ">" else f"<th>{name}</th>" for name in names)
    return f'<div class="wide"><table class="stack {kind}"><thead><tr>{head}</tr></thead>\n{rows}</table></div>\n'


def cells(names: Iterable[str], shown: Iterable[str]) -> str:
    """Cells that know their heading, for a screen too narrow for a table."""
    kinds = ((' class="n"' if name[:1] == ">" else "", name.lstrip(">")) for name in names)
    return "".join(f'<td data-is="{name}"{kind}>{cell}</td>' for (kind, name), cell in zip(kinds, shown, strict=False))


def _trip(at: int, trip: Data) -> str:
    unit, value = str(trip.get("unit") or ""), known(trip.get("saved_usdt"))
    saved = DASH if value is None else f"{'saved' if value >= 0 else 'cost'} {money(abs(value))} USDT"
    start = seconds_of(trip.get("time"))
    said = (
        f'<b class="flag">{at}</b>',
        _show(start, start, moment(trip.get("time"))),
        f"<b>{text(trip.get('name', DASH))}</b>",
        text(trip.get("level") or DASH),
        f"{number(trip.get('value'))} {text(unit)}",
        f"{number(trip.get('threshold'))} {text(unit)}",
        text(trip.get("did") or DASH),
        f"<span{tone(value)}>{saved}</span>",
    )
    row = cells(TRIP, said)
    reason = text(trip.get("reason") or "")
    equity = f' <span class="soft">Equity {money(trip["equity_usdt"])} USDT.</span>' if known(trip.get("equity_usdt")) is not None else ""
    return f'<tbody><tr>{row}</tr>\n<tr class="more"><td colspan="8">{reason}{equity}{seen(trip.get("inputs"))}</td></tr></tbody>\n'


def seen(inputs: Any) -> str:
    """The nested inputs as one flat list of paths."""
    rows = list(flat(inputs, ""))
    if not rows:
        return ""
    shown = "".join(f"<dt>{text(path)}</dt><dd>{text(value)}</dd>" for path, value in rows[:INPUTS])
    more = f"<p>and {len(rows) - INPUTS} more in the JSON beside</p>" if len(rows) > INPUTS else ""
    return f"<details><summary>What it saw: {len(rows)} inputs</summary><dl>{shown}</dl>{more}</details>"


def flat(value: Any, path: str, depth: int = 12) -> Iterable[tuple[str, Any]]:
    """Nested facts as one list of paths."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None or not depth:
        return [] if value is None and not path else [(path, "not known" if value is None else value)]
    return [row for name, part in parts for row in flat(part, f"{path}.{name}" if path else str(name), depth - 1)]


# --- a session's legs and stops -------------------------------------------------------------------------------------------

LEG = ("Symbol", "Leg", ">Fills", ">Maker", ">Realised", ">Fees", ">Funding", ">Net, USDT", ">Held, coins", ">Unrealised")
STOP = (">Incident", "Time, UTC", "Ended, UTC", "Level", "By", "Reason")


def legs(data: Data) -> str:
    found = data["summary"].get("legs") or []
    return table("legs", LEG, f"<tbody>{''.join(_leg(row) for row in found)}</tbody>") if found else ""


def _leg(row: Data) -> str:
    net = known(row.get("net_usdt"))
    said = [text(row.get("symbol")), text(row.get("leg")), number(row.get("fills")), number(row.get("maker_fills"))]
    said += [money(row.get(name)) for name in ("realized_usdt", "fees_usdt", "funding_usdt")]
    said += [f"<b{tone(net)}>{money(net, True)}</b>", amount(row.get("held_coins")), money(row.get("unrealized_usdt"), True)]
    return f"<tr>{cells(LEG, said)}</tr>\n"


def stops(data: Data) -> str:
    found = data["summary"].get("stops")
    if found is None:
        return ""
    rows = "".join(f"<tr>{cells(STOP, _stop(row))}</tr>\n" for row in found)
    return table("stops", STOP, f"<tbody>{rows}</tbody>") if rows else "<p>Nothing stopped the account in this time.</p>\n"


def _stop(row: Data) -> list[str]:
    ended = moment(row["ended"]) if row.get("ended") else "not over"
    by = f"{row.get('source') or DASH} {row.get('actor') or ''}".strip()
    return [text(row.get("id")), text(moment(row.get("time"))), text(ended), text(row.get("level")), text(by), text(row.get("reason"))]


# --- fill models ----------------------------------------------------------------------------------------------------------


def models(data: Data) -> str:
    models, own = data["summary"]["fill_models"], data["summary"].get("fill_model")
    rows = {name: models[name] for name in [*MODELS, *sorted(set(models) - set(MODELS))] if isinstance(models.get(name), dict)}
    if not rows:
        return ""
    profits = {name: value for name, value in ((name, known(row.get("pnl_usdt"))) for name, row in rows.items()) if value is not None}
    body = "".join(_model(name, row, name == own, profits) for name, row in rows.items())
    return f"<p>{_assumption(profits, own)}</p>\n{table('models', MODEL, f'<tbody>{body}</tbody>')}"


def _assumption(profits: dict[str, float], own: Any) -> str:
    said = "No recording tells when a resting order would have filled: that is assumed."
    if len(profits) < 2:
        return said
    gap = max(profits.values()) - min(profits.values())
    said += f" Between the best and the worst of the assumptions below lie <b>{money(gap)} USDT</b>"
    mine = profits.get(own) if isinstance(own, str) else None
    share = f", {number(gap / mine * 100, 0)} % of the profit reported here" if mine and mine > 0 else ""
    return f"{said}{share}." + (f" This report is of <b>{text(own)}</b>." if mine is not None else "")


def _model(name: str, row: Data, own: bool, profits: dict[str, float]) -> str:
    pnl = profits.get(name)
    said = (
        f"<b>{text(name)}</b>",
        text(MODELS.get(name, "")),
        number(row.get("fills")),
        f"{money(row.get('equity_end_usdt'))} USDT",
        f"{number(row.get('max_drawdown_pct'), 2)} %",
        f"<span><b{tone(pnl)}>{money(pnl, True)}</b> USDT</span>",
    )
    mark = ' class="own"' if own else ""
    return f'<tr{mark}>{cells(MODEL, said)}<td class="bar">{_bar(pnl, list(profits.values()))}</td></tr>\n'


def _bar(value: float | None, among: list[float]) -> str:
    """A bar from zero, all of one table on the same scale."""
    low, high = min(0.0, *among, 0.0), max(0.0, *among, 0.0)
    if value is None or high == low:
        return ""
    zero, end = (-low / (high - low) * 100, (value - low) / (high - low) * 100)
    left, wide = min(zero, end), max(0.5, abs(end - zero))
    bar = f'<rect class="{"gain" if value > 0 else "loss"}" x="{left:.2f}" y="2" width="{wide:.2f}" height="6"/>'
    base = f'<line x1="{zero:.2f}" x2="{zero:.2f}" y1="0" y2="10"/>'
    return f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{bar}{base}</svg>'


# --- metrics, positions, notes --------------------------------------------------------------------------------------------


def metrics(data: Data) -> str:
    shown = "".join(_group(group) for group in data["metrics"])
    return f'<div class="groups">{shown}</div>\n' if shown else ""


def _group(group: Data) -> str:
    rows = "".join(
        f'<div class="metric" tabindex="0"><dt>{text(named(row["name"]))}</dt><dd>{text(measured(row["value"], row["unit"]))}</dd>'
        f'<p role="tooltip">{text(row["definition"])}</p></div>'
        for row in group["rows"]
    )
    return f"<dl><h3>{text(named(group['group']))}</h3>{rows}</dl>\n"


#: Heading, column of positions.csv, how it is said; None = as text.
COLUMNS: tuple[tuple[str, str, Callable[[Any], str] | None], ...] = (
    ("Symbol", "symbol", None),
    ("Leg", "leg", None),
    ("Opened, UTC", "opened_at", moment),
    ("Closed, UTC", "closed_at", moment),
    ("Most held", "max_qty", amount),
    ("Entry", "entry_price", amount),
    ("Exit", "exit_price", amount),
    ("Realised", "realized_usdt", money),
    ("Fees", "fees_usdt", money),
    ("Funding", "funding_usdt", money),
    ("Net, USDT", "net_usdt", lambda value: money(value, True)),
    ("Entries", "entries", number),
    ("Exits", "exits", number),
)


def positions(data: Data) -> str:
    rows, total = data["positions"]["rows"], data["positions"]["total"]
    if not rows:
        return ""
    columns = [column for column in COLUMNS if any(column[1] in row for row in rows)]
    head = "".join(_heading(name, say) for name, _, say in columns)
    body = "".join(f"<tr>{''.join(_cell(row, name, say) for _, name, say in columns)}</tr>\n" for row in rows)
    first = f"The first {len(rows)} of {number(total)} positions" if total > len(rows) else f"{number(total)} positions"
    return f"""<p>{first}, from flat to flat. A heading sorts; a time shows its position in the charts.</p>
<div class="wide tall"><table class="sortable"><thead><tr>{head}</tr></thead><tbody>
{body}</tbody></table></div>
"""


def _heading(name: str, say: Callable[[Any], str] | None) -> str:
    kind = "" if say in (None, moment) else ' class="n"'
    return f'<th aria-sort="none"{kind}><button type="button">{name}</button></th>'


def _cell(row: Data, name: str, say: Callable[[Any], str] | None) -> str:
    value = row.get(name) or ""
    if name == "exit_price" and not row.get("exits"):
        value = ""  # nothing was closed yet
    if say is None:
        return f'<td class="{text(value) if value in ("long", "short") else ""}" data-v="{text(value)}">{text(value)}</td>'
    if say is moment:
        start, end = seconds_of(row.get("opened_at")), seconds_of(row.get("closed_at"))
        shown = _show(start, end, moment(value) if value else "open")
        return f'<td data-v="{text(seconds_of(value) or "")}">{shown}</td>'
    better = tone(known(value)) if name == "net_usdt" else ""
    return f'<td class="n" data-v="{text(value)}"><span{better}>{say(value)}</span></td>'


def _show(start: float | None, end: float | None, said: str) -> str:
    """A time that shows its place in the charts when it is clicked."""
    if start is None:
        return text(said)
    return f'<button type="button" class="go" data-from="{start}" data-to="{end or ""}">{text(said)}</button>'
