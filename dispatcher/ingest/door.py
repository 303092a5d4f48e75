"""What the HTTP door needs of the dispatcher; `app.Dispatcher` has it, and tests may give less."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Protocol

from dispatcher.api import Checked, Cursor, EventOut
from dispatcher.model import Accepted, Event, EventKind, Refused, SendRequest


class StatusView(Protocol):
    """What is known of a message: see store.projection.Status."""

    @property
    def n(self) -> int:
        """Its number."""

    @property
    def message_id(self) -> bytes:
        """16 octets."""

    @property
    def to(self) -> str:
        """Digits of E.164: to be masked."""

    @property
    def sender(self) -> str:
        """As it was asked for."""

    @property
    def client_ref(self) -> str | None:
        """The sender's own name for it."""

    @property
    def source(self) -> str:
        """Who asked: the API key's name."""

    @property
    def traffic_class(self) -> int:
        """A TrafficClass."""

    @property
    def segments(self) -> int:
        """How many it has."""

    @property
    def accepted_ms(self) -> int:
        """When it was accepted, UTC."""

    @property
    def outcome(self) -> int:
        """0: none yet."""

    @property
    def reason(self) -> int:
        """Of the outcome."""

    @property
    def finished_ms(self) -> int:
        """When it ended; 0: it has not."""

    @property
    def events(self) -> list[Event]:
        """What has happened to it, in order."""


class FeedView(Protocol):
    """The events as they are told outside: see feed.Feed."""

    @property
    def carriers(self) -> Mapping[int, str]:
        """Names of carriers by number."""

    def read(
        self, after: Cursor = (0, 0), kinds: Iterable[EventKind] = ..., *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[EventOut]]]:
        """Yield slices of events behind a cursor, each with the cursor behind it."""

    async def cursor_at(self, at_ms: int) -> Cursor:
        """Return a cursor before the first event of a time, and not long before."""


class Door(Protocol):
    """A dispatcher, from outside."""

    @property
    def feed(self) -> FeedView:
        """Its events."""

    @property
    def batch_max(self) -> int:
        """Messages that may come in one call."""

    async def send(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Return a verdict for each, in order; what is accepted is on disk by then."""

    def is_known(self, request: SendRequest) -> bool:
        """Whether its idempotency key came of late: it would be a repetition or a conflict."""

    async def check(self, requests: Sequence[SendRequest]) -> list[Checked | Refused]:
        """Say what would become of each, and accept none."""

    async def cancel(self, message_id: str) -> bool:
        """Take back a message that still waits."""

    async def status(self, message_id: str) -> StatusView | None:
        """Return what is known of a message. ValueError: no UUID."""

    async def find(
        self,
        *,
        client_ref: str | None = None,
        to: str | None = None,
        source: str | None = None,
        most: int = 100,
        before_n: int = 1 << 62,
    ) -> Sequence[StatusView]:
        """Return messages, newest first; `source`: only of this one."""
