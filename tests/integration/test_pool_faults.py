"""F29, F30, F33, F38, F47, F58, F60, F61, F65: against the simulator, and a network that fails."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.behaviour import MessageId, Rule
from dispatcher.smpp import bind
from dispatcher.smpp.account import Account
from dispatcher.smpp.dial import dial
from dispatcher.smpp.pool import Alarm, Pool
from dispatcher.smpp.session import Session, Timers

from .conftest import Run
from .network import black_hole, reachable
from .scripted import (
    ENQUIRE,
    FAST,
    QUICK,
    SUBMIT,
    SUBMIT_RESP,
    Got,
    Ledger,
    Link,
    Smsc,
    account,
    pdu,
    pool_of,
    until,
)

pytestmark = pytest.mark.timeout(60)


async def simulated(smsc: Simulator, **options: Any) -> tuple[Pool, Ledger]:
    """Start a pool at a simulator, and wait until every bind is up."""
    ledger = Ledger()
    usual: dict[str, Any] = {"timers": QUICK, "backoff": FAST}
    settings = Account(host="127.0.0.1", port=smsc.port, system_id=b"bank", **(usual | options))
    pool = ledger.pool = Pool(settings, ledger, random_source=lambda: 0.5)
    await pool.start()
    await until(lambda: sum(state.stage == "bound" for state in pool.snapshot().binds) == len(settings.binds))
    return pool, ledger


def test_a_host_that_vanishes_under_load(run: Run, processors: int) -> None:
    """F30: nothing is acknowledged any more, no RST comes: TCP_USER_TIMEOUT ends the bind, far ahead of the
    response timer; its window is unknown, the other bind takes the rest, nothing is sent twice."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        options = {"transceivers": 2, "window": 10, "tcp_user_timeout_ms": 300, "timers": QUICK}
        pool, ledger = await pool_of(smsc, **options)
        tokens = ledger.send(1000)
        await until(lambda: len(ledger.answers) > 100)
        lost = smsc.bound[0]
        black_hole(lost.transport.get_extra_info("socket"))
        ledger.send(1)
        await until(lambda: len(ledger.answers) + len(ledger.unanswered) == 1001)
        assert 1 <= len(ledger.unanswered) <= 10
        assert [name for name in pool.snapshot().closed_by if name.startswith("lost")]
        assert set(tokens) <= {*ledger.answers, *ledger.unanswered}
        assert smsc.copies == 0
        await until(lambda: len(smsc.links) == 3 and smsc.links[2].bound == 9)
        reachable(lost.transport.get_extra_info("socket"))
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_host_that_vanishes_while_idle(run: Run) -> None:
    """F30: without traffic the enquire_link goes unanswered, and the bind is closed and bound again."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, timers=QUICK._replace(enquire_link_ms=50))
        await until(lambda: smsc.links[0].count(ENQUIRE) >= 1)
        black_hole(smsc.links[0].transport.get_extra_info("socket"))
        await until(lambda: len(smsc.links) == 2 and smsc.links[1].bound == 9)
        assert pool.snapshot().closed_by == {"dead": 1}
        assert (ledger.unanswered, ledger.alarms) == ([], [])
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_peer_that_hears_but_never_speaks_again(run: Run) -> None:
    """F30: its kernel takes everything, so TCP sees no harm: the response timer finds it, window and all."""

    async def main() -> None:
        async with Simulator() as smsc:
            pool, ledger = await simulated(
                smsc, transceivers=2, window=5, timers=QUICK._replace(response_ms=150)
            )
            smsc.account("bank").act("half-open", bind=1)
            ledger.send(200)
            await until(lambda: len(ledger.answers) + len(ledger.unanswered) == 200)
            assert len(ledger.unanswered) == 5
            assert pool.snapshot().closed_by == {"stuck": 1}
            await until(lambda: sum(state.stage == "bound" for state in pool.snapshot().binds) == 2)
            await pool.close()

    run(main())


@pytest.mark.parametrize("at_byte", range(1, 27, 5))
def test_a_response_cut_by_a_reset(run: Run, at_byte: int) -> None:
    """F29: wherever the simulator cuts its response, each message is answered, or unknown, or unsent; those
    it accepted and we call unknown are few: the window."""

    async def main() -> None:
        cut = Rule("cut", after=20, times=1, at_byte=at_byte)
        async with Simulator(Behaviour(mischief=(cut,))) as smsc:
            pool, ledger = await simulated(smsc, transceivers=2, window=5)
            tokens = ledger.send(200)
            await until(
                lambda: len(ledger.answers) + len(ledger.unanswered) + len(ledger.unsent) == len(tokens)
            )
            assert 1 <= len(ledger.unanswered) <= 5
            assert all(len(smsc.ledger.copies(token.decode())) <= 1 for token in tokens)
            assert not any(smsc.ledger.copies(token.decode()) for token in ledger.unsent)
            assert [smsc.ledger.copies(token.decode())[0].statuses for token in ledger.answers] == [
                (0,)
            ] * len(ledger.answers)
            await until(lambda: sum(state.stage == "bound" for state in pool.snapshot().binds) == 2)
            await pool.close()

    run(main())


def test_a_slow_line_is_no_dead_one(run: Run) -> None:
    """F33: five kilobytes a second both ways: slow, but every message is answered, and no bind is closed."""

    async def main() -> None:
        async with Simulator(Behaviour(bytes_per_s=5_000)) as smsc:
            pool, ledger = await simulated(smsc, window=10)
            ledger.send(40)
            await until(lambda: len(ledger.answers) == 40, 20)
            assert pool.snapshot().closed_by == {}
            assert (ledger.unanswered, ledger.alarms) == ([], [])
            await pool.close()

    run(main())


def test_a_dropped_syn(run: Run) -> None:
    """F38: nobody answers the connect, not even with a refusal: it times out, backs off, raises one alarm,
    and binds as soon as the network is back."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        (listening,) = smsc.sockets
        black_hole(listening)
        ledger = Ledger()
        pool = ledger.pool = Pool(account(smsc, connect_timeout_ms=100, transceivers=3), ledger)
        await pool.start()
        await until(lambda: pool.snapshot().closed_by.get("timeout", 0) >= 3)
        assert sum(state.stage == "connecting" for state in pool.snapshot().binds) <= 1
        assert (ledger.rang, smsc.attempts) == ([Alarm.UNREACHABLE], [])
        reachable(listening)
        await until(lambda: len(smsc.bound) == 3)
        assert ledger.cleared == [Alarm.UNREACHABLE]
        await pool.close()
        await smsc.stop()

    run(main())


def test_names_are_looked_up_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """F17: a name server that takes its time does not hold up the loop: the answer waits for it."""

    async def main() -> None:
        loop_ran = threading.Event()

        def slow(*args: Any, **options: Any) -> Any:
            assert loop_ran.wait(10), "the loop stood still"
            raise socket.gaierror(socket.EAI_AGAIN, "later")

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        dialling = asyncio.ensure_future(dial("smsc.example", 2775, asyncio.Protocol))
        asyncio.get_running_loop().call_later(0.02, loop_ran.set)
        made = await dialling
        assert isinstance(made, tuple)
        assert made.reason == "dns"

    asyncio.run(main())


def test_a_carrier_of_version_33(run: Run) -> None:
    """F47: no sc_interface_version, no TLVs in receipts: it binds, submits, and gets its receipts."""

    async def main() -> None:
        behaviour = Behaviour(interface_version=0x33)
        async with Simulator(behaviour) as smsc:
            smsc.account("bank").change(receipts={"only_if_asked": False})
            pool, ledger = await simulated(smsc)
            ledger.send(20)
            await until(lambda: sum(len(incoming) for _, incoming in ledger.incoming) == 20)
            receipts = [each for _, incoming in ledger.incoming for each in incoming]
            assert {each.receipted_message_id for each in receipts} == {None}
            assert all(b"stat:DELIVRD" in (each.short_message or b"") for each in receipts)
            assert len(ledger.answers) == 20
            await pool.close()

    run(main())


def test_a_status_that_no_table_holds(run: Run) -> None:
    """F58: it reaches the owner as it came, and disturbs nothing."""

    async def main() -> None:
        async with Simulator(Behaviour(errors={"0xDEADBEEF": 1.0})) as smsc:
            pool, ledger = await simulated(smsc)
            ledger.send(20)
            await until(lambda: len(ledger.answers) == 20)
            assert set(ledger.answers.values()) == {(0xDEADBEEF, b"")}
            assert (pool.snapshot().closed_by, ledger.alarms) == ({}, [])
            await pool.close()

    run(main())


def test_an_id_that_is_given_twice(run: Run) -> None:
    """F60: both messages are answered with it, and both receipts arrive: the engine guesses nothing.

    What the engine shows: each receipt has the address it is about beside the id, to tell them apart by.
    """

    async def main() -> None:
        behaviour = Behaviour(message_id=MessageId(repeat_every=1))
        async with Simulator(behaviour) as smsc:
            smsc.account("bank").change(receipts={"only_if_asked": False})
            pool, ledger = await simulated(smsc)
            tokens = ledger.send(2)
            await until(lambda: sum(len(incoming) for _, incoming in ledger.incoming) == 2)
            assert [ledger.answers[token] for token in tokens] == [(0, b"0000000001")] * 2
            receipts = [each for _, incoming in ledger.incoming for each in incoming]
            assert [each.receipted_message_id for each in receipts] == [b"0000000001"] * 2
            assert [each.source_addr for each in receipts] == [b"79990000000"] * 2
            assert pool.snapshot().counters["duplicate"] == 0
            await pool.close()

    run(main())


def test_the_sequence_wraps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """F61: behind 0x7FFFFFFF comes 1, on the wire; every message is answered once, with its own id."""

    async def main() -> None:
        monkeypatch.setattr(bind, "Session", partial(Session, sequence_number=0x7FFFFFF0))
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=7)
        tokens = ledger.send(100)
        await until(lambda: len(ledger.answers) == 100)
        numbers = [got.number for got in smsc.links[0].got if got.command_id == SUBMIT]
        assert numbers == [*range(0x7FFFFFF1, 0x80000000), *range(1, 86)]
        assert all(ledger.answers[token] == (0, b"m" + token) for token in tokens)
        assert (smsc.copies, ledger.times_answered) == (0, 100)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_carrier_that_slows_down(run: Run) -> None:
    """F65: latency rises and nothing fails: no alarm, no recycled bind, but the age of the oldest submit
    tells the slow account from the fast one, while both still answer."""

    async def main() -> None:
        async with Simulator() as slow, Simulator() as fast:
            pools = []
            for smsc in (slow, fast):
                pool, ledger = await simulated(smsc, window=10, timers=Timers())
                ledger.send(50)
                await until(lambda ledger=ledger: len(ledger.answers) == 50)  # type: ignore[misc]
                pools.append((pool, ledger))
            slow.account("bank").change(latency_ms=400)
            oldest = [0, 0]
            for _, ledger in pools:
                ledger.send(20)
            while pools[0][0].in_flight:
                for number, (pool, _) in enumerate(pools):
                    (state,) = pool.snapshot().binds
                    oldest[number] = max(oldest[number], state.oldest_ms)
                await asyncio.sleep(0.01)
            assert oldest[0] >= 300
            assert oldest[1] < oldest[0]
            for pool, ledger in pools:
                assert len(ledger.answers) == 70
                assert (ledger.alarms, ledger.unanswered, pool.snapshot().closed_by) == ([], [], {})
                await pool.close()

    run(main())


def test_a_late_answer_after_a_recycle_is_for_nobody(run: Run) -> None:
    """F32: an answer on the next connection to what the last one asked: counted, given to nobody."""

    async def main() -> None:
        smsc = Smsc()
        held: list[Got] = []

        def hold(link: Link, submits: list[Got]) -> None:
            if link is smsc.links[0]:
                held.extend(submits)
            else:
                link.write(b"".join(pdu(SUBMIT_RESP, got.number + 500, 0, b"old\0") for got in held))
                link.answer(submits)

        smsc.on_submit = hold
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=5, timers=QUICK._replace(response_ms=200))
        old = ledger.send(5)
        await until(lambda: len(ledger.unanswered) == 5)
        await until(lambda: len(smsc.bound) == 1)
        new = ledger.send(5)
        await until(lambda: len(ledger.answers) == 5 and pool.snapshot().counters["unknown"] == 5)
        assert (ledger.unanswered, set(ledger.answers)) == (old, set(new))
        assert ledger.late == []
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_flood_of_enquiries_and_a_window_at_work(run: Run) -> None:
    """F36: a thousand enquire_link a second from the simulator, and every submit is still answered."""

    async def main() -> None:
        async with Simulator(Behaviour(enquire_per_s=1000)) as smsc:
            pool, ledger = await simulated(smsc, window=20)
            ledger.send(2000)
            await until(lambda: len(ledger.answers) == 2000)
            await until(lambda: pool.snapshot().counters["enquiries"] >= 200)
            assert (pool.snapshot().closed_by, ledger.alarms) == ({}, [])
            await pool.close()

    run(main())


def test_options_of_the_socket(run: Run) -> None:
    """F30: what the kernel is asked for: no delay, keepalive, and TCP_USER_TIMEOUT as the account says."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, _ = await pool_of(smsc, tcp_user_timeout_ms=12_345)
        (each,) = pool._binds
        assert each.connection is not None
        assert each.connection._transport is not None
        sock = each.connection._transport.get_extra_info("socket")
        asked = [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ]
        assert [sock.getsockopt(*option) for option in asked] == [1, 1, 12_345]
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_loop_that_stood_reads_before_it_judges(run: Run) -> None:
    """F08, F14: a process that stood still for longer than the response timer finds its answers in the
    socket: nothing is unanswered, the bind goes on."""
    smsc, is_up, is_over = Smsc(), threading.Event(), threading.Event()

    def answer(link: Link, submits: list[Got]) -> None:
        link.answer(submits[:1])
        time.sleep(0.05)  # by now the other side stands
        link.answer(submits[1:])

    async def serve() -> None:
        smsc.on_submit = answer
        await smsc.start()
        is_up.set()
        await asyncio.to_thread(is_over.wait)
        await smsc.stop()

    async def main() -> None:
        pool, ledger = await pool_of(smsc, window=10, timers=QUICK._replace(response_ms=300))
        ledger.on_answers = partial(stand, ledger.on_answers)  # type: ignore[method-assign]
        tokens = ledger.send(10)
        await until(lambda: len(ledger.answers) + len(ledger.unanswered) == 10)
        assert (set(ledger.answers), ledger.unanswered, ledger.late) == (set(tokens), [], [])
        assert (pool.snapshot().closed_by, ledger.alarms) == ({}, [])
        await pool.close()

    def stand(take: Callable[..., None], *answers: Any) -> None:
        take(*answers)
        time.sleep(0.6)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert is_up.wait(10)
        run(main())
    finally:
        is_over.set()
        thread.join()
