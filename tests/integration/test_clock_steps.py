"""F12: the wall clock of the machine is put forward and back under a running dispatcher."""

import time
from pathlib import Path

import pytest

from dispatcher.app import Dispatcher, wall_ms
from dispatcher.model import Event, EventKind, Outcome
from dispatcher.simulator import Behaviour, Simulator
from dispatcher.store.audit import audit
from tests.integration.house import (
    accepted,
    config_for,
    copies,
    events_of,
    outcomes,
    request,
    requests,
    run,
    until,
)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
COUNT = 100
SCHEDULED, WAITING, LATER = COUNT, COUNT + 1, COUNT + 2


class Machine:
    """Python's wall clocks, with what a test adds; the monotonic ones go on as they do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_ms = 0
        time_s, time_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: time_s() + self.ahead_ms / 1000)
        monkeypatch.setattr(time, "time_ns", lambda: time_ns() + self.ahead_ms * 1_000_000)


def troubles(events: list[Event]) -> list[EventKind]:
    """Return what a storm of timeouts would leave behind."""
    wrong = {EventKind.UNANSWERED, EventKind.UNSENT, EventKind.RETRY, EventKind.REFUSED}
    return [EventKind(event.kind) for event in events if event.kind in wrong]


@pytest.mark.parametrize(
    "step_ms",
    [
        pytest.param(HOUR_MS, id="an hour forward"),
        pytest.param(-HOUR_MS, id="an hour back"),
        pytest.param(-24 * HOUR_MS, id="a day back"),
        pytest.param(-1_000, id="a leap second"),
    ],
)
def test_the_clock_is_put(
    step_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F12: with submits in flight, a message that waits and one that is scheduled: the bind stays, nothing is
    taken for unanswered, nothing goes twice or expires; what is scheduled goes when the clock says so, no
    sooner; a step of more than 5 s is told once.

    The test moves what Python says the time is, in the one process; to put a machine's own clock takes rights
    that tests do not have. Slews: tests/unit/test_upkeep.py. Quiet hours, where a zone's daylight saving
    would matter, there are none yet; the product counts in UTC.
    """
    machine = Machine(monkeypatch)

    def told() -> list[int]:
        return [
            record.__dict__["ms"]
            for record in caplog.records
            if record.__dict__.get("event") == "clock_stepped"
        ]

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=300)) as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config) as dispatcher:
                (lane,) = dispatcher.pipeline.lanes.values()
                (bind,) = lane.pool._binds
                bank = smsc.ledger.of("bank")
                await until(lambda: lane.is_bound, "it is bound")
                connection = bind.connection
                due_ms = wall_ms() + 30 * MINUTE_MS
                accepted(await dispatcher.send([request(SCHEDULED, send_after_ms=due_ms)]))
                accepted(await dispatcher.send(requests(COUNT)))
                await until(lambda: bank.submits and lane.pool.in_flight, "some are in flight")
                machine.ahead_ms += step_ms
                expected = COUNT
                if step_ms > 0:
                    expected += 1  # it is time for what was scheduled
                found = await outcomes(dispatcher, expected)
                assert {outcome for outcome, _ in found.values()} == {Outcome.DELIVERED}
                assert (f"t{SCHEDULED}" in copies(smsc)) == (step_ms > 0)
                assert told() == [pytest.approx(step_ms, abs=500)] * (abs(step_ms) > 5_000)

                # and with one that waits while it is put back to where it was
                await dispatcher.pause("c0")
                await until(lambda: lane.is_paused, "it is paused")
                accepted(await dispatcher.send([request(WAITING, ttl_ms=48 * HOUR_MS)]))  # more than a step
                machine.ahead_ms -= step_ms
                dispatcher.pipeline.aftermath.tick()
                await dispatcher.resume("c0")
                accepted(await dispatcher.send([request(LATER)]))
                found = await outcomes(dispatcher, expected + 2)
                assert {outcome for outcome, _ in found.values()} == {Outcome.DELIVERED}

                machine.ahead_ms += due_ms + 1_000 - wall_ms()
                found = await outcomes(dispatcher, COUNT + 3)
                assert {outcome for outcome, _ in found.values()} == {Outcome.DELIVERED}
                assert set(copies(smsc).values()) == {1}
                assert not troubles(await events_of(dispatcher))
                assert bind.connection is connection, "it was bound anew"
        assert audit(tmp_path / "store").is_right

    run(scenario())


def test_a_retry_waits_no_longer_when_the_clock_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12: what was refused for now, to be tried again in half a minute, is due in half a minute still after
    the clock has gone back by a day; a message for a time of its own waits for that."""
    machine = Machine(monkeypatch)

    async def scenario() -> None:
        async with (
            Simulator(Behaviour(errors={"RMSGQFUL": 1.0})) as smsc,
            Dispatcher(config_for(tmp_path, smsc)) as dispatcher,
        ):
            schedule = dispatcher.pipeline.aftermath.schedule
            named_ms = wall_ms() + HOUR_MS
            accepted(await dispatcher.send([request(1), request(2, send_after_ms=named_ms)]))
            await until(lambda: len(schedule) == 2, "it waits for its second try")
            machine.ahead_ms -= 24 * HOUR_MS
            await until(lambda: schedule.next_ms <= wall_ms() + MINUTE_MS, "it is due soon")
            assert [due.segment for due in schedule.pop(wall_ms() + MINUTE_MS, 10)] == [0]
            assert not schedule.pop(named_ms - 1, 10)
            assert len(schedule) == 1

    run(scenario())
