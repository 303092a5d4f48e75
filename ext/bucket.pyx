# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The token bucket of one carrier account: how many segments may go now, and for which traffic_class.

Law (5): in any span of one second, wherever it starts, no more tokens are granted than the TPS. Law (4): a
lower class leaves the unused reserve of the higher ones alone, and gets its minimum share while they have
work. Law (14): time is an argument, monotonic nanoseconds.

Plan. Two limits, each exact in integers:

*The window* is the law. A ring counts the grants of each millisecond. A grant at time t looks at the slot of
t and the 1,000 before it. Two moments less than 1 s apart lie at most 1,000 slots apart, so every grant of
the last second is in that sum; the sum never passes the limit; hence no span of a second holds more than
the limit that was in force at its last grant. The price of the extra slot is 0.1 % of the rate.

*The pace* makes it smooth: a level that earns `rate` per second, holds one token and 20 ms of flow, and pays
one token per grant. It only ever refuses; after idle time it lets 20 ms of flow go at once, not a second's.

Shares. `reserved`: a part of the window that lower classes cannot touch while its owner has not used it;
it is paid for: lower classes alone use 1 - reserved. Authorization may take its reserve ahead of the pace (a
burst of codes); for the others that would delay a higher class, so they keep to the pace.
`minimum`: a class that keeps asking earns credit at this share of the rate, less what it gets; higher classes
leave as much as it earned and last asked for, and it may be spent in spite of their reserves. Who does not
come back, or asks for 0, is owed nothing.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from dispatcher.errors import ConfigError

cdef extern from *:
    """
    #define SLOT_NS         1000000LL                /* one millisecond */
    #define SPAN            1001LL                   /* slots that any second can touch */
    #define TOKEN           1000000000000LL          /* one token: 1e9 ns, in thousandths */
    #define BURST_NS        20000000LL               /* flow that may catch up after a late call: four times
                                                        the longest stall that the loop is allowed */
    #define MINIMUM_NS      50000000LL               /* credit is kept for at most this much flow */
    #define PATIENCE_NS     100000000LL              /* demand of who does not come back is forgotten */
    #define RATE_MAX        4000000000LL             /* 4,000,000/s: a whole second of it in units of level
                                                        is the most that int64 holds */
    #define TIME_MAX        (1LL << 62)              /* 146 years: now + wait never overflows */
    #define NEVER_NS        (1LL << 61)
    """
    const int64_t SLOT_NS
    const int64_t SPAN
    const int64_t TOKEN
    const int64_t BURST_NS
    const int64_t MINIMUM_NS
    const int64_t PATIENCE_NS
    const int64_t RATE_MAX
    const int64_t TIME_MAX
    const int64_t NEVER_NS

NEVER = NEVER_NS
TPS_MAX = RATE_MAX // 1000
RESERVED = (0.004, 0.002, 0.0, 0.0)
MINIMUM = (0.0, 0.05, 0.02, 0.01)


@cython.final
cdef class Bucket:
    """Tokens of one carrier account; one token is one segment."""

    def __init__(self, now_ns, tps, *, reserved=RESERVED, minimum=MINIMUM):
        cdef int index
        check_parts("minimum", minimum)
        for index in range(CLASSES):
            self.minimum_part[index] = int(minimum[index] * 1_000_000 + 0.5)
        self.reserve_parts(reserved)
        self.now_ns = check_time(now_ns)
        self.slot = self.now_ns // SLOT_NS
        self.retune(self.now_ns, thousandths(tps))
        self.level = min(self.level_max, TOKEN)

    def take(self, int64_t now_ns, int64_t n, int traffic_class):
        """Grant up to `n` tokens (0 to n) at once. Ask highest class first; n = 0 withdraws demand."""
        if traffic_class < 0 or traffic_class >= CLASSES:
            raise ValueError("traffic_class is 0 to 3")
        return self.grant(now_ns, n, traffic_class)

    def when(self, int64_t now_ns, int64_t n, int traffic_class):
        """Nanoseconds until `n` tokens (at most what can go at once) are free; NEVER: the rate is 0."""
        if traffic_class < 0 or traffic_class >= CLASSES:
            raise ValueError("traffic_class is 0 to 3")
        return self.wait(now_ns, n, traffic_class)

    def give_back(self, int64_t taken_ns, int64_t n, int traffic_class):
        """Return tokens that were taken at `taken_ns` and will not be sent; too old ones are gone anyway."""
        if traffic_class < 0 or traffic_class >= CLASSES:
            raise ValueError("traffic_class is 0 to 3")
        self.undo(taken_ns, n, traffic_class)

    def set_rate(self, int64_t now_ns, tps):
        """Change the rate from now on; 0 pauses. Tokens of the last second count against the new rate."""
        self.retune(now_ns, thousandths(tps))

    def set_reserved(self, int64_t now_ns, reserved):
        """Change the reserves of the classes from now on: parts of the rate, authorization first."""
        self.reserve_parts(reserved)
        self.retune(now_ns, self.rate)

    def used(self, int64_t now_ns):
        """Tokens taken in the last second, by traffic_class."""
        self.advance(now_ns)
        return (self.window[0], self.window[1], self.window[2], self.window[3])

    @property
    def tps(self):
        """The rate now in force."""
        return self.rate / 1000.0

    def __repr__(self):
        return f"<Bucket {self.total} of {self.limit} in the last second, pace {self.tps:,.10g}/s>"

    cdef int reserve_parts(self, reserved) except -1:
        cdef int index
        check_parts("reserved", reserved)
        for index in range(CLASSES):
            self.reserve_part[index] = int(reserved[index] * 1_000_000 + 0.5)
        return 0

    # The C side: the same calls without Python objects.

    cdef int64_t grant(self, int64_t now_ns, int64_t n, int traffic_class) noexcept nogil:
        cdef int64_t granted
        self.advance(now_ns)
        granted = self.room(traffic_class)
        if granted > n:
            granted = n
        if granted <= 0:
            granted = 0
        else:
            self.slots[self.slot & (SLOTS - 1)][traffic_class] += <uint32_t>granted
            self.window[traffic_class] += granted
            self.total += granted
            self.level -= granted * TOKEN
        self.earn(traffic_class)
        self.wanted[traffic_class] = max(0, n)
        self.asked_at[traffic_class] = self.now_ns
        if granted and self.credit[traffic_class] > 0:
            self.credit[traffic_class] = max(0.0, self.credit[traffic_class] - <double>granted * TOKEN)
        return granted

    cdef int64_t wait(self, int64_t now_ns, int64_t n, int traffic_class) noexcept nogil:
        cdef int64_t held, most, ns, guaranteed_ns
        cdef int index
        self.advance(now_ns)
        if self.rate == 0:
            return NEVER_NS
        held = self.owed_below(traffic_class)
        most = self.limit - held
        for index in range(traffic_class):
            most -= self.reserve[index]
        n = max(1, min(n, min(most, self.level_max // TOKEN)))
        if self.room(traffic_class) >= n:
            return 0
        ns = max(self.paced(n + held - self.ahead(traffic_class)), self.drained(n + held, traffic_class, True))
        if self.pay[traffic_class] > 0:
            # The other way to a token: the class's own minimum, in spite of reserves.
            guaranteed_ns = max(self.paced(1), self.drained(1, traffic_class, False))
            ns = min(ns, max(guaranteed_ns, self.earned(traffic_class)))
        return max(1, ns)

    cdef void undo(self, int64_t taken_ns, int64_t n, int traffic_class) noexcept nogil:
        # The slot of `taken_ns` is never newer than the one that was charged: charging a slot too old
        # would only expire too early what was never sent.
        cdef int64_t slot = taken_ns // SLOT_NS
        cdef uint32_t* count
        if slot > self.slot or slot <= self.slot - SPAN or n <= 0:
            return
        count = &self.slots[slot & (SLOTS - 1)][traffic_class]
        n = min(n, <int64_t>count[0])
        count[0] -= <uint32_t>n
        self.window[traffic_class] -= n
        self.total -= n
        self.level = min(self.level_max, self.level + n * TOKEN)

    cdef void retune(self, int64_t now_ns, int64_t rate) noexcept nogil:
        cdef int index
        self.advance(now_ns)
        for index in range(CLASSES):
            self.earn(index)
        self.rate = rate
        self.limit = rate // 1000
        if rate and not self.limit:
            self.limit = 1  # below 1/s the pace alone keeps the distance
        self.level_max = TOKEN + rate * BURST_NS if rate else 0
        self.level = min(self.level, self.level_max)
        self.fill_ns = self.level_max // rate + 1 if rate else 0
        self.patience_ns = PATIENCE_NS + (2 * TOKEN // rate if rate else 0)
        for index in range(CLASSES):
            self.reserve[index] = self.limit * self.reserve_part[index] // 1_000_000
            self.pay[index] = <double>rate * self.minimum_part[index] / 1_000_000
            self.credit_max[index] = TOKEN + self.pay[index] * MINIMUM_NS
            self.credit[index] = min(self.credit[index], self.credit_max[index])

    cdef void advance(self, int64_t now_ns) noexcept nogil:
        # A time before the latest counts as the latest.
        cdef int64_t elapsed, slot, index
        cdef uint32_t* old
        if now_ns <= self.now_ns:
            return
        if now_ns > TIME_MAX:
            now_ns = TIME_MAX
        elapsed = now_ns - self.now_ns
        self.now_ns = now_ns
        if self.level < self.level_max:
            if elapsed < self.fill_ns:
                self.level = min(self.level_max, self.level + elapsed * self.rate)
            elif self.level >= 0 or (self.rate and elapsed > (self.level_max - self.level) // self.rate):
                self.level = self.level_max
            else:
                self.level += elapsed * self.rate
        slot = now_ns // SLOT_NS
        if slot == self.slot:
            return
        if self.total and slot - self.slot >= SPAN:
            memset(self.slots, 0, sizeof(self.slots))
            memset(self.window, 0, sizeof(self.window))
            self.total = 0
        elif self.total:
            for index in range(self.slot - SPAN + 1, slot - SPAN + 1):
                old = self.slots[index & (SLOTS - 1)]
                if old[0] | old[1] | old[2] | old[3]:
                    self.window[0] -= old[0]
                    self.window[1] -= old[1]
                    self.window[2] -= old[2]
                    self.window[3] -= old[3]
                    self.total -= <int64_t>old[0] + old[1] + old[2] + old[3]
                    memset(old, 0, CLASSES * sizeof(uint32_t))
        self.slot = slot

    cdef int64_t room(self, int traffic_class) noexcept nogil:
        cdef int64_t free = self.limit - self.total
        cdef int64_t pace, room, earned
        if free <= 0:
            return 0
        pace = self.level // TOKEN if self.level >= 0 else -((-self.level + TOKEN - 1) // TOKEN)
        room = min(free - self.kept_above(traffic_class), pace + self.ahead(traffic_class))
        room -= self.owed_below(traffic_class)
        if room < min(free, pace) and self.wanted[traffic_class]:
            earned = min(min(free, pace), <int64_t>(self.earn(traffic_class) / TOKEN))
            room = max(room, earned)
        return room

    cdef int64_t ahead(self, int traffic_class) noexcept nogil:
        # What a burst of the highest class may take beyond the pace.
        return max(0, self.reserve[0] - self.window[0]) if traffic_class == 0 else 0

    cdef int64_t kept_above(self, int traffic_class) noexcept nogil:
        # What the higher classes have not used of their reserves.
        cdef int64_t kept = 0
        cdef int index
        for index in range(traffic_class):
            if self.reserve[index] > self.window[index]:
                kept += self.reserve[index] - self.window[index]
        return kept

    cdef int64_t owed_below(self, int traffic_class) noexcept nogil:
        # What waiting lower classes have earned of their minimum.
        cdef int64_t owed = 0
        cdef int index
        for index in range(traffic_class + 1, CLASSES):
            if self.wanted[index]:
                owed += min(<int64_t>(self.earn(index) / TOKEN), self.wanted[index])
        return owed

    cdef double earn(self, int traffic_class) noexcept nogil:
        # Bring the credit of a class up to now; returns it. Whoever did not come back wants nothing.
        cdef int64_t since = self.now_ns - self.credit_at[traffic_class]
        if self.wanted[traffic_class] and since:
            if self.now_ns - self.asked_at[traffic_class] > self.patience_ns:
                self.wanted[traffic_class] = 0
                self.credit[traffic_class] = 0
            else:
                self.credit[traffic_class] = min(
                    self.credit_max[traffic_class],
                    self.credit[traffic_class] + <double>since * self.pay[traffic_class],
                )
        self.credit_at[traffic_class] = self.now_ns
        return self.credit[traffic_class]

    cdef int64_t paced(self, int64_t n) noexcept nogil:
        # Time until the pace allows n tokens.
        cdef int64_t missing = n * TOKEN - self.level
        return (missing + self.rate - 1) // self.rate if missing > 0 else 0

    cdef int64_t earned(self, int traffic_class) noexcept nogil:
        # Time until the class has earned one token of its minimum.
        cdef double ns = (TOKEN - self.earn(traffic_class)) / self.pay[traffic_class]
        return <int64_t>min(max(ns, 0.0), <double>NEVER_NS) + 1

    cdef int64_t drained(self, int64_t n, int traffic_class, bint reserves) noexcept nogil:
        # Time until so much of the window has expired that n tokens fit: walks the live slots, oldest first.
        cdef int64_t window[CLASSES]
        cdef int64_t total = self.total, slot = self.slot - SPAN, free
        cdef uint32_t* old
        cdef int index
        for index in range(CLASSES):
            window[index] = self.window[index]
        while True:
            free = self.limit - total
            if reserves:
                for index in range(traffic_class):
                    free -= max(0, self.reserve[index] - window[index])
            if free >= n or total == 0:
                break
            while True:
                slot += 1
                old = self.slots[slot & (SLOTS - 1)]
                if old[0] | old[1] | old[2] | old[3]:
                    break
            for index in range(CLASSES):
                window[index] -= old[index]
                total -= old[index]
        return max(0, (slot + SPAN) * SLOT_NS - self.now_ns)


def spin(Bucket bucket not None, int64_t now_ns, int64_t step_ns, int64_t calls, int64_t n, int traffic_class):
    """Call the C side `calls` times, `step_ns` apart; returns the tokens granted. For benches, tests."""
    cdef int64_t granted = 0, index
    if traffic_class < 0 or traffic_class >= CLASSES:
        raise ValueError("traffic_class is 0 to 3")
    with nogil:
        for index in range(calls):
            granted += bucket.grant(now_ns + index * step_ns, n, traffic_class)
    return granted


cdef int64_t thousandths(tps) except -1:
    if not 0 <= tps <= RATE_MAX // 1000:
        raise ConfigError(f"tps is {tps!r}; expected 0 (paused) to {RATE_MAX // 1000:,} segments a second")
    return <int64_t>(tps * 1000 + 0.5)


cdef int64_t check_time(now_ns) except -1:
    if not 0 <= now_ns < TIME_MAX:
        raise ValueError("now_ns is a monotonic time in nanoseconds, from 0 to 2**62")
    return now_ns


cdef int check_parts(str name, parts) except -1:
    if len(parts) != CLASSES or not all(0 <= part < 1 for part in parts) or sum(parts) >= 1:
        raise ConfigError(
            f"{name} is {parts!r}; expected four shares, authorization first, each from 0 to 1 and together below 1"
        )
    return 0
