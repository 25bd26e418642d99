"""What a run tells, as files: orders, fills, positions and the course of equity, written while it runs.

One law: the same run gives the same bytes, whichever engine tells it. It keeps little in memory: what is over is on the disk.
Money and prices are written in USDT and coins, times in ISO 8601 UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from hedgegridd.errors import HedgegriddError
from hedgegridd.kernel.metrics import Facts, RoundTrip, midnights
from hedgegridd.model import Instrument, Role, entry_side
from hedgegridd.research.outcome import Outcome
from hedgegridd.research.roundtrips import LegBook

FILLS = "time,symbol,leg,side,role,price,qty,fee_usdt,maker,realized_usdt,client_id,order_id,trade_id,reason"
ORDERS = "placed_at,ended_at,symbol,leg,side,role,price,qty,filled,state,reason,client_id,order_id"
POSITIONS = "symbol,leg,opened_at,closed_at,max_qty,entry_price,exit_price,realized_usdt,fees_usdt,funding_usdt,net_usdt,entries,exits"
LEGS, SIDES, ROLES = ("long", "short"), {1: "buy", -1: "sell"}, ("entry", "take_profit", "stop", "close")
#: The side of an order of a leg, which opens it or not.
SIDE_OF = {(leg, opens): SIDES[entry_side(leg) if opens else -entry_side(leg)] for leg in (0, 1) for opens in (True, False)}
DAY = 86_400_000
ENTRY, TAKE_PROFIT, STOP = int(Role.ENTRY), int(Role.TAKE_PROFIT), int(Role.STOP)
#: A row of a bar, as both engines tell it; prices ticks, quantities lots.
ROW = ("time", "close", "regime", "center", "long_qty", "short_qty", "long_entry", "short_entry", "long_stop", "short_stop", "long_rungs",
       "short_rungs", "funding_rate", "realized", "fees", "funding", "equity", "wallet")  # fmt: skip
STOPPED = "stop filled"
#: How columns of equity.parquet are written whose every value is another one; a dictionary serves the others best.
ENCODED = {"time": "DELTA_BINARY_PACKED", **dict.fromkeys(("close", "equity_usdt", "drawdown_pct"), "BYTE_STREAM_SPLIT")}


@lru_cache(1024)  # much happens at one moment
def moment(time: int) -> str:
    """ISO 8601 with milliseconds; "" for never."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else ""


def number(value: float) -> str:
    """The shortest text that reads back as the same number; no negative zero."""
    return repr(value + 0.0)


def decimals(step: float) -> int:
    """How many a tick or a lot needs."""
    return max(0, -int(Decimal(repr(step)).normalize().as_tuple().exponent))


def steps_as_text(step: float) -> Callable[[int], str]:
    """Ticks or lots as text. A rung is told of many times."""
    places = decimals(step)
    return lru_cache(4096)(lambda count: f"{count * step:.{places}f}")


class Units:
    """Ticks and lots of one symbol as text."""

    def __init__(self, instrument: Instrument) -> None:
        self.tick, self.lot = instrument.tick_size, instrument.lot_size
        self.price, self.qty = steps_as_text(self.tick), steps_as_text(self.lot)

    def prices(self, ticks: Any) -> Any:
        """A whole column, rounded to the tick's decimals."""
        return (ticks * self.tick).round(decimals(self.tick))


LINES = 256  #: of a CSV file in memory at once


class Table:
    """A CSV file that is hashed as it is written; no path = only hashed."""

    def __init__(self, path: Path | None, header: str) -> None:
        self.digest = hashlib.sha256()
        self._file = path.open("wb") if path else None
        self._lines = [header]

    def line(self, text: str) -> None:
        self._lines.append(text)
        if len(self._lines) >= LINES:
            self.flush()

    def flush(self) -> None:
        """Lines are hashed and written many at a time: each act costs more than a line."""
        if not self._lines:
            return
        told = "".join(f"{text}\n" for text in self._lines).encode()
        self._lines.clear()
        self.digest.update(told)
        if self._file is not None:
            self._file.write(told)

    def close(self) -> str:
        """The hash of all of it."""
        self.flush()
        if self._file is not None:
            self._file.close()
        return self.digest.hexdigest()


class OpenOrder:
    """An order until it is over."""

    __slots__ = ("filled", "leg", "placed", "price", "qty", "rested", "role", "symbol")

    def __init__(self, placed: int, symbol: str, leg: int, role: int, price: int, qty: int) -> None:
        self.placed, self.symbol, self.leg, self.role, self.price, self.qty = placed, symbol, leg, role, price, qty
        self.filled, self.rested = 0, False


class Recorder:
    """Takes what a run tells; `folder` None = nothing is written, and only the facts for the metrics are gathered."""

    def __init__(self, folder: Path | None, instruments: dict[str, Instrument], start_equity: float) -> None:
        self.folder, self.start_equity = folder, start_equity
        self.units: dict[str, Units] = {}
        self.legs: dict[tuple[str, int], LegBook] = {}
        self.instruments: dict[str, Instrument] = {}
        self.learn(instruments)
        self.open: dict[str, OpenOrder] = {}
        self.fills, self.orders = (Table(folder and folder / f"{name}.csv", head) for name, head in (("fills", FILLS), ("orders", ORDERS)))
        self.course = Course(folder, self.units, start_equity)
        self.trips: list[dict[str, Any]] = []
        self.acts: list[tuple[int, str, dict[str, Any]]] = []
        self.limit_orders = self.limit_filled = self.entries = self.entries_filled = self.depth_sum = self.depth_max = self.depth_count = 0
        self.fill_count = self.maker_count = 0
        self.fees = self.funding_paid = self.funding_received = self.slippage = self.taker = 0.0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        """A run that failed leaves no file open."""
        self.fills.close()
        self.orders.close()
        self.course.abandon()

    def learn(self, instruments: dict[str, Instrument]) -> None:
        """Symbols that are traded; one that is known stays as it is."""
        for symbol, one in instruments.items():
            if symbol not in self.instruments:
                self.instruments[symbol], self.units[symbol] = one, Units(one)
                self.legs |= {(symbol, leg): LegBook(symbol, leg, one) for leg in (0, 1)}

    def begin(self, time: int) -> None:
        """The time of the first event."""
        self.course.begin(time)

    # --- orders -----------------------------------------------------------------------------------------------------

    def ordered(self, time: int, name: str, symbol: str, leg: int, role: int, price: int, qty: int) -> None:
        """Decided."""
        self.open[name] = OpenOrder(time, symbol, int(leg), int(role), price, qty)

    def accepted(self, name: str) -> None:
        """It rests."""
        order = self.open.get(name)
        if order is not None and not order.rested:
            order.rested = True
            self.limit_orders += order.role in (ENTRY, TAKE_PROFIT)
            self.entries += order.role == ENTRY

    def amended(self, name: str, qty: int) -> None:
        """Its whole quantity is another."""
        if name in self.open:
            self.open[name].qty = qty

    def ended(self, time: int, name: str, state: str, reason: str) -> None:
        """It is over. A stop that did its work is reported cancelled, and was filled."""
        order = self.open.pop(name, None)
        if order is not None:
            self._order(time, name, order, "filled" if reason == STOPPED else state, "" if reason == STOPPED else reason)

    def _order(self, time: int, name: str, order: OpenOrder, state: str, reason: str) -> None:
        units, leg, role = self.units[order.symbol], order.leg, order.role
        self.orders.line(
            f"{moment(order.placed)},{moment(time)},{order.symbol},{LEGS[leg]},{SIDE_OF[leg, role == ENTRY]},{ROLES[role]},"
            f"{units.price(order.price)},{units.qty(order.qty)},{units.qty(order.filled)},{state},{quoted(reason)},{name},p-{name}"
        )

    # --- money ------------------------------------------------------------------------------------------------------

    def filled(self, fill: dict[str, Any]) -> None:
        """An execution, as the journal has it."""
        name, symbol, leg, role = fill["client_id"], fill["symbol"], int(fill["leg"]), int(fill["role"])
        price, qty, fee, units = fill["price"], fill["qty"], fill["fee"], self.units[symbol]
        self.fills.line(
            f"{moment(fill['t'])},{symbol},{LEGS[leg]},{SIDES[int(fill['side'])]},{ROLES[role]},{units.price(price)},{units.qty(qty)},"
            f"{number(fee)},{'true' if fill['maker'] else 'false'},{number(fill['realized'])},{name},{fill['order_id']},"
            f"{fill['trade_id']},{quoted(fill['reason'])}"
        )
        self.fill_count += 1
        self.maker_count += bool(fill["maker"])
        self.fees += fee
        order = self.open.get(name)
        self._count(order, qty, price, fill["maker"], symbol)
        book = self.legs[symbol, leg]
        if role == ENTRY:
            depth = book.entry(fill["t"], price, qty, fee, name)
            self.depth_sum, self.depth_count, self.depth_max = self.depth_sum + depth, self.depth_count + 1, max(self.depth_max, depth)
        else:
            book.exit(fill["t"], price, qty, fee, fill["realized"], name)
        if order is not None and order.role != STOP and order.filled >= order.qty:
            self.open.pop(name)
            self._order(fill["t"], name, order, "filled", "")

    def _count(self, order: OpenOrder | None, qty: int, price: int, maker: bool, symbol: str) -> None:
        if order is None:
            return
        if not order.filled:
            self.limit_filled += order.role in (ENTRY, TAKE_PROFIT)
            self.entries_filled += order.role == ENTRY
        order.filled += qty
        if not maker and order.role == STOP:  # a market close has no price of its own to slip from
            unit = self.instruments[symbol].unit
            self.slippage += abs(price - order.price) * qty * unit
            self.taker += price * qty * unit

    def paid(self, time: int, symbol: str, leg: int, amount: float) -> None:
        """Funding, positive = paid by us."""
        self.legs[symbol, leg].pay(amount)
        if amount > 0:
            self.funding_paid += amount
        else:
            self.funding_received -= amount

    # --- what else ----------------------------------------------------------------------------------------------------

    def tripped(self, trip: dict[str, Any]) -> None:
        """A guard tripped."""
        self.trips.append(trip)

    def acted(self, time: int, kind: str, data: dict[str, Any]) -> None:
        """Anything else worth telling."""
        self.acts.append((time, kind, data))

    def bar(self, symbol: str, row: tuple[Any, ...]) -> None:
        """One bar of the full engine."""
        self.course.add(symbol, row)

    def bars(self, symbol: str, columns: dict[str, Any]) -> None:
        """Many bars of the fast engine."""
        self.course.extend(symbol, columns)

    def close(self) -> str:
        """Everything to the disk; the hash of fills.csv."""
        for name, order in self.open.items():
            self._order(0, name, order, "open", "")
        self.orders.close()
        self.course.close()
        if self.folder is not None:
            self._write_positions(self.folder / "positions.csv")
        return self.fills.close()

    def _write_positions(self, path: Path) -> None:
        table = Table(path, POSITIONS)
        rows = [one for book in self.legs.values() for one in [*book.positions, *([book.position(0)] if book.qty else [])]]
        for one in sorted(rows, key=lambda row: (row.opened, row.symbol, row.leg)):
            units, net = self.units[one.symbol], one.realized - one.fees - one.funding
            table.line(
                f"{one.symbol},{LEGS[one.leg]},{moment(one.opened)},{moment(one.closed)},{units.qty(one.most)},"
                f"{number(one.entry * units.tick)},{number(one.exit * units.tick)},{number(one.realized)},{number(one.fees)},"
                f"{number(one.funding)},{number(net)},{one.entries},{one.exits}"
            )
        table.close()

    def facts(self, outcome: Outcome) -> Facts:
        """What the metrics are made of."""
        course = self.course
        trips: list[RoundTrip] = sorted((trip for book in self.legs.values() for trip in book.trips), key=lambda trip: trip.closed)
        return Facts(
            course.first, course.last, self.start_equity, outcome.equity, course.days(outcome.equity), outcome.course, trips,
            self.limit_orders, self.limit_filled, self.fill_count, self.maker_count, self.slippage, self.taker, self.fees,
            self.funding_paid, self.funding_received, self.entries, self.entries_filled, self.depth_sum, self.depth_max, self.depth_count,
        )  # fmt: skip


def quoted(text: str) -> str:
    """A cell of CSV."""
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text or "\n" in text else text


class Course:
    """Bars and equity, to equity.parquet some thousands at a time, and the equity at each midnight."""

    ROWS = 16_384

    def __init__(self, folder: Path | None, units: dict[str, Units], start_equity: float) -> None:
        self.units, self.start, self.peak, self.equity = units, start_equity, start_equity, start_equity
        self.path = folder and folder / "equity.parquet"
        self.first = self.last = 0
        self.midnights: list[float] = []
        self._symbols: list[str] = []
        self._rows: list[tuple[Any, ...]] = []
        self._writer: Any = None

    @property
    def told(self) -> bool:
        """Has it any row?"""
        return bool(self._rows or self._writer)

    def begin(self, time: int) -> None:
        """When the first event of the run was."""
        self.first = self.last = time

    def add(self, symbol: str, row: tuple[Any, ...]) -> None:
        """One row."""
        self._symbols.append(symbol)
        self._rows.append(row)
        if len(self._rows) >= self.ROWS:
            self.flush()

    def flush(self) -> None:
        """What `add` has gathered."""
        import numpy

        if self._rows:
            columns = {name: numpy.array(column) for name, column in zip(ROW, zip(*self._rows, strict=True), strict=True)}
            self.extend(self._symbols[0] if len(set(self._symbols)) == 1 else self._symbols, columns)
            self._symbols, self._rows = [], []

    def extend(self, symbols: str | list[str], columns: dict[str, Any]) -> None:
        """Columns of arrays, in the order of ROW, and the symbol of all rows or of each."""
        import numpy

        times, equity = columns["time"], columns["equity"]
        peaks = numpy.maximum.accumulate(numpy.maximum(equity, self.peak))
        self._note_midnights(times, equity)
        if self.path is not None:
            self._write(symbols, columns, (peaks - equity) / peaks * 100.0)
        self.peak, self.equity, self.last = float(peaks[-1]), float(equity[-1]), int(times[-1])

    def _note_midnights(self, times: Any, equity: Any) -> None:
        """The equity at each midnight passed: of the last bar that was complete by then."""
        import numpy

        first = (self.last // DAY + 1) * DAY
        days = range(first, int(times[-1]), DAY)
        for midnight, row in zip(days, numpy.searchsorted(times, list(days), side="right"), strict=True):
            if midnight > self.first:
                self.midnights.append(float(equity[row - 1]) if row else self.equity)

    def _write(self, symbols: str | list[str], columns: dict[str, Any], drawdown: Any) -> None:
        import numpy
        import pyarrow
        from pyarrow import parquet

        schema, values = equity_schema(), {"symbol": symbols, "drawdown_pct": drawdown, **self._plain(symbols, columns)}
        if isinstance(symbols, str):
            values["symbol"] = pyarrow.DictionaryArray.from_arrays(numpy.zeros(len(drawdown), numpy.int8), [symbols])
        if self._writer is None:
            steady = [name for name in schema.names if name not in ENCODED]
            self._writer = parquet.ParquetWriter(self.path, schema, compression="zstd", use_dictionary=steady, column_encoding=ENCODED)
        self._writer.write_table(pyarrow.table([values[name] for name in schema.names], schema=schema))

    def _plain(self, symbols: str | list[str], columns: dict[str, Any]) -> dict[str, Any]:
        """Prices and quantities of each symbol in its own steps; all else as it is."""
        import numpy

        values = {name: columns[name] for name in ("time", "regime", "long_rungs", "short_rungs", "funding_rate")}
        values |= {f"{name}_usdt": columns[name] for name in ("realized", "fees", "funding", "equity", "wallet")}
        if isinstance(symbols, str):
            return values | {name: _in_steps(columns[name], self.units[symbols], unit) for name, unit in STEPS.items()}
        values |= {name: columns[name].astype(float) for name in STEPS}
        of_each = numpy.array(symbols)
        for symbol in dict.fromkeys(symbols):
            mine, units = of_each == symbol, self.units[symbol]
            for name, unit in STEPS.items():
                values[name][mine] = _in_steps(values[name][mine], units, unit)
        return values

    def close(self) -> None:
        self.flush()
        if self.path is not None and self._writer is None:
            raise HedgegriddError("the data have no bar in this span: nothing was traded")
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> None:
        """Close the file, whatever is in it."""
        if self._writer is not None:
            self._writer.close()

    def days(self, end: float) -> Sequence[float]:
        """Equity at the start, at each midnight between, and at the end."""
        wanted = midnights(self.first, self.last)
        return [self.start, *self.midnights[:wanted], end]


#: Columns in ticks and lots, and what they become: a price on the tick, an average price, a quantity.
STEPS = {**dict.fromkeys(("close", "center", "long_stop", "short_stop"), "price"), **dict.fromkeys(("long_entry", "short_entry"), "tick"),
         **dict.fromkeys(("long_qty", "short_qty"), "lot")}  # fmt: skip


def _in_steps(values: Any, units: Units, unit: str) -> Any:
    if unit == "price":
        return units.prices(values)
    return values * (units.tick if unit == "tick" else units.lot)


def equity_schema() -> Any:
    """The columns of equity.parquet."""
    import pyarrow

    whole, small, real = pyarrow.int64(), pyarrow.int16(), pyarrow.float64()
    kinds = {
        "time": whole,
        "symbol": pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
        "close": real,
        "regime": pyarrow.int8(),
        "center": real,
        **dict.fromkeys(("long_qty", "short_qty", "long_entry", "short_entry", "long_stop", "short_stop"), real),
        **dict.fromkeys(("long_rungs", "short_rungs"), small),
        **dict.fromkeys(("funding_rate", "realized_usdt", "fees_usdt", "funding_usdt", "equity_usdt", "wallet_usdt", "drawdown_pct"), real),
    }
    return pyarrow.schema(list(kinds.items()))
