"""A simulator of Binance USDT-M futures at the level of the wire, for tests: REST, websockets, and everything that goes wrong.

Its one law: it says what the exchange would say, and fills only by the project's own kernel.

    async with Simulator(symbols={"BTCUSDT": 50_000.0}) as sim: ...     # in the test's loop
    with running_simulator(balance_usdt=5_000.0) as sim: ...            # in a thread
    PYTHONPATH=tests:. python -m exchange_simulator --port 0 --seed 1   # as a process
"""

from exchange_simulator.inthread import Threaded, running_simulator
from exchange_simulator.simulator import API_KEY, API_SECRET, Settings, Simulator

__all__ = ["API_KEY", "API_SECRET", "Settings", "Simulator", "Threaded", "running_simulator"]
