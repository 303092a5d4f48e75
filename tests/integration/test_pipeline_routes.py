"""Routes: failover and return, slow carriers, the circuit breaker, long messages by one carrier."""

from pathlib import Path

import pytest

from dispatcher.app import Dispatcher
from dispatcher.model import EventKind, Outcome, Reason, TrafficClass
from dispatcher.simulator import Behaviour, Simulator
from tests.integration.house import (
    Clock,
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

DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
AUTHORIZATION, MARKETING = TrafficClass.AUTHORIZATION, TrafficClass.MARKETING
LONG = "x" * 200


def tokens(first: int, count: int) -> set[str]:
    """Tokens of requests."""
    return {f"t{number}" for number in range(first, first + count)}


def test_a_carrier_that_is_down_is_gone_round(tmp_path: Path) -> None:
    """Failover: what waits for it and what comes goes to the next one; when it is back and lasts, it has its
    traffic again, and nothing goes twice."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as second:
            async with Simulator() as first:
                port = first.port
                config = config_for(tmp_path, first, second)
                dispatcher = Dispatcher(config, now_ms=clock)
                await dispatcher.open()
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                accepted(await dispatcher.send(requests(20)))
                await outcomes(dispatcher, 20)
                assert set(copies(first)) == tokens(0, 20)
            accepted(await dispatcher.send(requests(30, first=20)))
            await outcomes(dispatcher, 50)
            assert set(copies(second)) == tokens(20, 30)
            async with Simulator(port=port) as first:
                lane = dispatcher.pipeline.lanes[1]
                await until(lambda: lane.is_bound, "it is back")
                clock.ahead_ms += 1_000
                accepted(await dispatcher.send(requests(10, first=50)))
                await outcomes(dispatcher, 60)
                assert set(copies(second)) == tokens(20, 40), "it came back at once: flapping would follow"
                clock.ahead_ms += 15_000
                await until(lambda: dispatcher.pipeline.aftermath.health[1].fit(True, clock()) == 2)
                accepted(await dispatcher.send(requests(10, first=60)))
                await outcomes(dispatcher, 70)
                assert set(copies(first)) == tokens(60, 10)
                assert {*copies(first).values(), *copies(second).values()} == {1}
                await dispatcher.close()

    run(scenario())


def test_refused_with_other_route(tmp_path: Path) -> None:
    """What one carrier refuses for its route goes by the next one; both refusals end it as undelivered."""

    async def scenario() -> None:
        nobody = {"79000000003": {"RDELIVERYFAILURE": 1.0}}
        first_only = Behaviour(errors_to={"79000000002": {"RINVDSTADR": 1.0}, **nobody})
        async with Simulator(first_only) as first, Simulator(Behaviour(errors_to=nobody)) as second:
            config = config_for(tmp_path, first, second)
            async with Dispatcher(config) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                accepted(await dispatcher.send(requests(5)))
                ended = await outcomes(dispatcher, 5)
                assert ended.pop(4) == (Outcome.UNDELIVERED, Reason.REFUSED)
                assert set(ended.values()) == {DELIVERED}
                assert {token: len(second.ledger.copies(token)) for token in second.ledger.tokens} == {
                    "t2": 1,
                    "t3": 1,
                }
                assert [len(first.ledger.copies(f"t{number}")) for number in range(5)] == [1] * 5

    run(scenario())


def test_codes_leave_a_slow_carrier(tmp_path: Path) -> None:
    """F65: by latency, not by errors: codes go elsewhere but for probes; a campaign stays."""

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            config = config_for(tmp_path, first, second, carrier={"answer_limit_ms": 100, "window": 10})
            clock = Clock()
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                clock.ahead_ms += 11_000
                accepted(await dispatcher.send(requests(50, MARKETING)))
                await outcomes(dispatcher, 50)
                first.account("bank").change(latency_ms=700)
                accepted(await dispatcher.send(requests(20, MARKETING, 50)))
                await until(lambda: dispatcher.pipeline.aftermath.health[1].slow, "it is noticed")
                await until(lambda: dispatcher.pipeline.admission.reorder, "the next tick")
                accepted(await dispatcher.send(requests(50, AUTHORIZATION, 100)))
                await until(lambda: len(tokens(100, 50) & set(second.ledger.tokens)) >= 40)
                await outcomes(dispatcher, 120)
                assert len(tokens(100, 50) & set(first.ledger.tokens)) <= 5
                assert tokens(50, 20) <= set(first.ledger.tokens)

    run(scenario())


@pytest.mark.parametrize("others", [0, 1])
def test_a_campaign_is_not_burnt(tmp_path: Path, others: int) -> None:
    """F70: a carrier that refuses everything is paused after a few; the rest goes elsewhere, or waits for it
    to be put right: then it is probed, and has its traffic again."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(errors={"RINVDSTADR": 1.0})) as first, Simulator() as second:
            smscs = (first, second)[: 1 + others]
            carrier = {"window": 10, "tps": 500}
            config = config_for(tmp_path, *smscs, carrier=carrier)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                accepted(await dispatcher.send(requests(1000, MARKETING)))
                health = dispatcher.pipeline.aftermath.health[1]
                await until(lambda: health.broken, "it is paused")
                if others:
                    ended = await outcomes(dispatcher, 1000)
                    assert set(ended.values()) == {DELIVERED}
                    assert first.ledger.of("bank").submits <= 150
                    return
                await dispatcher.committed()
                burnt = len(await outcomes(dispatcher, 1))
                assert burnt <= 150
                first.account("bank").change(errors=None)
                clock.ahead_ms += 31_000
                ended = await outcomes(dispatcher, 1000)
                assert not health.broken
                rejected = [n for n, outcome in ended.items() if outcome[0] is Outcome.REJECTED]
                assert len(rejected) <= 150
                assert set(ended.values()) == {DELIVERED, (Outcome.REJECTED, Reason.REFUSED)}

    run(scenario())


# ---- long messages ----


def test_a_long_message_goes_by_one_carrier_in_order(tmp_path: Path) -> None:
    """Law 6: all segments by one carrier, same reference, in order; one outcome."""

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            config = config_for(
                tmp_path, first, second, routes=[{"carriers": ["c0", "c1"], "weights": [1, 1]}]
            )
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send([request(n, text=f"{LONG} {LONG} t{n}") for n in range(40)]))
                ended = await outcomes(dispatcher, 40)
                assert set(ended.values()) == {DELIVERED}
                for number in range(40):
                    both = [smsc.ledger.copies(f"t{number}") for smsc in (first, second)]
                    found = both[0] or both[1]
                    assert not (both[0] and both[1]), "two carriers"
                    assert [copy.segment[1:] for copy in found if copy.segment] == [(1, 3), (2, 3), (3, 3)]
                    assert len({copy.segment[0] for copy in found if copy.segment}) == 1
                assert first.ledger.tokens
                assert second.ledger.tokens

    run(scenario())


def test_a_missing_segment_is_repeated_alone(tmp_path: Path) -> None:
    """F84: one segment of three refused: it alone goes again, same carrier, same reference and number."""

    async def scenario() -> None:
        clock = Clock()
        rule = {"kind": "status", "status": "ESME_RSYSERR", "after": 1, "times": 1}
        async with Simulator() as first, Simulator() as second:
            config = config_for(tmp_path, first, second)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                first.account("bank").change(mischief=[rule])
                accepted(await dispatcher.send([request(1, text=f"{LONG} {LONG} t1")]))
                await until(lambda: len(first.ledger.copies("t1")) == 3)
                await until(lambda: len(dispatcher.pipeline.aftermath.schedule) == 1)
                clock.ahead_ms += 60_000
                ended = await outcomes(dispatcher, 1)
                assert set(ended.values()) == {DELIVERED}
                found = first.ledger.copies("t1")
                assert [copy.segment[1] for copy in found if copy.segment] == [1, 2, 3, 2]
                assert len({copy.segment[0] for copy in found if copy.segment}) == 1
                assert not second.ledger.tokens

    run(scenario())


def test_refused_as_a_whole_it_goes_elsewhere_as_a_whole(tmp_path: Path) -> None:
    """F85: all segments refused for the route: all of them go to the other carrier, in order."""

    async def scenario() -> None:
        async with Simulator(Behaviour(errors={"RSUBMITFAIL": 1.0})) as first, Simulator() as second:
            clock = Clock()
            config = config_for(tmp_path, first, second)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
                accepted(await dispatcher.send([request(1, text=f"{LONG} {LONG} t1")]))
                for _ in range(8):
                    clock.ahead_ms += 8_000
                    await until(lambda: not first.ledger.of("bank").submits % 3)
                    if second.ledger.tokens:
                        break
                    await until(lambda: len(dispatcher.pipeline.aftermath.schedule) or second.ledger.tokens)
                ended = await outcomes(dispatcher, 1)
                assert set(ended.values()) == {DELIVERED}
                found = second.ledger.copies("t1")
                assert [copy.segment[1:] for copy in found if copy.segment] == [(1, 3), (2, 3), (3, 3)]
                rerouted = [e for e in await events_of(dispatcher) if e.kind == EventKind.REROUTED]
                assert len(rerouted) == 1

    run(scenario())
