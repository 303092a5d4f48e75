"""Traffic classes: codes go first, nobody starves; deadlines, send_after, cancel."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dispatcher._ext.pdu import Pdu, decode
from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.model import Accepted, EventKind, Outcome, Reason, SendRequest, TrafficClass
from dispatcher.simulator import Behaviour, Simulator
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

AUTHORIZATION, MARKETING = TrafficClass.AUTHORIZATION, TrafficClass.MARKETING
DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
EXPIRED = (Outcome.EXPIRED, Reason.DEADLINE)
CANCELLED = (Outcome.CANCELLED, Reason.CANCELLED)


def read_pdus(smsc: Simulator) -> list[Pdu]:
    """Keep every submit_sm that the simulated carrier reads, in order."""
    pdus: list[Pdu] = []
    submitted = smsc.ledger.submitted

    def keep(account: str, bind: int, incoming: Any) -> Any:
        pdus.extend(decode(each.pdu) for each in incoming)
        return submitted(account, bind, incoming)

    smsc.ledger.submitted = keep  # type: ignore[method-assign]
    return pdus


def has(smsc: Simulator, tokens: int) -> bool:
    """Whether so many tokens have reached a carrier."""
    return len(smsc.ledger.tokens) >= tokens


@pytest.mark.parametrize("limit", ["window", "tps"])
def test_a_code_goes_before_a_campaign(tmp_path: Path, limit: str) -> None:
    """F66, law 4: while marketing fills window or bucket and queue, a code is among the next on the wire."""

    async def scenario() -> None:
        behaviour = Behaviour(latency_ms=20 if limit == "window" else 0)
        carrier = {"window": 10, "tps": 20_000} if limit == "window" else {"window": 50, "tps": 300}
        async with Simulator(behaviour) as smsc:
            config = config_for(tmp_path, smsc, carrier=carrier)
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(2000, MARKETING)))
                for number in range(9_000, 9_010):
                    await until(partial(has, smsc, len(smsc.ledger.tokens) + 20))
                    accepted(await dispatcher.send([request(number, AUTHORIZATION)]))
                    before = len(smsc.ledger.tokens)
                    token = f"t{number}"
                    await until(partial(smsc.ledger.copies, token))
                    assert smsc.ledger.tokens.index(token) - before <= 15, "a code waited behind a campaign"
                assert len(smsc.ledger.tokens) < 2000, "the campaign ended too early to tell"

    run(scenario())


def test_no_class_starves(tmp_path: Path) -> None:
    """With more codes than the windows take, marketing still gets its slots."""

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=5)) as smsc:
            config = config_for(tmp_path, smsc, carrier={"window": 10})
            async with Dispatcher(config) as dispatcher:
                accepted(
                    await dispatcher.send(
                        requests(2500, AUTHORIZATION, 10_000) + requests(10, MARKETING, 9_000)
                    )
                )
                await until(lambda: len(smsc.ledger.tokens) >= 2000)
                marketing = [token for token in smsc.ledger.tokens[:2000] if token.startswith("t900")]
                assert len(marketing) == 10

    run(scenario())


def test_a_share_of_the_window_is_reserved(tmp_path: Path) -> None:
    """While nothing is answered, marketing leaves the reserved part; codes take it."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            timers = {"response_ms": 30_000}
            classes = {"authorization": {"reserved_window": 0.2}, "transactional": {"reserved_window": 0.1}}
            config = config_for(tmp_path, smsc, carrier={"window": 20, "timers": timers}, classes=classes)
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(100, MARKETING, 1000)))
                await outcomes(dispatcher, 100)
                smsc.account("bank").act("stall")
                wire = smsc.ledger.of("bank")
                accepted(await dispatcher.send(requests(100, MARKETING)))
                await until(lambda: wire.submits == 114, "seven tenths")
                accepted(await dispatcher.send(requests(100, TrafficClass.TRANSACTIONAL, 200)))
                await until(lambda: wire.submits == 116, "eight tenths")
                accepted(await dispatcher.send(requests(100, AUTHORIZATION, 400)))
                await until(lambda: wire.submits == 120, "all of it")
                await asyncio.sleep(0.1)
                assert wire.submits == 120
                smsc.account("bank").act("resume")
                await outcomes(dispatcher, 400)

    run(scenario())


def test_a_share_of_the_tps_is_reserved(tmp_path: Path) -> None:
    """A campaign alone never takes the part of the TPS that codes have reserved; a reload gives it back."""

    async def scenario() -> None:
        async with Simulator() as smsc:

            def config(reserved_tps: float) -> Config:
                classes = {"authorization": {"reserved_tps": reserved_tps}}
                return config_for(tmp_path, smsc, carrier={"tps": 100}, classes=classes)

            async with Dispatcher(config(0.4)) as dispatcher:
                (lane,) = dispatcher.pipeline.lanes.values()
                accepted(await dispatcher.send(requests(300, MARKETING)))
                most = 0

                def used() -> int:
                    nonlocal most
                    most = max(most, count := lane.bucket.used(time.monotonic_ns())[MARKETING])
                    return count

                await until(lambda: used() >= 58, "nearly all that it may take")
                await until(lambda: copies(smsc).total() > 150, "more than a second of it")
                used()
                assert most <= 60
                await dispatcher.reload(config(0.0))
                await until(lambda: used() > 80, "all of it")

    run(scenario())


# ---- deadlines ----


@pytest.mark.parametrize("where", ["head", "tail", "tail after a restart"])
def test_past_its_deadline_it_is_never_sent(tmp_path: Path, where: str) -> None:
    """F87: no carrier, then the deadline: it ends as expired, in the head, and where it lies in the journal;
    what has time left is sent when the carrier is back, and nothing else."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            port = smsc.port
            config = config_for(tmp_path, smsc, limits={"lane_max": 100 if "tail" in where else 20_000})
        dispatcher = Dispatcher(config, now_ms=clock)
        await dispatcher.open()
        short = [request(number, AUTHORIZATION, ttl_ms=60_000) for number in range(300)]
        long = [request(number, AUTHORIZATION, ttl_ms=600_000) for number in range(300, 450)]
        accepted(await dispatcher.send(long[:120]))  # the head is full of these
        accepted(await dispatcher.send(long[120:130] + short + long[130:]))
        if where.endswith("restart"):
            await dispatcher.close()
            dispatcher = Dispatcher(config, now_ms=clock)
            await dispatcher.open()
        clock.ahead_ms += 60_500
        ended = await outcomes(dispatcher, 300)
        assert set(ended.values()) == {EXPIRED}
        assert len(ended) == 300
        async with Simulator(port=port) as smsc:
            await outcomes(dispatcher, 450)
            assert sorted(copies(smsc)) == sorted(f"t{number}" for number in range(300, 450))
        await dispatcher.close()

    run(scenario())


def test_validity_is_what_remains(tmp_path: Path) -> None:
    """validity_period in the PDU counts from when it is sent, not from when it was accepted."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc)
            pdus = read_pdus(smsc)
            async with Dispatcher(config, now_ms=clock) as dispatcher:
                (lane,) = dispatcher.pipeline.lanes.values()
                await until(lambda: lane.is_bound)
                accepted(await dispatcher.send([request(1, ttl_ms=100_000)]))
                await outcomes(dispatcher, 1)
                lane.is_paused = True
                accepted(await dispatcher.send([request(2, ttl_ms=100_000)]))
                clock.ahead_ms += 60_000
                lane.pause(False)
                await outcomes(dispatcher, 2)
            assert pdus[0].validity_period in (b"000000000140000R", b"000000000139000R")
            assert pdus[1].validity_period in (b"000000000040000R", b"000000000039000R")

    run(scenario())


# ---- send_after ----


@pytest.mark.parametrize("restart", [False, True])
def test_send_after(tmp_path: Path, restart: bool) -> None:
    """Not before its time, then at once; also over a restart, and never twice."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            dispatcher = Dispatcher(config_for(tmp_path, smsc), now_ms=clock)
            await dispatcher.open()
            later_ms = clock() + 3_600_000
            accepted(await dispatcher.send([request(n, send_after_ms=later_ms) for n in range(20)]))
            accepted(await dispatcher.send([request(20)]))
            await outcomes(dispatcher, 1)
            clock.ahead_ms += 3_500_000
            if restart:
                await dispatcher.close()
                dispatcher = Dispatcher(config_for(tmp_path, smsc), now_ms=clock)
                await dispatcher.open()
            await asyncio.sleep(0.6)
            assert smsc.ledger.tokens == ["t20"]
            clock.ahead_ms += 100_000
            assert set((await outcomes(dispatcher, 21)).values()) == {DELIVERED}
            await dispatcher.close()
            dispatcher = Dispatcher(config_for(tmp_path, smsc), now_ms=clock)
            await dispatcher.open()
            await asyncio.sleep(0.6)
            await dispatcher.close()
            assert set(copies(smsc).values()) == {1}

    run(scenario())


# ---- cancel ----


async def cancelled(dispatcher: Dispatcher, verdict: Accepted) -> bool:
    """Cancel a message."""
    return await dispatcher.cancel(verdict.message_id)


WAITING: dict[str, dict[str, Any]] = {"head": {}, "tail": {"limits": {"lane_max": 100}}, "schedule": {}}


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("where", list(WAITING))
def test_cancel_while_it_waits(tmp_path: Path, where: str, restart: bool) -> None:
    """F89: True exactly once, it ends as cancelled, is never sent, and its neighbours are."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc:
            port = smsc.port
            config = config_for(tmp_path, smsc, **WAITING[where])
        dispatcher = Dispatcher(config, now_ms=clock)
        await dispatcher.open()
        after_ms = clock() + 60_000 if where == "schedule" else 0
        long = "x" * 200
        batch: list[SendRequest] = [request(n, send_after_ms=after_ms) for n in range(149)]
        batch.append(request(149, text=f"{long} t149", send_after_ms=after_ms))
        taken = accepted(await dispatcher.send(batch[:75])) + accepted(await dispatcher.send(batch[75:]))
        if restart:
            await dispatcher.close()
            dispatcher = Dispatcher(config, now_ms=clock)
            await dispatcher.open()
        assert [await cancelled(dispatcher, each) for each in taken[::10] + taken[-1:]] == [True] * 16
        assert [await cancelled(dispatcher, each) for each in taken[::10]] == [False] * 15
        assert not await dispatcher.cancel("01a20d42-9815-7c10-88c5-d90000000001")
        clock.ahead_ms += 61_000
        async with Simulator(port=port) as smsc:
            ended = await outcomes(dispatcher, 150)
            gone = {n for n, outcome in ended.items() if outcome == CANCELLED}
            assert gone == {each.message.n for each in taken[::10] + taken[-1:]}
            assert set(copies(smsc)) == {f"t{n - 1}" for n in ended if n not in gone}
            assert set(copies(smsc).values()) == {1}
        await dispatcher.close()

    run(scenario())


def test_cancel_races_with_send(tmp_path: Path) -> None:
    """F89: of each message exactly one of cancelled and sent is reported, and the wire agrees."""

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=2)) as smsc:
            config = config_for(tmp_path, smsc, carrier={"window": 5})
            async with Dispatcher(config) as dispatcher:
                taken = accepted(await dispatcher.send(requests(400)))
                asked = await asyncio.gather(*(cancelled(dispatcher, each) for each in reversed(taken)))
                took_back = {each.message.n for each, yes in zip(reversed(taken), asked, strict=True) if yes}
                ended = await outcomes(dispatcher, 400)
                assert 0 < len(took_back) < 400
                assert {n for n, outcome in ended.items() if outcome == CANCELLED} == took_back
                assert {f"t{n - 1}" for n in ended if n not in took_back} == set(copies(smsc))
                events = await events_of(dispatcher)
                for n in took_back:
                    assert EventKind.SUBMITTED not in kinds(events, n)

    run(scenario())
