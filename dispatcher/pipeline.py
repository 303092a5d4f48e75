"""The path of a message, from acceptance to its one outcome. Read this file first.

::

    accept(batch)      admission: validate, normalise, route, count  -> a Message, or a refusal of its own
                       journal: one commit                           -> only now the caller is told
    queue              of its carrier and class: head in memory, tail in the journal
    lane               claim (committed), token, window, submit_sm
    answered           book: SUBMITTED, awaits its receipt           | refused, unanswered: see aftermath.py
    incoming           book: RECEIPTED, FINISHED                     -> deliver_sm_resp after the commit
    tick               what waits for time: retries, deadlines, missing receipts

Everything moves in batches: a call, a read, a commit. What happens is written as events into one buffer; the buffer
goes to the journal once a turn of the loop, and whoever waits for durability (`after_commit`) hears of it when the
commit that holds its events has returned.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from dispatcher._ext.book import Book, Submission
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.session import Incoming
from dispatcher.admission import Admission
from dispatcher.aftermath import Aftermath
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.profile import Profile
from dispatcher.carrier.queue import ClassQueue
from dispatcher.errors import OverloadedError
from dispatcher.model import Accepted, EventKind, Message, Outcome, Reason, Refused, SendRequest
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.pool import Alarm
from dispatcher.store.journal import Journal, Row
from dispatcher.store.records import EVENTS_STREAM, pack_messages, unpack_messages

LOAD_OCTETS: Final = 1 << 20
"""Of the journal in one read: some thousand messages, a few milliseconds to unpack."""


class Pipeline:
    """Accepts messages and drives them to their outcomes. One event loop; nothing here blocks."""
