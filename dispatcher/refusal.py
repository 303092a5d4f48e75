"""Why one message is refused at the door: a value, so that its neighbours in the batch go on (laws 8, 13).

A code is for programs and never changes its meaning; a reason is for people and holds no text, no number.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Code(StrEnum):
    """What is wrong. A closed list."""

    NUMBER_MALFORMED = "number_malformed"
    """Not a telephone number, or written in a form that is not understood here."""
    NUMBER_AMBIGUOUS = "number_ambiguous"
    """It could be a national or an international number: a guess could go abroad."""
    SENDER_NOT_POSSIBLE = "sender_not_possible"
    """Neither a name, nor a short code, nor a number that can stand in source_addr."""
    TEXT_NOT_ENCODABLE = "text_not_encodable"
    """It holds a character that no allowed alphabet has."""
    TOO_MANY_SEGMENTS = "too_many_segments"
    """It is longer than its class or its carrier allows."""
    NO_ROUTE = "no_route"
    """No rule of the configuration fits."""


class Refusal(NamedTuple):
    """One refused message; `field` is that of SendRequest."""

    code: Code
    reason: str
    field: str


class Shut(NamedTuple):
    """Why nothing new is taken for a while, though nothing is wrong with it; and when to come again."""

    retry_after_ms: int
    reason: str


CLOSING: Final = Shut(10_000, "we are closing, and another start takes it")
"""A restart takes a few seconds."""
DISK_LOW: Final = Shut(5_000, "the disk of the store has too little room left for this traffic class")
"""Somebody has to make some."""
ALL_WAIT: Final = Shut(1_000, "too much is waiting in all (limits.backlog_max)")
"""Lanes empty by the second."""
CLASS_WAITS: Final = Shut(1_000, "too much of this traffic class is waiting (classes.NAME.backlog_max)")
STORE_BEHIND: Final = Shut(1_000, "the disk of the store does not write as fast as messages come")
SCHEDULE_FULL: Final = Shut(1_000, "too much waits for its time already (limits.schedule_max)")
