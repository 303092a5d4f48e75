"""What a receiver is told next: order, retries, when to give up; pure, time is an argument.

Laws:

* of one message, a later event is not told before the earlier one is told, or given up;
* what failed is held durably, and what waits behind it too, so that the cursor moves on: one dead message
  stops nobody else;
* a receiver that fails altogether (`down_after` times in a row) is asked with one delivery at a time, and
  nothing new is read for it: the journal is the queue. The first success lets all that waits go at once;
* at most HELD_MAX events are in memory, and HELD_MAX_DURABLE deliveries are held for one receiver.

An event is *open* from when it is read until it is told, given up or held; the cursor stands before the
oldest that is open.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Struct

from dispatcher.delivery import Place, Waiting

HELD_MAX: Final = 1_000
"""Open events of a receiver, about 1 MB; with another slice of the feed at most."""
HELD_MAX_DURABLE: Final = 100_000
"""Deliveries held for a receiver: some 60 MB on disk, 40 MB in memory; then nothing new is read for it."""
RETRY_AFTER_MAX_MS: Final = 3_600_000
"""A receiver that asks for more patience than an hour is asked sooner all the same."""
JITTER: Final = 0.25
"""By which part a delay may be shorter: receivers that failed together are not asked together."""

STEP_MS: Final = 5_000
"""The clock is put by more between two looks: NTP slews what is less (F12)."""


class Policy(NamedTuple):
    """How a receiver is treated."""

    parallel: int
    batch_max: int = 1
    retry_first_ms: int = 1_000
    retry_most_ms: int = 3_600_000
    give_up_ms: int = 86_400_000
    down_after: int = 10
    """Failures in a row; 0: it is never down, because it is many."""
    host_parallel: int = 0
    """Of one host; 0: as many as of all."""


class Item(Struct, eq=False):
    """A delivery on its way; of fresh events, one each until they are joined to a batch."""

    key: Place
    messages: list[int]
    host: str = ""
    cursors: list[Place] = []
    """Of its events, while they are open."""
    parts: list[bytes] = []
    """Its events as JSON; none: the whole delivery stands in the store."""
    events: int = 0
    """How many they were; after a restart, of how many messages."""
    message_id: str = ""
    type: str = ""
    at: str = ""
    url: str = ""
    attempts: int = 0
    first_ms: int = 0
    due_ms: int = 0
    parked_ms: int = 0
    why: str = ""
    is_held: bool = False

    def __repr__(self) -> str:
        return f"<Item {self.key[0]}-{self.key[1]}: {len(self.messages)} messages, {self.attempts} attempts>"


class Step(NamedTuple):
    """What happened since the last one, to be written at once: all or nothing."""

    cursor: Place
    done: tuple[Place, ...]
    put: tuple[Item, ...]
    moved: tuple[Item, ...]
    gone: tuple[Place, ...]


class Queue:
    """The deliveries of one receiver. `random` gives numbers from 0 to below 1."""

    def __init__(self, policy: Policy, random: Callable[[], float]) -> None:
        self.policy = policy
        self.in_flight = 0
        self.held = 0
        """Held durably and not parked."""
        self.is_down = False
        self._random = random
        self._ready: deque[Item] = deque()
        self._waiting: list[tuple[int, Place, Item]] = []
        """A heap of those that failed, by when they are due."""
        self._busy: dict[int, Item] = {}
        """By message: the delivery that others wait for: in flight, to be tried again, or behind its host."""
        self._behind: dict[int | str, deque[Item]] = {}
        """By message or host: what waits for it, in order."""
        self._hosts: Counter[str] = Counter()
        self._failures = 0
        self._hold_until_ms = 0
        self._now_ms = 0
        self._open: dict[Place, None] = {}
        self._done: set[Place] = set()
        """Behind the oldest that is open, and not open themselves."""
        self._read_to: Place = (0, 0)
        self._put: dict[Place, Item] = {}
        self._moved: dict[Place, Item] = {}
        self._gone: set[Place] = set()

    def __repr__(self) -> str:
        state = "down" if self.is_down else "up"
        return f"<Queue {state}: {len(self._open)} open, {self.in_flight} in flight, {self.held} held>"

    # ---- in ----

    def restore(self, cursor: Place, done: tuple[Place, ...], waiting: list[Waiting]) -> None:
        """Begin where an earlier process stopped; `waiting` in order."""
        self._read_to = cursor
        self._done = set(done)
        for each in waiting:
            self.hold(each)

    def hold(self, each: Waiting) -> None:
        """Take up a delivery that stands in the store already."""
        item = Item(each.key, list(each.messages), host_of(each.url), url=each.url, is_held=True)
        item.events = len(each.messages)
        item.attempts, item.first_ms, item.due_ms = each.attempts, each.first_ms, each.due_ms
        self.held += 1
        if not self._chain(item):
            self._retry(item)

    def is_known(self, cursor: Place) -> bool:
        """Whether an event that is read again was told, or is held, already."""
        return cursor in self._done

    def push(self, item: Item) -> None:
        """Add a fresh event."""
        item.cursors = [item.key]
        self._open[item.key] = None
        self._ready.append(item)

    def read_to(self, cursor: Place) -> None:
        """All up to a cursor was read."""
        self._read_to = cursor

    @property
    def has_room(self) -> bool:
        """Whether more should be read."""
        return len(self._open) < HELD_MAX and self.held < HELD_MAX_DURABLE

    @property
    def open_events(self) -> int:
        """Read, and neither told nor held."""
        return len(self._open)

    # ---- out ----

    def take(self, now_ms: int) -> Item | None:
        """Return the next delivery to make, now in flight; None: there is none now."""
        if (back_ms := self._now_ms - now_ms) > STEP_MS:  # the clock was put back: pauses are intervals
            self._waiting = [(due_ms - back_ms, key, item) for due_ms, key, item in self._waiting]
            self._hold_until_ms -= back_ms
        self._now_ms = now_ms
        if self.in_flight >= self.policy.parallel or now_ms < self._hold_until_ms:
            return None
        if self.is_down and (self.in_flight or (self._waiting and self._waiting[0][0] > now_ms)):
            return None
        while self._waiting and self._waiting[0][0] <= now_ms:
            item = heapq.heappop(self._waiting)[2]
            if not self._wait_for_host(item):
                return self._start(item)
        while self._ready:
            item = self._ready.popleft()
            if self._chain(item):
                self._release_host(item.host)
            elif not self._wait_for_host(item):
                return self._fill(self._start(item))
        if len(self._open) >= HELD_MAX and self.held < HELD_MAX_DURABLE:  # others may be behind these
            for chain in self._behind.values():
                for item in chain:
                    if not item.is_held:
                        self._hold(item)
        return None

    def next_ms(self) -> int:
        """When something may be due at the earliest; 0: nothing waits for a time."""
        due_ms = self._waiting[0][0] if self._waiting else 0
        return max(due_ms, self._hold_until_ms)

    def succeed(self, item: Item) -> None:
        """It was told."""
        self._failures = 0
        if self.is_down:
            self.is_down = False
            self._waiting = [(0, key, each) for _, key, each in self._waiting]
            heapq.heapify(self._waiting)
        self._drop(item)
        self._release(item)

    def fail(self, item: Item, why: str, now_ms: int, retry_after_ms: int = 0) -> None:
        """It was not told: it is tried again later, or parked."""
        policy = self.policy
        self._failures += 1
        self.is_down = bool(policy.down_after) and self._failures >= policy.down_after
        item.attempts += 1
        item.why = why
        item.first_ms = item.first_ms or now_ms
        if now_ms - item.first_ms >= policy.give_up_ms:
            item.parked_ms = now_ms
            self._hold(item)
            self.held -= 1
            self._release(item)
            return
        doubled_ms = policy.retry_first_ms << min(item.attempts - 1, 40)
        delay_ms = int(min(doubled_ms, policy.retry_most_ms) * (1 - JITTER * self._random()))
        retry_after_ms = min(retry_after_ms, RETRY_AFTER_MAX_MS)
        if retry_after_ms and policy.down_after:
            self._hold_until_ms = now_ms + retry_after_ms
        last_ms = item.first_ms + policy.give_up_ms
        item.due_ms = max(min(now_ms + delay_ms, last_ms), now_ms + retry_after_ms)
        self._hold(item)
        for n in item.messages:
            for each in self._behind.get(n, ()):
                if not each.is_held:
                    self._hold(each)
        self._retry(item)

    def put_back(self, item: Item, now_ms: int) -> None:
        """The receiver wants nothing any more: it waits, and counts no attempt."""
        item.due_ms = now_ms
        self._hold(item)
        self._retry(item)

    def free(self, item: Item) -> None:
        """What came of it is written: its place is free for another one."""
        self.in_flight -= 1
        self._hosts[item.host] -= 1
        if not self._hosts[item.host]:
            del self._hosts[item.host]
        self._release_host(item.host)

    # ---- what is to be written ----

    def step(self) -> Step:
        """Return what changed, and begin to collect anew."""
        oldest = next(iter(self._open), None)
        cursor = self._read_to if oldest is None else (oldest[0], oldest[1] - 1)
        self._done = {each for each in self._done if each > cursor}
        step = Step(
            cursor,
            tuple(sorted(self._done)),
            tuple(self._put.values()),
            tuple(self._moved.values()),
            tuple(self._gone),
        )
        self._put, self._moved, self._gone = {}, {}, set()
        return step

    # ---- inside ----

    def _start(self, item: Item) -> Item:
        self._busy.update(dict.fromkeys(item.messages, item))
        self._hosts[item.host] += 1
        self.in_flight += 1
        return item

    def _fill(self, item: Item) -> Item:
        """Join fresh events that may go with it."""
        while self._ready and not item.is_held and len(item.parts) < self.policy.batch_max:
            other = self._ready.popleft()
            if self._chain(other, item):
                continue
            if other.is_held:
                self._ready.appendleft(other)
                break
            item.cursors += other.cursors
            item.parts += other.parts
            item.type, item.at = other.type, other.at
            new = [n for n in other.messages if n not in item.messages]
            item.messages += new
            self._busy.update(dict.fromkeys(new, item))
        return item

    def _chain(self, item: Item, beside: Item | None = None) -> bool:
        """Put it behind what it must wait for, if there is anything."""
        for n in item.messages:
            before = self._busy.get(n)
            if before is not None and before is not beside and before is not item:
                self._behind.setdefault(n, deque()).append(item)
                if before.is_held:
                    self._hold(item)
                return True
        return False

    def _wait_for_host(self, item: Item) -> bool:
        most = self.policy.host_parallel
        if not most or self._hosts[item.host] < most:
            return False
        self._behind.setdefault(item.host, deque()).append(item)
        self._busy.update(dict.fromkeys(item.messages, item))  # what comes later of them waits behind it
        return True

    def _release(self, item: Item) -> None:
        """Let go on what waited for its messages."""
        for n in reversed(item.messages):
            if self._busy.get(n) is item:
                del self._busy[n]
            self._ready.extendleft(reversed(self._behind.pop(n, ())))

    def _release_host(self, host: str) -> None:
        chain = self._behind.get(host)
        if chain:
            self._ready.appendleft(chain.popleft())
            if not chain:
                del self._behind[host]

    def _retry(self, item: Item) -> None:
        self._busy.update(dict.fromkeys(item.messages, item))
        heapq.heappush(self._waiting, (item.due_ms, item.key, item))

    def _hold(self, item: Item) -> None:
        """See that it is written, so that the cursor may pass it."""
        if not item.is_held:
            item.is_held = True
            self.held += 1
            self._put[item.key] = item
            self._account(item)
        elif item.key not in self._put:
            self._moved[item.key] = item

    def _drop(self, item: Item) -> None:
        if item.is_held:
            self.held -= 1
            self._moved.pop(item.key, None)
            if self._put.pop(item.key, None) is None:
                self._gone.add(item.key)
        self._account(item)

    def _account(self, item: Item) -> None:
        for cursor in item.cursors:
            del self._open[cursor]
            self._done.add(cursor)
        item.cursors = []


def host_of(url: str) -> str:
    """Return host and port of an address, as they stand there; of none, nothing."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].lower()
