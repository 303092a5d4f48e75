"""What is on its way to a carrier, and what awaits a receipt."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, final

from dispatcher._ext.events import EventBuffer
from dispatcher._ext.meters import Histogram, Intake
from dispatcher._ext.session import Incoming

OUTCOMES: Final[bytes]
"""The outcome of each message_state by the letter of SMPP 3.4, ACCEPTD not final; 0: not final."""

@final
class Submission:
    """One segment on its way to a carrier: the handle of its submit_sm in the exchange."""

    attempts: int
    carrier: int
    claimed: bool
    cancelled: bool
    frame: bytes
    framed_ms: int
    since_ms: int
    trouble: Any
    def __init__(
        self,
        message: object,
        n: int,
        segment: int,
        segments: int,
        traffic_class: int,
        deadline_ms: int,
        frame: bytes,
        carrier: int = 0,
    ) -> None: ...
    @property
    def message(self) -> Any: ...
    @property
    def n(self) -> int: ...
    @property
    def deadline_ms(self) -> int: ...
    @property
    def segment(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def traffic_class(self) -> int: ...

def submissions(
    messages: list[Any], frames: list[list[bytes]], carrier: int, framed_ms: int = 0, since_ms: int = 0
) -> list[Submission]:
    """Return the segments of messages, in order, for a carrier; `frames` are those of each message."""

def wrote(submissions: list[Submission], count: int, now_ms: int, waited: tuple[Histogram, ...]) -> None:
    """Note how long those of the first `count` had waited that were never tried before: they are written.

    `waited`: a histogram for each traffic class. ValueError: there are not so many.
    """

@final
class Ready:
    """Segments of one carrier and traffic_class that may go as soon as there is capacity."""

    def __len__(self) -> int: ...
    @property
    def oldest(self) -> Submission | None:
        """The foremost, or None."""

    def push(self, submission: Submission) -> None:
        """Put it behind all others."""

    def extend(self, submissions: list[Submission]) -> None:
        """Put these behind all others, in their own order."""

    @property
    def lowest(self) -> int:
        """The lowest n that stands here, 0 where nothing does. It looks at all."""

    def find(self, n: int) -> list[Submission]:
        """Return the segments of a message that stand here. It looks at all of them: for cancelling only."""

    def peek(self, start: int, most: int) -> list[Submission]:
        """Return up to `most` of those that stand here, from the `start`th on; they stay."""

    def push_front(self, submissions: list[Submission]) -> None:
        """Put these before all others, in their own order: what was pulled and could not go."""

    def pull(self, most: int, now_ms: int, out: list[Submission]) -> int:
        """Append up to `most` of the foremost that may still go to `out`; return how many."""

    def sweep(self, now_ms: int) -> int:
        """Drop all that were cancelled or are past their deadline, wherever they stand; return how many."""

    def take_dropped(self) -> list[Submission]:
        """Return those that `pull` and `sweep` left out since the last call, in the order they were met."""

@final
class Book:
    """Segments from their claim to their end; see ext/book.pyx for its laws."""

    def __new__(cls, events: EventBuffer, *, seed: bytes, parked_max: int, settled_max: int) -> Book: ...
    @property
    def matched(self) -> int:
        """Receipts that found their segment."""

    @property
    def duplicate(self) -> int:
        """Of these, those that said what was known."""

    @property
    def overruled(self) -> int:
        """Of these, those that were final and other than a final one that counts."""

    @property
    def ambiguous(self) -> int:
        """Of these, those whose id stood for several segments that awaited a receipt."""

    @property
    def corrected(self) -> int:
        """Outcomes that a later receipt changed."""

    @property
    def unmatched(self) -> int:
        """Receipts that were parked."""

    @property
    def orphaned(self) -> int:
        """Of these, given up."""

    @property
    def unmapped(self) -> int:
        """Receipts with a state that the dialect does not know."""

    @property
    def outstanding(self) -> int:
        """Segments that await a receipt; two ids of one count twice."""

    @property
    def parked(self) -> int:
        """Receipts that match nothing yet."""

    @property
    def work_max(self) -> int:
        """The most rows that any one operation on a table has touched."""

    @property
    def octets(self) -> int:
        """Octets of memory that its tables have taken, used or not."""

    def set_dialect(
        self,
        carrier: int,
        *,
        response_base: int = 0,
        receipt_base: int = 0,
        tlv_base: int = 0,
        flags: int = 0,
        outcomes: bytes | None = None,
        words: dict[bytes, int] | None = None,
        own_words: bool = False,
        receipts: bool = True,
    ) -> None:
        """Say how a carrier writes ids and states; before anything of it comes, also before `load`."""

    def claim(self, submissions: list[Submission], carrier: int, at_ms: int) -> list[Submission]:
        """Each of these may be written to the carrier once the events are durable: return those that may."""

    def submitted(
        self,
        submissions: list[Submission],
        statuses: list[int],
        message_ids: list[bytes | None],
        carrier: int,
        at_ms: int,
    ) -> tuple[list[tuple[Submission, int, bytes | None]], list[tuple[int, int, int]]]:
        """Take submit_sm_resp; return (refused, finished).

        refused: [(submission, command_status, message_id)]; finished: [(n, outcome, reason)].
        """

    def unanswered(self, submissions: list[Submission], carrier: int, at_ms: int) -> list[Submission]:
        """No answer came in time, or the connection broke: return those that are still to be decided upon."""

    def unsent(self, submissions: list[Submission], carrier: int, at_ms: int) -> list[Submission]:
        """They never left: that was no attempt. Return those that are still to be sent."""

    def retry(self, submission: Submission, due_ms: int, at_ms: int) -> bool:
        """It will be claimed again, not before `due_ms`. Return whether that is still of use."""

    def reroute(self, submission: Submission, carrier: int, at_ms: int) -> None:
        """Its message goes to another carrier from now on, with all segments that are not submitted."""

    def late(
        self, submission: Submission, status: int, message_id: bytes | None, carrier: int, at_ms: int
    ) -> bool:
        """An answer came after UNANSWERED. Return whether the carrier has it: it is not sent again."""

    def receipted(self, incoming: list[Incoming], carrier: int, at_ms: int) -> list[Incoming]:
        """Take deliver_sm. Return those that are no receipts, or cannot be read here: Python decides."""

    def settle(
        self,
        carrier: int,
        key: bytes,
        message_state: int,
        err: bytes,
        at_ms: int,
        intermediate: bool = False,
    ) -> bool:
        """Take a receipt that Python has read. Return whether it matched; else it is parked."""

    def knows(self, carrier: int, key: bytes) -> bool:
        """Whether a receipt with this key would match."""

    def finish(
        self, n: int, outcome: int, reason: int, carrier: int, at_ms: int, traffic_class: int = 4
    ) -> bool:
        """End a whole message, whatever its segments do; False: it had ended. traffic_class 4: not known."""

    def fail(self, submission: Submission, outcome: int, reason: int, at_ms: int) -> bool:
        """End one segment that will not be sent again; return whether that ended its message."""

    def expire(self, carrier: int, submitted_before_ms: int, now_ms: int, budget: int) -> int:
        """End what has had no final receipt since a time, at most `budget` segments; return how many."""

    def orphan(self, parked_before_ms: int, now_ms: int, budget: int) -> int:
        """Give up what was parked before a time, at most `budget` of it; return how many."""

    def leave(self, numbers: list[int]) -> None:
        """Know nothing more of these, in order and not ended: another worker has them. No event says so."""

    @property
    def intake(self) -> Intake:
        """Who sent how much; since when each message is under way."""

    def kinds(self, carrier: int) -> list[int]:
        """Events of a carrier since the start, by EventKind."""

    def taken(self, carrier: int) -> tuple[int, int, int, int]:
        """Segments that a carrier took in time, by traffic_class."""

    def states(self, carrier: int) -> list[int]:
        """Receipts that told something new, by message_state; intermediate ones are not among them."""

    def receipts_after(self, carrier: int) -> tuple[list[int], int]:
        """(counts, sum_us): how long after its answer a segment's final receipt came."""

    def ends(self, traffic_class: int) -> dict[tuple[int, int], int]:
        """Messages of a class that ended: {(outcome, reason): count}. Class 4: of those not known."""

    def ended_after(self, traffic_class: int) -> tuple[list[int], int]:
        """(counts, sum_us): how long after its acceptance a message ended; those for later are not there."""

    def awaiting(self, carrier: int) -> tuple[int, int, int, int]:
        """Segments that await a receipt of a carrier, by traffic_class."""

    def touched(self, n: int) -> bool:
        """Whether anything has happened to a message: it is not to be taken up from the journal again."""

    def is_finished(self, n: int) -> bool:
        """Whether a message has its outcome."""

    def unsettled(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """What a restart must take up.

        [(n, segment, state, attempts, due_ms, carrier, command_status)], in order. due_ms is that of RETRY,
        and of CLAIMED and UNANSWERED when that was.
        """

    def dump(self) -> Iterator[bytes]:
        """Yield the book in pieces of at most 1 MiB; it may go on changing meanwhile."""

    def load(self, pieces: Iterable[bytes]) -> None:
        """Take what `dump` gave into a new book. StoreError: it is none; RuntimeError: it is not new."""

    def replay(self, body: bytes) -> int:
        """Apply a body of events as if the calls had been made, write nothing; return how many."""

    def recovered(self, anew: bool = True) -> None:
        """End recovery: live calls follow. Counters begin at 0, unless the book was live before, too."""
