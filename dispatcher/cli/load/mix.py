"""What is sent: a day's mix of four classes, a quarter of the segments in messages of two.

A message has a number, from 0; its class follows from the number, and the number stands in its recipient, so
that the carrier can say of each message when it came.
"""

from typing import Final

from dispatcher.cli.demo.traffic import PATTERN

SEGMENTS: Final = 25
"""Of so many messages as PATTERN has."""
CLASSES: Final = tuple(dict.fromkeys(PATTERN))
PREFIX: Final = "4915"
"""Before the nine digits of the number."""
BATCH_S: Final = 0.025
"""Between two requests, as far as BATCH_MAX allows."""
BATCH_MAX: Final = 1_000
"""Messages of a request."""

_TEXTS: Final = {
    "authorization": "Your one-time code is 482913. Do not tell it to anyone.",
    "transactional": "Card *4821: 1,249.90 paid. Available: 18,503.17.",
    "service": "Your card is ready. The branch is open from 9 to 20.",
    "marketing": "Gold cards are free for the first year, with 5% cashback on everything that you buy, and "
    "50 for every friend who joins. Tell them the code FRIDAY before 30.11, terms at example.com/bf",
}
_LINES: Final = "".join(
    f'{{"to":"+{PREFIX}%09d","text":"{_TEXTS[name].replace("%", "%%")}","sender":"Bank",'
    f'"traffic_class":"{name}","client_ref":"b%d"}}\n'
    for name in PATTERN
)


def body(first: int, count: int) -> bytes:
    """Return the NDJSON of `count` messages from a number on; both are multiples of the pattern's length."""
    step = len(PATTERN)
    return "".join(
        [
            _LINES % tuple(each for number in range(at, at + step) for each in (number, number))
            for at in range(first, first + count, step)
        ]
    ).encode()


def number_of(destination: bytes) -> int:
    """Return the number of a message by its recipient as the carrier sees it. ValueError: not one of ours."""
    return int(destination[len(PREFIX) :])


def batch_of(segments_per_s: float) -> tuple[int, float]:
    """Return messages a request, and seconds between two, for a rate."""
    step = len(PATTERN)
    messages_per_s = segments_per_s * step / SEGMENTS
    count = min(BATCH_MAX, max(step, round(messages_per_s * BATCH_S / step) * step))
    return count, count / messages_per_s


def segments_of(messages: int) -> int:
    """Return how many segments whole patterns of messages have."""
    return messages * SEGMENTS // len(PATTERN)
