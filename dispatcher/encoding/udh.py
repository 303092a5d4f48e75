"""The user data header: taken apart and put together (3GPP TS 23.040, 9.2.3.24).

::

    UDHL  (IEI  length  data)*        UDHL counts the octets after itself

What carriers send is read with tolerance: unknown elements are kept, of repeated or mutually exclusive ones
the last counts, a concatenation that contradicts itself is ignored. Nothing here raises on any bytes.
"""

from typing import Final, NamedTuple

CONCATENATION_8: Final = 0x00
CONCATENATION_16: Final = 0x08
PORTS_8: Final = 0x04
PORTS_16: Final = 0x05
SINGLE_SHIFT: Final = 0x24
LOCKING_SHIFT: Final = 0x25


class Concatenation(NamedTuple):
    """Which segment of which message: number counts from 1 to total."""

    reference: int
    total: int
    number: int
    reference_bits: int


class Ports(NamedTuple):
    """Application port addresses."""

    destination: int
    originator: int


class UserDataHeader(NamedTuple):
    """The elements in their order, as (IEI, data)."""

    elements: tuple[tuple[int, bytes], ...]
    octets: int
    """Length of the header, its length octet included."""
    error: str | None = None
    """What is wrong where an element runs over the header's end; the elements before it are kept."""

    @property
    def concatenation(self) -> Concatenation | None:
        """The last valid concatenation element; number outside 1 to total makes one invalid."""
        for iei, data in reversed(self.elements):
            if iei == CONCATENATION_8 and len(data) == 3:
                found = Concatenation(data[0], data[1], data[2], 8)
            elif iei == CONCATENATION_16 and len(data) == 4:
                found = Concatenation(data[0] << 8 | data[1], data[2], data[3], 16)
            else:
                continue
            if 1 <= found.number <= found.total:
                return found
        return None

    @property
    def ports(self) -> Ports | None:
        """The last application port element."""
        for iei, data in reversed(self.elements):
            if iei == PORTS_16 and len(data) == 4:
                return Ports(data[0] << 8 | data[1], data[2] << 8 | data[3])
            if iei == PORTS_8 and len(data) == 2:
                return Ports(data[0], data[1])
        return None

    @property
    def single_shift(self) -> int:
        """The national language of the single shift table; 0 is the default."""
        return self._language(SINGLE_SHIFT)

    @property
    def locking_shift(self) -> int:
        """The national language of the locking shift table; 0 is the default."""
        return self._language(LOCKING_SHIFT)

    def _language(self, shift: int) -> int:
        return next((data[0] for iei, data in reversed(self.elements) if iei == shift and len(data) == 1), 0)


def parse_elements(data: bytes) -> tuple[tuple[tuple[int, bytes], ...], str | None]:
    """Return the elements of a header without its length octet, and what is wrong with the rest, if it is."""
    elements: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            return tuple(elements), f"the element at octet {at} runs over the header's end"
        end = at + 2 + data[at + 1]
        elements.append((data[at], data[at + 2 : end]))
        at = end
    return tuple(elements), None


def split_header(user_data: bytes) -> tuple[UserDataHeader | None, bytes]:
    """Return the header and the body behind it.

    No header, and all of `user_data` as the body, where its length octet is missing or points outside: such
    user data was flagged by mistake, and is shown raw rather than lost.
    """
    if not user_data or user_data[0] >= len(user_data):
        return None, user_data
    octets = 1 + user_data[0]
    elements, error = parse_elements(user_data[1:octets])
    return UserDataHeader(elements, octets, error), user_data[octets:]
