"""The hottest functions, one after the other, as `instructions.py` counts them under valgrind.

    python -m bench.hot PROBE.so    says after each what was counted (by the probe, under valgrind)

A message goes all the way, in memory: out of a body of NDJSON, through the door, claimed, written, answered,
reported, folded into the projection. Each step is called once with BATCH messages before it counts, then
CALLS times. Nothing depends on time or chance. Little is imported: it starts fifty times slower than life.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench.corpora import CORPORA, corpus
from dispatcher._ext.book import Book, Submission
from dispatcher._ext.bucket import Bucket, spin
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.fold import Fold
from dispatcher._ext.session import Exchange, Incoming
from dispatcher._ext.smsc import ReceiptForm, message_ids
from dispatcher.admission import Admission
from dispatcher.carrier.profile import load
from dispatcher.config import Config, from_dict
from dispatcher.encoding import count, segment
from dispatcher.ingest.bodies import NO_DEFAULTS, answers, read_lines
from dispatcher.model import SendRequest
from dispatcher.receipts import teach
from dispatcher.routing.numbers import normaliser
from dispatcher.simulator.behaviour import Receipts
from dispatcher.simulator.receipts import Writer

BATCH: Final = 250
CALLS: Final = 4
TEXTS: Final = 100
CARRIER: Final = 1
NOW_MS: Final = 1_795_000_000_000
LINE: Final = (
    '{"to":"+49151%08d","text":"Your one-time code is 482913. Do not tell it to anyone.","sender":"Bank",'
    '"traffic_class":"authorization","client_ref":"b%d"}\n'
)

Counted = Callable[[str, int], Any]
"""A context in which instructions count for a name, so many items together."""


def run(counted: Counted) -> None:
    """Run all, twice where only the second time counts."""
    for name in CORPORA:
        texts = corpus(name, TEXTS)
        for what, function in (("segment", segment), ("count", count)):
            for text in texts:
                function(text)
            with counted(f"{what} {name}", len(texts)):
                for text in texts:
                    function(text)
    bucket = Bucket(0, 1_000_000)
    with counted("bucket", 100_000):
        spin(bucket, 0, 1_000, 100_000, 1, 3)
    line = Line()
    line.batch(_nothing)
    for _ in range(CALLS):
        line.batch(counted)


class Line:
    """The way of a message."""

    def __init__(self) -> None:
        config = _config()
        self._events = EventBuffer()
        self._book = Book(self._events, seed=bytes(16), parked_max=1_000, settled_max=100_000)
        profile = load(config.carriers["c0"], "c0")
        teach(self._book, CARRIER, profile.dialect)
        normalise = normaliser(config.default_country)
        self._door = Admission(config, normalise, lambda *_: (CARRIER,), {CARRIER: profile}, bytes)
        self._esme, self._smsc = Exchange(window=BATCH), Exchange(window=BATCH, smsc=True)
        self._esme.receives = self._smsc.receives = True
        made: Any = Writer(Receipts(), True, None)  # type: ignore[arg-type]  # chance is for delays
        self._form: ReceiptForm = made.form(2, 0, 0)
        self._next = 0

    def batch(self, counted: Counted) -> None:
        """Take BATCH messages all the way."""
        first, book, esme = self._next, self._book, self._esme
        self._next += BATCH
        body = "".join([LINE % (number, number) for number in range(first, self._next)]).encode()
        with counted("read_lines", BATCH):
            asked = read_lines(body, NO_DEFAULTS, "bench")
        requests = [each for each in asked if isinstance(each, SendRequest)]
        with counted("admit", BATCH):
            admitted = self._door.admit(requests, NOW_MS)
            packed = b"".join([group.body for group in admitted.groups.values()])
        verdicts = [each for each in admitted.verdicts if each is not None]
        with counted("answers", BATCH):
            answers(verdicts)
        submissions = [
            Submission(each, each.n, 0, 1, each.traffic_class, each.deadline_ms, frame, CARRIER)
            for group in admitted.groups.values()
            for each, (frame,) in zip(group.messages, group.frames, strict=True)
        ]
        with counted("claim", BATCH):
            book.claim(submissions, CARRIER, NOW_MS)
        with counted("submit", BATCH):
            esme.push(submissions, [each.frame for each in submissions], 0, 0)
            octets = esme.outgoing(0)
        responses, reports = self._smsc_says(octets, first)
        with counted("answer", BATCH):
            esme.feed(responses, 0)
            handles, statuses, ids = esme.take_answers()
            book.submitted(handles, statuses, ids, CARRIER, NOW_MS)
        with counted("receipt", BATCH):
            esme.feed(reports, 0)
            incoming = esme.take_incoming()
            odd = book.receipted(incoming, CARRIER, NOW_MS)
            esme.answer(incoming)
            octets = esme.outgoing(0)
        self._smsc.feed(octets, 0)
        self._smsc.take_answers()
        _, events = self._events.take()
        with counted("fold", BATCH):
            fold = Fold()
            fold.add_messages(packed, BATCH)
            fold.add_events(events)
            fold.close()
            told = [fold.inserts(BATCH), fold.lookups(BATCH), fold.keys(BATCH)]
        if odd or not all(told) or book.matched != self._next:
            raise SystemExit(f"{book.matched} receipts of {self._next} messages found theirs")

    def _smsc_says(self, octets: bytes, first: int) -> tuple[bytes, bytes]:
        """Return responses to submit_sm, and receipts."""
        smsc = self._smsc
        smsc.feed(octets, 0)
        incoming: list[Incoming] = smsc.take_incoming()
        ids = message_ids(first + 1, len(incoming), 10, 10)
        smsc.answer(incoming, 0, ids)
        responses = smsc.outgoing(0)
        frames = [receipt.frame for receipt in self._form.make(incoming, ids, ids)]
        smsc.push(frames, frames, 0, 0)
        return responses, smsc.outgoing(0)


def _config() -> Config:
    carrier = {"host": "smsc", "port": 2775, "system_id": "bank"}
    return from_dict({"store": "s", "carriers": {"c0": carrier}, "routes": [{"carriers": ["c0"]}]})


@contextmanager
def _nothing(name: str, items: int) -> Iterator[None]:
    """Count nothing: the first time."""
    yield


def main(probe: str) -> None:
    """Run under valgrind: the probe turns counting on and off."""
    valgrind = ctypes.PyDLL(probe)  # no other thread is there to take the GIL meanwhile

    class Counting:
        def __init__(self, name: str, items: int) -> None:
            self._name = f"{name}|{items}".encode()

        def __enter__(self) -> None:
            valgrind.begin()

        def __exit__(self, *error: object) -> None:
            valgrind.end(self._name)

    gc.collect()
    gc.freeze()
    gc.disable()
    run(Counting)


if __name__ == "__main__":
    main(sys.argv[1])
