"""The Prometheus endpoint: scraped over a real socket, it says what `status` says."""

from __future__ import annotations

import math
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from rig import plugin_module

from hedgegridd.live import status

NAMES = [
    "long_inventory_usdt",
    "short_inventory_usdt",
    "net_inventory_usdt",
    "active_rungs_long",
    "active_rungs_short",
    "open_orders",
    "margin_ratio",
    "maker_ratio",
    "funding_rate_current",
    "funding_cost_1h_projected_usdt",
    "realized_pnl_usdt",
    "unrealized_pnl_usdt",
    "total_pnl_usdt",
    "uptime_seconds",
    "last_bar_timestamp",
]


service_prometheus = plugin_module("service_prometheus")


def document(**account: Any) -> dict[str, Any]:
    """The part of a status document that is looked at, with two instruments."""
    keys = ("long_inventory_usdt", "short_inventory_usdt", "net_inventory_usdt", "margin_ratio", "maker_ratio", "realized_pnl_usdt",
            "unrealized_pnl_usdt", "total_pnl_usdt")  # fmt: skip
    money = {key: i + 0.1 for i, key in enumerate(keys)} | account
    one = {"ladders": {"long": 3, "short": 4}, "open_orders": 9, "funding_rate": 0.0001, "funding_cost_1h_projected_usdt": -0.25,
           "last_bar_at": "2025-01-01T00:01:00.000Z"}  # fmt: skip
    two = {**one, "ladders": {"long": 1, "short": 0}, "funding_rate": 0.5, "last_bar_at": "2025-01-01T00:02:00.500Z"}
    return {"uptime_seconds": 12.5, "account": money, "instruments": [one, two]}


@pytest.fixture
def service() -> Iterator[Any]:
    made = service_prometheus.Prometheus()
    made.settings = made.Settings()
    made.settings.port = 0
    made.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def scrape(service: Any, path: str = "/metrics") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.server.server_address[1]}{path}", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def gauges(text: str) -> dict[str, float]:
    return {line.split()[0].removeprefix("hedgegridd_"): float(line.split()[1]) for line in text.splitlines() if line[0] != "#"}


def test_it_registers_one_service() -> None:
    registered: list[Any] = []
    service_prometheus.register_services(registered.append)
    assert [thing.name for thing in registered] == ["prometheus"]


def test_a_scrape_has_the_fifteen_gauges_each_told_what_it_is(service: Any) -> None:
    service.update(document())
    code, text = scrape(service)
    assert code == 200
    assert sorted(gauges(text)) == sorted(NAMES)
    for name in NAMES:
        assert f"\n# TYPE hedgegridd_{name} gauge\n" in text and f"# HELP hedgegridd_{name} " in text
    found = gauges(text)
    assert (found["active_rungs_long"], found["active_rungs_short"], found["open_orders"]) == (4, 4, 18)
    assert found["funding_cost_1h_projected_usdt"] == -0.5 and found["funding_rate_current"] == 0.0001
    assert found["last_bar_timestamp"] == 1_735_689_720.5


def test_it_says_what_the_verb_says() -> None:
    for one in (document(), document(margin_ratio=None, maker_ratio=None), {**document(), "instruments": []}):
        assert repr(gauges(service_prometheus.exposition(one))) == repr(gauges(status.exposition(one)))
        assert sorted(service_prometheus.exposition(one).splitlines()) == sorted(status.exposition(one).splitlines())


def test_what_is_unknown_is_no_number_and_never_zero(service: Any) -> None:
    unknown = document(margin_ratio=None)
    unknown["instruments"][1]["funding_cost_1h_projected_usdt"] = None
    service.update(unknown)
    found = gauges(scrape(service)[1])
    assert [name for name in sorted(found) if math.isnan(found[name])] == ["funding_cost_1h_projected_usdt", "margin_ratio"]
    assert sorted(found) == sorted(NAMES)


def test_a_silent_daemon_is_no_healthy_one(service: Any) -> None:
    assert scrape(service)[0] == 503
    service.update(document())
    assert scrape(service)[0] == 200
    service._since -= service_prometheus.STALE_SECONDS + 1
    code, text = scrape(service)
    assert code == 503 and "no status" in text


def test_there_is_nothing_else(service: Any) -> None:
    service.update(document())
    assert scrape(service, "/")[0] == 404
    assert scrape(service, "/metrics?x=1")[0] == 200
