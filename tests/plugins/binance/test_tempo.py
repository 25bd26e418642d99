"""How long requests take: one that is lost is no slow line, three are; a refusal is an answer."""

from __future__ import annotations

from plugins._binance.tempo import Tempo


def done(tempo: Tempo, begun: float, took: float, status: int = 200) -> None:
    tempo.end(tempo.begin(begun), status, begun + took)


def test_the_third_slowest_counts_and_those_under_way_are_in_it() -> None:
    tempo = Tempo()
    done(tempo, 0, 9_000)
    done(tempo, 0, 8_000)
    assert tempo.slowest_ms(9_000) is None
    done(tempo, 0, 50)
    assert tempo.slowest_ms(9_000) == 50
    tempo.begin(0)
    assert tempo.slowest_ms(9_000) == 8_000


def test_only_the_last_minute_counts() -> None:
    tempo = Tempo()
    for _ in range(5):
        done(tempo, 0, 100, 0)
    assert tempo.counts(1_000) == (5, 5)
    assert tempo.counts(70_000) == (0, 0) and tempo.slowest_ms(70_000) is None


def test_a_refusal_is_an_answer_and_an_overload_is_none() -> None:
    tempo = Tempo()
    for status in (200, 400, 404, 418, 429, 500, 503, 0):
        done(tempo, 0, 1, status)
    assert tempo.counts(10) == (8, 5)
