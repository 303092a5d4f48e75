"""Long mobile-originated messages, kept until their last segment has come.

A message is told apart by source, destination, reference, its width, and the number of segments: references
are one or two octets and repeat. Bounded twice, in segments and in time; at either bound the oldest message
is handed back as it is: nothing vanishes. Pure: time is an argument, in monotonic nanoseconds.
"""

from typing import Final, Generic, NamedTuple, TypeVar

from dispatcher.encoding import Part, reassemble, split_header

Item = TypeVar("Item")

UDHI: Final = 0x40
"""esm_class: the user data begins with a header."""

Key = tuple[bytes, bytes, int, int, int]
"""source, destination, reference, bits of the reference, total."""


class Whole(NamedTuple, Generic[Item]):
    """A message: its text (None: some segments never came), and what `add` was given for each segment."""

    text: str | None
    items: list[Item]
    missing: tuple[int, ...] = ()


class _Waiting(NamedTuple, Generic[Item]):
    since_ns: int
    parts: list[Part]
    items: list[Item]
    numbers: set[int]


class Reassembler(Generic[Item]):
    """Segments in, whole messages out.

    `most` segments are kept at a time, none for longer than `wait_ms`: a carrier that repeats what was not
    acknowledged does so for days, a handset sends its segments within a minute or two.
    """

    def __init__(self, *, most: int = 10_000, wait_ms: int = 600_000) -> None:
        self._most = most
        self._wait_ns = wait_ms * 1_000_000
        self._waiting: dict[Key, _Waiting[Item]] = {}
        self._segments = 0

    def __len__(self) -> int:
        return self._segments

    def __repr__(self) -> str:
        return (
            f"<Reassembler {self._segments} segments of {len(self._waiting)} messages, {self._most} at most>"
        )

    def add(
        self, source: bytes, destination: bytes, part: Part, item: Item, now_ns: int
    ) -> list[Whole[Item]]:
        """Take a segment; return what is whole now, and what had to go to make room.

        A message of one segment comes back at once. Of a repeated segment the item comes back with the
        message as well, so that each can be acknowledged.
        """
        key, number = _place(source, destination, part)
        if key is None:
            return [Whole(reassemble([part]).text, [item])]
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(now_ns, [], [], set())
        waiting.parts.append(part)
        waiting.items.append(item)
        waiting.numbers.add(number)
        self._segments += 1
        if len(waiting.numbers) == key[-1]:
            return [self._give_back(key)]
        done: list[Whole[Item]] = []
        while self._segments > self._most:
            done.append(self._give_back(next(iter(self._waiting))))
        return done

    def expire(self, now_ns: int) -> list[Whole[Item]]:
        """Return the messages whose first segment came too long ago: text None, and what is missing."""
        done: list[Whole[Item]] = []
        while self._waiting:
            key, waiting = next(iter(self._waiting.items()))
            if now_ns - waiting.since_ns < self._wait_ns:
                break
            done.append(self._give_back(key))
        return done

    def _give_back(self, key: Key) -> Whole[Item]:
        waiting = self._waiting.pop(key)
        self._segments -= len(waiting.items)
        result = reassemble(waiting.parts)
        return Whole(result.text, waiting.items, result.missing)


def _place(source: bytes, destination: bytes, part: Part) -> tuple[Key | None, int]:
    """Return which message a segment belongs to, and its number; None: it is a message of its own."""
    if part.esm_class & UDHI:
        header, _ = split_header(part.user_data)
        concatenation = header.concatenation if header else None
        if concatenation is not None:
            reference, total, number, bits = concatenation
            return ((source, destination, reference, bits, total) if total > 1 else None), number
    if part.sar is not None and 1 <= part.sar[2] <= part.sar[1] and part.sar[1] > 1:
        reference, total, number = part.sar
        return (source, destination, reference, 0, total), number
    return None, 1
