"""The page of an incident as HTML: a document in, one self-contained text out.

One law: nothing on the page can act. It has no script at all, and every text passes `text`. Prices are drawn as SVG. It computes
nothing but places on the drawing.
"""

from __future__ import annotations

import re
from typing import Any

from hedgegridd.research.frame import dotted, framed
from hedgegridd.research.pagetables import cells, flat, seen, table
from hedgegridd.research.wording import DASH, amount, known, moment, money, named, number, seconds_of, text

Document = dict[str, Any]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
WIDE, HIGH, EDGE = 1000, 260, 8  #: of the drawing
STYLE = """
svg { display: block; width: 100%; height: auto; }
.price-line { fill: none; stroke: var(--price); stroke-width: 1.5; }
.at { stroke: var(--trip); stroke-dasharray: 4 3; }
.fill-long { fill: var(--long); } .fill-short { fill: var(--short); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 20px; margin: 0 0 12px; }
dl.facts dt { opacity: 0.7; } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
td { vertical-align: top; overflow-wrap: break-word; }
time { white-space: nowrap; }
.wide + dl.facts, .wide + p { margin-top: 12px; }
tr.own td { font-weight: 600; }
meter { width: 8em; }
.blank { min-height: 3em; border: 1px dashed var(--axis); border-radius: 6px; padding: 8px; }
"""


def page(found: Document) -> str:
    """The whole file."""
    return framed(f"Incident {found['id']}", _sections(found), lambda links: _header(found, links), style=STYLE)


def _header(found: Document, links: str) -> str:
    trigger, end = found["trigger"], found["end"]
    facts = [f"mode {found['mode'] or 'not known'}", f"level {trigger['level']}", f"source {trigger['source']}"]
    facts += [f"{moment(found['time'])} UTC", f"flat after {number(end['seconds_to_flat'])} s" if end["flat_at"] else "not flat"]
    facts += ["over" if end["over"] else "not over"]
    return f"""<header>
<p class="brand">hedgegridd {text(found["version"] or "")}</p>
<h1>Incident {text(found["id"])}</h1>
<p class="facts">{dotted(facts)}</p>
<p class="banner">{text(trigger["reason"])}</p>
<nav>{links}</nav>
</header>"""


def _sections(found: Document) -> list[tuple[str, str, str]]:
    return [
        ("trigger", "What triggered it", _trigger(found["trigger"])),
        ("prices", "Prices and fills, UTC", "".join(_drawing(found, symbol) for symbol in found["prices"])),
        ("fills", "Fills, UTC", _table(found["fills"]) or "<p>None.</p>\n"),
        ("orders", "Orders, UTC", _table(found["orders"]) or "<p>None.</p>\n"),
        ("proof", "Certificate", "".join(map(_proof, found["certificates"])) or "<p>None: the account was not proven flat.</p>"),
        ("breakers", "Every breaker at that moment", _breakers(found)),
        ("next", "What the next breaker would have done", f"<p>{text(found['next_breaker']['said'])}</p>\n"),
        ("others", "Other trips in this time", _table(found["other_trips"]) or "<p>No other breaker tripped in this time.</p>"),
        ("alerts", "Alerts and their delivery, UTC", _alerts(found)),
        ("end", "How it ended", _facts({**found["end"], "durable": found["durable"]})),
        ("timeline", "Timeline, UTC", _table(found["timeline"], found["id"])),
        ("integrity", "Integrity", _facts(found["integrity"])),
        ("findings", "Findings", _findings(found["findings"])),
    ]  # fmt: skip


def _breakers(found: Document) -> str:
    """Each with what it measured of its limit, and a bar for the part of the way that was used."""
    off = [row["name"] for row in found["breakers"] if row["state"] == "disarmed"]
    rows = "".join(_breaker(row) for row in found["breakers"] if row["state"] != "disarmed")
    more = f"<p>Not in force: {text(', '.join(off))}.</p>\n" if off else ""
    return (table("breakers", BREAKERS, f"<tbody>{rows}</tbody>") if rows else "<p>Not known.</p>\n") + more


#: Headings; a `>` before a name: a column of numbers.
BREAKERS = ("Breaker", "State", ">Measured", ">Limit", "Unit", ">Of its limit", "", "It does")


def _breaker(row: Document) -> str:
    used = known(row["fraction"])
    share = DASH if used is None else f"{number(used * 100, 1)} %"
    bar = "" if used is None else f'<meter min="0" max="1" high="0.8" value="{min(max(used, 0.0), 1.0):.3f}"></meter>'
    named = [f"<b>{text(row['name'])}</b>" if row["triggered"] else text(row["name"]), text(row["state"])]
    numbers = [number(row["value"]), number(row["threshold"])]
    return f"<tr>{cells(BREAKERS, [*named, *numbers, text(row['unit'] or ''), share, bar, text(row['on_trip'])])}</tr>\n"


def _alerts(found: Document) -> str:
    if found["alerts"] is None:
        return "<p>Not known: no record of deliveries is kept for this account.</p>\n"
    left = found["alerts_left_out"]
    more = f"<p>{number(left)} later ones are not shown.</p>\n" if left else ""
    return (_table(found["alerts"]) or "<p>None in this time.</p>\n") + more


def _proof(one: Document) -> str:
    """A certificate: the legs as a table, the rest as facts."""
    return _table(one.get("legs") or []) + _facts({name: value for name, value in one.items() if name != "legs"})


def _findings(findings: Document) -> str:
    return "".join(f'<h3>{text(named(name))}</h3><p class="blank">{text(said)}</p>' for name, said in findings.items())


def _trigger(found: Document) -> str:
    return _facts({name: value for name, value in found.items() if name != "inputs"}) + seen(found["inputs"])


def _facts(facts: Document) -> str:
    rows = "".join(f"<dt>{text(_titled(path))}</dt><dd>{_cell(value)}</dd>" for path, value in flat(facts, ""))
    return f'<dl class="facts">{rows}</dl>\n'


def _table(rows: list[Document], own: int | None = None) -> str:
    """Rows with the same keys; the row of number `own` stands out."""
    if not rows:
        return ""
    head = "".join(f"<th>{text(_titled(name))}</th>" for name in rows[0])
    body = "".join(_row(row, own is not None and row.get("seq") == own) for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'


def _row(row: Document, own: bool) -> str:
    mark = ' class="own"' if own else ""
    return f"<tr{mark}>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>\n"


def _titled(path: str) -> str:
    """A key as a heading that keeps its unit: `fees_usdt` as `Fees USDT`, `proof.heard_at` as `Proof, heard at`."""
    said = ", ".join(part.replace("_", " ") for part in path.split(".")).replace("usdt", "USDT").replace("pnl", "PnL")
    return said[:1].upper() + said[1:]


def _cell(value: Any) -> str:
    if isinstance(value, dict | list):
        return ", ".join(f"{text(path)} {_cell(part)}" for path, part in flat(value, "") if path != "t" and part != "not known")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and TIME.fullmatch(value):
        return f'<time datetime="{value}">{value[:10]} {value[11:-1]}</time>'
    return text(DASH if value is None else amount(value) if isinstance(value, float) else value)


# --- the drawing ----------------------------------------------------------------------------------------------------------


class _Scale:
    """Places of moments and prices on the drawing."""

    def __init__(self, times: list[float], prices: list[float]) -> None:
        self.left, self.low = min(times), min(prices)
        self.wide, self.high = max(max(times) - self.left, 1e-9), max(max(prices) - self.low, 1e-9)

    def at(self, time: float, price: float) -> tuple[str, str]:
        x = EDGE + (time - self.left) / self.wide * (WIDE - 2 * EDGE)
        y = HIGH - EDGE - (price - self.low) / self.high * (HIGH - 2 * EDGE)
        return f"{x:.1f}", f"{y:.1f}"


def _drawing(found: Document, symbol: str) -> str:
    """The price of one symbol, the moment of the trigger, and each fill."""
    prices = [(seconds_of(row["time"]), known(row["price_usdt"])) for row in found["prices"][symbol]]
    fills = [(seconds_of(row["time"]), known(row["price_usdt"]), row) for row in found["fills"] if row["symbol"] == symbol]
    line = [(time, price) for time, price in prices if time is not None and price is not None]
    dots = [(time, price, row) for time, price, row in fills if time is not None and price is not None]
    begun = seconds_of(found["time"])
    if not line or begun is None:
        return ""
    scale = _Scale([time for time, _ in line] + [begun], [price for _, price in line] + [price for _, price, _ in dots])
    points = " ".join(",".join(scale.at(*point)) for point in line)
    x, _ = scale.at(begun, line[0][1])
    marks = "".join(_dot(scale.at(time, price), row) for time, price, row in dots)
    low, high = amount(scale.low), amount(scale.low + scale.high)
    span = f"{moment(found['prices'][symbol][0]['time'])} to {moment(found['prices'][symbol][-1]['time'])}"
    said = f"USDT, {low} to {high}; {span}; dashed: the trigger"
    return f"""<figure class="chart"><figcaption><h3>{text(symbol)} <i>{text(said)}</i></h3></figcaption>
<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="Price of {text(symbol)}">
<polyline class="price-line" points="{points}"/><line class="at" x1="{x}" x2="{x}" y1="0" y2="{HIGH}"/>{marks}</svg></figure>
"""


def _dot(place: tuple[str, str], row: Document) -> str:
    said = f"{row['time']} {row['leg']} {row['role']} {row['side']} {number(row['qty_coins'])} at {money(row['price_usdt'])}"
    return f'<circle class="fill-{text(row["leg"])}" cx="{place[0]}" cy="{place[1]}" r="4"><title>{text(said)}</title></circle>'
