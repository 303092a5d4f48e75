"""The order of deliveries: laws of outcomes/queue.py over random answers, saves and crashes."""

from random import Random

import pytest

from dispatcher.delivery import Place, Waiting
from dispatcher.outcomes.queue import HELD_MAX, Item, Policy, Queue

GIVE_UP_MS = 5_000


class Store:
    """What stands in deliveries.db, as far as the queue is concerned."""

    def __init__(self) -> None:
        self.cursor: Place = (0, 0)
        self.done: tuple[Place, ...] = ()
        self.held: dict[Place, Waiting] = {}
        self.batches: dict[Place, set[Place]] = {}
        """Of what is held: its events."""

    def save(self, queue: Queue, batches: dict[Place, set[Place]]) -> None:
        """Write a step."""
        step = queue.step()
        assert step.cursor >= self.cursor
        self.cursor, self.done = step.cursor, step.done
        for item in (*step.put, *step.moved):
            self.held[item.key] = Waiting(
                item.key, tuple(item.messages), item.url, item.attempts, item.first_ms, item.due_ms
            )
            self.batches[item.key] = batches.get(item.key, {item.key})
            if item.parked_ms:
                del self.held[item.key]
        for key in step.gone:
            del self.held[key]


class World:
    """A journal of events, a queue that may die, a receiver whose moods are random."""

    def __init__(self, seed: int, policy: Policy) -> None:
        self.random = Random(seed)
        self.policy = policy
        self.events = {(1, place): self.random.randrange(12) for place in range(1, 151)}
        self.store = Store()
        self.now_ms = 1_000
        self.told: set[Place] = set()
        self.in_flight: list[Item] = []
        self.begin()

    def begin(self) -> None:
        """Start a process on what was saved."""
        self.in_flight = []
        self.queue = Queue(self.policy, self.random.random)
        waiting = [self.store.held[key] for key in sorted(self.store.held)]
        self.queue.restore(self.store.cursor, self.store.done, waiting)
        self.read = self.store.cursor
        self.batches = {each.key: self.store.batches[each.key] for each in waiting}

    def step(self, failing: float) -> None:
        """Let one thing happen."""
        what = self.random.random()
        if what < 0.3 and self.queue.has_room:
            for key in [key for key in self.events if key > self.read][:5]:
                if not self.queue.is_known(key):
                    n = self.events[key]
                    self.queue.push(Item(key, [n], host=str(n % 3), parts=[b"x"]))
                self.read = key
            self.queue.read_to(self.read)
        elif what < 0.6:
            if (item := self.queue.take(self.now_ms)) is not None:
                self.check(item)
                self.in_flight.append(item)
        elif what < 0.9 and self.in_flight:
            item = self.in_flight.pop(self.random.randrange(len(self.in_flight)))
            if self.random.random() < failing:
                self.queue.fail(item, "status_500", self.now_ms)
                if item.parked_ms:
                    self.told |= self.batches[item.key]
            else:
                self.told |= self.batches[item.key]
                self.queue.succeed(item)
            self.store.save(self.queue, self.batches)
            self.queue.free(item)
        elif what < 0.95:
            self.store.save(self.queue, self.batches)
        elif what < 0.96:
            self.begin()
        self.now_ms += self.random.randrange(50)

    def check(self, item: Item) -> None:
        """What goes out now breaks no law."""
        assert len(self.in_flight) < self.policy.parallel
        busy = {n for each in self.in_flight for n in each.messages}
        assert not busy & set(item.messages), "two of one message are under way"
        if item.cursors:
            self.batches[item.key] = set(item.cursors)
        for key in self.batches.setdefault(item.key, {item.key}):
            before = {each for each, n in self.events.items() if n == self.events[key] and each < key}
            assert before <= self.told | self.batches[item.key], "a later event before an earlier one"


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("down_after", [0, 4])
@pytest.mark.parametrize("batch_max", [1, 3])
def test_order_and_loss(seed: int, down_after: int, batch_max: int) -> None:
    """Whatever fails and dies: of a message in order, never two at a time, and in the end nothing is left."""
    policy = Policy(4, batch_max, 10, 1_000, GIVE_UP_MS, down_after, 2 if seed % 2 and batch_max == 1 else 0)
    world = World(seed, policy)
    for _ in range(1_500):
        world.step(0.5)
    for _ in range(20_000):
        if world.told >= set(world.events) and not world.store.held and not world.queue.open_events:
            break
        world.step(0.0)
    assert world.told == set(world.events)
    assert not world.store.held
    world.store.save(world.queue, world.batches)
    assert world.store.cursor == (1, 150)


def test_delays_double_and_end() -> None:
    """1 s, 2 s, 4 s ... to the most; then parked at the time to give up, not before and not later."""
    queue = Queue(Policy(1, 1, 1_000, 60_000, 86_400_000, down_after=0), lambda: 0.0)
    queue.push(Item((1, 1), [1], parts=[b"x"]))
    now_ms, gaps = 1_000, []
    while True:
        item = queue.take(now_ms)
        assert item is not None
        queue.fail(item, "refused", now_ms)
        queue.free(item)
        if item.parked_ms:
            break
        assert queue.take(item.due_ms - 1) is None
        gaps.append(item.due_ms - now_ms)
        now_ms = item.due_ms
    assert gaps[:8] == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    assert item.parked_ms - item.first_ms == 86_400_000


def test_memory_has_a_bound() -> None:
    """A receiver that takes nothing lets no more be read than HELD_MAX."""
    queue = Queue(Policy(1), lambda: 0.0)
    for number in range(1, HELD_MAX + 1):
        assert queue.has_room
        queue.push(Item((1, number), [number], parts=[b"x"]))
    assert not queue.has_room


def test_a_receiver_that_is_down_is_asked_with_one() -> None:
    """After so many failures in a row one delivery at a time goes; the first success lets all go."""
    queue = Queue(Policy(8, 1, 1_000, 60_000, 86_400_000, down_after=3), lambda: 0.0)
    for number in range(1, 21):
        queue.push(Item((1, number), [number], parts=[b"x"]))
    taken = [item for _ in range(8) if (item := queue.take(1_000)) is not None]
    assert len(taken) == 8
    for item in taken:
        queue.fail(item, "refused", 1_000)
        queue.free(item)
    assert (queue.is_down, queue.in_flight) == (True, 0)
    probe = queue.take(5_000)
    assert probe is not None
    assert queue.take(5_000) is None
    queue.succeed(probe)
    queue.free(probe)
    assert sum(queue.take(5_000) is not None for _ in range(20)) == 8
    assert repr(queue).startswith("<Queue up")


def test_a_clock_that_is_put_back_lengthens_no_pause() -> None:
    """F12: what failed a moment before the clock went back by a day is told again after its pause."""
    queue = Queue(Policy(1, 1, 1_000, 60_000, 86_400_000, 10), lambda: 0.0)
    item = Item((1, 1), [1], "")
    queue.push(item)
    now_ms = 2 * 86_400_000
    assert queue.take(now_ms) is item
    queue.fail(item, "status_500", now_ms)
    queue.free(item)
    now_ms -= 86_400_000
    assert queue.take(now_ms) is None
    due_ms = queue.next_ms()
    assert now_ms < due_ms <= now_ms + 2_000
    assert queue.take(due_ms) is item
