"""F44: every carrier is away for an hour, and comes back: what is taken, what expires, how it goes on."""

from pathlib import Path

import pytest

from dispatcher.app import Dispatcher
from dispatcher.model import Event, EventKind, Outcome, Reason, Refused, TrafficClass
from dispatcher.simulator import Simulator
from dispatcher.store.audit import audit
from tests.integration.house import (
    Clock,
    accepted,
    config_for,
    copies,
    events_of,
    outcomes,
    requests,
    run,
    until,
)
from tests.integration.test_storms import Watch

AUTHORIZATION, TRANSACTIONAL, MARKETING = (
    TrafficClass.AUTHORIZATION,
    TrafficClass.TRANSACTIONAL,
    TrafficClass.MARKETING,
)
TPS = 200
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
CODES, PAYMENTS, OFFERS = 20, 600, 300


def ended(events: list[Event]) -> list[Event]:
    """Return the outcomes among events."""
    return [event for event in events if event.kind == EventKind.FINISHED]


def test_all_carriers_are_away_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F44: both carriers are lost for an hour. Messages are accepted until a class has its limit, then
    refused with a time to come again; codes expire at the first tick after their deadline, unsent, and
    nothing else does; at the return no second of an account holds more than its TPS, and payments go first:
    of advertising that waited as long only the share that keeps it from starving."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as first, Simulator() as second:
            smscs = [first, second]
            config = config_for(
                tmp_path,
                *smscs,
                carrier={"tps": TPS},
                routes=[{"carriers": ["c0", "c1"], "weights": [1, 1]}],
                classes={"marketing": {"ttl_ms": 24 * HOUR_MS, "backlog_max": OFFERS}},
            )
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                lanes = [dispatcher.pipeline.lanes[1], dispatcher.pipeline.lanes[2]]
                await until(lambda: all(lane.is_bound for lane in lanes), "both are bound")
                for smsc in smscs:
                    smsc.refuse_connections()
                    smsc.account("bank").act("disconnect")
                await until(lambda: not any(lane.is_bound for lane in lanes), "both are lost")
                watches = [Watch(lane, monkeypatch) for lane in lanes]

                offers = accepted(await dispatcher.send(requests(OFFERS, MARKETING)))
                payments = accepted(await dispatcher.send(requests(PAYMENTS, TRANSACTIONAL, OFFERS)))
                codes = accepted(await dispatcher.send(requests(CODES, AUTHORIZATION, OFFERS + PAYMENTS)))
                (refused,) = await dispatcher.send(requests(1, MARKETING, 1_000_000))
                assert isinstance(refused, Refused)
                assert (refused.code, refused.retry_after_ms > 0) == ("overloaded", True)

                deadline_ms = min(code.message.deadline_ms for code in codes)
                clock.ahead_ms += deadline_ms - 10_000 - clock()
                tick = dispatcher.pipeline.aftermath.tick  # as it comes by itself, every TICK_S
                tick()
                assert not ended(await events_of(dispatcher)), "expired before the time"
                clock.ahead_ms += max(code.message.deadline_ms for code in codes) - clock()
                tick()
                found = await outcomes(dispatcher, CODES, 0)
                assert found == {code.message.n: (Outcome.EXPIRED, Reason.DEADLINE) for code in codes}

                clock.ahead_ms += HOUR_MS - 5 * MINUTE_MS
                tick()
                assert len(ended(await events_of(dispatcher))) == CODES, "something expired too early"
                assert not copies(first) + copies(second)

                for smsc in smscs:
                    await smsc.listen()
                found = await outcomes(dispatcher, CODES + PAYMENTS + OFFERS, 40)
                waited = {each.message.n for each in (*payments, *offers)}
                assert {found[n][0] for n in waited} == {Outcome.DELIVERED}
                assert set((copies(first) + copies(second)).values()) == {1}
                assert sum(count for watch in watches for _, count in watch.sent) == PAYMENTS + OFFERS
                assert max(watch.most for watch in watches) <= TPS
                for smsc in smscs:  # who is back first may get what waited for the other
                    is_offer = [int(token[1:]) < OFFERS for token in smsc.ledger.tokens]
                    while is_offer and is_offer[-1]:
                        is_offer.pop()
                    assert sum(is_offer) <= 0.15 * len(is_offer), "advertising did not come last"
        assert audit(tmp_path / "store").is_right

    run(scenario())
