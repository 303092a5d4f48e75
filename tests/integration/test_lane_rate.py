"""F43, F44, F63, F64: one rate for an account, over real sockets and in virtual time (see lane.py)."""

from functools import partial
from typing import Any

import pytest

from dispatcher.simulator import Behaviour, Simulator
from dispatcher.smpp.account import Account
from dispatcher.smpp.pool import Alarm, Pool
from dispatcher.smpp.rate import PROBE_LARGEST

from .conftest import Run
from .lane import SECOND_NS, Lane
from .scripted import FAST, until

pytestmark = pytest.mark.timeout(60)
TPS = 100


async def begin(smsc: Simulator, lane: Lane, **options: Any) -> Pool:
    """Bind."""
    account = Account(host="127.0.0.1", port=smsc.port, system_id=b"bank", backoff=FAST, **options)
    pool = lane.pool = Pool(account, lane)
    await pool.start()
    await until(lambda: smsc.account("bank").binds == len(account.binds))
    await until(lambda: all(state.stage == "bound" for state in pool.snapshot().binds))
    return pool


def accepted_once(smsc: Simulator, tokens: list[bytes]) -> bool:
    """Whether the SMSC accepted each of these once, however often it throttled it."""
    return all(
        sum(copy.statuses.count(0) for copy in smsc.ledger.copies(token.decode())) == 1 for token in tokens
    )


def test_a_throttling_storm(run: Run) -> None:
    """F63: ten minutes of 0x58: a probe within 3 s, for as long as it lasts; then 10 %; then 90 % again
    within 60 s. Nothing lost, nothing accepted twice, nothing overtaken by what stood behind it."""

    async def main() -> None:
        async with Simulator() as smsc:
            lane = Lane(TPS, step_ms=20)
            pool = await begin(smsc, lane, transceivers=2, window=50)
            bank = smsc.account("bank")
            await lane.run(3, fill=200)
            assert lane.rate.tps(lane.now_ns) == TPS
            bank.change(errors={"RTHROTTLED": 1.0})
            began_ns, before = lane.now_ns, len(lane.accepted)
            await lane.run(3, fill=200)
            assert lane.rate.tps(lane.now_ns) <= PROBE_LARGEST * TPS
            await lane.run(597, fill=200)
            assert max(lane.rates(began_ns + 4 * SECOND_NS)) <= PROBE_LARGEST * TPS
            assert len(lane.accepted) == before
            bank.change(errors={"RTHROTTLED": 0.1})
            await lane.run(30, fill=200)
            assert lane.rate.tps(lane.now_ns) >= 0.2 * TPS
            bank.change(errors={})
            ended_ns = lane.now_ns
            await lane.run(60, fill=200)
            assert lane.rate.tps(lane.now_ns) >= 0.9 * TPS
            assert max(lane.rates(ended_ns + 59 * SECOND_NS)) >= 0.9 * TPS
            await lane.run(20)
            assert not lane.queue
            assert (lane.unanswered, lane.alarms, pool.in_flight) == ([], [], 0)
            first_goes = [int(token.rsplit(b":", 1)[1]) for token in lane.accepted]
            assert sorted(first_goes) == list(range(len(first_goes)))
            latest = 0
            for number in first_goes:  # one that was throttled waits for its next turn, and no longer
                latest = max(latest, number)
                assert latest - number <= 2 * TPS
            assert accepted_once(smsc, lane.accepted)
            assert max(lane.rates()) <= TPS
            await pool.close()

    run(main())


def test_one_full_mailbox_slows_nobody_else(run: Run) -> None:
    """F64: one destination answers ESME_RMSGQFUL to all: the account's rate stays, others get all of it.

    What the engine shows: which messages met a full mailbox. To let that destination wait is up to the lane.
    """

    async def main() -> None:
        behaviour = Behaviour(errors_to={"7900": {"RMSGQFUL": 1.0}})
        async with Simulator(behaviour) as smsc:
            lane = Lane(1000)
            pool = await begin(smsc, lane, window=100)
            full: list[bytes] = []
            others: list[bytes] = []
            for _ in range(20):
                full += lane.put(1, b"79000000001")
                others += lane.put(249)
            while lane.queue:
                await lane.step()
            assert lane.set_aside == full
            assert lane.accepted == others
            assert lane.rate.tps(lane.now_ns) == 1000
            assert lane.now_ns - SECOND_NS <= 1.01 * SECOND_NS * (len(others) + len(full)) / 1000
            await pool.close()

    run(main())


def _has_binds(pool: Pool, number: int) -> bool:
    return sum(bool(state.room) for state in pool.snapshot().binds) == number


def test_one_rate_however_many_binds(run: Run) -> None:
    """F43: one of three binds, then two of them, are lost: the account keeps its rate and never passes it."""

    async def main() -> None:
        async with Simulator() as smsc:
            lane = Lane(TPS)
            pool = await begin(smsc, lane, transceivers=3, window=20)
            bank = smsc.account("bank")
            lane.put(6 * TPS)
            await lane.run(2)
            for left in (2, 1):
                bank.change(bind={"binds_max": 1})
                bank.act("disconnect", bind=left + 1)
                await until(partial(_has_binds, pool, left))
                began_ns = lane.now_ns
                await lane.run(2)
                assert max(lane.rates(began_ns)) == TPS
            await lane.run(1)
            assert max(lane.rates()) == TPS
            assert (len(lane.accepted), lane.unanswered) == (6 * TPS, [])
            assert accepted_once(smsc, lane.accepted)
            await pool.close()

    run(main())


def test_back_after_an_hour(run: Run) -> None:
    """F44: a carrier is away for an hour: nothing is taken meanwhile, and no second of the return is faster
    than the account may be.

    What the engine shows: no room while there is no bind, one alarm, no burst. Which messages have expired
    by then, and that marketing comes last, is for those who queue them.
    """

    async def main() -> None:
        async with Simulator() as smsc:
            lane = Lane(TPS)
            pool = await begin(smsc, lane, transceivers=2, window=100)
            lane.put(2 * TPS)
            await lane.run(1)
            smsc.refuse_connections()
            smsc.account("bank").act("disconnect")
            await until(lambda: Alarm.UNREACHABLE in lane.alarms)
            before = len(lane.accepted)
            lane.put(5 * TPS)
            lane.step_ns *= 100
            await lane.run(3600)
            lane.step_ns //= 100
            assert (len(lane.accepted), pool.room) == (before, 0)
            await smsc.listen()
            await until(lambda: pool.room == 200)
            returned_ns = lane.now_ns
            await lane.run(2)
            assert max(lane.rates(returned_ns)) == TPS
            assert lane.sent[-1][0] - returned_ns >= 1.9 * SECOND_NS
            await lane.run(5)
            assert (len(lane.accepted), lane.unanswered) == (7 * TPS, [])
            assert lane.alarms == [Alarm.UNREACHABLE]
            await pool.close()

    run(main())
