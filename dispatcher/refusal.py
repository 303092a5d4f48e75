"""Why one message is refused at the door: a value, so that its neighbours in the batch go on (laws 8, 13).

A code is for programs and never changes its meaning; a reason is for people and holds no text, no number.
"""

from enum import StrEnum
from typing import NamedTuple


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
