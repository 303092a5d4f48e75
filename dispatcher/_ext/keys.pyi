from typing import final

def message_id(now_ms: int, n: int, random_bits: int) -> bytes:
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of time, 34 random ones, and 40 of the message's number."""

def key_hash(key: str, source: str = "") -> int:
    """Return the hash of a key among the keys of its source: BLAKE2b, 64 bits, of ``source NUL key``."""

@final
class Keys:
    """The last `capacity` (1 to 2**26) keys or more, at most twice as many; 48 octets each."""

    def __new__(cls, capacity: int) -> Keys: ...
    @property
    def capacity(self) -> int: ...
    @property
    def forgotten_n(self) -> int: ...
    def __len__(self) -> int: ...
    def get(self, key: int) -> tuple[int, int] | None:
        """Return (n, hash of the body), or None where the key is not known."""

    def put(self, key: int, body: int, n: int) -> None:
        """Remember a key; a known one gets the new values. `n` is at least 1."""

    def drop(self, key: int, n: int) -> None:
        """Take back a `put`, where the message was not accepted after all."""
