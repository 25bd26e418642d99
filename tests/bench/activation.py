"""`activate` on paper: from the verb to the acknowledgement that is on the disk, and to every leg flat, over the control socket.

python tests/bench/activation.py [--quick]
"""

from __future__ import annotations

import statistics
import time

import stage
from stage import Row

from hedgegridd.control.client import Client


def measure(quick: bool = False) -> list[Row]:
    """Let the grid take positions, activate, let go again."""
    rounds = 2 if quick else 40
    replies, flats = [], []
    with stage.folder() as folder:
        recording = stage.csv_bars(folder / "BTCUSDT.csv", 400_000, year_vol=3.0)
        config = stage.config(folder, speed=12_000.0, balance=1e6)
        with config.open("a") as file:
            file.write(WIDE)
        with stage.daemon(config, "--feed", str(recording)) as life, Client(life.socket) as client:
            for _ in range(rounds):
                stage.wait(lambda: held(client) and not client.call("status", {}, 10.0)["kill_switch"]["active"])
                reply, flat = activate(client)
                replies.append(reply * 1e3)
                flats.append(flat * 1e3)
                client.call("deactivate", {"reason": "next round"}, 10.0)
    return [
        Row("activate to durable acknowledgement, p50", statistics.median(replies), "ms", "", f"{rounds} rounds with positions held"),
        Row("activate to durable acknowledgement, p99", stage.percentile(replies, 0.99), "ms"),
        Row("activate to flat on paper, p50", statistics.median(flats), "ms"),
        Row("activate to flat on paper, p99", stage.percentile(flats, 0.99), "ms", "1000"),
    ]


WIDE = """
[breaker.drawdown]
max_drawdown_pct = 90.0
[breaker.daily_loss]
max_daily_loss_pct = 90.0
[breaker.session_loss]
max_loss_amount_usdt = 900000
[breaker.position_size]
max_position_usdt = 900000
[breaker.order_errors]
enabled = false
"""


def held(client: Client) -> bool:
    """Is anything held?"""
    rows = client.call("status", {}, 10.0)["instruments"]
    return any(row[leg]["qty"] for row in rows for leg in ("long", "short"))


def activate(client: Client) -> tuple[float, float]:
    """Seconds to the acknowledgement and to flat."""
    begun = time.perf_counter()
    answer = client.call("activate", {"reason": "benchmark"}, 10.0)
    reply = time.perf_counter() - begun
    if answer.get("durable") is False:
        raise RuntimeError(f"not durable: {answer}")
    stage.wait(lambda: client.call("status", {}, 10.0)["kill_switch"]["phase"] == "flat", pause=0.0)
    flat = time.perf_counter() - begun
    if held(client):
        raise RuntimeError("flat, and still something is held")
    return reply, flat


if __name__ == "__main__":
    stage.main(measure)
