"""Receipts: whatever bind, order, number and notation; missing, unknown and contradicting ones; messages."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dispatcher.app import Dispatcher
from dispatcher.model import EventKind, Outcome, Reason
from dispatcher.simulator import Simulator
from dispatcher.simulator.behaviour import Behaviour
from dispatcher.simulator.settings import parse
from dispatcher.store.records import StoredRow
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

DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
HEX = {"notation": "hex", "receipt_notation": "decimal", "width": 8, "first": 0x38601FA}
HEX_BY_TEXT = {"base": "hex_ids", "receipts": {"tlv_id": "receipt"}}

WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # how receipts come, what the carrier's configuration says of it
    "before the response": ({"receipts": {"before_response": 1}, "latency_ms": 30}, {}),
    "on another bind": ({"receipts": {"bind": "other"}}, {"transceivers": 2}),
    "on a receiver": (
        {"receipts": {"bind": "other"}},
        {"transceivers": 0, "transmitters": 1, "receivers": 1},
    ),
    "three times": ({"receipts": {"duplicate": 1, "copies": 2}}, {}),
    "an intermediate one first": ({"receipts": {"intermediate": 1}}, {}),
    "an intermediate one behind": ({"receipts": {"intermediate": 1, "intermediate_after": True}}, {}),
    "hexadecimal answers, decimal receipts": ({"message_id": HEX}, {"profile": "hex_ids"}),
    "hexadecimal answers, decimal TLVs": (
        {"message_id": {**HEX, "tlv_notation": "receipt"}},
        {"profile": HEX_BY_TEXT},
    ),
    "without TLVs": ({"receipts": {"dialect": {"id_tlv": False, "state_tlv": False}}}, {}),
    "without text": ({"receipts": {"dialect": {"text": ""}}}, {}),
    "without the mark of a receipt": ({"receipts": {"dialect": {"esm_class": 0}}}, {}),
    "by text alone, unmarked": (
        {"receipts": {"dialect": {"esm_class": 0, "id_tlv": False, "state_tlv": False}}},
        {},
    ),
    "in message_payload": (
        {"receipts": {"dialect": {"message_payload": True, "id_tlv": False, "state_tlv": False}}},
        {},
    ),
    "beside unknown ones": ({"receipts": {"unknown": 1}}, {}),
    "of SMPP 3.3": ({"interface_version": 0x33}, {}),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_receipt_finds_its_message(tmp_path: Path, way: str) -> None:
    """F73-F75, F77, F78, F83: each message ends once, as delivered; every deliver_sm is answered with OK."""
    behaviour, carrier = WAYS[way]

    async def scenario() -> None:
        async with Simulator(parse(behaviour, Behaviour)) as smsc:
            config = config_for(tmp_path, smsc, carrier=carrier)
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(60)))
                assert set((await outcomes(dispatcher, 60)).values()) == {DELIVERED}
                totals = smsc.ledger.of("bank")
                await until(lambda: sum(totals.acknowledged.values()) == sum(totals.receipts.values()) >= 60)
                assert set(totals.acknowledged) == {0}
                assert set(copies(smsc).values()) == {1}
                await outcomes(dispatcher, 60)

    run(scenario())


def test_failure_is_told_truthfully(tmp_path: Path) -> None:
    """UNDELIV, EXPIRED and REJECTD are outcomes as they are; a long message is as its worst segment."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            await until(lambda: "bank" in smsc.accounts)
            expected = {
                "UNDELIV": Outcome.UNDELIVERED,
                "EXPIRED": Outcome.EXPIRED,
                "REJECTD": Outcome.REJECTED,
            }
            for number, state in enumerate(expected):
                smsc.account("bank").change(receipts={"states": {state: 1}})
                accepted(await dispatcher.send([request(number)]))
                ended = await outcomes(dispatcher, number + 1)
                assert ended[number + 1] == (expected[state], Reason.RECEIPT)
            smsc.account("bank").change(receipts={"states": {"DELIVRD": 1, "UNDELIV": 1}})
            accepted(await dispatcher.send([request(n, text=f"{'x' * 400} t{n}") for n in range(3, 43)]))
            ended = await outcomes(dispatcher, 43)
            for number in range(3, 43):
                states = {copy.receipts for copy in smsc.ledger.copies(f"t{number}")}
                worst = Outcome.UNDELIVERED if (5,) in states else Outcome.DELIVERED
                assert ended[number + 1] == (worst, Reason.RECEIPT)
            assert {outcome[0] for outcome in list(ended.values())[3:]} == {
                Outcome.UNDELIVERED,
                Outcome.DELIVERED,
            }

    run(scenario())


@pytest.mark.parametrize("restart", [False, True])
def test_a_missing_receipt_ends_as_unknown_and_may_be_corrected(tmp_path: Path, restart: bool) -> None:
    """F76: by the receipt timer; what comes later corrects it, as an event of its own, once."""

    async def scenario() -> None:
        clock = Clock()
        receipts = {"delay_ms": 3_600_000}
        async with Simulator(parse({"receipts": receipts}, Behaviour)) as smsc:
            config = config_for(tmp_path, smsc, carrier={"receipt_timer_ms": 60_000})
            dispatcher = Dispatcher(config, now_ms=clock)
            await dispatcher.open()
            accepted(await dispatcher.send(requests(20)))
            await until(lambda: dispatcher.pipeline.book.outstanding == 20)
            if restart:
                await dispatcher.committed()
                await dispatcher.close()
                dispatcher = Dispatcher(config, now_ms=clock)
                await dispatcher.open()
                lane = dispatcher.pipeline.lanes[1]
                await until(lambda: lane.is_bound)
            clock.ahead_ms += 5 * 3_600_000
            ended = await outcomes(dispatcher, 20)
            assert set(ended.values()) == {(Outcome.UNKNOWN, Reason.NO_RECEIPT)}
            smsc.account("bank").act("flush-receipts")
            await until(lambda: dispatcher.pipeline.book.corrected == 20)
            events = await events_of(dispatcher)
            corrected = [each for each in events if each.kind == EventKind.CORRECTED]
            assert {each.code >> 16 for each in corrected} == {Outcome.DELIVERED}
            assert len({each.n for each in corrected}) == len(corrected) == 20
            await outcomes(dispatcher, 20)
            await dispatcher.close()

    run(scenario())


def test_two_final_states(tmp_path: Path) -> None:
    """F78: DELIVRD and then another, or the reverse: one outcome, corrections logged, delivered wins."""

    async def scenario() -> None:
        behaviour = parse({"receipts": {"contradict": 1, "states": {"UNDELIV": 1}}}, Behaviour)
        async with Simulator(behaviour) as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            accepted(await dispatcher.send(requests(20)))
            ended = await outcomes(dispatcher, 20)
            totals = smsc.ledger.of("bank")
            await until(lambda: sum(totals.acknowledged.values()) == 40)
            events = await events_of(dispatcher)
            for n, outcome in ended.items():
                states = smsc.ledger.copies(f"t{n - 1}")[0].receipts
                last = [Outcome(e.code >> 16) for e in events if e.n == n and e.kind == EventKind.CORRECTED]
                final = last[-1] if last else outcome[0]
                assert (final == Outcome.DELIVERED) == (2 in states)
                assert kinds(events, n).count(EventKind.FINISHED) == 1

    run(scenario())


def test_receipts_about_nothing(tmp_path: Path) -> None:
    """F80: answered with OK, kept, counted, and given up after a day."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc), now_ms=clock) as dispatcher:
            await until(lambda: "bank" in smsc.accounts and smsc.account("bank").binds)
            for number in range(5):
                smsc.account("bank").act("send-receipt", message_id=f"99{number}")
            totals = smsc.ledger.of("bank")
            await until(lambda: totals.acknowledged == {0: 5})
            assert dispatcher.pipeline.book.parked == 5
            clock.ahead_ms += 25 * 3_600_000
            await until(lambda: dispatcher.pipeline.book.orphaned == 5)
            events = await events_of(dispatcher)
            assert [each.kind for each in events] == [EventKind.PARKED] * 5 + [EventKind.ORPHANED] * 5

    run(scenario())


async def received(dispatcher: Dispatcher) -> list[StoredRow]:
    """The rows of what subscribers sent."""
    await dispatcher.committed()
    reader = dispatcher.journal.reader()
    try:
        stream = dispatcher.journal.stream("received")
        return [row for row in reader.rows(0, 1 << 30) if row.stream == stream]
    finally:
        reader.close()


@pytest.mark.parametrize("text", ["hello", "id:1234567890 stat:DELIVRD err:000", "привет"])
def test_a_message_of_a_subscriber_is_kept_before_it_is_answered(tmp_path: Path, text: str) -> None:
    """F83: whole, also where it looks like a receipt of nothing that we sent; once, answered with OK."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            await until(lambda: "bank" in smsc.accounts and smsc.account("bank").binds)
            data_coding = 0 if text.isascii() else 8
            smsc.account("bank").act("send-mo", text=text, data_coding=data_coding)
            totals = smsc.ledger.of("bank")
            await until(lambda: totals.acknowledged == {0: 1})
            (row,) = await received(dispatcher)
            assert text.encode("ascii" if text.isascii() else "utf-16-be") in row.body
            assert row.count == 1

    run(scenario())


def test_receipts_are_answered_after_their_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 1: while the journal does not commit, no receipt is answered; then all are."""

    async def scenario() -> None:
        async with Simulator(parse({"receipts": {"delay_ms": 200}}, Behaviour)) as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(10)))
                totals = smsc.ledger.of("bank")
                await until(lambda: totals.responses == {0: 10})
                await dispatcher.committed()
                held: list[Any] = []
                writer = dispatcher.journal._writer
                monkeypatch.setattr(writer, "put", held.append)
                await until(lambda: sum(totals.receipts.values()) == 10)
                await asyncio.sleep(0.1)
                assert not totals.acknowledged
                monkeypatch.undo()
                for item in held:
                    writer.put(item)
                await until(lambda: totals.acknowledged == {0: 10})

    run(scenario())
