"""For Prometheus: the newest status as fifteen gauges at http://host:port/metrics, switched on by `[metrics]`.

One law: a figure that is unknown is absent, never zero, and a daemon that has fallen silent is no healthy one: when no status has
come for ten seconds the answer is 503. It runs in a process of its own and sees the status document only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

from hedgegridd import hookimpl

STALE_SECONDS = 10.0
SLOW_SECONDS = 5.0  # for one request
FORMAT = "text/plain; version=0.0.4; charset=utf-8"

Status = dict[str, Any]
Figure = float | None
Answer = Callable[[], tuple[int, str]]  #: status code and text of a scrape


def _each(status: Status, *path: str) -> list[Any]:
    """One figure of every instrument."""
    found = []
    for value in status["instruments"]:
        for key in path:
            value = value[key]
        found.append(value)
    return found


def _sum(values: Iterable[Figure]) -> Figure:
    """What is not known of one part is not known of the whole."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _account(key: str) -> Callable[[Status], Figure]:
    return lambda status: status["account"][key]


def _last_bar(status: Status) -> Figure:
    times = [text for text in _each(status, "last_bar_at") if text]
    return datetime.fromisoformat(max(times)).timestamp() if times else None


#: name -> (what it is and in which unit, where it is found in the status)
GAUGES: dict[str, tuple[str, Callable[[Status], Figure]]] = {
    "long_inventory_usdt": ("Notional of all long legs at the mark price, USDT", _account("long_inventory_usdt")),
    "short_inventory_usdt": ("Notional of all short legs at the mark price, USDT", _account("short_inventory_usdt")),
    "net_inventory_usdt": ("Long minus short inventory, USDT", _account("net_inventory_usdt")),
    "active_rungs_long": ("Entry orders resting or in flight on long legs", lambda s: _sum(_each(s, "ladders", "long"))),
    "active_rungs_short": ("Entry orders resting or in flight on short legs", lambda s: _sum(_each(s, "ladders", "short"))),
    "open_orders": ("Own orders resting or in flight", lambda s: _sum(_each(s, "open_orders"))),
    "margin_ratio": ("Maintenance margin / margin balance; 1.0 is liquidation", _account("margin_ratio")),
    "maker_ratio": ("Fills as maker / all fills", _account("maker_ratio")),
    "funding_rate_current": ("Funding rate per interval, fraction", lambda s: next(iter(_each(s, "funding_rate")), None)),
    "funding_cost_1h_projected_usdt": (
        "Rate x notional / interval hours, both legs, positive is paid, USDT",
        lambda s: _sum(_each(s, "funding_cost_1h_projected_usdt")),
    ),
    "realized_pnl_usdt": ("Realized profit before fees and funding, USDT", _account("realized_pnl_usdt")),
    "unrealized_pnl_usdt": ("Unrealized profit at the mark price, USDT", _account("unrealized_pnl_usdt")),
    "total_pnl_usdt": ("Realized + unrealized - fees - funding, USDT", _account("total_pnl_usdt")),
    "uptime_seconds": ("Seconds since the daemon started", lambda s: s["uptime_seconds"]),
    "last_bar_timestamp": ("Completion of the newest bar, seconds since the epoch", _last_bar),
}


def exposition(status: Status) -> str:
    """The gauges in Prometheus' text format; what is unknown is NaN, so that all fifteen are there from the first scrape."""
    lines = []
    for name, (text, figure) in GAUGES.items():
        value = figure(status)
        shown = "NaN" if value is None else f"{float(value):.17g}"
        lines += [f"# HELP hedgegridd_{name} {text}", f"# TYPE hedgegridd_{name} gauge", f"hedgegridd_{name} {shown}"]
    return "\n".join(lines) + "\n"


class Prometheus:
    """The endpoint. `server` is there once it was started."""

    name = "prometheus"

    class Settings:
        host: str = "127.0.0.1"  # address to listen on; left out: as in [metrics]
        port: Annotated[int, {"min": 0, "max": 65535}] = 9090  # port to listen on, 0 = any; left out: as in [metrics]

    settings: Settings

    def start(self) -> None:
        """Begin to listen."""
        self._text, self._since = "", 0.0
        self.server = listen(self.settings.host, self.settings.port, self._answer)

    def update(self, status: Status) -> None:
        """The newest status."""
        self._text, self._since = exposition(status), time.monotonic()

    def _answer(self) -> tuple[int, str]:
        silent = time.monotonic() - self._since
        if not self._text or silent > STALE_SECONDS:
            return 503, "no status from the daemon" + (f" for {silent:.0f} s\n" if self._text else " yet\n")
        return 200, self._text


def listen(host: str, port: int, answer: Answer) -> Any:
    """A server of GET /metrics and nothing else, in a thread of its own."""
    import socket
    from http.server import BaseHTTPRequestHandler  # here, for the daemon reads this file too and serves nothing
    from socketserver import TCPServer, ThreadingMixIn

    class Request(BaseHTTPRequestHandler):
        timeout = SLOW_SECONDS

        def do_GET(self) -> None:
            code, text = answer() if self.path.partition("?")[0] == "/metrics" else (404, "only /metrics is here\n")
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", FORMAT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Scrapes are no news."""

    class Server(ThreadingMixIn, TCPServer):  # not HTTPServer, which asks the name service who it is
        daemon_threads = allow_reuse_address = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    server = Server((host, port), Request)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@hookimpl
def register_services(register: Callable[[Any], None]) -> None:
    register(Prometheus)
