"""Submissions, and the ring in which they wait, against a plain list."""

import gc
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatcher._ext.book import Ready, Submission, submissions
from dispatcher.model import Message

PICK = st.integers(0, 10**6)


class AgainstList(RuleBasedStateMachine):
    """Any calls of a Ready, beside two lists."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = Ready()
        self.waiting: list[Submission] = []
        self.dropped: list[Submission] = []
        self.pulled: list[Submission] = []
        self.now = 100

    def is_over(self, it: Submission) -> bool:
        """Cancelled, or past its deadline."""
        return it.cancelled or (it.deadline_ms != 0 and it.deadline_ms <= self.now)

    @rule(deadline_ms=st.sampled_from([0, 0, 101, 105, 110]), count=st.sampled_from([1, 2, 63, 64]))
    def push(self, deadline_ms: int, count: int) -> None:
        """Some more, at the end."""
        for _ in range(count):
            it = Submission(None, 1, 0, 1, 0, deadline_ms, b"")
            self.ready.push(it)
            self.waiting.append(it)

    @rule(count=st.integers(0, 200))
    def push_front(self, count: int) -> None:
        """What was pulled comes back."""
        back, self.pulled = self.pulled[:count], self.pulled[count:]
        self.ready.push_front(back)
        self.waiting[:0] = back

    @rule(most=st.integers(0, 100))
    def pull(self, most: int) -> None:
        """The foremost."""
        expected = list[Submission]()
        while self.waiting and len(expected) < most:
            it = self.waiting.pop(0)
            (self.dropped if self.is_over(it) else expected).append(it)
        before = list(self.pulled)
        assert self.ready.pull(most, self.now, self.pulled) == len(expected)
        assert self.pulled == before + expected

    @rule(start=st.integers(0, 200), most=st.integers(0, 100))
    def peek(self, start: int, most: int) -> None:
        """Any of them; nothing moves."""
        assert self.ready.peek(start, most) == self.waiting[start : start + most]

    @rule()
    def sweep(self) -> None:
        """All that is over."""
        over = [it for it in self.waiting if self.is_over(it)]
        assert self.ready.sweep(self.now) == len(over)
        self.waiting = [it for it in self.waiting if not self.is_over(it)]
        self.dropped += over

    @rule(ahead=st.integers(0, 4))
    def time_passes(self, ahead: int) -> None:
        """Deadlines come."""
        self.now += ahead

    @precondition(lambda self: self.waiting)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        """One of those that wait."""
        self.waiting[pick % len(self.waiting)].cancelled = True

    @rule()
    def take_dropped(self) -> None:
        """In the order they were met, and once."""
        assert self.ready.take_dropped() == self.dropped
        self.dropped = []

    @invariant()
    def it_looks_the_same(self) -> None:
        """Length, and the foremost."""
        assert len(self.ready) == len(self.waiting)
        assert self.ready.oldest is (self.waiting[0] if self.waiting else None)

    def teardown(self) -> None:
        """Nothing is kept alive, and nothing was freed too soon."""
        everything = self.waiting + self.dropped + self.pulled
        self.waiting, self.dropped, self.pulled = [], [], []
        del self.ready
        # `everything`, the loop variable, the argument of getrefcount
        assert all(sys.getrefcount(it) == 3 for it in everything)


TestAgainstAList = AgainstList.TestCase
TestAgainstAList.settings = settings(
    deadline=None, max_examples=200, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)


def test_a_submission_is_what_it_was_made_of() -> None:
    """Attributes are the arguments; what happens to it can be set, what it is cannot."""
    message = object()
    it = Submission(message, 2**40 - 1, 254, 255, 3, 7, b"frame", 65_535)
    assert (it.message, it.n, it.segment, it.segments) == (message, 2**40 - 1, 254, 255)
    assert (it.traffic_class, it.deadline_ms, it.frame, it.carrier) == (3, 7, b"frame", 65_535)
    assert (it.attempts, it.claimed, it.cancelled) == (0, False, False)
    it.attempts, it.claimed, it.cancelled, it.carrier = 3, True, True, 9
    assert (it.attempts, it.claimed, it.cancelled, it.carrier) == (3, True, True, 9)
    it.frame, it.framed_ms, it.trouble = b"anew", 5, message
    assert (it.frame, it.framed_ms, it.trouble) == (b"anew", 5, message)
    with pytest.raises(TypeError):
        it.frame = 1  # type: ignore[assignment]
    for name in ("message", "n", "segment", "segments", "traffic_class", "deadline_ms"):
        with pytest.raises(AttributeError):
            setattr(it, name, 1)


@pytest.mark.parametrize(
    "changed",
    [
        *({"n": n} for n in (0, 2**40)),
        *({"segment": segment} for segment in (-1, 2)),
        *({"segments": segments} for segments in (0, 256)),
        *({"traffic_class": traffic_class} for traffic_class in (-1, 4)),
        *({"carrier": carrier} for carrier in (-1, 65_536)),
    ],
)
def test_a_segment_that_there_cannot_be_is_refused(changed: dict[str, Any]) -> None:
    """One too many or too few of any number is a ValueError."""
    fields: dict[str, Any] = {
        "n": 1,
        "segment": 0,
        "segments": 2,
        "traffic_class": 0,
        "deadline_ms": 0,
        "frame": b"",
    }
    with pytest.raises(ValueError, match=r"no segment|carrier is"):
        Submission(None, **(fields | changed))


def test_waiting_segments_are_no_work_for_the_collector() -> None:
    """Tens of thousands wait in every lane: the cyclic collector does not walk them."""
    assert not gc.is_tracked(Submission(None, 1, 0, 1, 0, 0, b""))


def test_only_submissions_are_pushed_and_a_bad_list_changes_nothing() -> None:
    """Anything else is a TypeError, before anything was put in front."""
    ready = Ready()
    with pytest.raises(TypeError):
        ready.push(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ready.push_front([Submission(None, 1, 0, 1, 0, 0, b""), None])  # type: ignore[list-item]
    assert len(ready) == 0
    assert ready.oldest is None


def test_messages_become_their_segments() -> None:
    """In order, each with its frame; a list too short, or a message that cannot be, is refused."""
    one = Message(1, bytes(16), "7", "B", "t", 3, 0, 9, 0, 1, 0, (1,))
    two = Message(2, bytes(16), "7", "B", "t", 0, 0, 8, 0, 2, 0, (1,))
    made = submissions([one, two], [b"a", [b"b", b"c"]], 5, 77)
    assert [(it.message, it.n, it.segment, it.segments, it.frame) for it in made] == [
        (one, 1, 0, 1, b"a"),
        (two, 2, 0, 2, b"b"),
        (two, 2, 1, 2, b"c"),
    ]
    assert {(it.carrier, it.framed_ms) for it in made} == {(5, 77)}
    assert [(it.traffic_class, it.deadline_ms) for it in made] == [(3, 9), (0, 8), (0, 8)]
    assert submissions([], [], 5) == []
    with pytest.raises(ValueError, match="1 messages with the frames of 2"):
        submissions([one], [[b"a"], [b"b"]], 5)
    for wrong in (["text"], "text", (b"a",), None):
        with pytest.raises(TypeError):
            submissions([one], [wrong], 5)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no segment"):
        submissions([Message(0, bytes(16), "7", "B", "t", 3, 0, 9, 0, 1, 0, (1,))], [[b"a"]], 5)
