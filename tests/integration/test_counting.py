"""What is counted where messages do not go straight: tried again, moved, late, cancelled, after a restart."""

from pathlib import Path
from typing import NamedTuple

from dispatcher.app import Dispatcher
from dispatcher.metrics import METRICS
from dispatcher.model import EventKind, TrafficClass
from dispatcher.simulator import Simulator
from dispatcher.state import State
from dispatcher.survey import Survey, receivers, status_name
from tests.integration.house import (
    Clock,
    accepted,
    config_for,
    events_of,
    outcomes,
    request,
    requests,
    run,
    until,
)

CODES, SERVICE = TrafficClass.AUTHORIZATION, TrafficClass.SERVICE


def state_of(dispatcher: Dispatcher) -> State:
    """Return what it says of itself now."""
    return Survey(dispatcher).state()


def test_what_is_tried_again_has_waited_once(tmp_path: Path) -> None:
    """Throttled segments go several times; how long they waited counts for the first time alone."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            lane = dispatcher.pipeline.lanes[1]
            await until(lambda: lane.is_bound)
            smsc.account("bank").change(errors={"RTHROTTLED": 0.3})
            accepted(await dispatcher.send(requests(200, CODES)))
            await until(lambda: state_of(dispatcher).carriers[0].throttles > 10)
            smsc.account("bank").change(errors={})
            await outcomes(dispatcher, 200)
            (carrier,) = state_of(dispatcher).carriers
            ledger = smsc.ledger.of("bank")
            assert carrier.throttles == carrier.refusals["ESME_RTHROTTLED"] == ledger.responses[0x58]
            assert carrier.events["refused"] == ledger.responses[0x58]
            assert carrier.answered_after.count == ledger.submits == 200 + carrier.throttles
            assert carrier.queues["authorization"].waited.count == 200
            assert carrier.queues["authorization"].taken == 200

    run(scenario())


def test_what_is_for_later_waits_from_then_on(tmp_path: Path) -> None:
    """It counts as accepted at once, as waiting from its time on, and has no age when it ends."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc), now_ms=clock) as dispatcher:
            later_ms = clock() + 3_600_000
            accepted(
                await dispatcher.send([request(1, SERVICE, send_after_ms=later_ms), request(2, SERVICE)])
            )
            await outcomes(dispatcher, 1)
            state = state_of(dispatcher)
            assert state.scheduled == 1
            assert state.accepted[""]["service"] == 2
            clock.ahead_ms = 3_600_500
            await outcomes(dispatcher, 2)
            state = state_of(dispatcher)
            waited = state.carriers[0].queues["service"].waited
            assert waited.count == 2
            assert waited.sum_us < 600_000_000, "it waited from its acceptance on, not from its time"
            assert state.classes["service"].outcomes == {"delivered": {"receipt": 2}}
            assert state.classes["service"].ended_after.count == 1

    run(scenario())


def test_ends_without_a_carrier_are_counted_by_class(tmp_path: Path) -> None:
    """Cancelled and expired messages have class, outcome, reason and age."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            smsc.refuse_connections()
            async with Dispatcher(config_for(tmp_path, smsc), now_ms=clock) as dispatcher:
                verdicts = accepted(await dispatcher.send([request(1, CODES), request(2, CODES)]))
                assert await dispatcher.cancel(verdicts[0].message_id)
                clock.ahead_ms = 10 * 60_000
                await outcomes(dispatcher, 2)
                codes = state_of(dispatcher).classes["authorization"]
                assert codes.outcomes == {"cancelled": {"cancelled": 1}, "expired": {"deadline": 1}}
                assert codes.ended_after.count == 2
                assert codes.ended_after.sum_us >= 600_000_000

    run(scenario())


def test_what_is_moved_is_counted_where_it_goes(tmp_path: Path) -> None:
    """Refused by one carrier for good, taken by the next: its reroute and its taking stand with that."""

    async def scenario() -> None:
        async with (
            Simulator() as first,
            Simulator() as second,
            Dispatcher(config_for(tmp_path, first, second)) as dispatcher,
        ):
            await until(lambda: all(lane.is_bound for lane in dispatcher.pipeline.lanes.values()))
            first.account("bank").change(errors={"RSUBMITFAIL": 1.0})
            accepted(await dispatcher.send(requests(5, SERVICE)))
            await outcomes(dispatcher, 5, 40)
            one, other = state_of(dispatcher).carriers
            assert (one.events["rerouted"], other.events["rerouted"]) == (0, 5)
            assert (one.queues["service"].taken, other.queues["service"].taken) == (0, 5)
            assert sum(one.refusals.values()) == first.ledger.of("bank").submits
            waited = one.queues["service"].waited.count + other.queues["service"].waited.count
            assert waited == 5

    run(scenario())


def test_what_moves_before_it_was_tried_waits_on(tmp_path: Path) -> None:
    """Messages for a carrier that is not there go elsewhere: all the time that they waited counts there."""

    async def scenario() -> None:
        async with Simulator() as first, Simulator() as second:
            first.refuse_connections()
            async with Dispatcher(config_for(tmp_path, first, second)) as dispatcher:
                accepted(await dispatcher.send(requests(5, SERVICE)))
                await outcomes(dispatcher, 5, 40)
                one, other = state_of(dispatcher).carriers
                assert (one.queues["service"].waited.count, one.answered_after.count) == (0, 0)
                assert other.events["rerouted"] == 5
                assert other.queues["service"].waited.count == 5

    run(scenario())


def test_after_a_restart_counters_begin_anew(tmp_path: Path) -> None:
    """Nothing that was counted before is counted again; what ends now is, by class, without an age."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config) as dispatcher:
                await until(lambda: dispatcher.pipeline.lanes[1].is_bound)
                accepted(await dispatcher.send(requests(5, SERVICE)))
                await outcomes(dispatcher, 5)
                smsc.account("bank").change(receipts={"delay_ms": 1_000_000})
                accepted(await dispatcher.send(requests(5, SERVICE, 5)))
                await until(lambda: state_of(dispatcher).outstanding == 5)
                taken = [event for event in await events_of(dispatcher) if event.kind == EventKind.SUBMITTED]
            async with Dispatcher(config) as dispatcher:
                state = state_of(dispatcher)
                assert state.accepted == {}
                assert state.classes["service"].outcomes == {}
                assert sum(state.carriers[0].events.values()) == 0
                assert state.outstanding == state.carriers[0].queues["service"].awaiting == 5
                await until(lambda: dispatcher.pipeline.lanes[1].is_bound)
                for event in taken[5:]:
                    smsc.account("bank").act("send-receipt", message_id=event.tail.decode(), state="DELIVRD")
                await outcomes(dispatcher, 10)
                service = state_of(dispatcher).classes["service"]
                assert service.outcomes == {"delivered": {"receipt": 5}}
                assert service.ended_after.count == 0

    run(scenario())


class Counted(NamedTuple):
    """As outcomes.service.Counters."""

    delivered: int = 7
    failed: int = 2
    parked: int = 1
    waiting: int = 3
    open_events: int = 5
    is_disabled: bool = False
    is_down: bool = False


def test_what_receivers_count_fits_the_table() -> None:
    """Webhooks and event files: results, what waits, whether it is up; each metric with its labels."""
    found = receivers([("core", Counted()), ("file/audit", Counted(is_down=True))])
    assert (("core", "delivered"), 7) in found["dispatcher_webhook_deliveries_total"]
    assert found["dispatcher_webhook_up"] == [(("core",), True), (("file/audit",), False)]
    for name, values in found.items():
        assert all(len(labels) == len(METRICS[name].labels) for labels, _ in values)


def test_labels_of_statuses_have_an_end() -> None:
    """A carrier that invents statuses makes no new metrics, a vendor's own keep their number."""
    assert status_name(0x58) == "ESME_RTHROTTLED"
    assert status_name(0x4FF) == "0x000004ff"
    assert {status_name(code) for code in range(0x10_000, 0x10_100)} == {"other"}
