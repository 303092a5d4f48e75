from typing import final

from _typeshed import ReadableBuffer

from dispatcher.refusal import Refusal

@final
class Normaliser:
    """Reads destination numbers.

    `refusals` are returned for: not digits; too short or long; a leading 0; a national form where no country
    is given; a form that could be national or international. `code` is the calling code of the country,
    `trunk` what stands before a national number, `mobile` the first digits of a mobile one (none: any),
    `least` and `most` its length, `bare` whether it is written without the trunk prefix too. ValueError: out
    of range.
    """

    def __new__(
        cls,
        refusals: tuple[Refusal, Refusal, Refusal, Refusal, Refusal],
        *,
        code: bytes = b"",
        trunk: bytes = b"",
        mobile: bytes = b"",
        least: int = 0,
        most: int = 0,
        bare: bool = False,
    ) -> Normaliser: ...
    def __call__(self, number: str) -> str | Refusal:
        """Return the digits of E.164, or the refusal that says what is wrong."""

@final
class RangeTable:
    """Ranges of numbers, filled up with zeros to 15 digits: sorted, apart, `ends` inclusive.

    Buffers are of uint64, uint64 and uint16 (``array("Q")``, ``array("H")``, numpy), and are not copied.
    ValueError: of different lengths, unsorted, overlapping.
    """

    def __new__(cls, starts: ReadableBuffer, ends: ReadableBuffer, values: ReadableBuffer) -> RangeTable: ...
    def find(self, number: str) -> int:
        """Return the value of the range that the digits lie in; -1: in none."""

    def __len__(self) -> int: ...
