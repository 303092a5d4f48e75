"""F67, F79: what comes all at once, from the schedule and from a carrier; rates hold, and nothing starves."""

from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dispatcher.app import Dispatcher
from dispatcher.carrier.lane import Lane
from dispatcher.model import TrafficClass
from dispatcher.simulator import Simulator
from dispatcher.simulator.ledger import Totals
from dispatcher.store.audit import audit
from tests.integration.house import Clock, accepted, config_for, copies, request, requests, run, until

pytestmark = pytest.mark.timeout(180)
SECOND_NS = 1_000_000_000
MARKETING = TrafficClass.MARKETING


class Watch:
    """Notes when a lane submits, by the time that its bucket was asked at."""

    def __init__(self, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[int, int]] = []
        self._submit = lane._submit
        monkeypatch.setattr(lane, "_submit", self._note)

    def _note(self, batch: list[Any], taken_by: list[Any], now_ns: int, *more: Any) -> None:
        self.sent.append((now_ns, len(batch)))
        self._submit(batch, taken_by, now_ns, *more)

    @property
    def most(self) -> int:
        """The most segments of any span of a second."""
        span: deque[tuple[int, int]] = deque()
        held = most = 0
        for at_ns, count in self.sent:
            span.append((at_ns, count))
            held += count
            while span[0][0] <= at_ns - SECOND_NS:
                held -= span.popleft()[1]
            most = max(most, held)
        return most


@pytest.mark.parametrize(("count", "tps"), [(100_000, 20_000), (3_000, 1_000)])
def test_all_are_due_at_the_same_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, tps: int
) -> None:
    """F67: so many fall due at once: they are taken up tick by tick, no second holds more than the TPS, each
    is sent once; a code that comes meanwhile goes before them."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, carrier={"tps": tps, "window": 1000})
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                lane = dispatcher.pipeline.lanes[1]
                await until(lambda: lane.is_bound)
                due_ms = clock() + 3_600_000
                for first in range(0, count, 10_000):
                    some = range(first, min(count, first + 10_000))
                    accepted(
                        await dispatcher.send([request(n, MARKETING, send_after_ms=due_ms) for n in some])
                    )
                watch = Watch(lane, monkeypatch)
                assert len(dispatcher.pipeline.aftermath.schedule) == count
                clock.ahead_ms += 3_601_000
                bank = smsc.ledger.of("bank")
                await until(lambda: bank.submits > tps // 10, "they go")
                accepted(await dispatcher.send([request(count, TrafficClass.AUTHORIZATION)]))
                await until(lambda: f"t{count}" in smsc.ledger.tokens, "the code")
                assert bank.submits <= count // 2, "the code waited"
                await until(lambda: bank.submits > count, "all are sent", 100)
                assert watch.most <= tps
                assert set(copies(smsc).values()) == {1}
                await until(lambda: not dispatcher.pipeline.book.outstanding, "receipts", 100)
        counted = audit(tmp_path / "store")
        assert counted.is_right
        assert counted.outcomes == {"delivered": count + 1}

    run(scenario(), 170)


def has_answered(bank: Totals, count: int) -> bool:
    """Whether so many receipts were answered."""
    return sum(bank.acknowledged.values()) >= count


def test_receipts_flood_while_it_sends(tmp_path: Path) -> None:
    """F79: a thousand receipts about nothing, again and again: each is answered, and in four of five of these
    rounds at least submits go on; counted, not timed."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, carrier={"tps": 4_000, "window": 100})
            async with Dispatcher(config) as dispatcher:
                lane, bank = dispatcher.pipeline.lanes[1], smsc.ledger.of("bank")
                await until(lambda: lane.is_bound)
                accepted(await dispatcher.send(requests(8_000, MARKETING)))
                await until(lambda: bank.submits >= 200)
                rounds: list[int] = []
                while bank.submits < 7_500:
                    before, answered = bank.submits, sum(bank.acknowledged.values())
                    smsc.account("bank").act("send-receipt", message_id=f"none{len(rounds)}", count=1000)
                    await until(partial(has_answered, bank, answered + 1000))
                    rounds.append(bank.submits - before)
                assert len(rounds) >= 5, "that was no flood"
                assert sum(each > 0 for each in rounds) >= 0.8 * len(rounds)
                assert set(bank.acknowledged) <= {0, 0x64}, "stored, or to come again"
                await until(lambda: bank.submits == 8_000)
                await until(lambda: not dispatcher.pipeline.book.outstanding)

    run(scenario())
