"""A simulator of Binance USDT-M futures at the level of the wire, for tests: REST, websockets, and everything that goes wrong.

Its one law: it says what the exchange would say, and fills only by the project's own kernel. It knows hedge mode only: in one-way mode
every order is refused.

    async with Simulator(symbols={"BTCUSDT": 50_000.0}) as sim: ...     # in the test's loop; `Settings` has every option
    with running_simulator(balance_usdt=5_000.0) as sim: ...            # in a thread; the same moves, `sim.do(work)` for the rest
    PYTHONPATH=tests:. python -m exchange_simulator --port 0 --seed 1   # as a process; prints its addresses as a line of JSON

Where it is: `sim.rest_url` (before /fapi), `sim.ws_url` (before /public, /market, /private), `sim.api_key`, `sim.api_secret`.
The market: `price` `mark` `quote` `trade` `walk` `bar` `start_walk` `stop_walk` `funding` `funding_rate`.
The account behind the client's back: `manual` `foreign_order` `foreign_algo` `foreign_cancel` `set_leverage` `set_position_mode`
`set_status` `set_filter` `thin` `deposit` `withdraw` `liquidate` `adl`; `venue.triggers_rejected`, `venue.child_keeps_client_id`,
`countdown_takes_algos`.
The network: `rtt_ms` `freeze` `down` `cut` `silence` `speak` `expire_listen_key` `ban` `clock_offset_ms` `query_lag_ms` `limits.*`.
Faults: `faults.add(kind, "POST */order", times=1, skip=0, rate=1.0, params={}, ms=0, seconds=60, code=0)`, kinds in `faults.KINDS`;
`faults.event("drop" | "duplicate" | "late" | "reorder", "ORDER_TRADE_UPDATE", times=1)`; `faults.events(drop=0.01)`; `faults.clear()`.
To look at: `requests`, `events`, `venue` (wallet, pits, orders, algos, executions, income), `control.SHOWN`.
By HTTP: POST /control {"do": "price", "symbol": "BTCUSDT", "price": 50_100.0} or a list of such, every move by its name, and `fault`,
`event`, `events`, `set`, `clear_faults`, `forget_requests`; GET /control?what=positions,orders shows the books.
"""

from exchange_simulator.inthread import Threaded, running_simulator
from exchange_simulator.simulator import API_KEY, API_SECRET, Settings, Simulator

__all__ = ["API_KEY", "API_SECRET", "Settings", "Simulator", "Threaded", "running_simulator"]
