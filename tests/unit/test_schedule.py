"""What waits for time: nothing early, nothing late, nothing lost."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.carrier.schedule import N_MAX, Due, Schedule
from dispatcher.model import WHOLE

entries = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.integers(1, N_MAX),
        st.integers(0, WHOLE),
        st.integers(0, 255),
    ),
    max_size=60,
)


@given(entries, st.integers(0, 25_000), st.integers(1, 10))
def test_what_is_due_comes_and_nothing_else(
    added: list[tuple[int, int, int, int]], now_ms: int, most: int
) -> None:
    """No entry comes before its time, each comes once within a second of it, in bites of any size."""
    schedule = Schedule()
    for entry in added:
        schedule.add(*entry)
    popped: list[Due] = []
    while some := schedule.pop(now_ms, most):
        assert len(some) <= most
        popped += some
    early = [Due(*entry[1:]) for entry in added if entry[0] <= now_ms]
    surely = [Due(*entry[1:]) for entry in added if entry[0] <= now_ms - 1000]
    for due in popped:
        early.remove(due)
    for due in surely:
        assert due in popped
    assert len(schedule) == len(added) - len(popped) == len(list(schedule))


def test_the_earliest_comes_first() -> None:
    """Seconds are taken in order, within a second the order of adding holds."""
    schedule = Schedule()
    schedule.add(9_000, 1)
    schedule.add(3_000, 2, 1, 4)
    schedule.add(2_500, 3)
    assert schedule.next_ms == 3_000
    assert schedule.pop(9_000, 10) == [Due(2, 1, 4), Due(3, WHOLE, 0), Due(1, WHOLE, 0)]
    assert schedule.next_ms == -1


def test_removing_a_message_leaves_its_neighbours() -> None:
    """Cancelling takes out every entry of one message."""
    schedule = Schedule()
    for n in (7, 8, 7, 9):
        schedule.add(1_000, n, n % 2)
    assert schedule.remove(7) == 2
    assert schedule.remove(7) == 0
    assert [due.n for due in schedule.pop(1_000, 9)] == [8, 9]
    assert len(schedule) == 0


def test_removing_the_only_entry_of_a_second() -> None:
    """A second that was emptied stops nothing behind it."""
    schedule = Schedule()
    schedule.add(1_000, 1)
    schedule.add(2_000, 2)
    schedule.remove(1)
    assert schedule.pop(5_000, 1) == [Due(2, WHOLE, 0)]


def test_more_attempts_than_an_entry_holds() -> None:
    """Attempts beyond 255 stay 255 and spill into no other field."""
    schedule = Schedule()
    schedule.add(0, 5, 3, 1_000)
    assert schedule.pop(0, 1) == [Due(5, 3, 255)]


def test_a_clock_that_is_put_back() -> None:
    """F12: retries come as much earlier by it, what was never sent waits for the time of its sender."""
    schedule = Schedule()
    schedule.add(100_000, 1)
    schedule.add(100_000, 2, segment=0, attempts=3)
    schedule.add(5_000, 3, segment=1)
    schedule.put_back(60_000)
    assert len(schedule) == 3
    assert schedule.pop(0, 10) == [Due(3, 1, 0)]
    assert schedule.pop(39_999, 10) == []
    assert schedule.pop(40_000, 10) == [Due(2, 0, 3)]
    assert schedule.pop(99_999, 10) == []
    assert schedule.pop(100_000, 10) == [Due(1, WHOLE, 0)]
