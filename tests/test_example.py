"""etc/hedgegridd.toml is what the schema says."""

import tomllib

from hedgegridd.config import load
from hedgegridd.example import CHOSEN, render
from hedgegridd.plugins import load_shipped, shipped
from hedgegridd.schema import Config
from hedgegridd.settings import leaves

FILE = shipped("etc") / "hedgegridd.toml"


def test_the_file_is_rendered_from_the_schema() -> None:
    assert FILE.read_text() == render(load_shipped()), "write it anew: python -m hedgegridd.example > etc/hedgegridd.toml"


def test_what_it_sets_is_the_default_or_chosen() -> None:
    config, default = load(FILE, {}), dict(leaves(Config().raw))
    for row in config.rows():
        path = row["path"].replace("[0]", "")
        if path in default and path not in CHOSEN:
            assert row["value"] == default[path], path


def test_every_key_is_in_it() -> None:
    text = FILE.read_text()
    for path, _ in leaves(Config().raw):
        key = path.rpartition(".")[2]
        assert f"\n{key} = " in text or f"\n# {key} " in text or key in ("instrument", "breaker", "alert", "service"), path
    assert "${BINANCE_API_KEY}" in text and tomllib.loads(text)
