"""The daemon's JSON as text for people. One law: what is not known is shown as '?', never as a number.

Pure functions from a result to lines; colours only where the caller's `Ink` is on. Every verb without a screen of its own is
shown by its shape: a list of rows as a table, anything else as an outline. Whatever text comes from outside loses its
control characters here, so that a reason cannot steer a terminal. Imported on the way to every screen: no heavy imports.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "alarm": "1;37;41"}
_STATES = {
    "armed": "green",
    "tripped": "alarm",
    "disarmed": "yellow",
    "would_trip": "yellow",
    "check_error": "red",
    "unknown": "yellow",
    "loaded": "green",
    "refused": "red",
    "quarantined": "red",
    "up": "green",
    "down": "red",
    "sideways": "cyan",
    "long": "green",
    "short": "red",
    "CRITICAL": "alarm",
    "WARNING": "yellow",
}  # fmt: skip
UNKNOWN = "?"


class Ink:
    """Paints text, or leaves it as it is."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, colour: str) -> str:
        """`text` in this colour ('' = none)."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.on and colour else text


PLAIN = Ink(False)


# --- words and numbers --------------------------------------------------------------------------------------------------


def clean(value: object) -> str:
    """Text from outside without anything that a terminal would obey."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def money(value: Any) -> str:
    """USDT with two digits and thousands; less than half a cent is nothing, of either sign."""
    return f"{round(value, 2) + 0.0:,.2f}" if _is_number(value) else UNKNOWN


def number(value: Any) -> str:
    """A number as short as it can be said, and never as a power of ten."""
    if not _is_number(value):
        return UNKNOWN
    if abs(value) >= 1e8:
        return f"{value:,.0f}"
    return f"{value:,.8g}" if abs(value) >= 1e-4 or not value else f"{value:.8f}".rstrip("0").removesuffix(".")


def measure(value: Any) -> str:
    """A measured figure in four digits: nobody reads a drawdown to the tenth."""
    if not _is_number(value):
        return UNKNOWN
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-4 or not value else "0.0000"


def percent(fraction: Any) -> str:
    """A fraction as percent."""
    return f"{fraction * 100:.2f} %" if _is_number(fraction) else UNKNOWN


def rate(fraction: Any) -> str:
    """A funding rate as percent: it has four digits of its own."""
    return f"{fraction * 100:.4f} %" if _is_number(fraction) else UNKNOWN


def moment(value: Any) -> str:
    """An ISO time as people read it, saying that it is UTC."""
    text = clean(value) if value else UNKNOWN
    return f"{text[:10]} {text[11:19]} UTC" if len(text) >= 20 and text[10] == "T" else text


def duration(seconds: Any) -> str:
    """`3 d 4 h`, `5 min 2 s`, `0.4 s`."""
    if not _is_number(seconds):
        return UNKNOWN
    whole = int(seconds)
    for size, name, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {small}"
    return f"{seconds:.3g} s"


def bar(fraction: Any, width: int, ink: Ink = PLAIN) -> str:
    """How much of the way to the threshold is gone."""
    if not _is_number(fraction):
        return UNKNOWN.ljust(width)
    full = int(max(0, min(width, round(fraction * width))))
    colour = "green" if fraction < 0.8 else "yellow" if fraction < 1 else "red"
    return ink("#" * full, colour) + "." * (width - full)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(value == value)


def table(rows: Iterable[Sequence[str]], heads: Sequence[str] = (), ink: Ink = PLAIN, indent: str = "  ") -> list[str]:
    """Columns as wide as they must be; numbers to the right. Words that name a state carry its colour."""
    body = [list(row) for row in rows]
    grid = [list(heads), *body] if heads else body
    if not body:
        return []
    widths = [max(len(row[i]) for row in grid) for i in range(len(grid[0]))]
    right = [all(_looks_like_number(row[i]) for row in body) for i in range(len(grid[0]))]

    def line(row: Sequence[str], colour: str = "") -> str:
        cells = [
            ink(cell.rjust(wide) if to_right else cell.ljust(wide), colour or _STATES.get(cell, ""))
            for cell, wide, to_right in zip(row, widths, right, strict=True)
        ]
        return (indent + "  ".join(cells)).rstrip()

    return [*([line(heads, "dim")] if heads else []), *(line(row) for row in body)]


def _looks_like_number(cell: str) -> bool:
    return cell in ("", "-", UNKNOWN) or cell[0].isdigit() or (cell[0] == "-" and len(cell) > 1)


# --- one screen each ----------------------------------------------------------------------------------------------------


def render(verb: str, result: dict[str, Any], ink: Ink = PLAIN) -> list[str]:
    """A verb's result as lines."""
    screen = _SCREENS.get(verb)
    lines = screen(result, ink) if screen else _read(verb, result, ink)
    return [*lines, ink("there is more: ask with --since or --limit", "yellow")] if result.get("more") else lines


def _read(verb: str, result: dict[str, Any], ink: Ink) -> list[str]:
    """By the verb's own columns; an answer that does not have them, a daemon's of another version, by its shape."""
    if isinstance(result.get("text"), str):
        return _raw(result, ink)
    from hedgegridd.control import reads  # what no status needs

    screen: Callable[[dict[str, Any], Ink], list[str]] = reads.SCREENS.get(verb, shape)
    try:
        return screen(result, ink)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return shape(result, ink)


def status(doc: dict[str, Any], ink: Ink = PLAIN) -> list[str]:
    """The whole picture on one screen."""
    lines = [headline(doc, ink), *kill_lines(doc.get("kill_switch", {}), ink)]
    lines += [f"{ink('degraded', 'yellow')}     {clean(text)}" for text in doc.get("degraded", ())]
    lines += ["", *account_lines(doc)]
    lines += ["", ink("breakers", "bold"), *guard_lines(doc.get("breakers", ()), ink)]
    for row in doc.get("instruments", ()):
        lines += ["", *instrument(row, ink)]
    return [*lines, "", *_machinery(doc, ink)]


def verified(doc: dict[str, Any], ink: Ink = PLAIN) -> list[str]:
    """What a verification of the journal found: where, what was expected, what is there."""
    damage, records = doc.get("damage"), f"{doc.get('records', 0):,} records"
    if damage:
        where = f"{damage['segment']}, record {damage['record']}, after number {damage['after_seq']}"
        lines = [f"{ink('DAMAGED', 'alarm')}  {clean(where)}: {clean(damage['why'])}"]
        lines += [f"  {name:<8} {clean(damage[name])}" for name in ("expected", "found") if damage.get(name)]
        lines.append(f"  {records} before it are sound")
    else:
        asked = f", and the head {clean(doc['asked'])} is among them" if doc.get("asked") else ""
        lines = [f"{ink('sound', 'green')}  {records}{asked}"]
    lines += [f"{ink('note', 'yellow')}   {clean(note)}" for note in doc.get("notes", ())]
    return [*lines, *([f"head   {clean(doc['head'])}"] if doc.get("head") else [])]


def headline(doc: dict[str, Any], ink: Ink = PLAIN) -> str:
    """Who it is and whether it trades."""
    ready = ink("ready", "green") if doc.get("ready") else ink("warming up", "yellow")
    name = f" {clean(doc['instance'])}" if doc.get("instance") else ""
    mode = str(doc.get("mode", UNKNOWN))
    who = f"hedgegridd {clean(doc.get('version', ''))}{name}  {ink(clean(mode), 'alarm' if mode == 'live' else 'bold')}"
    return f"{who}  {ready}  up {duration(doc.get('uptime_seconds'))}  pid {clean(doc.get('pid', UNKNOWN))}"


def kill_lines(kill: dict[str, Any], ink: Ink = PLAIN) -> list[str]:
    """The kill switch: the first thing to read."""
    if kill.get("active") is None:
        return [f"{ink('kill switch', 'bold')}  {ink('unknown', 'yellow')}"]
    if not kill["active"]:
        watch = "" if kill.get("monitoring", True) and kill.get("enabled", True) else ink("  monitoring is OFF", "red")
        busy = f"  a flatten is under way: {clean(kill.get('phase'))}" if kill.get("flatten_in_progress") else ""
        return [f"{ink('kill switch', 'bold')}  {ink('inactive', 'green')}{watch}{busy}"]
    head = f"{ink('kill switch', 'bold')}  {ink(' ACTIVE ', 'alarm')} {clean(kill.get('level', ''))}, {clean(kill.get('phase', ''))}"
    lasting = "" if kill.get("durable", True) else ink("  NOT durable: the disk refused it", "red")
    env = "  engaged by the environment" if kill.get("env_engaged") else ""
    source = clean(kill.get("source") or UNKNOWN)
    who = f"since {moment(kill.get('since'))}  by {source} {clean(kill.get('actor') or '')}".rstrip()
    return [head + lasting + env, f"             {clean(kill.get('reason') or 'no reason given')}", f"             {who}"]


def _in_force(rows: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """The breakers that are asked or that a person disarmed, and those that configuration or feed keep out of force."""
    rows = list(rows)
    off = [row for row in rows if row.get("state") == "disarmed" and not str(row.get("reason", "disarmed by")).startswith("disarmed by")]
    return [row for row in rows if row not in off], off


def guard_lines(rows: Iterable[Any], ink: Ink = PLAIN) -> list[str]:
    """The breakers in force; the others are counted."""
    asked, off = _in_force(rows)
    return breaker_lines(asked, ink) + ([f"  {len(off)} more are not in force: hedgegridctl breakers says why"] if off else [])


def breaker_lines(rows: Iterable[Any], ink: Ink = PLAIN) -> list[str]:
    """Each breaker with its way to the threshold."""
    rows = list(rows)
    plain = table(
        [
            [clean(row.get("name", "")), clean(row.get("state", "")), f"{measure(row.get('value'))} / {measure(row.get('threshold'))}",
             clean(row.get("unit") or ""), clean(row.get("on_trip") or "")]
            for row in rows
        ],
        ink=ink,
    )  # fmt: skip
    return [f"{line}  {bar(row.get('fraction'), 20, ink)}".rstrip() for line, row in zip(_even(plain), rows, strict=True)]


def _even(lines: list[str]) -> list[str]:
    """Pad to one width, colours not counted."""
    widths = [_width(line) for line in lines]
    return [line + " " * (max(widths) - wide) for line, wide in zip(lines, widths, strict=True)]


def _width(line: str) -> int:
    """What a terminal shows of it."""
    return sum(len(part.partition("m")[2]) if i else len(part) for i, part in enumerate(line.split("\x1b[")))


def instrument(row: dict[str, Any], ink: Ink = PLAIN) -> list[str]:
    """One symbol: the market, then a line for each leg."""
    ladders = row.get("ladders") or {}
    paused = row.get("paused")
    head = (
        f"{ink(clean(row.get('symbol', UNKNOWN)), 'bold')}  mark {number(row.get('mark_price'))}  "
        f"{clean(row.get('regime') or UNKNOWN)}  center {number(row.get('grid_center'))}  "
        f"rungs {number(ladders.get('long'))}/{number(ladders.get('short'))}  orders {number(row.get('open_orders'))}  "
        f"throttle {number(row.get('throttle'))}{ink('  PAUSED', 'yellow') if paused else ''}"
    )
    money_line = (
        f"  funding {rate(row.get('funding_rate'))} at {moment(row.get('next_funding_at'))}, "
        f"{measure(row.get('funding_cost_1h_projected_usdt'))} USDT/h  basis {measure(row.get('basis_bps'))} bps  "
        f"last bar {moment(row.get('last_bar_at'))}"
    )
    legs = [_leg(name, row.get(name) or {}) for name in ("long", "short")]
    return [head, money_line, *table(legs, ink=ink)]


def _leg(name: str, leg: dict[str, Any]) -> list[str]:
    mode = "" if leg.get("mode", "normal") == "normal" else f"mode {clean(leg['mode'])}"
    if not leg.get("qty"):
        return [name, "flat" if leg.get("qty") == 0 else UNKNOWN, "", "", "", "", mode]
    guard = "protected" if leg.get("protected") else "UNPROTECTED"
    stop = f"stop {number(leg.get('stop_price'))}"
    return [
        name,
        number(leg["qty"]),
        f"at {number(leg.get('entry_price'))}",
        f"pnl {money(leg.get('unrealized_pnl_usdt'))}",
        stop,
        guard,
        mode,
    ]


def account_lines(doc: dict[str, Any]) -> list[str]:
    """What the account is worth, made, holds and uses; money is in USDT."""
    have, since = doc.get("account", {}), doc.get("session", {})
    worth = f"equity {money(have.get('equity_usdt'))} USDT  wallet {money(have.get('wallet_usdt'))}"
    fallen = f"drawdown {measure(have.get('drawdown_pct'))} %"
    earned = "  ".join(
        f"{name} {money(have.get(key))}"
        for name, key in (
            ("total", "total_pnl_usdt"),
            ("realised", "realized_pnl_usdt"),
            ("unrealised", "unrealized_pnl_usdt"),
            ("fees paid", "fees_usdt"),
            ("funding paid", "funding_paid_usdt"),
        )
    )
    held = "  ".join(f"{name} {money(have.get(f'{name}_inventory_usdt'))}" for name in ("long", "short", "net"))
    use = f"margin ratio {percent(have.get('margin_ratio'))}  initial use {percent(have.get('initial_margin_use'))}"
    return [
        f"account      {worth}  {fallen}",
        f"pnl          {earned}",
        f"held         {held}  {use}  maker {percent(have.get('maker_ratio'))}",
        f"today        {money(since.get('daily_pnl_usdt'))} since {moment(since.get('daily_reset_at'))}, "
        f"peak {money(since.get('daily_peak_equity_usdt'))}",
        f"session      from {money(since.get('start_equity_usdt'))} "
        f"since {moment(since.get('started_at'))}, peak {money(since.get('peak_equity_usdt'))}",
    ]


def _machinery(doc: dict[str, Any], ink: Ink) -> list[str]:
    place, sent, back = doc.get("exchange", {}), doc.get("alerts", {}), doc.get("recovery", {})
    link = "connected" if place.get("connected") else ink("NOT connected", "red")
    streams = ", ".join(f"{clean(s.get('name'))} {number(s.get('age_ms'))} ms" for s in place.get("streams", ()))
    lost = sent.get("undelivered") or 0
    plugins = doc.get("plugins", ())
    bad = [row for row in plugins if row.get("state") not in ("loaded", "armed", "disarmed")]
    return [
        f"exchange     {clean(place.get('name', UNKNOWN))} {link}  clock {number(place.get('time_offset_ms'))} ms  "
        f"weight {number(place.get('weight_used_pct'))} %  unknown orders {clean(place.get('unknown_orders', UNKNOWN))}"
        + (f"  ({streams})" if streams else ""),
        f"alerts       {clean(sent.get('sent', UNKNOWN))} sent, {clean(sent.get('queued', UNKNOWN))} queued, "
        + ink(f"{lost} undelivered", "red" if lost else ""),
        f"recovery     {clean(back.get('stage', UNKNOWN))}, size x {number(back.get('size_factor'))}  "
        f"loop lag {number(doc.get('loop_lag_ms_p99'))} ms",
        *_on_paper(back.get("paper")),
        *(f"             before the next stage: {clean(why)}" for why in back.get("blocked_by", ())),
        *_drilled(doc.get("drill") or {}, ink),
        f"plugins      {len(plugins)}" + "".join(f"\n             {_bad_plugin(row, ink)}" for row in bad),
    ]


def _on_paper(made: dict[str, Any] | None) -> list[str]:
    """What the stage paper of a staged return made."""
    if not made:
        return []
    filled = f"{clean(made.get('fills', UNKNOWN))} fills, {clean(made.get('closed', UNKNOWN))} of them closed something"
    return [
        f"             on paper: {filled}, {money(made.get('pnl_usdt'))} USDT at the mark, {money(made.get('realized_pnl_usdt'))} realised"
    ]


def _drilled(drill: dict[str, Any], ink: Ink) -> list[str]:
    """The drill under way, or the last one."""
    running, last = drill.get("running"), drill.get("last")
    if running:
        return [f"drill        {clean(running.get('id'))} is under way: {clean(running.get('scenario'))}"]
    if not last:
        return []
    result = ink(clean(last.get("result")), "green" if last.get("result") == "pass" else "red")
    return [f"drill        last {moment(last.get('at'))}: {result}"]


def _bad_plugin(row: dict[str, Any], ink: Ink) -> str:
    return f"{clean(row.get('name') or row.get('file'))} {ink(clean(row.get('state')), 'red')}: {clean(row.get('reason') or '')}"


def _breakers(result: dict[str, Any], ink: Ink) -> list[str]:
    asked, off = _in_force(result.get("breakers", ()))
    why: dict[str, list[str]] = {}
    for row in off:
        why.setdefault(clean(row.get("reason")), []).append(clean(row.get("name", "")))
    idle = [ink("not in force", "bold"), *(f"  {reason}: {', '.join(names)}" for reason, names in why.items())] if off else []
    return breaker_lines(asked, ink) + idle or ["no breakers"]


def _preview(result: dict[str, Any], ink: Ink) -> list[str]:
    """What a breaker says now, and would have done lately."""
    if result.get("failed"):
        return [ink(f"no preview: {clean(result['failed'])}", "yellow")]
    says, lately = result.get("now", {}), result.get("lately", {})
    colour = "yellow" if lately.get("trips") or not lately.get("ok") else "green"
    lines = [
        f"now     {clean(says.get('state', UNKNOWN))}, {measure(says.get('value'))} of {measure(says.get('threshold'))} "
        f"{clean(says.get('unit') or '')} {clean(says.get('reason') or '')}".rstrip(),
        f"lately  {ink(clean(lately.get('verdict', UNKNOWN)), colour)}",
    ]
    effect = lately.get("effect") or {}
    if lately.get("trips"):
        about = "an estimate: " if effect.get("kind") == "estimate" else ""
        lines.append(f"effect  {about}{money(effect.get('saved_usdt'))} USDT saved (negative: it would have cost)")
        lines.append(f"        {clean(effect.get('basis', ''))}")
    return lines + [f"note    {clean(note)}" for note in lately.get("notes", ())]


def _raw(result: dict[str, Any], ink: Ink) -> list[str]:
    """What the daemon has put in words itself."""
    return [clean(line) for line in result["text"].splitlines()]


def offline(doc: dict[str, Any], ink: Ink = PLAIN) -> list[str]:
    """What the files of a daemon that does not answer say."""
    kill = doc.get("kill_switch", {})
    lines = [
        f"daemon       {ink('not reachable', 'red')}: {clean(doc.get('why', ''))}",
        f"state        {clean(doc.get('state_dir', UNKNOWN))}, journal last written {moment(doc.get('journal_written_at'))}",
        *kill_lines(kill, ink),
    ]
    return [*lines, f"             {clean(kill['note'])}"] if kill.get("note") else lines


_SCREENS: dict[str, Callable[[dict[str, Any], Ink], list[str]]] = {
    "status": status,
    "breakers": _breakers,
    "breakers.preview": _preview,
    "journal.verify": verified,
}


# --- anything else, by its shape ----------------------------------------------------------------------------------------


def shape(result: Any, ink: Ink = PLAIN, indent: str = "") -> list[str]:
    """An outline of plain data in which a list of rows is a table."""
    if isinstance(result, dict):
        return _outline({key: value for key, value in result.items() if indent or key not in ("schema", "more")}, ink, indent)
    if isinstance(result, (list, tuple)):
        return _listed(list(result), ink, indent)
    return [indent + cell("", result)]


def _outline(result: dict[str, Any], ink: Ink, indent: str) -> list[str]:
    lines: list[str] = []
    flat = {key: value for key, value in result.items() if not isinstance(value, (dict, list, tuple))}
    wide = max((len(clean(key)) for key in flat), default=0)
    lines += [f"{indent}{clean(key).ljust(wide)}  {cell(key, value)}" for key, value in flat.items()]
    for key, value in result.items():
        if key not in flat:
            lines += [f"{indent}{ink(clean(key), 'bold')}", *shape(value, ink, f"{indent}  ")]
    return lines


def _listed(rows: list[Any], ink: Ink, indent: str) -> list[str]:
    if not rows:
        return [f"{indent}none"]
    if not all(isinstance(row, dict) for row in rows):
        return [f"{indent}{cell('', row)}" for row in rows]
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return table([[cell(key, row.get(key, "")) for key in heads] for row in rows], [clean(key) for key in heads], ink, indent)


def cell(key: str, value: Any) -> str:
    """One value, by what its name and type say of it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_number(value):
        return money(value) if key.endswith("_usdt") else number(value)
    if isinstance(value, dict):
        return ", ".join(f"{clean(name)} {cell(name, item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(cell("", item) for item in value)
    text = clean(value)
    return moment(text) if key == "at" or key.endswith(("_at", "time", "since")) else text
