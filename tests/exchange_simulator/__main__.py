"""The simulator as a process: prints its addresses as one line of JSON, then serves until it is told to stop.

Its one law: nothing else is ever printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from dataclasses import fields

from exchange_simulator.simulator import Settings, Simulator


def options() -> Settings:
    """Every setting as an option; symbols as NAME=PRICE, repeated."""
    parser = argparse.ArgumentParser(prog="exchange_simulator", description="Binance USDT-M futures for tests, on 127.0.0.1")
    parser.add_argument("--symbol", action="append", default=[], metavar="NAME=PRICE")
    for one in fields(Settings):
        if isinstance(one.default, bool):
            parser.add_argument(f"--{one.name.replace('_', '-')}", action="store_true")
        elif one.name != "symbols":
            parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    given = vars(parser.parse_args())
    pairs = [pair.split("=") for pair in given.pop("symbol")]
    return Settings(symbols={name: float(price) for name, price in pairs} or None, **given)


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    async with Simulator(settings) as sim:
        print(json.dumps(sim.urls()), flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(serve(options()))
