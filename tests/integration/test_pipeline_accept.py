"""Acceptance: durable before it is told, refused at the door, a key is one message over a restart."""

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest

from dispatcher.app import Dispatcher
from dispatcher.errors import StoreError
from dispatcher.model import Accepted, Outcome, Reason, Refused, TrafficClass
from dispatcher.simulator import Behaviour, Receipts, Simulator
from tests.integration.house import (
    accepted,
    config_for,
    copies,
    outcomes,
    request,
    requests,
    run,
    until,
)

DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)


def codes(verdicts: list[Accepted | Refused]) -> list[str]:
    """The code of each refusal, "" for what was accepted."""
    return [verdict.code if isinstance(verdict, Refused) else "" for verdict in verdicts]


def test_neighbours_of_a_bad_message_go_on(tmp_path: Path) -> None:
    """Law 8: in one batch, good ones reach the carrier once and are delivered; bad ones have their codes."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            batch = [request(1), request(2, to="?"), request(3), request(4, text=""), request(5, sender="")]
            verdicts = await dispatcher.send(batch)
            assert codes(verdicts) == ["", "number_malformed", "", "text_length", "sender_not_possible"]
            assert set((await outcomes(dispatcher, 2)).values()) == {DELIVERED}
            assert copies(smsc) == {"t1": 1, "t3": 1}

    run(scenario())


def test_the_same_key_is_the_same_message(tmp_path: Path) -> None:
    """Same body: the same message_id, marked as repeated; another body: a conflict; one copy on the wire."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            asked = request(1, client_ref="order-1")
            first, again, other = await dispatcher.send([asked, asked, request(2, client_ref="order-1")])
            assert isinstance(first, Accepted)
            assert isinstance(again, Accepted)
            assert (first.is_repeated, again.is_repeated) == (False, True)
            assert again.message == first.message
            assert codes([other]) == ["idempotency_conflict"]
            both = await asyncio.gather(*(dispatcher.send([request(3, client_ref="x")]) for _ in range(5)))
            assert len({each.message_id for verdicts in both for each in accepted(verdicts)}) == 1
            await outcomes(dispatcher, 2)
            assert copies(smsc) == {"t1": 1, "t3": 1}

    run(scenario())


def test_a_key_holds_over_a_restart(tmp_path: Path) -> None:
    """The table of keys is made anew from the journal: same body the same id, another body a conflict."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                asked = [request(number, client_ref=f"r{number}") for number in range(50)]
                before = accepted(await dispatcher.send(asked))
                await outcomes(dispatcher, 50)
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                after = accepted(await dispatcher.send(asked))
                assert [each.message_id for each in after] == [each.message_id for each in before]
                assert all(each.is_repeated for each in after)
                assert codes(await dispatcher.send([request(99, client_ref="r7")])) == [
                    "idempotency_conflict"
                ]
                (new,) = accepted(await dispatcher.send([request(51, client_ref="r51")]))
                assert new.message.n == 51
                await outcomes(dispatcher, 51)
            assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_a_key_ends_with_its_window(tmp_path: Path) -> None:
    """After idempotency_hours the same key is a new message, also when a restart lies between."""
    hours = 0

    async def scenario() -> None:
        nonlocal hours

        def now_ms() -> int:
            return 1_795_000_000_000 + hours * 3_600_000

        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, retention={"idempotency_hours": 2})
            ids = set()
            for passed in (0, 1, 4, 8):
                hours = passed
                async with Dispatcher(config, now_ms=now_ms) as dispatcher:
                    (verdict,) = accepted(await dispatcher.send([request(1, client_ref="a")]))
                    assert verdict.is_repeated is (passed == 1)
                    ids.add(verdict.message_id)
            assert len(ids) == 3

    run(scenario())


def test_a_full_backlog_refuses_its_class(tmp_path: Path) -> None:
    """backlog_max of a class: refused with how long to wait; other classes go on, nothing is discarded."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(
                tmp_path, smsc, classes={"marketing": {"backlog_max": 10}}, carrier={"tps": 0.5}
            )
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(30, TrafficClass.MARKETING)))
                refused, code = await dispatcher.send(
                    [request(30, TrafficClass.MARKETING), request(31, TrafficClass.AUTHORIZATION)]
                )
                assert isinstance(refused, Refused)
                assert refused.code == "overloaded"
                assert refused.retry_after_ms > 0
                accepted([code])

    run(scenario())


def test_a_full_house_refuses_all(tmp_path: Path) -> None:
    """limits.backlog_max counts all classes, what waits for its time included."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, limits={"backlog_max": 20})
            async with Dispatcher(config) as dispatcher:
                later = dispatcher.pipeline.now_ms() + 3_600_000
                batch = [request(number, send_after_ms=later) for number in range(20)]
                accepted(await dispatcher.send(batch))
                assert codes(await dispatcher.send([request(20, TrafficClass.AUTHORIZATION)])) == [
                    "overloaded"
                ]

    run(scenario())


def test_a_disk_that_runs_low_refuses_by_class(tmp_path: Path) -> None:
    """Watermarks: marketing first, then all but codes, then all; with room again all are taken."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            space = dispatcher.journal.space
            for classes in (4, 3, 1, 0, 4):
                space.classes = classes
                verdicts = await dispatcher.send(
                    [request(number, TrafficClass(number)) for number in range(4)]
                )
                assert codes(verdicts) == [""] * classes + ["overloaded"] * (4 - classes)

    run(scenario())


def keep_looking_away(dispatcher: Dispatcher) -> None:
    """The writer does not find out, at its look each second, that the disk has room."""
    dispatcher.journal.space.look = lambda: None  # type: ignore[method-assign]


def test_a_full_disk_is_no_end(tmp_path: Path) -> None:
    """Messages that the journal has to turn away are refused, their keys free, and their queue goes on."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            space = dispatcher.journal.space
            keep_looking_away(dispatcher)
            space.is_full = True  # between the look at the door and the commit
            batch = [request(number, client_ref=f"{number}") for number in range(9)]
            verdicts = await dispatcher.send(batch)
            assert set(codes(verdicts)) == {"overloaded"}
            space.is_full = False
            again = accepted(await dispatcher.send(batch))
            assert not any(each.is_repeated for each in again)
            await outcomes(dispatcher, 9)
            assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_a_full_disk_leaves_no_hole_in_a_tail(tmp_path: Path) -> None:
    """What was refused on its way to a tail is not waited for: the tail ends, and is counted so."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, limits={"lane_max": 100})
            async with Dispatcher(config) as dispatcher:
                keep_looking_away(dispatcher)
                dispatcher.journal.space.is_full = True
                assert set(codes(await dispatcher.send(requests(200)))) == {"overloaded"}
                dispatcher.journal.space.is_full = False
                (lane,) = dispatcher.pipeline.lanes.values()
                queue = lane.queues[TrafficClass.TRANSACTIONAL]
                await until(lambda: not queue.is_behind and not queue.is_loading, "the tail ends")
                assert queue.messages == 0
                accepted(await dispatcher.send(requests(250)))
                await outcomes(dispatcher, 250)
                assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_who_comes_while_it_closes_is_told_to_come_again(tmp_path: Path) -> None:
    """Closing: refused at the door with how long to wait."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            closing = asyncio.ensure_future(dispatcher.close())
            await asyncio.sleep(0)
            (verdict,) = await dispatcher.send([request(1)])
            await closing
            assert isinstance(verdict, Refused)
            assert (verdict.code, verdict.retry_after_ms > 0) == ("overloaded", True)

    run(scenario())


def break_journal(dispatcher: Dispatcher) -> None:
    """The next commit fails, as with an I/O error."""

    def insert(rows: Any) -> None:
        raise apsw.IOError("disk I/O error")

    dispatcher.journal._writer._insert = insert  # type: ignore[method-assign]


def test_a_failed_store_is_reported_and_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    """fsync or I/O error: send raises, waiters are told, the failure is reported, the door is shut; F82: what
    the carrier reports gets a negative response, so that it comes again."""

    async def scenario() -> None:
        receipts = Receipts(delay_ms=300, resend_after_ms=60_000)
        async with Simulator(Behaviour(receipts=receipts)) as smsc:
            dispatcher = Dispatcher(config_for(tmp_path, smsc))
            await dispatcher.open()
            accepted(await dispatcher.send(requests(5)))
            await until(lambda: sum(smsc.ledger.of("bank").responses.values()) == 5)
            await dispatcher.committed()
            break_journal(dispatcher)
            with pytest.raises(StoreError):
                await dispatcher.send([request(9)])
            assert "disk I/O error" in str(await asyncio.wait_for(dispatcher.wait_failed(), 5))
            with pytest.raises(StoreError):
                await asyncio.wait_for(dispatcher.committed(), 5)
            assert codes(await dispatcher.send([request(10)])) == ["overloaded"]
            await until(lambda: sum(smsc.ledger.of("bank").acknowledged.values()) == 5, "receipts answered")
            assert smsc.ledger.of("bank").acknowledged == {0x64: 5}
            await dispatcher.close()

    run(scenario())


def test_a_large_batch_is_taken_in_slices(tmp_path: Path) -> None:
    """Verdicts are in the order of the requests, whoever is refused; what is beyond batch_max is."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, limits={"batch_max": 2_500}, carrier={"tps": 1})
            async with Dispatcher(config) as dispatcher:
                wanted = requests(2_600)
                wanted[1_700] = request(1_700, to="nobody")
                verdicts = await dispatcher.send(wanted)
                assert (
                    codes(verdicts)
                    == [""] * 1_700 + ["number_malformed"] + [""] * 799 + ["batch_too_large"] * 100
                )
                texts = [each.message.text for each in verdicts if isinstance(each, Accepted)]
                assert texts == [each.text for each in wanted[:1_700] + wanted[1_701:2_500]]

    run(scenario())
