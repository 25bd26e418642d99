"""Seeded hours of the heart in live mode, an exchange over a bad network: see `network` for what happens, `promises` for what must hold.

CI makes a few hundred runs. For thousands: `PYTHONPATH=tests:. python -m simulation.network --runs 20000 --jobs 2`. A seed that ever failed
stays in KEPT; each case is a test of its own in tests/heart as well, because a run that learns something new gives every seed another hour.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import NamedTuple

import pytest
from simulation.faults import CLOSED_SLOWLY
from simulation.network import HAPPENINGS, run

IN_CI = 160
BATCH = 20
KEPT = {
    82: "a close that our own take-profits stood in the way of was refused for ever, and its leg had no stop",
    99: "the same, after a refused stop",
    98: "the refusal of a late request forgot the order that rested under its id",
    141: "a stop heard before the opener that it closed halted the symbol and left lots that nobody held",
    121: "a rung twice: its order came late, the next under that id had been refused, and a third had an id of its own",
    3568: "a checkpoint forgot the ticket of a flatten, and its replay asked the disk once less",
    3693: "the first fill of a symbol came while the process was dead, and was never told",
    3739: "a rung twice: a lost order had rested after all, and its id was given once more",
    500_058: "a rung twice: the next under a lost order's id was withdrawn before it left, and the id was forgotten",
    518_767: "a rung twice: a lost order came late, when the next under its id was over and a third had an id of its own",
    2143: "income during a death was never told where none had been booked before",
    50: "an order just accepted was called gone by a report begun before",
}
FAULTS = {
    "lost_there", "lost_back", "refused", "slow", "unheard", "twice", "jumbled", "report_lost", "report_slow", "lagging", "freeze", "ban",
    "deaf", "missed while deaf", "clock", "start", "countdown", "duplicate", "in_the_way", "refusal -2021", "refusal -2022",
    "refusal -4509", "refusal -5022",
}  # fmt: skip
EVENTS = (
    "Started Stopping Timer Verb Durable DiskFailed Bar Mark Quote Funding Accepted Rejected Amended Cancelled Ended Unsure Fill "
    "FundingPaid Transfer Charged Trouble Report"
)
ACTS = (
    "order cancel amend fill funding transfer charged flatten flat kill kill_phase reconciled stranger unsure trouble withdrawn storage "
    "refused stopping stop emergency_stop foreign_cancelled"
)


class Hour(NamedTuple):
    """What occurred in the run of a seed."""

    events: Counter[str]
    acts: Counter[str]
    faults: Counter[str]
    happenings: Counter[str]
    deaths: int
    cuts: int
    swept: int


@cache
def hour(seed: int) -> Hour:
    """The run of a seed, made once."""
    done = run(seed)
    events = Counter(type(event).__name__ for segment in done.segments for event in segment.inputs)
    acts = Counter(act.kind for segment in done.segments for row in segment.acts for act in row)
    return Hour(events, acts, done.line.faults, done.happenings, done.deaths, done.cuts, len(done.line.swept))


@pytest.mark.parametrize("first", range(0, IN_CI, BATCH))
def test_hours_over_a_bad_network(first: int) -> None:
    assert sum(hour(seed).events.total() for seed in range(first, first + BATCH)) > 10_000


@pytest.mark.parametrize("first", range(CLOSED_SLOWLY, CLOSED_SLOWLY + IN_CI // 4, BATCH))
def test_hours_that_close_within_a_bound(first: int) -> None:
    hours = [hour(seed) for seed in range(first, first + BATCH)]
    assert sum(one.acts["closing"] for one in hours) > 10


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_failed_once_holds(seed: int) -> None:
    assert hour(seed).events


def test_a_seed_says_everything() -> None:
    once, again = run(7), run(7)
    assert once.engine.decisions.hash == again.engine.decisions.hash != ""
    assert [segment.inputs for segment in once.segments] == [segment.inputs for segment in again.segments]


def test_all_that_can_go_wrong_does() -> None:
    """Over the seeds every fault, event and act occurs: else the runs would prove less than they claim."""
    hours = [hour(seed) for seed in (*range(IN_CI), *range(CLOSED_SLOWLY, CLOSED_SLOWLY + IN_CI // 4))]
    events, acts, faults, happenings = (sum(counters, Counter[str]()) for counters in list(zip(*hours, strict=True))[:4])
    assert set(faults) >= FAULTS, FAULTS - set(faults)
    assert set(happenings) >= {kind.__name__ for kind, _ in HAPPENINGS}
    assert set(events) >= set(EVENTS.split()), set(EVENTS.split()) - set(events)
    assert set(acts) >= set(ACTS.split()), set(ACTS.split()) - set(acts)
    assert sum(one.deaths for one in hours) > sum(one.cuts for one in hours) > 0
    assert any(one.swept for one in hours)
