"""The path of a message, from acceptance to its one outcome. Read this file first.

::

    accept(batch)      admission: validate, normalise, count        -> a Message, or a refusal of its own
                       journal: one commit                          -> only now the caller is told
    queue              of its carrier and class: head in memory, tail in the journal
    lane               claim (committed), token, window, submit_sm
    answered           book: SUBMITTED, awaits its receipt          | refused / unanswered: the retry table decides
    incoming           book: RECEIPTED, FINISHED                    -> deliver_sm_resp after the commit
    tick               what waits for time: retries, deadlines, missing receipts

Everything moves in batches: a call, a read, a commit. What happens is written as events into one buffer; the buffer
goes to the journal once a turn of the loop, and whoever waits for durability (`after_commit`) hears of it when the
commit that holds its events has returned.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from dispatcher._ext.book import Book, Submission
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.session import Incoming
from dispatcher.admission import Accepted, Admission, Refused
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.queue import ClassQueue
from dispatcher.carrier.schedule import Due, Schedule
from dispatcher.errors import DispatcherError, StoreError
from dispatcher.model import EventKind, Message, Outcome, Reason, SendRequest, TrafficClass, WHOLE
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.pool import Alarm
from dispatcher.store.journal import Journal, Row
from dispatcher.store.records import EVENTS_STREAM, pack_messages

TICK_S: Final = 0.25
"""How late a deadline or a retry may be noticed; a quarter of what is promised."""
DUE_MOST: Final = 5_000
"""Scheduled messages taken up in one tick: one read of the journal, a few milliseconds of work."""
LOAD_OCTETS: Final = 1 << 20
"""Of the journal in one read."""
EXPIRE_BUDGET: Final = 20_000
"""Slots of the receipt table looked at in one tick: 5,000,000 in about a minute."""

class Pipeline:
    """Accepts messages and drives them to their outcomes. One event loop; nothing here blocks."""
