"""An operator pauses, drains and resumes carriers; only he ends what he began."""

from pathlib import Path

import pytest

from dispatcher.app import Dispatcher
from dispatcher.errors import ConfigError
from dispatcher.evacuation import MOVE_MOST
from dispatcher.model import Outcome, Reason, TrafficClass
from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.behaviour import Receipts
from dispatcher.survey import Survey
from tests.integration.house import (
    Clock,
    accepted,
    config_for,
    copies,
    outcomes,
    request,
    requests,
    run,
    until,
)

pytestmark = pytest.mark.timeout(120)
DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
MARKETING = TrafficClass.MARKETING


async def all_bound(dispatcher: Dispatcher) -> None:
    """Wait until every carrier can send."""
    await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()), "bound")


def test_a_paused_carrier_sends_nothing(tmp_path: Path) -> None:
    """Alone, its messages wait and its receipts come, binds stay; also over a restart; resumed, they go."""

    async def scenario() -> None:
        async with Simulator(Behaviour(receipts=Receipts(delay_ms=300))) as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config) as dispatcher:
                await all_bound(dispatcher)
                accepted(await dispatcher.send(requests(10)))
                await until(lambda: smsc.ledger.of("bank").submits == 10)
                await dispatcher.pause("c0")
                assert dispatcher.switches() == {"c0": "paused"}
                accepted(await dispatcher.send(requests(10, first=10)))
                assert set((await outcomes(dispatcher, 10)).values()) == {DELIVERED}
                assert smsc.account("bank").binds == 1
            async with Dispatcher(config) as dispatcher:
                assert dispatcher.switches() == {"c0": "paused"}
                await all_bound(dispatcher)
                accepted(await dispatcher.send(requests(10, first=20)))
                for _ in range(3):
                    dispatcher.pipeline.aftermath.tick()  # what health wants does not end it
                    await dispatcher.committed()
                assert smsc.ledger.of("bank").submits == 10
                await dispatcher.resume("c0")
                assert set((await outcomes(dispatcher, 30)).values()) == {DELIVERED}
                assert set(copies(smsc).values()) == {1}
            async with Dispatcher(config) as dispatcher:
                assert dispatcher.switches() == {"c0": "on"}

    run(scenario())


def test_what_a_paused_carrier_had_goes_elsewhere(tmp_path: Path) -> None:
    """Where its route has another carrier: what waits, and what comes; nothing is lost or goes twice."""

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=200)) as first, Simulator() as second:
            config = config_for(tmp_path, first, second, carrier={"window": 10})
            async with Dispatcher(config) as dispatcher:
                await all_bound(dispatcher)
                accepted(await dispatcher.send(requests(300, MARKETING)))
                await until(lambda: first.ledger.of("bank").submits >= 1)
                await dispatcher.pause("c0")
                accepted(await dispatcher.send(requests(100, first=300)))
                assert set((await outcomes(dispatcher, 400)).values()) == {DELIVERED}
                assert first.ledger.of("bank").submits <= 10
                assert set((copies(first) + copies(second)).values()) == {1}

    run(scenario())


def test_who_has_nowhere_to_go_stands_in_nobodys_way(tmp_path: Path) -> None:
    """Behind thousands that only the paused carrier may send, those with another one leave it; the first stay
    in their order."""
    many = MOVE_MOST * 2 + 500

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            routes = [{"carriers": ["c0"], "senders": ["Only"]}, {"carriers": ["c0", "c1"]}]
            config = config_for(tmp_path, first, second, routes=routes)
            async with Dispatcher(config) as dispatcher:
                await all_bound(dispatcher)
                lane, other = dispatcher.pipeline.lanes.values()
                lane.pause(True)
                only = [request(number, MARKETING, sender="Only") for number in range(many)]
                accepted(await dispatcher.send(only))
                accepted(await dispatcher.send(requests(50, MARKETING, first=many)))
                other.pause(True)
                await dispatcher.pause("c0")
                queue = lane.queues[MARKETING]
                await until(lambda: len(queue.waiting) == many, "those with another carrier have left")
                left = [each.n for each in queue.waiting.peek(0, many)]
                assert left == sorted(left)
                dispatcher.pipeline.aftermath.tick()
                assert set((await outcomes(dispatcher, 50)).values()) == {DELIVERED}
                await dispatcher.resume("c0")
                assert set((await outcomes(dispatcher, many + 50)).values()) == {DELIVERED}
                assert set((copies(first) + copies(second)).values()) == {1}
                assert second.ledger.of("bank").submits == 50

    run(scenario())


def test_a_drained_carrier_unbinds(tmp_path: Path) -> None:
    """What is in flight is answered first; a restart does not bind it again; resume does."""

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=300)) as first, Simulator() as second:
            config = config_for(tmp_path, first, second, carrier={"window": 10})
            async with Dispatcher(config) as dispatcher:
                await all_bound(dispatcher)
                accepted(await dispatcher.send(requests(100, MARKETING)))
                await until(lambda: first.ledger.of("bank").submits >= 1)
                await dispatcher.drain("c0")
                await until(lambda: dispatcher.switches()["c0"] == "drained")
                assert [each.switch for each in Survey(dispatcher).state().carriers] == ["drained", "on"]
                assert first.account("bank").binds == 0
                kept = first.ledger.of("bank")
                assert kept.submits == kept.accepted <= 10
                await outcomes(dispatcher, 100 - kept.submits)
            async with Dispatcher(config) as dispatcher:
                await until(lambda: dispatcher.pipeline.lanes[2].is_bound)
                dispatcher.pipeline.aftermath.tick()
                assert dispatcher.switches() == {"c0": "drained", "c1": "on"}
                assert first.account("bank").inner.binds_seen == 1
                await dispatcher.resume("c0")
                await all_bound(dispatcher)
                assert set((copies(first) + copies(second)).values()) == {1}
                assert set((await outcomes(dispatcher, 100)).values()) == {DELIVERED}

    run(scenario())


def test_a_pause_and_a_circuit_end_each_for_itself(tmp_path: Path) -> None:
    """A resumed carrier whose circuit is open stays paused; a circuit that closes does not end a pause."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(errors={"RINVDSTADR": 1.0})) as smsc:
            config = config_for(tmp_path, smsc, carrier={"window": 10, "tps": 500})
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                await all_bound(dispatcher)
                accepted(await dispatcher.send(requests(300, MARKETING)))
                lane, health = dispatcher.pipeline.lanes[1], dispatcher.pipeline.aftermath.health[1]
                await until(lambda: health.broken, "the circuit opens")
                await dispatcher.pause("c0")
                await dispatcher.resume("c0")
                assert lane.is_paused
                await dispatcher.pause("c0")
                burnt = smsc.ledger.of("bank").submits
                smsc.account("bank").change(errors=None)
                clock.ahead_ms += 31_000
                dispatcher.pipeline.aftermath.tick()
                await dispatcher.committed()
                assert lane.is_paused
                assert smsc.ledger.of("bank").submits == burnt
                await dispatcher.resume("c0")
                await outcomes(dispatcher, 300)
                assert not health.broken

    run(scenario())


def test_an_unknown_carrier(tmp_path: Path) -> None:
    """It is named, with what was meant perhaps."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            for call in (dispatcher.pause, dispatcher.resume, dispatcher.drain):
                with pytest.raises(ConfigError, match=r"no carrier has this name.*c0"):
                    await call("cO")

    run(scenario())
