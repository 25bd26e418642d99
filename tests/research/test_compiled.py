"""The compiler: the same bits as plain Python, machine code that nobody else may write, and a plain word about what is not understood."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy
import pytest
from rig import REGISTRY

from hedgegridd.kernel import exits, funding, ladder, ledger, measures, placement, regime
from hedgegridd.research import compiled
from hedgegridd.research.twins import TURN, twins

STRATEGY = REGISTRY.strategies["hedge_grid"].thing


@pytest.fixture(scope="module")
def made() -> dict[str, ModuleType]:
    """Twins that numba compiles when they are first called, with what a function of the fast engine is compiled with."""
    import numba

    return twins(STRATEGY, lambda function, _: numba.njit(error_model="numpy")(function))


def figures(rng: random.Random) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """A function of the kernel with arguments that it may get."""
    price, qty, unit, leg = rng.randrange(1, 2_000_000), rng.randrange(1, 10_000), 10.0 ** -rng.randrange(2, 8), rng.randrange(2)
    rate, equity, at = rng.gauss(0, 1e-3), rng.uniform(1.0, 1e6), rng.uniform(1.0, 2e6)
    books = ledger.Books(qty, at, rng.randrange(100), rng.uniform(1.0, 2e6), rng.gauss(0, 50), rng.uniform(0, 9), rng.gauss(0, 9))
    trend = regime.RegimeParams(3, 9, 4, 5, rng.choice([0.0, 10.0]), rng.choice([0.0, 25.0]))
    seen = regime.RegimeState(
        rng.randrange(0, 40), price + 9, price, price + 5, at, at * 1.001, 3.5, 2.0, 1.5, rng.uniform(0, 60), rng.randrange(-1, 2)
    )
    policy = placement.PolicyParams(rng.randrange(2), rng.randrange(9), rng.random())
    guard = funding.FundingParams(rng.choice([0, 3_600_000, 28_800_000]), rng.uniform(0, 20))
    yield ledger.fill, (books, unit, leg, rng.choice([1, -1]), price, min(qty, 50), rng.random())
    yield ledger.funding_due, (qty, unit, at, rate, leg)
    yield ledger.unrealized, (books, unit, at)
    yield measures.drawdown_pct, (equity + 5.0, equity)
    yield measures.loss_pct, (equity, rng.gauss(0, 90))
    yield measures.hourly_rate, (rate, rng.choice([3_600_000, 28_800_000]))
    yield measures.stop_distance_usdt, (price, rng.randrange(1, 2_000_000), qty, unit)
    yield measures.divergence, (at, rng.uniform(1.0, 2e6), 1_000.0)
    yield regime.update, (trend, seen, price + rng.randrange(50), max(price - rng.randrange(50), 1), price)
    yield placement.allowed_levels, (policy, rng.randrange(-1, 2), leg, rng.randrange(12))
    yield placement.scale, (policy, rng.randrange(-1, 2), leg)
    yield funding.scale, (guard, leg, 10**12, rng.choice([rate, math.nan]), 28_800_000, rng.choice([0, 10**12 + rng.randrange(10**8)]))
    yield ladder.away, (leg, at, rng.uniform(0, 20), rng.uniform(1, 200))
    yield ladder.round_price, (at,)
    yield exits.emergency_trigger, (leg, at, rng.choice([at * 0.9, at * 1.1, math.nan]), rng.uniform(0.1, 60))


def bits(value: Any) -> Any:
    return tuple(map(bits, value)) if isinstance(value, tuple) else float(value).hex()


@pytest.mark.parametrize("seed", range(60))
def test_a_compiled_function_gives_the_bits_of_its_source(made: dict[str, ModuleType], seed: int) -> None:
    for function, given in figures(random.Random(seed)):
        twin = getattr(made[function.__module__], function.__name__)
        assert bits(twin(*given)) == bits(function(*given)), f"{function.__module__}.{function.__name__}{given}"


def test_twins_call_only_twins(made: dict[str, ModuleType]) -> None:
    for name, module in made.items():
        strays = [key for key, value in vars(module).items() if isinstance(value, FunctionType) and value.__module__ in made]
        assert not strays, f"{name}: {strays} are still plain"
    assert made[TURN].step is made[STRATEGY.__name__].step


def test_a_record_is_its_lists_in_one_piece_of_memory() -> None:
    from hedgegridd.research.fast.shapes import new_orders

    orders = new_orders()
    orders.price[3] = 7
    record = compiled.record(orders)
    assert record["price"][3] == 7 and record["price"].dtype == numpy.int64 and len(record["price"]) == len(orders.price)


def test_machine_code_is_not_kept_where_others_may_write(tmp_path: Path) -> None:
    open_to_all, ours = tmp_path / "open", tmp_path / "ours"
    for folder, mode in ((open_to_all, 0o777), (ours, 0o700)):
        folder.mkdir()
        folder.chmod(mode)
    assert not compiled._own(open_to_all / "x") and compiled._own(ours / "x")
    assert (ours / "x").stat().st_mode & 0o777 == 0o700


def test_machine_code_is_kept_whatever_the_umask(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    before = os.umask(0o002)
    try:
        assert compiled._own(tmp_path / "cache" / "hedgegridd" / "x")
    finally:
        os.umask(before)


def test_another_source_is_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, copy = compiled.fingerprint(STRATEGY), tmp_path / "strategy.py"
    copy.write_text(Path(STRATEGY.__file__).read_text() + "\n# another line\n")
    other = ModuleType("other")
    other.__file__ = str(copy)
    assert compiled.fingerprint(other) != before == compiled.fingerprint(STRATEGY)


def test_what_is_not_understood_is_told_with_its_place() -> None:
    said = compiled._where(
        'Failed in nopython mode pipeline\n\x1b[1mNo implementation of str\n\nFile "plugins/mine.py", line 12:\ndef step():\n'
    )
    assert said.startswith("plugins/mine.py:12: outside the kernel dialect: ") and "No implementation of str" in said
    assert "\n" not in said


def test_a_strategy_that_is_no_module_is_not_compiled() -> None:
    class Tiny:
        name = "tiny"

    with pytest.raises(compiled.Untranslatable, match="no module"):
        compiled.bind(Tiny())


def test_the_first_compilation_is_told_from_a_later_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert compiled.bind(STRATEGY, tmp_path).fresh
    assert compiled.bind(STRATEGY, tmp_path).fresh, "binding is not compiling"
    kept = next(path for path in tmp_path.iterdir() if path.is_dir())
    (kept / "play.nbi").write_bytes(b"")
    assert not compiled.bind(STRATEGY, tmp_path).fresh
