"""The example configuration, etc/hedgegridd.toml: every setting with its default and what it means. One law: written from the schema.

A test compares the file with `render`; `python -m hedgegridd.example > etc/hedgegridd.toml` writes it anew. It checks nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from hedgegridd.plugins import Plugin, Registry, load_shipped
from hedgegridd.schema import COMMON, PRESETS, Config, InstrumentTable
from hedgegridd.settings import NOTHING, Field, fields_of, is_secret, is_section, leaves

HEAD = """\
# hedgegridd: every setting with its default. What is not in the file stands at its default; `hedgegridd check --show` prints what
# is in force and where it comes from. Files in conf.d/ beside this one are read after it and win.
# A secret is written "${NAME}": a systemd credential or an environment variable of that name.
# Units are in the names: _pct is percent (5 is 5 %), _bps, _usdt, _seconds, _minutes, _ms, _mb.
"""

#: What the example sets otherwise than by default, so that it is a configuration that passes its own check.
CHOSEN: dict[str, Any] = {
    "instrument.symbol": "BTCUSDT",
    "instrument.filters.tick_size": 0.1,
    "instrument.filters.lot_size": 0.001,
    "instrument.filters.min_notional": 100.0,
    "instrument.params.grid.base_qty": 0.002,
    "instrument.params.risk_management.max_drawdown_pct": 4.0,
    "limits.max_exposure_pct": 80.0,
}
PRESET_KEYS = frozenset(path for preset in PRESETS.values() for path, _ in leaves(preset))
ELSEWHERE = frozenset({"prometheus"})  # has its settings from [metrics]
SAID = re.compile(r"^\s+(\w+): .*#: (.+)$", re.MULTILINE)


def render(registry: Registry) -> str:
    """The whole file as text; `registry` has the shipped plugins, whose settings are in it."""
    return HEAD + "\n".join(_tables(registry)) + "\n"


def _tables(registry: Registry) -> Iterator[str]:
    sections = fields_of(Config)
    yield from _table("", "", [one for one in sections if not is_section(one.hint) and one.name not in (*COMMON, "instrument")])
    for one in sections:
        if is_section(one.hint):
            yield from _section(one.name, one.hint, _title(one.hint))
        elif one.name == "instrument":
            yield from _instrument(registry)
        elif one.name in COMMON:
            for plugin in registry.of(one.name).values():
                yield from _plugin(one.name, plugin) if plugin.name not in ELSEWHERE else ()


def _section(path: str, cls: type, title: str, header: str = "") -> Iterator[str]:
    """A table and the tables in it."""
    fields = fields_of(cls)
    yield from _table(path, title, [one for one in fields if not is_section(one.hint) and one.name != "params"], header)
    for one in fields:
        if is_section(one.hint):
            yield from _section(f"{path}.{one.name}", one.hint, _title(one.hint))


def _instrument(registry: Registry) -> Iterator[str]:
    yield from _section("instrument", InstrumentTable, _title(InstrumentTable), "[[instrument]]")
    strategy = registry.strategies["hedge_grid"]
    for one in fields_of(strategy.thing.Settings):
        yield from _section(f"instrument.params.{one.name}", one.hint, "")


def _plugin(kind: str, plugin: Plugin) -> Iterator[str]:
    """The table of a shipped breaker, alert or service: its own keys, then those that every one of its kind has."""
    own_doc = plugin.thing.__doc__ if kind == "breaker" else ""  # a file may have several
    doc = (own_doc or sys.modules[plugin.thing.__module__].__doc__ or "").strip().split("\n\n")[0]
    said = dict(SAID.findall(plugin.file.read_text()))
    own = [one._replace(about={"doc": said.get(one.name, "")}) for one in fields_of(getattr(plugin.thing, "Settings", object))]
    keys = [one._replace(default=_known(kind, plugin, one)) for one in fields_of(COMMON[kind])]
    yield from _table(f"{kind}.{plugin.name}", " ".join(doc.split()), own + keys)


def _known(kind: str, plugin: Plugin, one: Field) -> Any:
    """The default that a common key has for this plugin."""
    if kind == "breaker" and one.name == "on_trip":
        return getattr(plugin.thing, "on_trip", "halt")
    if kind == "breaker" and one.name == "enabled":
        return getattr(plugin.thing, "enabled", True)
    return plugin.name == "log" if kind == "alert" and one.name == "enabled" else one.default


def _title(cls: type) -> str:
    """What the docstring of a table says beside its name."""
    return (cls.__doc__ or "").partition("]")[2].lstrip("],; ").strip()


def _table(path: str, title: str, fields: list[Field], header: str = "") -> Iterator[str]:
    yield ""
    if path:
        yield f"{header or f'[{path}]'}{f'  # {title}' if title else ''}"
    yield from (_line(f"{path}.{one.name}" if path else one.name, one) for one in fields)


def _line(path: str, one: Field) -> str:
    doc, value = str(one.about.get("doc", "")), CHOSEN.get(path, one.default)
    if one.about.get("choices"):
        doc += f": {', '.join(str(choice) for choice in one.about['choices'])}"
    if path in CHOSEN and one.default not in (NOTHING, None):
        doc += f" (default {_toml(one.default)})"
    comment = f"  # {doc}" if doc else ""
    if is_secret(path):
        return f'# {one.name} = "${{{path.split(".")[-2].upper()}_{one.name.upper()}}}"{comment}'
    if value is None or value is NOTHING or (value == () and any(is_section(inner) for inner in get_args(one.hint))):
        return f"# {one.name} is not set{comment}"
    if path in PRESET_KEYS and path not in CHOSEN:
        return f"# {one.name} = {_toml(value)}{comment or '  #'}{';' if comment else ''} left to the preset"
    return f"{one.name} = {_toml(value)}{comment}"


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value)


if __name__ == "__main__":
    sys.stdout.write(render(load_shipped()))
