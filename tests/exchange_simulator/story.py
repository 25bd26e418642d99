"""One simulator, one client, one story: the frame of most tests.

Its one law: a story that hangs fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from exchange_simulator.client import Client
from exchange_simulator.simulator import Simulator

Story = Callable[[Simulator, Client], Awaitable[None]]


def play(story: Story, patience_s: float = 20.0, **options: Any) -> None:
    """Run a story against a simulator made with `options`."""

    async def whole() -> None:
        async with Simulator(**options) as sim, Client(sim.rest_url) as client, asyncio.timeout(patience_s):
            await story(sim, client)

    asyncio.run(whole())


async def hold(client: Client, leg: str = "LONG", qty: str = "0.010") -> None:
    """Open a BTCUSDT leg at the market."""
    reply = await client.market(leg, "BUY" if leg == "LONG" else "SELL", qty)
    assert reply.status == 200, reply.body
