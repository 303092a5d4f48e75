"""The store's ledger: a plain fold of the journal that shares no code with the product, but for its numbers.

It reads with the SQLite of the standard library, and takes events apart as dispatcher.model.Event says.
"""

import sqlite3
import struct
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.model import EventKind, Outcome, Reason

_HEAD: Final = struct.Struct("<BBHIQQB")
_MESSAGES: Final = "SELECT count, body FROM journal WHERE stream > 0 AND last > 0"
_EVENTS: Final = "SELECT body FROM journal WHERE stream = 0 ORDER BY seq"

Place = tuple[str, int]
"""A segment, by its token and its place from 0."""


class Stored:
    """What a store holds."""

    def __init__(self, folder: Path) -> None:
        self.ids: dict[str, list[str]] = defaultdict(list)
        """Token -> message_id of each message with it; more than one is a fault."""
        self.segments: dict[str, int] = {}
        self.classes: dict[str, int] = {}
        self.ends: dict[str, list[tuple[Outcome, Reason]]] = defaultdict(list)
        self.corrected: dict[str, tuple[Outcome, Reason]] = {}
        """What a later receipt made of an outcome."""
        self.last: dict[Place, EventKind] = {}
        """The last event of each segment, receipts aside."""
        self.claims: Counter[Place] = Counter()
        self.unanswered: Counter[Place] = Counter()
        self.submitted: dict[tuple[str, bytes], Place] = {}
        """(carrier, smsc_message_id) -> the segment."""
        self.receipted: set[Place] = set()
        self.parked: set[tuple[str, bytes]] = set()
        """(carrier, key of smsc_message_id)."""
        self.duplicate_numbers = 0
        self.projected: dict[str, Outcome] = {}
        """Outcomes by the projection."""
        tokens: dict[int, str] = {}
        with closing(sqlite3.connect(folder / "journal.db")) as journal:
            self.is_made = bool(
                journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'snapshot'").fetchone()
            )
            if not self.is_made:  # killed while it was made: nothing was accepted
                return
            self.names = dict(journal.execute("SELECT number, name FROM name WHERE kind = 'carrier'"))
            for count, body in journal.execute(_MESSAGES):
                for record in msgspec.msgpack.decode(b"\xdd" + count.to_bytes(4, "big") + body):
                    self._message(record, tokens)
            for (body,) in journal.execute(_EVENTS):
                self._events(body, tokens)

    def project(self, folder: Path) -> None:
        """Read the projection too, which may be behind where a process was killed."""
        with closing(sqlite3.connect(folder / "projection.db")) as projection:
            rows = projection.execute("SELECT record, trail FROM message WHERE has_ended")
            for record, trail in rows:
                at = 0
                while at < len(trail):  # the last outcome counts
                    kind, _, _, code, _, _, tail_octets = _HEAD.unpack_from(trail, at)
                    if kind in (EventKind.FINISHED, EventKind.CORRECTED):
                        self.projected[msgspec.msgpack.decode(record)[12]] = Outcome(code >> 16)
                    at += _HEAD.size + tail_octets

    def doubtful(self) -> set[Place]:
        """Return the segments that may have been written and of which no more is known."""
        return {place for place, kind in self.last.items() if kind is EventKind.CLAIMED}

    def _message(self, record: list[object], tokens: dict[int, str]) -> None:
        n, message_id, token = record[0], record[1], record[12]
        assert isinstance(n, int)
        assert isinstance(message_id, bytes)
        assert isinstance(token, str)
        self.duplicate_numbers += n in tokens
        tokens[n] = token
        self.ids[token].append(str(UUID(bytes=message_id)))
        self.classes[token], self.segments[token] = int(str(record[5])), int(str(record[9]))

    def _events(self, body: bytes, tokens: dict[int, str]) -> None:
        at = 0
        while at < len(body):
            kind, segment, carrier, code, n, _, octets = _HEAD.unpack_from(body, at)
            tail = body[at + _HEAD.size : at + _HEAD.size + octets]
            at += _HEAD.size + octets
            if kind in (EventKind.PARKED, EventKind.ORPHANED):
                self.parked.add((self.names[carrier], tail.partition(b"\0")[0]))
                continue
            token = tokens[n]
            place = (token, segment)
            if kind == EventKind.FINISHED:
                self.ends[token].append((Outcome(code >> 16), Reason(code & 0xFFFF)))
            elif kind == EventKind.RECEIPTED:
                self.receipted.add(place)
            elif kind == EventKind.CORRECTED:
                self.corrected[token] = Outcome(code >> 16), Reason(code & 0xFFFF)
            elif kind != EventKind.REROUTED:
                self.last[place] = EventKind(kind)
                self.claims[place] += kind == EventKind.CLAIMED
                self.unanswered[place] += kind == EventKind.UNANSWERED
                if kind == EventKind.SUBMITTED:
                    self.submitted[self.names[carrier], tail] = place
