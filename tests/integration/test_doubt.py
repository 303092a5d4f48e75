"""After a crash: what was claimed may have been sent. It is in doubt, and no start begins that anew."""

import shutil
from pathlib import Path

import pytest

from dispatcher.app import Dispatcher
from dispatcher.model import Outcome, Reason, TrafficClass
from dispatcher.simulator import Behaviour, Simulator
from dispatcher.store.audit import audit
from dispatcher.store.states import IN_DOUBT
from tests.integration.house import Clock, accepted, config_for, outcomes, request, run, until

pytestmark = pytest.mark.timeout(60)
TIMER_MS = 100_000


def test_the_receipt_timer_counts_from_the_claim(tmp_path: Path) -> None:
    """F03: marketing that may not go twice ends as unknown a receipt timer after it was written, however
    often the dispatcher is started meanwhile; until then audit and status call it in doubt."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator(Behaviour(stall=True)) as smsc:
            keys = {"receipt_timer_ms": TIMER_MS, "timers": {"response_ms": 60_000}}
            first = Dispatcher(config_for(tmp_path / "first", smsc, carrier=keys), now_ms=clock)
            await first.open()
            (verdict,) = accepted(await first.send([request(1, TrafficClass.MARKETING)]))
            await until(lambda: smsc.ledger.of("bank").submits == 1)
            await first.committed()
            shutil.copytree(tmp_path / "first", tmp_path / "crashed")
            await first.close(0)
            for _ in range(3):
                async with Dispatcher(
                    config_for(tmp_path / "crashed", smsc, carrier=keys), now_ms=clock
                ) as again:
                    clock.ahead_ms += 30_000
                    again.pipeline.aftermath.tick()
                    await again.pipeline.settle()
                    status = await again.status(verdict.message_id)
                    assert status is not None
                    assert status.state == IN_DOUBT
                assert audit(tmp_path / "crashed" / "store").states == {IN_DOUBT: 1}
            async with Dispatcher(
                config_for(tmp_path / "crashed", smsc, carrier=keys), now_ms=clock
            ) as again:
                clock.ahead_ms += (
                    40_000  # 130 s after it was written; 100 s after the first start is past, too
                )
                assert await outcomes(again, 1) == {1: (Outcome.UNKNOWN, Reason.UNANSWERED)}
            assert smsc.ledger.of("bank").submits == 1

    run(scenario())
