"""The page of a backtest's report as HTML: `report.data` in, one self-contained text out.

Its one law: nothing from a file can act (that nothing can reach out is the `frame`'s): every text passes `text` or is JSON without
a `<`. Tables are plain HTML that needs no script; charts are drawn by `report.js` from the JSON. It reads no artefact and computes
no result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from hedgegridd.research.frame import HERE, dotted, framed
from hedgegridd.research.pagetables import legs, metrics, models, positions, stops, trips
from hedgegridd.research.wording import DASH, duration, known, moment, money, number, seconds_of, text, tone

Data = dict[str, Any]

HOW = "Drag to zoom, shift-drag to move, double-click for the whole run; on the keyboard: arrows, + and −, Escape. All times are UTC."
NO_SCRIPT = "The charts are drawn by a script in this file, which your browser does not run. The tables need none."


def page(data: Data) -> str:
    """The whole file."""
    sections = [(name, title, make(data)) for name, title, make in SECTIONS]
    tail = f"""<div id="zoom" role="status" hidden><span></span><button type="button">Whole run</button></div>
<script type="application/json" id="chart-data">{embedded(data["charts"])}</script>
"""
    script = (HERE / "report.js").read_text("utf-8")
    return framed(_title(data), sections, lambda links: _header(data, links), foot=_footer(data), tail=tail, script=script)


def embedded(value: Any) -> str:
    """JSON that may stand in a script element: no text in it can end the element or begin a comment."""
    plain = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# --- header ---------------------------------------------------------------------------------------------------------------


def _title(data: Data) -> str:
    symbols = ", ".join(str(symbol) for symbol in data["summary"]["symbols"])
    kind = data["summary"].get("kind") or "Backtest"
    return f"{kind} of {symbols}" if symbols else str(kind)


def _header(data: Data, links: str) -> str:
    summary = data["summary"]
    start, end = summary.get("start"), summary.get("end")
    when = f"{moment(start)} {DASH} {moment(end)} UTC" if start and end else ""
    return f"""<header>
<p class="brand">hedgegridd {text(summary.get("version") or "")}</p>
<h1>{text(_title(data))}</h1>
<p class="facts">{dotted([when, *_facts(summary)])}</p>
<p class="lede">{_lede(data)}</p>
{_switch(summary["kill_switch"])}
<div class="tiles">{"".join(_tile(data["verdict"], *row) for row in TILES)}</div>
<nav>{links}</nav>
</header>"""


def _facts(summary: Data) -> list[str]:
    facts: list[tuple[str, str, Callable[[Any], str]]] = [
        ("interval", "{} bars", str),
        ("bars", "{} bars seen", number),
        ("orders", "{} orders", number),
        ("fills", "{} fills", number),
        ("engine", "{} engine", str),
        ("data", "from {}", str),
    ]
    return [said.format(say(summary[name])) for name, said, say in facts if summary.get(name) not in (None, "")]


def _lede(data: Data) -> str:
    """The verdict in one sentence."""
    summary, verdict = data["summary"], data["verdict"]
    pnl, before = verdict["pnl_usdt"], known(summary.get("equity_start_usdt"))
    start, end = seconds_of(summary.get("start")), seconds_of(summary.get("end"))
    if pnl is None:
        return ""
    said = f"{'Made' if pnl >= 0 else 'Lost'} <b>{money(abs(pnl))} USDT</b>"
    said += f" on {money(before)} USDT" if before is not None else ""
    said += f" in {_days(end - start)}" if start is not None and end is not None else ""
    if verdict["max_drawdown_pct"] is not None:
        said += f"; at worst equity lay {number(verdict['max_drawdown_pct'], 2)} % below its peak"
    return said + "."


def _days(seconds: float) -> str:
    return f"{number(seconds / 86_400, 0)} days" if seconds >= 2 * 86_400 else duration(seconds)


#: Of the header: its name, where it is, its unit, is good above zero.
TILES = (
    ("PnL", "pnl_usdt", "USDT", True),
    ("Return", "return_pct", "%", True),
    ("Max drawdown", "max_drawdown_pct", "%", False),
    ("Sharpe ratio", "sharpe_ratio", "", False),
    ("Trades", "total_trades", "", False),
    ("Fees paid", "fees_usdt", "USDT", False),
    ("Funding paid", "funding_usdt", "USDT", False),
    ("Breaker trips", "breaker_trips", "", False),
)


def _tile(verdict: Data, name: str, key: str, unit: str, judged: bool) -> str:
    value = verdict[key]
    said = number(value, 2 if unit or key == "sharpe_ratio" else None, sign=judged)
    return f'<div class="tile"><span>{name}{f"<i>{unit}</i>" if unit else ""}</span><b{tone(value if judged else None)}>{said}</b></div>'


def _switch(switch: Data) -> str:
    if not switch.get("active"):
        return ""
    said = f"Kill switch active at the end: {switch.get('level') or 'level not known'}"
    said += f", {switch['phase']}" if switch.get("phase") else ""
    said += f", since {moment(switch['since'])} UTC" if switch.get("since") else ""
    return f'<p class="banner"><b>{text(said)}.</b> {text(switch.get("reason") or "")}</p>'


# --- charts ---------------------------------------------------------------------------------------------------------------


def _charts(data: Data) -> str:
    symbols = [one["symbol"] for one in data["charts"].get("symbols", [])]
    if not symbols:
        return _list(data["left_out"], "small")
    several = len(symbols) > 1

    def each(kind: str, title: str, unit: str) -> list[str]:
        titles = [f"{symbol} {title.lower()}" if several else title for symbol in symbols]
        return [_chart(kind, text(said), unit, at) for at, said in enumerate(titles)]

    drawn = [
        *each("price", "Price", "USDT"),
        _chart("equity", "Equity", "USDT"),
        _chart("drawdown", "Drawdown", "% of the peak"),
        *each("held", "Inventory", "coins"),
        _chart("rate", "Funding rate", "bps"),
        _chart("funding", "Funding paid", "USDT, cumulative"),
    ]
    return f"""<p class="small how">{HOW}</p>
<noscript><p class="banner">{NO_SCRIPT}</p></noscript>
{"".join(drawn)}{_list(data["left_out"], "small")}"""


def _chart(kind: str, title: str, unit: str, symbol: int = 0) -> str:
    return f"""<figure class="chart" data-kind="{kind}" data-symbol="{symbol}">
<figcaption><h3>{title} <i>{unit}</i></h3><div class="legend"></div></figcaption>
<div class="read"></div><div class="plot" tabindex="0" role="img" aria-label="{title}"></div>
</figure>
"""


def _list(lines: Iterable[Any], kind: str = "") -> str:
    shown = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{shown}</ul>\n' if shown else ""


# --- notes ---------------------------------------------------------------------------------------------------------------


def _notes(data: Data) -> str:
    return _list(data["summary"]["notes"])


def _footer(data: Data) -> str:
    made, summary = data["made_of"], data["summary"]
    said = [f"{name} {version}" for name, version in made["versions"].items()]
    prints = [("config.toml", made["config_sha256"]), ("fills.csv", summary.get("fills_sha256"))]
    said += [f"{name} sha256 {str(value)[:16]}…" for name, value in prints if value]
    return f"<footer>{dotted(said)}</footer>"


SECTIONS: tuple[tuple[str, str, Callable[[Data], str]], ...] = (
    ("charts", "The run", _charts),
    ("legs", "Legs", legs),
    ("trips", "Breaker trips", trips),
    ("stops", "Stops", stops),
    ("models", "How much of the profit is an assumption", models),
    ("metrics", "Metrics", metrics),
    ("positions", "Positions", positions),
    ("notes", "Notes", _notes),
)
