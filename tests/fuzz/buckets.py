"""The token bucket: honest calls against its law, and calls with any arguments at all.

The laws: no span of one second holds more grants than the rate allows, whatever the classes, the clock and
the changes of the rate; a grant is 0 to what was asked; `when` says 0 only where a token is free; no argument
does more than raise, and none makes a number overflow.
"""

from collections import deque
from random import Random
from typing import Any, Final

from dispatcher._ext.bucket import NEVER, TPS_MAX, Bucket
from dispatcher.errors import ConfigError
from tests.fuzz import desk
from tests.fuzz.desk import need
from tests.fuzz.mangle import below

CALLS: Final = 100
SECOND: Final = 1_000_000_000
RATES: Final = (0, 0.1, 0.5, 1, 1.5, 7, 30, 999.9, 12_345, TPS_MAX)
STEPS: Final = (0, 1, 999_999, 1_000_000, 20_000_000, 300_000_000, SECOND - 1, SECOND, SECOND + 1, 5 * SECOND)
WILD: Final = (
    *(0, 1, -1, 2**31, 2**32, 2**61, 2**62 - 1, 2**62, 2**63 - 1, -(2**63), -(2**62), 10**6, 10**9, 10**12),
    *(2**63, 2**64, -(2**64), 1.5, float("nan"), float("inf"), None, "1"),
)


def honest(dice: Random) -> None:
    """Use it as a lane does, and count what it granted."""
    now = seen = below(dice, 1 << 60)
    tps = RATES[below(dice, len(RATES))]
    bucket = Bucket(now, tps)
    limit = 1 if 0 < tps < 1 else int(tps)
    granted: deque[tuple[int, int, int]] = deque()
    total = 0
    for call in range(CALLS):
        if dice.random() < 0.7:
            now += int(dice.random() * STEPS[below(dice, len(STEPS))])
        late = now - below(dice, 1 << 30) if dice.random() < 0.05 else now
        seen = max(seen, late)  # a time before the latest counts as the latest
        while granted and granted[0][0] <= seen - SECOND:
            total -= granted.popleft()[1]
        kind, traffic_class = dice.random(), below(dice, 4)
        n = (1, 1, 3, 50, 1000, 1 << 40)[below(dice, 6)]
        free = bucket.when(late, n, traffic_class)
        need(free == NEVER if not tps else 0 <= free < NEVER, "when", bucket, free)
        if kind < 0.8:
            got = bucket.take(late, n, traffic_class)
            need(
                0 <= got <= n and (got > 0 or free > 0),
                "a grant is what was asked, or less",
                call,
                got,
                n,
                free,
            )
            if got:
                granted.append((seen, got, traffic_class))
                total += got
            need(not got or total <= limit, "no second holds more than the rate", bucket, total, limit)
        elif kind < 0.9 and granted:
            at, got, taken = granted.pop()
            bucket.give_back(at, got, taken)
            total -= got
        elif kind < 0.93:
            tps = RATES[below(dice, len(RATES))]
            bucket.set_rate(late, tps)
            limit = 1 if 0 < tps < 1 else int(tps)
        else:
            need(sum(bucket.used(late)) >= total, "used is what was granted", bucket, total)


def wild(dice: Random) -> None:
    """Call it with anything."""
    bucket = Bucket(below(dice, 1 << 62), RATES[below(dice, len(RATES))])
    for _ in range(CALLS):
        kind = below(dice, 6)
        arguments: list[Any] = [
            WILD[below(dice, 14 if dice.random() < 0.9 else len(WILD))]
            if dice.random() < 0.6
            else below(dice, 1 << below(dice, 63))
            for _ in range(3)
        ]
        if dice.random() < 0.9:
            arguments[2] = below(dice, 4)
        try:
            if kind < 3:
                got = bucket.take(*arguments)
                need(0 <= got <= max(0, arguments[1]), "a grant is what was asked, or less", arguments, got)
            elif kind == 3:
                need(0 <= bucket.when(*arguments) <= NEVER, "when", arguments)
            elif kind == 4:
                bucket.give_back(*arguments)
            else:
                bucket.set_rate(*arguments[:2])
        except (ValueError, TypeError, OverflowError, ConfigError):
            pass
        need(all(each >= 0 for each in bucket.used(0)), "nothing is below nothing", bucket, arguments)


def turn(dice: Random, number: int) -> int:
    """Make some calls; return how many."""
    desk.DESK.note(b"")
    (wild if number % 3 == 0 else honest)(dice)
    return CALLS
