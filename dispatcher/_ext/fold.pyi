"""A slice of the journal, folded by message, as rows for the projection's tables."""

from typing import Any, Final, final

PART: Final[int]
"""A part of the look-up table holds the recipients and references of so many messages."""
KEYS_PART: Final[int]
"""A part of the keys: those of message n are in part n // KEYS_PART."""

def ids_of(part: int, hash: int) -> tuple[int, int]:
    """Return the first and the last id that entries with such a hash can stand under, in one part."""

def find(entries: bytes, part: int, hash: int) -> list[int]:
    """Return the numbers of the messages in some entries of a part that have a hash."""

def hash_of_ref(client_ref: str) -> int:
    """Return what a client_ref is looked up by: a signed number of 64 bits."""

def hash_of_recipient(to: str) -> int:
    """The same of a recipient, digits of E.164. ValueError: something else."""

@final
class Fold:
    """One slice: `add` rows in order, `close`, then take the rows of each table until there are none."""

    def __init__(self) -> None: ...
    def add_messages(self, body: bytes, count: int) -> None:
        """Take a row of accepted messages. StoreError: it does not hold `count` of them; those before that
        place have been taken."""

    def add_events(self, body: bytes) -> None:
        """Take a row of events. StoreError: it is cut, or holds an unknown kind; those before have been
        taken."""

    def close(self) -> None:
        """Put in order what was taken; nothing is added after it."""

    def inserts(self, most: int) -> list[Any]:
        """Return the next rows of accepted messages, at most so many, by n, in one flat list.

        Each is n, accepted_ms, whether it has ended, record, trail.
        """

    def updates(self, most: int) -> list[Any]:
        """Return the same of messages that were accepted before: n, whether it has ended by now, more
        trail."""

    def lookups(self, most: int) -> list[Any]:
        """Return the next rows of what finds accepted messages by recipient and reference, in one flat list.

        Each is an id, see `ids_of`, and entries of one bucket: what `find` reads.
        """

    def keys(self, most: int) -> list[int]:
        """Return the keys of accepted messages, in one flat list: part, hash as a signed number, n; nearly in
        order."""
