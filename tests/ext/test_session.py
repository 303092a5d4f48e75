"""The exchange against a slow twin made of dicts, and the corners of its laws one by one."""

import gc
import struct
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatcher._ext.pdu import Pdu, SubmitTemplate, encode
from dispatcher._ext.session import Exchange
from dispatcher.errors import LocalProtocolError, Recoverable
from dispatcher.smpp.constants import Command, CommandStatus

LAST = 0x7FFFFFFF
FRAME = SubmitTemplate().encode(77, b"BANK", b"79990000000", b"hello")
SLOTS = 256
RING = {"deadline": None, "suppress_health_check": list(HealthCheck)}


class Handle:
    """An object of our own, whose references can be counted."""


def header(command_id: int, status: int, number: int, body: bytes = b"") -> bytes:
    """Return a PDU, put together without the code under test."""
    return struct.pack(">4I", 16 + len(body), command_id, status, number) + body


def split(octets: bytes) -> list[tuple[int, int, int, bytes]]:
    """Return (command_id, status, sequence_number, body) of each PDU."""
    found = []
    while octets:
        length, command_id, status, number = struct.unpack_from(">4I", octets)
        found.append((command_id, status, number, octets[16:length]))
        octets = octets[length:]
    return found


def pushed(exchange: Exchange, count: int, now_ns: int = 0) -> list[int]:
    """Push `count` frames whose handles are 0, 1, ...; return their sequence numbers."""
    assert exchange.push(list(range(count)), [FRAME] * count, 0, now_ns) == count
    return [number for _, _, number, _ in split(exchange.outgoing(now_ns))]


class Against(RuleBasedStateMachine):
    """Everything that can happen to an exchange, beside a twin that keeps dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.window = 7
        self.exchange = Exchange(window=self.window, sequence_number=LAST - 20)
        self.now = 1000
        self.handles: list[Handle] = []
        self.flying: dict[int, tuple[int, Handle]] = {}  # in the order of writing
        self.asked: dict[int, tuple[int, int]] = {}
        self.given_up: dict[int, tuple[int, int, Handle | int]] = {}
        self.written: dict[int, int] = {}  # where in the stream the last octet of a number stands
        self.out = 0
        self.count = dict.fromkeys(("answered", "late", "strange", "mismatched", "pushed"), 0)
        self.last = LAST - 21

    def number_all(self, octets: bytes) -> list[tuple[int, int]]:
        """Check the numbers of what was written: the next free ones; return (command_id, number)."""
        found = []
        for command_id, _, number, body in split(octets):
            self.out += 16 + len(body)
            if command_id & 0x80000000:
                continue
            taken = {each % SLOTS for each in [*self.flying, *self.asked, *self.given_up]}
            expected = self.last % LAST + 1
            while expected % SLOTS in taken:
                expected = expected % LAST + 1
            assert number == expected
            self.last = number
            self.written[number] = self.out
            found.append((command_id, number))
            self.flying[number] = (self.now, Handle())  # a mark, replaced at once by the caller
        return found

    def feed(self, octets: bytes, cut: int) -> None:
        """Hand over in two reads."""
        cut %= len(octets) + 1
        self.exchange.feed(octets[:cut], self.now)
        self.exchange.feed(octets[cut:], self.now)

    @rule(count=st.integers(0, 12), most=st.integers(0, 9), start=st.integers(0, 3))
    def push(self, count: int, most: int, start: int) -> None:
        """As many go as the window has room for."""
        handles = [Handle() for _ in range(count)]
        start = min(start, count)
        room = self.window - len(self.flying)
        taken = self.exchange.push(handles, [FRAME] * count, start, self.now, most)
        assert taken == min(count - start, most, room)
        for (command_id, number), handle in zip(
            self.number_all(self.exchange.outgoing(self.now)), handles[start:], strict=False
        ):
            assert command_id == Command.SUBMIT_SM
            self.flying[number] = (self.now, handle)
            self.handles.append(handle)
        self.count["pushed"] += taken

    @rule(command_id=st.sampled_from([Command.ENQUIRE_LINK, Command.UNBIND, Command.QUERY_SM]))
    def ask(self, command_id: int) -> None:
        """Other requests take numbers beside the window."""
        if len(self.asked) + len(self.given_up) > 40:
            return
        number = self.exchange.ask(command_id, 5, self.now)
        assert self.number_all(self.exchange.outgoing(self.now)) == [(command_id, number)]
        del self.flying[number]
        self.asked[number] = (self.now, command_id)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 99), status=st.sampled_from([0, 8, 0x58]), cut=st.integers(0, 99))
    def answer(self, which: int, status: int, cut: int) -> None:
        """An answer finds its handle, in any order."""
        number = list(self.flying)[which % len(self.flying)]
        _, handle = self.flying.pop(number)
        self.feed(header(Command.SUBMIT_SM_RESP, status, number, b"id%d\0" % number), cut)
        assert self.exchange.take_answers() == ([handle], [status], [b"id%d" % number])
        self.count["answered"] += 1

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 99), status=st.sampled_from([0, 2, 3]), cut=st.integers(0, 99))
    def nack(self, which: int, status: int, cut: int) -> None:
        """A nack with our number fails that request; one that says no error accepts nothing."""
        number = list(self.flying)[which % len(self.flying)]
        self.feed(header(Command.GENERIC_NACK, status, number), cut)
        ((pdu, about),) = self.exchange.take_others()
        assert isinstance(pdu, Pdu)
        assert pdu.sequence_number == number
        if status:
            assert about is self.exchange
            assert self.exchange.take_answers() == ([self.flying.pop(number)[1]], [status], [None])
            self.count["answered"] += 1
        else:
            assert about is None
            assert self.exchange.take_answers() == ([], [], [])

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 99), cut=st.integers(0, 99))
    def answer_asked(self, which: int, cut: int) -> None:
        """The answer to `ask` comes with its handle."""
        number = list(self.asked)[which % len(self.asked)]
        _, command_id = self.asked.pop(number)
        self.feed(header(command_id | 0x80000000, 8, number), cut)
        ((pdu, handle),) = self.exchange.take_others()
        assert (pdu.sequence_number, handle) == (number, 5)

    @rule(number=st.integers(0, 2**32 - 1), cut=st.integers(0, 99), near=st.booleans())
    def strange(self, number: int, cut: int, near: bool) -> None:
        """Duplicates and strangers are counted, and nothing else."""
        if near:
            number = (self.last - number % 30) % LAST
        if number in self.flying or number in self.asked or number in self.given_up:
            return
        self.feed(header(Command.SUBMIT_SM_RESP, 0, number, b"x\0"), cut)
        self.count["strange"] += 1

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 99), cut=st.integers(0, 99))
    def mismatched(self, which: int, cut: int) -> None:
        """A response of the wrong kind matches nothing."""
        number = list(self.flying)[which % len(self.flying)]
        self.feed(header(Command.DELIVER_SM_RESP, 0, number, b"\0"), cut)
        self.count["mismatched"] += 1

    @rule(step=st.integers(1, 50))
    def pass_time(self, step: int) -> None:
        """Time goes on."""
        self.now += step

    @rule(age=st.integers(0, 100))
    def expire(self, age: int) -> None:
        """What is too old is given up, oldest first."""
        if len(self.given_up) > 40:
            return
        before = self.now - age
        expected: list[tuple[int, int, int, Any]] = []
        for number, (since, handle) in list(self.flying.items()):
            if since <= before:
                expected.append((since, number, Command.SUBMIT_SM, handle))
                del self.flying[number]
        for number, (since, command_id) in list(self.asked.items()):
            if since <= before:
                expected.append((since, number, command_id, 5))
                del self.asked[number]
        expected.sort(key=lambda each: self.written[each[1]])
        for since, number, command_id, handle in expected:
            self.given_up[number] = (since, command_id, handle)
        assert self.exchange.expire(before) == [(each[2], each[3]) for each in expected]

    @precondition(lambda self: self.given_up)
    @rule(which=st.integers(0, 99), cut=st.integers(0, 99))
    def late(self, which: int, cut: int) -> None:
        """A late answer still finds its handle."""
        number = list(self.given_up)[which % len(self.given_up)]
        _, command_id, handle = self.given_up.pop(number)
        self.feed(
            header(command_id | 0x80000000, 0, number, b"late\0" * (command_id == Command.SUBMIT_SM)), cut
        )
        if command_id == Command.SUBMIT_SM:
            assert self.exchange.take_late() == [(handle, 0, b"late")]
            self.count["late"] += 1
        else:
            ((_, found),) = self.exchange.take_others()
            assert found == handle

    @invariant()
    def same(self) -> None:
        """The counters and the window agree, and the window is never exceeded."""
        exchange = self.exchange
        assert exchange.in_flight == len(self.flying) <= self.window
        assert exchange.room == self.window - len(self.flying)
        assert exchange.pending == 0
        assert exchange.lost is None
        since = [since for since, _ in self.flying.values()] + [since for since, _ in self.asked.values()]
        assert exchange.oldest_ns == min(since, default=-1)
        assert exchange.octets_out == self.out
        strange = exchange.duplicate + exchange.unknown
        for name, value in self.count.items():
            assert (strange if name == "strange" else getattr(exchange, name)) == value

    def teardown(self) -> None:
        """At the end everything comes back once, and no reference stays behind."""
        frames = [FRAME] * 3
        handles = [Handle() for _ in frames]
        before = self.exchange.octets_out
        rest = self.exchange.push(handles, frames, 0, self.now)
        self.exchange.outgoing(self.now)
        unsent = min(rest, 2) * len(FRAME) - 5 if rest else 0  # one PDU wholly here, one cut through
        unanswered, kept = self.exchange.abandon(unsent)
        assert kept == handles[max(0, rest - 2) : rest]
        assert unanswered == [handle for _, handle in self.flying.values()] + handles[: max(0, rest - 2)]
        assert self.exchange.octets_out == before + rest * len(FRAME)
        assert self.exchange.in_flight == 0
        self.flying.clear()
        self.given_up.clear()
        del unanswered, kept
        for handle in self.handles:
            assert sys.getrefcount(handle) == 3  # the list, the loop, the call


Against.TestCase.settings = settings(max_examples=150, stateful_step_count=60, **RING)  # type: ignore[arg-type]
TestAgainstTheTwin = Against.TestCase


def test_the_sequence_wraps_and_skips_what_is_in_flight() -> None:
    """F61: after 0x7FFFFFFF comes 1, and a number still in flight is passed over."""
    exchange = Exchange(window=10, sequence_number=LAST - 1)
    assert pushed(exchange, 4) == [LAST - 1, LAST, 1, 2]
    again = Exchange(window=10, sequence_number=LAST)
    (first,) = pushed(again, 1)
    for _ in range(3 * SLOTS):
        (number,) = pushed(again, 1)
        assert number != first
        assert number % SLOTS != first % SLOTS
        again.feed(header(Command.SUBMIT_SM_RESP, 0, number, b"x\0"), 0)
    assert again.in_flight == 1
    assert again.answered == 3 * SLOTS


def test_responses_come_in_any_order() -> None:
    """F48: a window of 100, answered backwards in one read, gives each handle its own id."""
    exchange = Exchange(window=100)
    numbers = pushed(exchange, 100)
    exchange.feed(b"".join(header(Command.SUBMIT_SM_RESP, 0, n, b"%d\0" % n) for n in reversed(numbers)), 0)
    handles, statuses, ids = exchange.take_answers()
    assert handles == list(range(99, -1, -1))
    assert statuses == [0] * 100
    assert ids == [b"%d" % number for number in reversed(numbers)]


def test_duplicates_strangers_and_wrong_types_are_harmless() -> None:
    """F49, F50, F51: counted apart; the state of the window does not change."""
    exchange = Exchange()
    first, second = pushed(exchange, 2)
    answer = header(Command.SUBMIT_SM_RESP, 0, first, b"a\0")
    exchange.feed(answer + answer + header(Command.SUBMIT_SM_RESP, 8, first, b"b\0"), 0)
    exchange.feed(header(Command.SUBMIT_SM_RESP, 0, 4711, b"a\0") + header(Command.SUBMIT_SM_RESP, 0, 0), 0)
    exchange.feed(header(Command.DELIVER_SM_RESP, 0, second, b"\0"), 0)
    assert exchange.take_answers() == ([0], [0], [b"a"])
    assert (exchange.duplicate, exchange.unknown, exchange.mismatched) == (2, 2, 1)
    assert exchange.in_flight == 1


@pytest.mark.parametrize("status", [0, 0x45])
@pytest.mark.parametrize(
    ("body", "message_id", "malformed"),
    [(b"", None, 0), (b"\0", b"", 0), (b"x" * 65 + b"\0", b"x" * 65, 0), (b"abc", None, 1)],
)
def test_odd_bodies_of_responses(status: int, body: bytes, message_id: bytes | None, malformed: int) -> None:
    """F59: a missing, empty, over-long or unterminated id resolves its request all the same."""
    exchange = Exchange()
    (number,) = pushed(exchange, 1)
    exchange.feed(header(Command.SUBMIT_SM_RESP, status, number, body), 0)
    assert exchange.take_answers() == ([0], [status], [message_id])
    assert exchange.malformed == malformed


def test_a_read_may_end_anywhere() -> None:
    """Whatever two PDUs are cut into, they are read the same."""
    deliver = encode(Pdu(Command.DELIVER_SM, 9, source_addr=b"1", destination_addr=b"2", short_message=b"hi"))
    for cut in range(len(deliver) + 17):
        exchange = Exchange()
        exchange.receives = True
        (number,) = pushed(exchange, 1)
        stream = header(Command.SUBMIT_SM_RESP, 0, number, b"a\0") + deliver
        exchange.feed(stream[:cut], 0)
        assert exchange.pending == (cut if cut < 18 else (cut - 18) % len(deliver))
        exchange.feed(stream[cut:], 0)
        assert exchange.take_answers() == ([0], [0], [b"a"])
        (incoming,) = exchange.take_incoming()
        assert (incoming.source_addr, incoming.short_message, incoming.pdu) == (b"1", b"hi", deliver)


def test_the_buffer_takes_a_read_and_stays_alive() -> None:
    """A read goes where `buffer` says; the view keeps the memory, even beyond the exchange."""
    exchange = Exchange(read_octets=64)
    (number,) = pushed(exchange, 1)
    answer = header(Command.SUBMIT_SM_RESP, 0, number, b"a\0")
    view = exchange.buffer()
    assert len(view) >= 64
    view[: len(answer)] = answer
    exchange.read(len(answer), 5)
    assert exchange.take_answers() == ([0], [0], [b"a"])
    assert (exchange.heard_ns, exchange.answered_ns) == (5, 5)
    with pytest.raises(ValueError, match="more octets"):
        exchange.read(1 << 20, 0)
    view = exchange.buffer()
    del exchange
    gc.collect()
    view[0] = 1


@pytest.mark.parametrize("length", [0, 1, 15, 70_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_illegal_length_loses_the_framing(length: int) -> None:
    """F55: said after four octets, and nothing that follows is read any more."""
    exchange = Exchange()
    exchange.feed(struct.pack(">I", length), 0)
    assert exchange.lost is not None
    assert exchange.lost.command_status == CommandStatus.ESME_RINVCMDLEN
    exchange.feed(header(Command.ENQUIRE_LINK, 0, 1), 0)
    assert exchange.outgoing(0) == b""
    assert len(exchange.buffer()) > 0


@given(octets=st.binary(max_size=400), sizes=st.lists(st.integers(1, 40), min_size=1), smsc=st.booleans())
@settings(max_examples=400, deadline=None)
def test_random_octets_never_raise(octets: bytes, sizes: list[int], smsc: bool) -> None:
    """F62: any octets, in any pieces, leave PDUs or the end of the framing."""
    exchange = Exchange(smsc=smsc, limit=200)
    exchange.receives = True
    at = 0
    for size in sizes * 400:
        exchange.feed(octets[at : at + size], 0)
        at += size
        if at >= len(octets):
            break
    for pdu, _ in exchange.take_others():
        assert isinstance(pdu, Pdu | Recoverable)
    for incoming in exchange.take_incoming():
        assert isinstance(incoming.decode(), Pdu | Recoverable)


@given(
    command=st.sampled_from([4, 5, 0x80000004, 0x80000005, 0x80000000, 0x15, 0x80000009, 6, 0x103, 0xFFFF]),
    number=st.integers(0, 3),
    body=st.binary(max_size=80),
)
@settings(max_examples=400, deadline=None)
def test_random_bodies_never_raise(command: int, number: int, body: bytes) -> None:
    """F57, F58: a sound frame with any content leaves the framing as it is."""
    exchange = Exchange()
    exchange.receives = True
    pushed(exchange, 1)
    exchange.ask(Command.BIND_TRANSCEIVER, None, 0)
    exchange.feed(header(command, 0, number, body) + header(Command.ENQUIRE_LINK, 0, 5), 0)
    assert exchange.lost is None
    assert exchange.pending == 0
    assert exchange.enquiries == (2 if command == Command.ENQUIRE_LINK else 1)


def test_enquiries_are_answered_at_once() -> None:
    """F36: a thousand of them in one read leave a thousand answers, with their numbers."""
    exchange = Exchange()
    exchange.feed(b"".join(header(Command.ENQUIRE_LINK, 0, n) for n in range(1000)), 0)
    answers = split(exchange.outgoing(0))
    assert answers == [(Command.ENQUIRE_LINK_RESP, 0, n, b"") for n in range(1000)]


def test_a_bad_frame_ends_the_push() -> None:
    """What stands before a bad frame goes; as the first one it raises, and nothing is written."""
    exchange = Exchange()
    for bad in (b"", FRAME[:-1], FRAME + b"x", header(Command.DELIVER_SM, 0, 1)):
        exchange = Exchange()
        assert exchange.push([1, 2, 3], [FRAME, bad, FRAME], 0, 0) == 1
        with pytest.raises(LocalProtocolError, match=r"frames\[1\]"):
            exchange.push([1, 2, 3], [FRAME, bad, FRAME], 1, 0)
        assert exchange.in_flight == 1
        assert len(split(exchange.outgoing(0))) == 1


def test_what_may_not_be_asked() -> None:
    """submit_sm is pushed, never asked; a bad field writes nothing; there is a limit beside the window."""
    exchange = Exchange()
    with pytest.raises(LocalProtocolError, match="push it"):
        exchange.ask(Command.SUBMIT_SM, None, 0)
    with pytest.raises(LocalProtocolError, match="password"):
        exchange.ask(Command.BIND_TRANSCEIVER, None, 0, password=b"123456789")
    assert exchange.outgoing(0) == b""
    for _ in range((SLOTS - 1) // 4):
        exchange.ask(Command.QUERY_SM, None, 0)
    with pytest.raises(LocalProtocolError, match="unanswered"):
        exchange.ask(Command.QUERY_SM, None, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"window": 65_537},
        {"limit": 15},
        {"read_octets": 0},
        {"sequence_number": 0},
        {"sequence_number": LAST + 1},
    ],
)
def test_settings_are_checked(options: dict[str, int]) -> None:
    """A window, limit or number outside its range is refused."""
    with pytest.raises(LocalProtocolError):
        Exchange(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [1, 100, 128, 1000])
def test_stragglers_cannot_fill_the_ring(window: int) -> None:
    """A carrier that never answers, round after round, leaves room for the next window; the newest late
    answers still find their handles."""
    exchange = Exchange(window=window)
    numbers: list[int] = []
    for now in range(3000 // window + 2):
        numbers = pushed(exchange, window, now)
        assert len(set(numbers)) == window
        assert len(exchange.expire(now)) == window
    exchange.feed(b"".join(header(Command.SUBMIT_SM_RESP, 0, n, b"x\0") for n in numbers), 0)
    assert [handle for handle, _, _ in exchange.take_late()] == list(range(window))


def test_unsent_octets_tell_unsent_from_unanswered() -> None:
    """F34: only a PDU whose last octet is still here never left; a silly number of octets changes nothing."""
    size = len(FRAME)
    for unsent, expected in ((0, 0), (1, 1), (size, 1), (size + 1, 2), (10**9, 3), (-5, 0)):
        exchange = Exchange()
        pushed(exchange, 3)
        exchange.push([3], [FRAME], 0, 0)  # never taken by `outgoing`
        unanswered, kept = exchange.abandon(unsent)
        assert (unanswered, kept) == (list(range(3 - expected)), list(range(3 - expected, 4)))
        assert exchange.outgoing(0) == b""


def test_deliver_sm_may_follow_its_bind_response_in_one_read() -> None:
    """F77: receipts that were waiting come right behind the bind_resp, and are incoming like all others."""
    exchange = Exchange()
    number = exchange.ask(Command.BIND_TRANSCEIVER, None, 0)
    deliver = encode(Pdu(Command.DELIVER_SM, 9, source_addr=b"1", destination_addr=b"2", short_message=b"hi"))
    exchange.feed(header(0x80000009, 0, number, b"smsc\0") + deliver, 0)
    assert len(exchange.take_incoming()) == 1
    assert len(exchange.take_others()) == 1


def test_deliver_sm_is_answered_only_when_told() -> None:
    """Nothing is written for what came in until `answer`; then each with its own number."""
    exchange = Exchange()
    exchange.receives = True
    deliver = bytearray(encode(Pdu(Command.DELIVER_SM, 1, source_addr=b"1", destination_addr=b"2")))
    deliver[12:16] = b"\xff" * 4  # echoed whatever it is
    exchange.feed(deliver, 0)
    incoming = exchange.take_incoming()
    assert exchange.outgoing(0) == b""
    exchange.answer(incoming, 0x64)
    assert split(exchange.outgoing(0)) == [(Command.DELIVER_SM_RESP, 0x64, 2**32 - 1, b"\0")]


def test_handles_do_not_leak() -> None:
    """Answered, failed, given up, abandoned or dropped with the exchange: no reference stays."""
    handle = Handle()
    before = sys.getrefcount(handle)
    exchange = Exchange(window=100)
    for _ in range(50):
        exchange.push([handle] * 10, [FRAME] * 10, 0, 0)
        numbers = [number for _, _, number, _ in split(exchange.outgoing(0))]
        exchange.feed(b"".join(header(Command.SUBMIT_SM_RESP, 0, n) for n in numbers[:5]), 0)
        exchange.take_answers()
        exchange.expire(0)
    exchange.push([handle] * 10, [FRAME] * 10, 0, 0)
    exchange.abandon()
    assert sys.getrefcount(handle) == before
    exchange.push([handle] * 10, [FRAME] * 10, 0, 0)
    del exchange
    assert sys.getrefcount(handle) == before
