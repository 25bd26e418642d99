"""The simulator in a thread of its own, for tests that have no event loop.

Its one law: nothing of the simulator is touched from outside its loop; every call is carried in and waited for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from exchange_simulator import control
from exchange_simulator.records import Json
from exchange_simulator.simulator import Simulator

Result = TypeVar("Result")
PATIENCE_S = 30.0


class Threaded:
    """A simulator that lives elsewhere. `sim.price("BTCUSDT", 50_000.0)` and every other move by its name; `do` for anything else."""

    def __init__(self, sim: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._sim, self._loop = sim, loop
        self.rest_url, self.ws_url, self.urls = sim.rest_url, sim.ws_url, sim.urls()
        self.api_key, self.api_secret = sim.api_key, sim.api_secret

    def do(self, work: Callable[[Simulator], Result]) -> Result:
        """Call `work(simulator)` in its loop."""

        async def inside() -> Result:
            return work(self._sim)

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(PATIENCE_S)

    def show(self, name: str) -> Any:
        """One of the books, as GET /control has it."""
        return self.do(control.SHOWN[name])

    def fault(self, kind: str, path: str = "*", **options: Any) -> None:
        """`faults.add`."""
        self.do(lambda sim: sim.faults.add(kind, path, **options))

    def set(self, **values: Any) -> None:
        """Switches and limits."""
        self.do(lambda sim: control.act(sim, {"do": "set", **values}))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in control.MOVES:
            raise AttributeError(f"{name}: none of {', '.join(sorted(control.MOVES))}; use do()")

        def carried(*args: Any, **options: Any) -> Any:
            return self.do(lambda sim: getattr(sim, name)(*args, **options))

        return carried


@contextmanager
def running_simulator(**options: Any) -> Iterator[Threaded]:
    """Start one, and stop it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exchange-simulator", daemon=True)
    thread.start()

    def carry(work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_S)

    try:
        sim = carry(_started(options))
        try:
            yield Threaded(sim, loop)
        finally:
            carry(sim.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


async def _started(options: Json) -> Simulator:
    return await Simulator(**options).start()
