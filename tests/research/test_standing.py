"""Where the breakers stood when one stopped the account: the heart's own figures; and which would have tripped had it not."""

from __future__ import annotations

from pathlib import Path

import pytest
from research.cases import Case
from research.journaled import Kept
from rig import REGISTRY

from hedgegridd.errors import ConfigError
from hedgegridd.journal.segments import KILL, Record
from hedgegridd.model import Durable
from hedgegridd.research import incident, incidents
from hedgegridd.research.standing import Standing, stood


@pytest.fixture(scope="module")
def tripped(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A session that a breaker stopped."""
    for seed in range(200):
        folder = tmp_path_factory.mktemp("session") / "journal"
        try:
            run = Kept(Case(seed), folder)
        except ConfigError:  # drawn so that the strategy refuses it
            continue
        run.run(lambda _: None)
        run.journal.close()
        if run.engine.kill.source.startswith("breaker."):
            return run
    raise AssertionError("no seed trips a breaker")


def acts(run: Kept) -> tuple[Record, Record]:
    """The act that began the incident, and the trip it followed from."""
    span = incidents.listed(run.journal.folder)[0]
    before = [record for record in incidents._acts(run.journal.folder) if record.seq <= span.id]
    return span.first, incident.cause_of(span, before)


def standing(run: Kept, **changes: object) -> Standing:
    first, cause = acts(run)
    return stood(run.journal.folder, REGISTRY, first, cause._replace(**changes), {})


def test_every_breaker_stands_as_the_heart_knew_it(tripped: Kept) -> None:
    found = standing(tripped)
    assert not found.why
    told = {row["name"]: row for row in found.breakers}
    assert told.keys() == tripped.rows.keys()
    for name, row in tripped.rows.items():
        assert {key: told[name][key] for key in ("state", "value", "threshold", "unit", "fraction", "on_trip")} == {
            key: row[key] for key in ("state", "value", "threshold", "unit", "fraction", "on_trip")
        }
    assert [row["name"] for row in found.breakers if row["triggered"]] == [tripped.engine.kill.source.removeprefix("breaker.")]
    fractions = [row["fraction"] for row in found.breakers[1:] if row["fraction"] is not None]
    assert fractions == sorted(fractions, reverse=True)


def test_the_sync_that_covers_the_act_is_the_one_the_heart_asked_for(tripped: Kept) -> None:
    assert standing(tripped).mark == tripped.marks["kill"]
    found = incidents.made(tripped.journal.folder, acts(tripped)[0].seq)["durable"]
    assert found["confirmed"] and found["answered_mark"] >= found["mark"] == tripped.marks["kill"]


def test_an_earlier_answer_of_the_disk_is_no_proof(tripped: Kept) -> None:
    document = incidents.made(tripped.journal.folder, acts(tripped)[0].seq)
    first, cause = acts(tripped)
    early = Record(first.seq + 1, first.time, first.wall, "input", Durable(first.time, tripped.marks["kill"] - 1), "")
    beside = incident.Beside({}, [], {}, document["durable"]["mark"])
    assert incident.document(incident.Span(first, None), [cause, first, early], beside)["durable"]["confirmed"] is None


def test_what_would_have_followed_leaves_the_trip_out(tripped: Kept) -> None:
    found = standing(tripped).next
    assert found["known"] and found["said"]
    name = tripped.engine.kill.source.removeprefix("breaker.")
    for told in (found["trip"], found["nearest"]):
        assert told is None or told["name"] != name
    assert found["trip"] is None or found["trip"]["after_seconds"] >= 0


def test_what_cannot_be_left_out_is_not_known(tripped: Kept) -> None:
    found = standing(tripped, kind=KILL, data={"active": True}).next
    assert not found["known"] and "cannot be left out" in found["why"]


def test_a_damaged_journal_still_tells_of_the_picture_that_the_trip_keeps(tripped: Kept, tmp_path: Path) -> None:
    first, cause = acts(tripped)
    state = incidents._before(tripped.journal.folder, first.seq)[0].data["state"]
    gone = tmp_path / "journal"
    found = stood(gone, REGISTRY, first, cause, state)
    assert found.mark is None and "no journal" in found.why and not found.next["known"]
    told = {row["name"]: row for row in found.breakers}
    sure = standing(tripped).breakers[0]
    assert told[sure["name"]]["triggered"] and told[sure["name"]]["unit"] == sure["unit"]
    assert told[sure["name"]]["value"] == pytest.approx(sure["value"])
    assert stood(gone, REGISTRY, first, cause, {}).breakers == []
