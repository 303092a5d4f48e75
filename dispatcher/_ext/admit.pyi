from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

from dispatcher._ext.keys import Keys
from dispatcher._ext.numbers import Normaliser
from dispatcher._ext.pack import Packer
from dispatcher._ext.submit import SubmitBuilder
from dispatcher.config import ClassPolicy
from dispatcher.model import Accepted, Message, Refused, SendRequest, TrafficClass

@final
class Group:
    """Messages of a batch that go into one row of the journal, with their frames, in order."""

    @property
    def messages(self) -> list[Message]: ...
    @property
    def frames(self) -> list[list[bytes]]: ...
    @property
    def segments(self) -> int: ...
    @property
    def body(self) -> bytes:
        """The records of the messages, as dispatcher.store.records has them."""

    def __len__(self) -> int: ...

@final
class Batch:
    """What became of a batch; `messages` and `places` run in parallel."""

    verdicts: list[Accepted | Refused | None]
    messages: list[Message]
    """All that were accepted, in order."""
    places: list[int]
    """Of each message in `verdicts`."""
    repeats: list[tuple[int, int]]
    """(place, n) of what was accepted before: the verdict is to be filled in."""

    @property
    def later(self) -> Group:
        """Of the messages, those that are to be sent at a time of their own."""

    @property
    def groups(self) -> dict[tuple[int, int], Group]:
        """The others, by (carrier, class)."""

    def __new__(cls, size: int) -> Batch: ...

@final
class Judge:
    """Makes messages of requests: every rule of the door, in its order.

    The types are those of dispatcher.model. `plain` is asked about a request that is not of exactly these
    types, or holds a callback or a name beyond ASCII: it returns one of exact types, or its refusal. `refuse`
    makes the refusal of (a word for why, request, what is to be said of it). `references`: 131,072 octets
    of chance. ValueError: another number of them.
    """

    def __new__(
        cls,
        keys: Keys,
        request_type: type[SendRequest],
        message_type: type[Message],
        accepted_type: type[Accepted],
        class_type: type[TrafficClass],
        plain: Callable[[Any], SendRequest | Refused],
        refuse: Callable[[str, SendRequest, Any], Refused],
        packer: Packer,
        references: bytes,
    ) -> Judge: ...
    def configure(
        self,
        policies: Sequence[ClassPolicy],
        text_max: int,
        takes_callbacks: bool,
        normalise: Normaliser,
        route: Callable[[str, str, int, int], tuple[int, ...]],
        builders: Mapping[int, SubmitBuilder],
    ) -> None:
        """Take up a configuration: `policies` by class, `builders` by carrier."""

    def admit(
        self,
        requests: Sequence[SendRequest],
        now_ms: int,
        closed: Sequence[int],
        oldest_key_n: int,
        next_n: int,
        entropy: bytes,
        reorder: Callable[[Sequence[int], int, int], tuple[int, ...]] | None = None,
        given: list[tuple[bytes, int, int]] | None = None,
    ) -> Batch:
        """Judge requests in order and remember their keys: numbers go on from `next_n`.

        `given`: of each request message_id, when it was accepted and its reference of concatenation, which
        are made here otherwise; a reference below 0: as otherwise.

        `closed`: by class, then for later: 0, or after how many milliseconds to come again. Keys of messages
        before `oldest_key_n` may come again. ValueError: fewer than 5 octets of entropy a request.
        """

    def one(
        self, request: SendRequest, now_ms: int, closed: Sequence[int], oldest_key_n: int, next_n: int
    ) -> Message | Refused | int:
        """Say what `admit` would make of a request, without any effect."""

    def unknown_keys(self, requests: Iterable[SendRequest]) -> list[int]:
        """Return the hashes of keys of requests that are not known here, however old."""
