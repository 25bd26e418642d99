"""A stretch of bars is told to be far from every line at a glance: never where one of its bars alone is not."""

from __future__ import annotations

import random

import pytest
from research.cases import REGISTRY, Case, Told

from hedgegridd.kernel import ledger
from hedgegridd.research import compiled
from hedgegridd.research.fast import ease, glide
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fastrun import FastRun


def near_a_line(seed: int) -> FastRun:
    """A run that holds both legs, with limits that are just about reached."""
    rng, case = random.Random(seed), Case(seed)
    made = FastRun(case.config, REGISTRY, case.feed, Told(), compiled.plain(REGISTRY.strategies["hedge_grid"].thing), 64)
    run, x, start = made.run_state, made.run_state.x, made.setup.start_usdt
    lots = [rng.choice([0, rng.randrange(1, 3_000)]) for _ in range(2)]
    s.keep_books(
        run.heart, ledger.Books(lots[0], rng.uniform(490e3, 510e3), lots[1], rng.uniform(490e3, 510e3), rng.gauss(0, 50), 1.0, 0.1)
    )
    x[s.SESSION_START], x[s.DAY_START], x[s.RATE] = start, start + rng.gauss(0, 1), 0.0001
    ease.draw_lines(made.setup, run)
    run.n[s.FUNDING_MS] = 28_800_000
    return made


@pytest.mark.parametrize("block", range(4))
def test_what_is_far_at_its_worst_is_far_at_each_close(block: int) -> None:
    told = {True: 0, False: 0}
    for seed in range(block * 25, block * 25 + 25):
        made, rng = near_a_line(seed), random.Random(seed)
        setup, run, unit = made.setup, made.run_state, made.setup.terms.unit
        books = s.books_of(run.heart)
        wallet = ledger.wallet(setup.start_usdt, 0.0, ledger.net(books))
        hourly = ease.hourly(run.x[s.RATE], run.n[s.FUNDING_MS])
        for _ in range(40):
            middle, wide = rng.randrange(480_000, 520_000), rng.choice([0, 1, 50, 3_000])
            peak = wallet + rng.uniform(-20, 400)
            far = glide.at_worst(setup, run, books, middle, middle + wide, wallet, peak, peak, hourly)
            told[far] += 1
            for close in {middle, middle + wide, *(rng.randint(middle, middle + wide) for _ in range(8))} if far else ():
                equity = wallet + ledger.unrealized(books, unit, float(close))
                top = max(peak, equity)
                assert ease.far_off(setup, run, books, float(close), equity, top, top, hourly), f"seed {seed}, close {close}"
    assert min(told.values()) > 50, "the cases have grown too tame"
