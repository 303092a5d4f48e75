"""What is counted for each message, against lists and a bisection."""

from bisect import bisect_left
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher._ext.book import Submission, wrote
from dispatcher._ext.meters import BOUNDS_US, OTHERS, SOURCES_MAX, Histogram, Intake
from dispatcher.model import Message


def test_bounds_are_twelve_steps_a_decade() -> None:
    """From 100 us to 100,000 s, each at most 27 % above the one before: a quantile is that exact."""
    assert (BOUNDS_US[0], BOUNDS_US[12], BOUNDS_US[-1]) == (100, 1000, 100_000_000_000)
    assert all(1.1 < above / below < 1.28 for below, above in pairwise(BOUNDS_US))


DURATIONS = st.one_of(
    st.integers(-(10**6), 10**12),
    st.sampled_from(BOUNDS_US),
    st.sampled_from(BOUNDS_US).map(lambda us: us + 1),
)


@given(st.lists(st.tuples(DURATIONS, st.integers(0, 5))))
def test_a_duration_is_in_the_first_bin_that_holds_it(observed: list[tuple[int, int]]) -> None:
    """Counts are those of a bisection, negative ones are 0, the sum is exact."""
    histogram = Histogram()
    expected = [0] * (len(BOUNDS_US) + 1)
    for us, times in observed:
        histogram.observe(us, times)
        expected[bisect_left(BOUNDS_US, max(0, us))] += times
    counts = histogram.counts()
    assert counts == expected[: len(counts)]
    assert not any(expected[len(counts) :])
    assert histogram.count == sum(times for _, times in observed)
    assert histogram.sum_us == sum(max(0, us) * times for us, times in observed)


def message(n: int, source: str = "", traffic_class: int = 1, send_after_ms: int = 0) -> Message:
    """Return an accepted message of which only what is counted matters."""
    return Message(
        n, bytes(16), "1", "Bank", "x", traffic_class, 0, 0, send_after_ms, 1, 0, (), source=source
    )


@given(
    st.lists(st.lists(st.tuples(st.sampled_from(["core", "web"]), st.integers(0, 3)), max_size=5), max_size=9)
)
def test_messages_are_counted_by_source_and_class(batches: list[list[tuple[str, int]]]) -> None:
    """However sources and classes are mixed in a batch."""
    intake = Intake()
    expected: dict[str, list[int]] = {}
    n = 1
    for batch in batches:
        intake.add([message(n + at, *each) for at, each in enumerate(batch)], 1_000)
        n += len(batch)
        for source, traffic_class in batch:
            expected.setdefault(source, [0] * 4)[traffic_class] += 1
    assert intake.sources == expected


def test_sources_have_an_end() -> None:
    """What is beyond SOURCES_MAX is counted together: a metric does not grow with what clients invent."""
    intake = Intake()
    for number in range(SOURCES_MAX + 50):
        intake.add([message(number + 1, f"key-{number}")], 1_000)
    assert len(intake.sources) == SOURCES_MAX + 1
    assert intake.sources[OTHERS] == [0, 50, 0, 0]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3), st.booleans()), min_size=1), st.data())
def test_since_when_is_known_by_number(batches: list[tuple[int, int, bool]], data: Any) -> None:
    """Of any number, in any order of asking: as a bisection says; of a message for later, nothing."""
    intake = Intake()
    known: dict[int, int] = {}
    n, at_ms = 1, 1_000
    for count, later_ms, has_later in batches:
        at_ms += later_ms
        batch = [
            message(n + at, send_after_ms=(at % 3 == 1) * 5_000 if has_later else 0) for at in range(count)
        ]
        intake.add(batch, at_ms, has_later)
        known |= {each.n: 0 if each.send_after_ms else at_ms for each in batch}
        n += count
    for asked in data.draw(st.lists(st.sampled_from(sorted(known)))):
        assert intake.since(asked) == known[asked]
    assert intake.since(0) == 0


def test_steps_have_an_end_and_ages_stay_right() -> None:
    """With far more steps than fit: never more are kept, what is young is exact, ages err by little."""
    most, count = 8_192, 200_000
    intake = Intake(steps_max=most)
    for n in range(1, count + 1):
        intake.add([message(n)], n)
        assert len(intake) <= most
    assert all(intake.since(n) == n for n in range(count - 500, count + 1))
    for n in range(1, count + 1, 7):
        age, true = count - intake.since(n), count - n
        assert true <= age <= true + true // 128, n
    with pytest.raises(ValueError, match="steps_max"):
        Intake(steps_max=15)


def test_mixed_with_messages_for_later_the_oldest_steps_go() -> None:
    """Where steps cannot be joined, what is oldest is forgotten: no wrong age is told."""
    intake = Intake(steps_max=64)
    for n in range(1, 2_001, 2):
        intake.add([message(n), message(n + 1, send_after_ms=9_999_999)], 10 * n, True)
        assert len(intake) <= 64
    assert intake.since(1_999) == 19_990
    assert intake.since(1) == 0
    assert {intake.since(n) for n in range(2, 2_001, 2)} == {0}


def segment(traffic_class: int, since_ms: int, trouble: object = None) -> Submission:
    """Return a segment that waits."""
    found = Submission(None, 1, 0, 1, traffic_class, 0, b"")
    found.since_ms, found.trouble = since_ms, trouble
    return found


def test_only_the_first_time_that_a_segment_is_written_is_measured() -> None:
    """By class; not what was tried before, what is written again, or since when is not known."""
    waited = tuple(Histogram() for _ in range(4))
    batch = [segment(0, 1_000), segment(3, 900), segment(3, 500, "refused"), segment(1, 0), segment(0, 990)]
    wrote(batch, 4, 1_005, waited)
    assert [(each.count, each.sum_us) for each in waited] == [(1, 5_000), (0, 0), (0, 0), (1, 105_000)]
    wrote(batch, 5, 2_000, waited)
    assert [each.count for each in waited] == [2, 0, 0, 1]
    for count, histograms in ((6, waited), (-1, waited), (1, waited[:3])):
        with pytest.raises(ValueError, match="histograms"):
            wrote(batch, count, 0, histograms)


def test_counts_are_plain_and_can_be_told() -> None:
    """What a histogram gives can be encoded as it is."""
    histogram = Histogram()
    histogram.observe(100)
    assert msgspec.json.encode(histogram.counts()) == b"[1]"
    assert "1" in repr(histogram)
