"""A slice of the journal, folded by message, as rows for the projection's tables."""

from typing import Any, Final, final

PART: Final[int]
"""Look-ups by recipient or client_ref: part n // PART holds those of message n."""
KEYS_PART: Final[int]
"""Look-ups by key: part -1 - n // KEYS_PART."""

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

    def lookups(self, most: int) -> list[int]:
        """Return what accepted messages are looked up by, in one flat list: part, hash, n; nearly in that
        order.

        Of a message: the hashes of its recipient, its client_ref and its key, as far as it has them.
        """
