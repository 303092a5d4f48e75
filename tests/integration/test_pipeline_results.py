"""What becomes of refusals and of silence: the table of dispositions, law 3, late answers, poison."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dispatcher.app import Dispatcher
from dispatcher.model import EventKind, Outcome, Reason, TrafficClass
from dispatcher.simulator import Behaviour, Receipts, Simulator
from tests.integration.house import (
    Clock,
    accepted,
    config_for,
    copies,
    events_of,
    kinds,
    outcomes,
    request,
    requests,
    run,
    until,
)

DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
REFUSED = (Outcome.UNDELIVERED, Reason.REFUSED)


async def to_the_end(dispatcher: Dispatcher, clock: Clock, count: int = 1) -> dict[int, Any]:
    """Put the clock forward while something waits for time, until so many messages have ended."""
    for _ in range(100):
        finished = [each for each in await events_of(dispatcher) if each.kind == EventKind.FINISHED]
        if len(finished) >= count:
            return await outcomes(dispatcher, count)
        clock.ahead_ms += 10_000
        await asyncio.sleep(0.1)
    raise AssertionError(f"it never ends: {dispatcher!r} {dispatcher.pipeline.aftermath.schedule!r}")


def has(smsc: Simulator, tokens: int) -> bool:
    """Whether so many tokens have reached a carrier."""
    return len(smsc.ledger.tokens) >= tokens


def has_copies(smsc: Simulator, number: int) -> bool:
    """Whether more copies of t1 than these have reached a carrier."""
    return len(smsc.ledger.copies("t1")) > number


TABLE: list[tuple[str, int, int, tuple[Outcome, Reason]]] = [
    # status of both carriers, submits at the first, at the second, outcome
    ("RINVDSTADR", 1, 1, (Outcome.REJECTED, Reason.REFUSED)),
    ("RX_R_APPN", 1, 0, (Outcome.REJECTED, Reason.REFUSED)),
    ("RX_P_APPN", 1, 0, REFUSED),
    ("RINVMSGLEN", 1, 0, (Outcome.REJECTED, Reason.OUR_BUG)),
    ("RDELIVERYFAILURE", 1, 1, REFUSED),
    ("RSUBMITFAIL", 2, 2, REFUSED),
    ("RUNKNOWNERR", 2, 2, REFUSED),
    ("RSYSERR", 3, 2, (Outcome.UNDELIVERED, Reason.ATTEMPTS)),
    ("RX_T_APPN", 4, 1, (Outcome.UNDELIVERED, Reason.ATTEMPTS)),
    ("RQUERYFAIL", 1, 1, REFUSED),
    ("RINVSRCADR", 1, 1, (Outcome.REJECTED, Reason.REFUSED)),
]


@pytest.mark.parametrize(("status", "first", "second", "outcome"), TABLE, ids=[row[0] for row in TABLE])
def test_a_refusal_by_the_table(
    tmp_path: Path, status: str, first: int, second: int, outcome: tuple[Outcome, Reason]
) -> None:
    """F69: as many submits as the table says, then the outcome that it says; never without an end."""

    async def scenario() -> None:
        clock = Clock()
        behaviour = Behaviour(errors={status: 1.0})
        async with Simulator(behaviour) as c0, Simulator(behaviour) as c1:
            config = config_for(tmp_path, c0, c1)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                clock.ahead_ms += 11_000
                accepted(await dispatcher.send([request(1, ttl_ms=24 * 3_600_000)]))
                ended = await to_the_end(dispatcher, clock)
                assert ended == {1: outcome}
                assert [len(smsc.ledger.copies("t1")) for smsc in (c0, c1)] == [first, second]

    run(scenario())


@pytest.mark.parametrize("status", ["RTHROTTLED", "RMSGQFUL"])
def test_a_throttle_is_no_attempt(tmp_path: Path, status: str) -> None:
    """F63, F64: refused far more often than the class allows attempts, a message is still delivered."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(errors_to={"79000000001": {status: 1.0}})) as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                accepted(await dispatcher.send(requests(5)))
                for _ in range(100):  # an answer may come after the clock was put forward: then once more
                    if has_copies(smsc, 8):
                        break
                    clock.ahead_ms += 61_000
                    await asyncio.sleep(0.3)
                assert has_copies(smsc, 8)
                ended = await outcomes(dispatcher, 4)
                assert 2 not in ended
                smsc.account("bank").change(errors_to=None)
                assert set((await to_the_end(dispatcher, clock, 5)).values()) == {DELIVERED}
                assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_a_configuration_error_burns_nothing(tmp_path: Path) -> None:
    """One refusal pauses the carrier; all messages go by the other, or wait until it is put right."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(errors={"RINVSYSID": 1.0})) as first, Simulator() as second:
            carrier = {"window": 20}
            config = config_for(tmp_path, first, second, carrier=carrier)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                accepted(await dispatcher.send(requests(300)))
                ended = await outcomes(dispatcher, 300)
                assert set(ended.values()) == {DELIVERED}
                assert set(copies(second).values()) == {1}
                assert first.ledger.of("bank").submits <= 25
                assert dispatcher.pipeline.aftermath.health[1].broken

    run(scenario())


def test_a_configuration_error_without_another_carrier_waits(tmp_path: Path) -> None:
    """Nothing ends, nothing is lost: when the carrier is put right everything is delivered."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(errors={"RINVSYSID": 1.0})) as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                accepted(await dispatcher.send(requests(100)))
                await until(lambda: dispatcher.pipeline.aftermath.health[1].broken)
                smsc.account("bank").change(errors=None)
                clock.ahead_ms += 76_000
                assert set((await to_the_end(dispatcher, clock, 100)).values()) == {DELIVERED}
                assert set(copies(smsc).values()) == {1}

    run(scenario())


# ---- silence: law 3 ----

DROP_ONE = [{"kind": "drop", "times": 1}]


@pytest.mark.parametrize("traffic_class", list(TrafficClass))
@pytest.mark.parametrize("receipt", [True, False])
def test_an_unanswered_segment_by_its_class(
    tmp_path: Path, traffic_class: TrafficClass, receipt: bool
) -> None:
    """authorization: again at once; transactional, service: once, after the grace; marketing: never."""

    async def scenario() -> None:
        clock = Clock()
        receipts = Receipts(share=1.0 if receipt else 0.0)
        async with Simulator(Behaviour(receipts=receipts)) as smsc:
            config = config_for(tmp_path, smsc, carrier={"receipt_timer_ms": 600_000})
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: "bank" in smsc.accounts)
                smsc.account("bank").change(mischief=DROP_ONE)
                accepted(await dispatcher.send([request(1, traffic_class)]))
                await until(lambda: len(smsc.ledger.copies("t1")) == 1)
                again = 2
                if traffic_class == TrafficClass.AUTHORIZATION:
                    await until(lambda: len(smsc.ledger.copies("t1")) == 2, "at once")
                else:
                    await until(lambda: len(dispatcher.pipeline.aftermath.schedule) == 1)
                    assert len(smsc.ledger.copies("t1")) == 1
                    clock.ahead_ms += 40_000
                    if traffic_class == TrafficClass.MARKETING:
                        again = 1
                    else:
                        await until(lambda: len(smsc.ledger.copies("t1")) == 2, "after the grace")
                if not receipt or traffic_class == TrafficClass.MARKETING:
                    await dispatcher.committed()
                    clock.ahead_ms += 700_000
                ended = await outcomes(dispatcher, 1)
                assert len(smsc.ledger.copies("t1")) == again
                if traffic_class == TrafficClass.MARKETING:
                    assert ended[1] == (Outcome.UNKNOWN, Reason.UNANSWERED)
                else:
                    assert ended[1] == (DELIVERED if receipt else (Outcome.UNKNOWN, Reason.NO_RECEIPT))
                seen = kinds(await events_of(dispatcher), 1)
                assert seen.count(EventKind.UNANSWERED) == 1

    run(scenario())


def test_a_broken_connection_bounds_duplicates(tmp_path: Path) -> None:
    """Law 3: each break repeats at most the window; every message is delivered and ends once."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(latency_ms=20)) as smsc:
            config = config_for(tmp_path, smsc, carrier={"window": 10})
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                accepted(await dispatcher.send(requests(400)))
                for so_far in (100, 200, 300):
                    await until(partial(has, smsc, so_far))
                    smsc.account("bank").act("disconnect", how="rst")
                ended = await to_the_end(dispatcher, clock, 400)
                assert {outcome[0] for outcome in ended.values()} == {Outcome.DELIVERED}
                extra = sum(len(smsc.ledger.copies(token)) - 1 for token in smsc.ledger.tokens)
                assert extra <= 3 * 10
                assert len(smsc.ledger.tokens) == 400

    run(scenario())


def test_a_late_answer_stops_the_repetition(tmp_path: Path) -> None:
    """What is answered after all, within the grace, is not sent again; its receipt ends it."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, carrier={"window": 2})
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                accepted(await dispatcher.send([request(0)]))
                await outcomes(dispatcher, 1)
                smsc.account("bank").change(latency_ms=1_600)
                accepted(await dispatcher.send([request(1)]))
                await until(lambda: len(smsc.ledger.copies("t1")) == 1)
                smsc.account("bank").change(latency_ms=0)
                accepted(await dispatcher.send([request(2)]))
                await until(lambda: len(dispatcher.pipeline.aftermath.schedule) == 1, "unanswered")
                ended = await outcomes(dispatcher, 3)
                clock.ahead_ms += 60_000
                await until(lambda: not len(dispatcher.pipeline.aftermath.schedule))
                await dispatcher.committed()
                assert ended[2] == DELIVERED
                assert len(smsc.ledger.copies("t1")) == 1

    run(scenario())
