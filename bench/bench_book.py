"""The book at many outstanding receipts: a claim, an answer, a receipt, an event at restart; memory.

Run: ``python -m pytest bench/bench_book.py``; ``OUTSTANDING=5000000`` for the full size (two minutes, 1 GB).
A round is 1,000 segments: divide by that. The book is steady: as many are settled as are submitted.
"""

import os
import resource
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dispatcher._ext.book import Book, Submission
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.pdu import Pdu, encode
from dispatcher._ext.session import Exchange, Incoming
from dispatcher.smpp.constants import Command, Tlv

OUTSTANDING = int(os.environ.get("OUTSTANDING", "1000000"))
BATCH = 1000
CARRIER = 2
ROUNDS = 300
STATUSES = [0] * BATCH


class Steady:
    """A book with OUTSTANDING segments that await a receipt, and what the next rounds need."""

    def __init__(self) -> None:
        self.events = EventBuffer()
        self.book = Book(self.events, seed=bytes(16), parked_max=1000, settled_max=OUTSTANDING // 20)
        self.next = self.oldest = 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        while self.next < OUTSTANDING:
            self.submit(*self.answers())
        self.octets = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / OUTSTANDING
        while self.oldest < OUTSTANDING // 10:  # until as many are forgotten as are settled
            self.book.receipted(self.receipts(), CARRIER, 2)
            self.submit(*self.answers())

    def answers(self) -> tuple[list[Submission], list[bytes | None]]:
        """Claim the next BATCH; return them and the ids to be given."""
        numbers = range(self.next, self.next + BATCH)
        self.next += BATCH
        submissions = [Submission(None, number + 1, 0, 1, 1, 0, b"") for number in numbers]
        self.book.claim(submissions, CARRIER, 1)
        return submissions, [message_id(number) for number in numbers]

    def submit(self, submissions: list[Submission], ids: list[bytes | None]) -> None:
        """They were accepted."""
        self.book.submitted(submissions, STATUSES, ids, CARRIER, 1)
        self.events.take()

    def receipts(self) -> list[Incoming]:
        """Return the receipts of the oldest BATCH, as an exchange gives them."""
        exchange = Exchange()
        exchange.receives = True
        exchange.feed(b"".join(map(receipt, range(self.oldest, self.oldest + BATCH))), 0)
        self.oldest += BATCH
        return exchange.take_incoming()


def message_id(number: int) -> bytes:
    """Return ids in no order, as those of several SMSCs come."""
    return b"%010d" % (number * 7919 % 10**10)


def receipt(number: int) -> bytes:
    """Return a deliver_sm with the two TLVs, and a text of the usual length."""
    return encode(
        Pdu(
            Command.DELIVER_SM,
            1,
            0,
            ((Tlv.RECEIPTED_MESSAGE_ID, message_id(number)), (Tlv.MESSAGE_STATE, 2)),
            esm_class=4,
            source_addr=b"79990000000",
            destination_addr=b"BANK",
            short_message=b"id:%s sub:001 dlvrd:001 submit date:2611241005 done date:2611241006 "
            b"stat:DELIVRD err:000 text:Your code is 123456" % message_id(number),
        )
    )


def pedantic(benchmark: BenchmarkFixture, run: Callable[..., None], **how: object) -> None:
    """Time `run` alone; the plugin's own function has no types."""
    benchmark.pedantic(run, **how)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def steady() -> Steady:
    """Fill it once; what it takes is printed with the figures."""
    return Steady()


def test_submitted(benchmark: BenchmarkFixture, steady: Steady) -> None:
    """1,000 submit_sm_resp with an id, at OUTSTANDING."""

    def setup() -> tuple[tuple[list[Submission], list[bytes | None]], dict[str, object]]:
        steady.book.receipted(steady.receipts(), CARRIER, 2)
        answers = steady.answers()
        steady.events.take()
        return answers, {}

    def run(submissions: list[Submission], ids: list[bytes | None]) -> None:
        steady.book.submitted(submissions, STATUSES, ids, CARRIER, 1)

    pedantic(benchmark, run, setup=setup, rounds=ROUNDS)
    benchmark.extra_info["octets each, tables"] = steady.book.octets / OUTSTANDING
    benchmark.extra_info["octets each, RSS"] = steady.octets
    benchmark.extra_info["most rows touched by an operation"] = steady.book.work_max


def test_receipted(benchmark: BenchmarkFixture, steady: Steady) -> None:
    """1,000 receipts, each found among OUTSTANDING: RECEIPTED and FINISHED."""

    def setup() -> tuple[tuple[list[Incoming]], dict[str, object]]:
        steady.submit(*steady.answers())
        return (steady.receipts(),), {}

    def run(incoming: list[Incoming]) -> None:
        assert not steady.book.receipted(incoming, CARRIER, 2)

    pedantic(benchmark, run, setup=setup, rounds=ROUNDS)


def test_claim(benchmark: BenchmarkFixture, steady: Steady) -> None:
    """1,000 new segments."""

    def setup() -> tuple[tuple[list[Submission]], dict[str, object]]:
        numbers = range(steady.next, steady.next + BATCH)
        steady.next += BATCH
        steady.events.take()
        return ([Submission(None, number + 1, 0, 1, 1, 0, b"") for number in numbers],), {}

    def run(submissions: list[Submission]) -> None:
        steady.book.claim(submissions, CARRIER, 1)

    pedantic(benchmark, run, setup=setup, rounds=ROUNDS)


def test_restart(benchmark: BenchmarkFixture) -> None:
    """OUTSTANDING events, a quarter each claimed, submitted, receipted, finished, into a new book."""
    events = EventBuffer()
    book = Book(events, seed=bytes(16), parked_max=1000, settled_max=OUTSTANDING)
    bodies = []
    for first in range(0, OUTSTANDING // 4, BATCH):
        numbers = range(first, first + BATCH)
        submissions = [Submission(None, number + 1, 0, 1, 1, 0, b"") for number in numbers]
        book.submitted(book.claim(submissions, CARRIER, 1), STATUSES, [*map(message_id, numbers)], CARRIER, 1)
        exchange = Exchange()
        exchange.receives = True
        exchange.feed(b"".join(map(receipt, numbers)), 0)
        book.receipted(exchange.take_incoming(), CARRIER, 2)
        bodies.append(events.take()[1])

    def run() -> None:
        restarted = Book(events, seed=bytes(16), parked_max=1000, settled_max=OUTSTANDING)
        assert sum(map(restarted.replay, bodies)) == OUTSTANDING

    pedantic(benchmark, run, rounds=3)
