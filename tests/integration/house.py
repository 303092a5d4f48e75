"""A whole dispatcher on a real store, simulated carriers on real sockets, ledgers to reconcile."""

import asyncio
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from dispatcher.app import Dispatcher
from dispatcher.config import Config, from_dict
from dispatcher.model import Accepted, Event, EventKind, Outcome, Reason, Refused, SendRequest, TrafficClass
from dispatcher.simulator import Simulator

T = TypeVar("T")
SWIFT_TIMERS = {"response_ms": 1_000, "enquire_link_ms": 5_000, "enquire_response_ms": 1_000}


def run(scenario: Coroutine[Any, Any, T], limit_s: float = 60) -> T:
    """Run a test's coroutine as the product runs."""
    with warnings.catch_warnings():
        # A failed test leaves sockets open; uvloop never ends where this warning is an error.
        warnings.simplefilter("ignore", ResourceWarning)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(asyncio.wait_for(scenario, limit_s))


def config_for(folder: Path, *smscs: Simulator, **more: Any) -> Config:
    """Return a configuration with one carrier for each simulator: c0, c1 ...; all messages go to c0 first.

    Keywords are top-level tables; `carrier` holds keys for all carriers.
    """
    carrier = {"window": 50, "tps": 20_000, "timers": SWIFT_TIMERS, **more.pop("carrier", {})}
    carriers = {
        f"c{number}": {"host": "127.0.0.1", "port": smsc.port, "system_id": "bank", **carrier}
        for number, smsc in enumerate(smscs)
    }
    data = {
        "store": str(folder / "store"),
        "carriers": carriers,
        "routes": [{"carriers": list(carriers)}],
        **more,
    }
    return from_dict(data)


class Clock:
    """The wall clock, which a test may put forward: deadlines, schedules, timers and pauses follow it."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        """Return UTC in milliseconds."""
        return time.time_ns() // 1_000_000 + self.ahead_ms


def request(
    number: int, traffic_class: TrafficClass = TrafficClass.TRANSACTIONAL, **more: Any
) -> SendRequest:
    """Return a request whose text ends with the token t<number>."""
    values: dict[str, Any] = {
        "to": f"+7900{number:07d}",
        "text": f"Your code is 4711 t{number}",
        "sender": "Bank",
    }
    return SendRequest(**(values | {"traffic_class": traffic_class} | more))


def requests(
    count: int, traffic_class: TrafficClass = TrafficClass.TRANSACTIONAL, first: int = 0
) -> list[SendRequest]:
    """Return so many requests with tokens of their own."""
    return [request(number, traffic_class) for number in range(first, first + count)]


def accepted(verdicts: Iterable[Accepted | Refused]) -> list[Accepted]:
    """Return the verdicts, all of which accept."""
    found = []
    for verdict in verdicts:
        assert isinstance(verdict, Accepted), verdict
        found.append(verdict)
    return found


async def until(condition: Callable[[], object], what: str = "", limit_s: float = 20.0) -> None:
    """Wait for a condition."""
    end = asyncio.get_running_loop().time() + limit_s
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"never: {what or condition}"
        await asyncio.sleep(0.01)


async def events_of(dispatcher: Dispatcher) -> list[Event]:
    """Return every event so far, in order."""
    await dispatcher.committed()
    return [event async for _, event in dispatcher.history()]


async def outcomes(
    dispatcher: Dispatcher, count: int, limit_s: float = 20.0
) -> dict[int, tuple[Outcome, Reason]]:
    """Wait until `count` messages have ended; return each one's outcome by its number. Each ends once."""
    end = asyncio.get_running_loop().time() + limit_s
    while True:
        finished = [event for event in await events_of(dispatcher) if event.kind == EventKind.FINISHED]
        if len(finished) >= count:
            break
        assert asyncio.get_running_loop().time() < end, f"{len(finished)} of {count} ended; {dispatcher!r}"
        await asyncio.sleep(0.05)
    assert len({event.n for event in finished}) == len(finished), "a message ended twice"
    return {event.n: (Outcome(event.code >> 16), Reason(event.code & 0xFFFF)) for event in finished}


def copies(smsc: Simulator) -> Counter[str]:
    """Return how often each token reached a simulated carrier and was accepted there."""
    ledger = smsc.ledger
    return Counter(
        {token: sum(0 in copy.statuses for copy in ledger.copies(token)) for token in ledger.tokens}
    )


def kinds(events: Iterable[Event], n: int) -> list[EventKind]:
    """Return what happened to one message, in order."""
    return [EventKind(event.kind) for event in events if event.n == n]
