from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, final

from dispatcher.model import Accepted, Callback, Message, Refused, SendRequest, TrafficClass

def count_of(octets: bytes, octet: int) -> int:
    """Return how often an octet stands in octets: a tenth of what bytes.count takes where there are many."""

def shape(octets: bytes, depth_max: int, commas_max: int) -> tuple[int, int, int]:
    """Return how deep JSON is nested, how many names stand in what is one deep, and how many commas in what
    is two deep: of a batch, its own names, and its messages less one.

    It ends where the first or the last is above its limit. Of what is no JSON, nothing is said: the decoder
    finds out.
    """

@final
class Reader:
    """Makes SendRequests of what was decoded.

    `in_type` has the fields of ingest.bodies.MessageIn. `classes` are traffic classes by name, `moment` makes
    milliseconds of a time, `address` a Callback of an address, None where it is none; `wrong` the refusal of
    (the field that is missing or malformed, client_ref).
    """

    def __new__(
        cls,
        in_type: type[Any],
        request_type: type[SendRequest],
        classes: Mapping[str, TrafficClass],
        moment: Callable[[datetime], int],
        address: Callable[[str], Callback | None],
        wrong: Callable[[str, str | None], Refused],
    ) -> Reader: ...
    def read(
        self, bodies: list[Any], defaults: Any, source: str, key: str | None = None
    ) -> tuple[list[SendRequest | Refused], int]:
        """Return (requests or refusals, quotes): so many stand in bodies where nothing is escaped, null or
        twice. What a body does not say is as `defaults` say; `key` is the idempotency key of all. TypeError:
        a body of another type."""

@final
class Writer:
    """Says verdicts in JSON, as ingest.bodies.MessageAccepted has it. `encode` says a string."""

    def __new__(
        cls, accepted_type: type[Accepted], message_type: type[Message], encode: Callable[[str], bytes]
    ) -> Writer: ...
    def write(
        self, verdicts: Iterable[Accepted | Refused], refused: Callable[[Refused, int], bytes], after: bytes
    ) -> bytes:
        """Return the objects of verdicts, each with `after` behind it; `refused` says a refusal, given with
        its place. TypeError, ValueError: no verdict of ours."""
