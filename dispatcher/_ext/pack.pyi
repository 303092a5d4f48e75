from collections.abc import Callable, Iterable
from typing import Any, final

from dispatcher.model import Message

KINDS: dict[str, int]
"""The fields of a record, in order: 0 a number, 1 octets, 2 a text or None, 3 a tuple of numbers, 4 other."""

@final
class Packer:
    """Makes records of messages: msgpack arrays, as msgspec's encoder would. `encode` is that encoder, asked
    for what is rare. ValueError: `message_type` has other fields than dispatcher.model.Message."""

    def __new__(cls, message_type: type[Message], encode: Callable[[Any], bytes]) -> Packer: ...
    def pack(self, messages: Iterable[Message]) -> bytes:
        """Return the records of messages, back to back. TypeError: something else than a Message;
        UnicodeEncodeError: a text with half of a surrogate pair; what `encode` raises."""
