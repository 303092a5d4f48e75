"""Several workers, processes all, and what befalls them: killed, stopped, added, restarted, without brokers.

Judged by the ledgers of others (reckoning.py): the producer's, the carrier's, the topics'.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tests.kafka.brokers import Broker
from tests.kafka.fleet import Fleet, Plan, Worker
from tests.kafka.long import story
from tests.kafka.reckoning import Reckoning

TPS = 500.0


def good(found: Reckoning) -> None:
    """Check that it held."""
    assert found.complaints() == [], "\n".join(found.examples)


def moments(worker: Worker, event: str) -> list[int]:
    """Return when it said something, in microseconds from 1970."""
    stamps = [datetime.fromisoformat(line["ts"]) for line in worker.said(event)]
    return [int(each.timestamp() * 1_000_000) for each in stamps]


def test_f96_killed_stopped_and_added(crashable: str, fresh: str, tmp_path: Path) -> None:
    """F96: one of three workers is killed, another stopped for longer than its session and woken, a fourth
    added, with poison among the messages: lost 0, one outcome each, doubled no more than was in flight,
    advertising never, and the account's TPS not exceeded in any second over all of them."""
    with Fleet(tmp_path, crashable, Plan(tps=TPS, prefix=fresh)) as fleet:
        found = story(fleet, 6_000, TPS * 0.8 * 20 / 25)
        good(found)
        assert found.poison == 60


def test_f96_who_wakes_up_sends_nothing_before_he_is_asked_again(
    crashable: str, fresh: str, tmp_path: Path
) -> None:
    """A worker that was stopped for longer than its session has lost what it owned, and knows it before its
    first write: between its waking and its next assignment its binds carry not one segment."""
    with Fleet(tmp_path, crashable, Plan(tps=TPS, prefix=fresh)) as fleet:
        one, two = fleet.add("one"), fleet.add("two")
        fleet.produce(4_000, TPS * 0.8 * 20 / 25)
        fleet.until_sent(0.2)
        fleet.stop("two")
        stopped_us = time.time_ns() // 1_000
        fleet.until(
            lambda: moments(one, "worker_took_over")[-1] > stopped_us, "the other one has its indices"
        )
        woken_us = time.time_ns() // 1_000
        fleet.wake("two")
        fleet.until(lambda: moments(two, "worker_assigned")[-1] > woken_us, "it is in the group again")
        fleet.wait()
        good(fleet.end())
        back_us = next(each for each in moments(two, "worker_assigned") if each > woken_us)
        came_us = [
            copy.came_us
            for token in fleet.seen.tokens.values()
            for copy in token.copies
            if (copy.account, copy.bind) not in one.binds
        ]
        assert [each for each in came_us if woken_us < each < back_us] == []
        assert min(came_us) < stopped_us
        assert max(came_us) > back_us


def test_a_rolling_restart_doubles_nothing(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Each worker is drained and started again, one after the other, in the middle of messages: what it had
    in hand goes to the others, nothing is in doubt, and nothing goes twice."""
    with Fleet(tmp_path, crashable, Plan(tps=TPS, prefix=fresh)) as fleet:
        fleet.add("one")
        fleet.add("two")
        fleet.produce(5_000, TPS * 0.8 * 20 / 25, 50)
        for share, name in ((0.2, "one"), (0.5, "two")):
            fleet.until_sent(share)
            assert fleet.drain(name) == 0
            fleet.add(name)
        fleet.wait()
        found = fleet.end()
        good(found)
        assert (found.doubled_most, found.doubled, found.forgotten) == (0, 0, 0)
        assert {word for words in found.outcomes.values() for word in words} == {"delivered"}


@contextmanager
def frozen(fleet: Fleet) -> Iterator[None]:
    """Let nobody write for a moment: noida-db keeps all when it is stopped in one."""
    writers = [worker.process for worker in fleet.workers.values()] + [fleet.producer]
    for each in writers:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in writers:
            each.send_signal(signal.SIGCONT)


def test_f95_workers_outlive_their_broker(noida: Broker, fresh: str, tmp_path: Path) -> None:
    """F95: the only broker is away for longer than a session, then back. Nothing is known to be ours
    meanwhile, so nothing is sent; then all of it is: lost 0, one outcome each, no advertising twice."""
    plan = Plan(tps=TPS, prefix=fresh, kafka={"idempotent": True, "request_timeout_ms": 3_000})
    with Fleet(tmp_path, noida.address, plan) as fleet:
        fleet.add("one")
        fleet.add("two")
        fleet.produce(4_000, TPS * 0.8 * 20 / 25)
        fleet.until_sent(0.3)
        with frozen(fleet):
            noida.stop_quiet()
        time.sleep(plan.session_ms / 1000)
        quiet = fleet.carriers.submits()
        time.sleep(1.0)
        assert fleet.carriers.submits() == quiet
        noida.start()
        fleet.wait()
        fleet.breaks["broker"] = 2 * plan.binds
        good(fleet.end())
