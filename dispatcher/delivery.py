"""What is kept of deliveries to the outside: values that outcomes/ and store/ share.

A receiver is who is told of events: a webhook, an event file, the callbacks of messages. It goes by its name.
"""

from typing import NamedTuple

from msgspec import Struct

Place = tuple[int, int]
"""A cursor of the feed: the row of the journal, and how many of its events."""


class Progress(Struct, frozen=True, gc=False):
    """How far a receiver has come."""

    cursor: Place
    """Whatever is not behind it is done, or held."""
    done: tuple[Place, ...] = ()
    """Behind it, and done or held all the same: a few, while something before them is under way."""
    until: Place = (0, 0)
    """Where a replay ends; (0, 0): it is none."""
    disabled: str = ""
    """Why nothing is sent until somebody enables it."""
    url: str = ""
    """Where it was disabled; another address is another matter."""


class Held(Struct, frozen=True, gc=False):
    """A delivery that did not succeed at once: it waits, or is parked."""

    key: Place
    """The cursor of its first event."""
    webhook_id: str
    messages: tuple[int, ...]
    """Numbers of the messages that it tells of: what comes later of them waits behind it."""
    url: str
    """Of a callback; empty: the receiver's own."""
    body: bytes
    """Empty: a GET."""
    attempts: int
    first_ms: int
    """Of the first attempt; 0: none yet."""
    due_ms: int
    parked_ms: int = 0
    """When it was given up; 0: it still waits."""
    why: str = ""
    """The last failure: a word of a closed list, or ``status_500``."""

    def __repr__(self) -> str:
        """Say nothing personal (law 11): an address may hold a number."""
        return f"<Held {self.webhook_id}: {self.attempts} attempts, {self.why}>"


class Moved(NamedTuple):
    """A delivery that is held and failed again."""

    key: Place
    attempts: int
    first_ms: int
    due_ms: int
    parked_ms: int
    why: str


class Changes(Struct, frozen=True, gc=False):
    """What is written together, or not at all."""

    progress: Progress
    put: tuple[Held, ...] = ()
    moved: tuple[Moved, ...] = ()
    gone: tuple[Place, ...] = ()


class Waiting(NamedTuple):
    """What memory has to know of a delivery that is held, and not parked."""

    key: Place
    messages: tuple[int, ...]
    url: str
    attempts: int
    first_ms: int
    due_ms: int


class Request(Struct, frozen=True, gc=False):
    """What a person asked of a receiver, by a command."""

    number: int
    kind: str
    """resend, replay or enable."""
    receiver: str
    webhook_id: str = ""
    """Of the one delivery that is meant; empty: of all."""
    since_ms: int = 0


class Standing(Struct, frozen=True):
    """A receiver, as a command shows it."""

    name: str
    cursor: str
    waiting: int
    parked: int
    disabled: str
    oldest_ms: int
    """The first attempt of what waits longest; 0: nothing does."""
