"""F31, F32, F46, F48 to F59, F65: what a carrier may send, or not send, to a bind that is up."""

import asyncio
import random
import struct

import pytest

from dispatcher._ext.pdu import Pdu, encode
from dispatcher.errors import LocalProtocolError
from dispatcher.smpp.pool import Alarm
from dispatcher.smpp.session import Timers

from .conftest import Run
from .scripted import (
    DELIVER_RESP,
    FAST,
    GENERIC_NACK,
    QUICK,
    SUBMIT_RESP,
    Got,
    Link,
    Smsc,
    deliver,
    frame,
    pdu,
    pool_of,
    until,
)

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_in_any_order(run: Run, processors: int, seed: int) -> None:
    """F48: each window permuted: every message has its own id, none is sent twice."""

    async def main() -> None:
        smsc, dice = Smsc(), random.Random(seed)
        held: list[Got] = []

        def shuffle(link: Link, submits: list[Got]) -> None:
            held.extend(submits)
            dice.shuffle(held)
            keep = dice.randrange(len(held)) // 2
            link.answer(held[keep:])
            del held[keep:]
            if held:
                asyncio.get_running_loop().call_later(0.005, flush, link)

        def flush(link: Link) -> None:
            link.answer(held)
            held.clear()

        smsc.on_submit = shuffle
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=30)
        tokens = ledger.send(2000)
        await until(lambda: len(ledger.answers) == 2000)
        assert all(ledger.answers[token] == (0, b"m" + token) for token in tokens)
        assert (smsc.copies, ledger.times_answered) == (0, 2000)
        await pool.close()
        await smsc.stop()

    run(main())


def test_duplicates_strangers_and_wrong_types(run: Run, processors: int) -> None:
    """F49, F50, F51: counted, and nothing else: the bind is kept, each message answered once."""

    async def main() -> None:
        smsc = Smsc()

        def lie(link: Link, submits: list[Got]) -> None:
            for got in submits:
                link.write(pdu(DELIVER_RESP, got.number, 0, b"\0"))
                link.answer([got])
                link.write(pdu(SUBMIT_RESP, got.number, 8, b""))
                link.write(pdu(SUBMIT_RESP, got.number + 1_000_000, 0, b"x\0"))

        smsc.on_submit = lie
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        tokens = ledger.send(100)
        await until(lambda: pool.snapshot().counters["unknown"] == 100)
        assert ledger.times_answered == 100
        assert all(ledger.answers[token] == (0, b"m" + token) for token in tokens)
        counters = pool.snapshot().counters
        assert (counters["duplicate"], counters["mismatched"]) == (100, 100)
        assert len(smsc.links) == 1
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_nack_with_our_number(run: Run, processors: int) -> None:
    """F52: that submit fails with its status, the others go on, the bind is kept."""

    async def main() -> None:
        smsc = Smsc()

        def nack_one(link: Link, submits: list[Got]) -> None:
            link.write(pdu(GENERIC_NACK, submits[0].number, 0x08))
            link.answer(submits[1:])

        smsc.on_submit = nack_one
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        tokens = ledger.send(10)
        await until(lambda: len(ledger.answers) == 10)
        assert ledger.answers[tokens[0]] == (8, None)
        assert all(ledger.answers[token][0] == 0 for token in tokens[1:])
        assert len(smsc.links) == 1
        await pool.close()
        await smsc.stop()

    run(main())


@pytest.mark.parametrize(("status", "number"), [(2, 0), (0, 0), (3, 99), (0, -1), (2, -1), (3, -1)])
def test_a_nack_of_a_peer_that_lost_track(run: Run, status: int, number: int) -> None:
    """F52, F53: about nothing of ours, or about the framing: no submit is guessed, the bind is recycled."""

    async def main() -> None:
        smsc = Smsc()

        def lose_track(link: Link, submits: list[Got]) -> None:
            if link is smsc.links[0]:
                link.write(pdu(GENERIC_NACK, submits[0].number if number < 0 else number, status))
            else:
                link.answer(submits)

        smsc.on_submit = lose_track
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=5)
        tokens = ledger.send(5)
        await until(lambda: len(smsc.links) == 2 and len(smsc.bound) == 1)
        failed = tokens[:1] if number < 0 and status else []
        assert ledger.unanswered == tokens[len(failed) :]
        assert ledger.answers == dict.fromkeys(failed, (status, None))
        assert pool.snapshot().closed_by == {"nacked": 1}
        assert ledger.rang == [Alarm.MALFORMED]
        await pool.close()
        await smsc.stop()

    run(main())


@pytest.mark.parametrize("length", [0, 1, 15, 70_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_illegal_lengths(run: Run, length: int) -> None:
    """F55: generic_nack with ESME_RINVCMDLEN, close, bind again; what was in flight is unknown."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: (
            link.write(struct.pack(">4I", length, SUBMIT_RESP, 0, submits[0].number))
            if link is smsc.links[0]
            else link.answer(submits)
        )
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        tokens = ledger.send(3)
        await until(lambda: len(smsc.bound) == 1 and smsc.links[0].lost)
        assert smsc.links[0].got[-1][:3] == (GENERIC_NACK, 2, 0)
        assert ledger.unanswered == tokens
        await pool.close()
        await smsc.stop()

    run(main())


@pytest.mark.parametrize("error", [1, 3, -1, -3])
def test_lengths_that_lie_inside_the_range(run: Run, error: int) -> None:
    """F55: a length that is off by a few octets ends the bind, soon, and gives no message a wrong id."""

    async def main() -> None:
        smsc = Smsc()

        def lie(link: Link, submits: list[Got]) -> None:
            if link is smsc.links[0]:
                for got in submits:
                    body = b"m" + got.token + b"\0"
                    link.write(struct.pack(">4I", 16 + len(body) + error, SUBMIT_RESP, 0, got.number) + body)
            else:
                link.answer(submits)

        smsc.on_submit = lie
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        tokens = ledger.send(10)
        await until(lambda: smsc.links[0].lost)
        await until(lambda: len(ledger.answers) + len(ledger.unanswered) == 10)
        for token, (status, message_id) in ledger.answers.items():
            assert status == 0
            assert message_id is None or (b"m" + token).startswith(message_id)
        assert set(ledger.answers) | set(ledger.unanswered) == set(tokens)
        await until(lambda: len(smsc.bound) == 1)
        await pool.close()
        await smsc.stop()

    run(main())


def test_requests_that_have_no_business_here(run: Run) -> None:
    """F46, F57, F58: refused politely, one by one; broken ones too; the bind and its traffic go on."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=0, transmitters=1, receivers=0)
        (link,) = smsc.bound
        data = encode(Pdu(0x103, 3, source_addr=b"1", destination_addr=b"2"))
        bind = encode(Pdu(9, 4, system_id=b"x"))
        link.write(deliver(1) + pdu(0x0B, 2, 0, b"s\0p\0") + data + bind + pdu(0xFFFF, 5))
        ledger.send(5)
        await until(lambda: len(ledger.answers) == 5 and link.count(GENERIC_NACK) == 2)
        refusals = sorted(
            (got[:3] for got in link.got if got.command_id & 0x80000000), key=lambda got: got[2]
        )
        assert refusals == [
            (DELIVER_RESP, 4, 1),
            (GENERIC_NACK, 4, 2),
            (0x80000103, 4, 3),
            (0x80000009, 3, 4),
            (GENERIC_NACK, 3, 5),
        ]
        assert len(smsc.links) == 1
        await pool.close()
        await smsc.stop()

    run(main())


def test_data_sm_on_a_transceiver(run: Run) -> None:
    """F58: allowed there, served by nobody: refused as an unknown command, not left without an answer."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, _ = await pool_of(smsc)
        (link,) = smsc.bound
        link.write(encode(Pdu(0x103, 3, source_addr=b"1", destination_addr=b"2")) + encode(Pdu(0x102, 4)))
        await until(lambda: link.count(0x80000103) == 1)
        assert link.got[-1][:3] == (0x80000103, 3, 3)
        await pool.close()
        await smsc.stop()

    run(main())


def test_broken_deliver_sm_one_after_the_other(run: Run) -> None:
    """F57: each is refused; a few with nothing sound between them, and the framing counts as lost."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        (link,) = smsc.bound
        broken = b"\0\0\0" + b"1" * 30
        for number in range(1, 5):
            link.write(pdu(5, number, 0, broken))
        link.write(deliver(9))
        await until(lambda: link.count(DELIVER_RESP) == 5)
        assert [got.status != 0 for got in link.got[-5:]] == [True] * 4 + [False]
        assert not link.lost
        for number in range(1, 6):
            link.write(pdu(5, number, 0, broken))
        await until(lambda: link.lost and len(smsc.bound) == 1)
        assert pool.snapshot().closed_by == {"framing_lost": 1}
        assert ledger.rang == [Alarm.MALFORMED]
        await pool.close()
        await smsc.stop()

    run(main())


@pytest.mark.parametrize("body", [b"", b"\0", b"x" * 65 + b"\0", b"no end"])
@pytest.mark.parametrize("status", [0, 0x45])
def test_odd_answers_are_answers(run: Run, body: bytes, status: int) -> None:
    """F59: a missing, empty, over-long or endless id: the message has its answer, the bind is kept."""

    async def main() -> None:
        smsc = Smsc()

        def answer_oddly(link: Link, submits: list[Got]) -> None:
            for got in submits:
                link.write(pdu(SUBMIT_RESP, got.number, status, body))

        smsc.on_submit = answer_oddly
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        tokens = ledger.send(20)
        await until(lambda: len(ledger.answers) == 20)
        expected = {b"": None, b"no end": None}.get(body, body[:-1])
        assert all(ledger.answers[token] == (status, expected) for token in tokens)
        assert len(smsc.links) == 1
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_stuck_window(run: Run) -> None:
    """F31: no more than W on the wire per bind; recycled once a timeout; after the third the circuit opens;
    a probe of one, when it is answered, closes it."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: None
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=5, timers=QUICK._replace(response_ms=60))
        ledger.send(1000)
        await until(lambda: Alarm.CIRCUIT in ledger.rang)
        assert [link.count(4) for link in smsc.links[:3]] == [5, 5, 5]
        assert len(ledger.unanswered) == 15
        assert pool.snapshot().closed_by == {"stuck": 3}
        assert ledger.rang == [Alarm.STUCK, Alarm.CIRCUIT]
        await until(lambda: len(smsc.bound) == 1)
        await until(lambda: len(smsc.submits) > 15)
        assert len(smsc.submits) == 16
        await until(lambda: pool.snapshot().closed_by == {"stuck": 4})
        assert len(smsc.submits) == 16
        smsc.on_submit = lambda link, submits: link.answer(submits)
        await until(lambda: not ledger.waiting and pool.in_flight == 0)
        assert set(ledger.cleared) == {Alarm.CIRCUIT, Alarm.STUCK}
        assert len(ledger.answers) == 1000 - len(ledger.unanswered)
        assert smsc.copies == 0
        await pool.close()
        await smsc.stop()

    run(main())


def test_one_stuck_bind_does_not_open_the_circuit(run: Run) -> None:
    """F31: while others answer, the stuck one is recycled again and again, and that is all."""

    async def main() -> None:
        smsc = Smsc()
        bad: list[Link] = []

        def stick(link: Link, submits: list[Got]) -> None:
            if not bad or bad[-1].lost:
                bad.append(link)
            if link is not bad[-1]:
                link.answer(submits)

        smsc.on_submit = stick
        await smsc.start()
        timers = QUICK._replace(response_ms=60)
        pool, ledger = await pool_of(smsc, transceivers=3, window=2, timers=timers)
        while len(bad) < 6:
            ledger.send(1)
            await asyncio.sleep(0.002)
        assert Alarm.CIRCUIT not in ledger.rang
        assert pool.snapshot().closed_by["stuck"] >= 5
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_late_answer(run: Run, processors: int) -> None:
    """F32: after its time, an answer is reported as late, with its id; the bind is kept if others came."""

    async def main() -> None:
        smsc = Smsc()
        held: list[Got] = []

        def hold_first(link: Link, submits: list[Got]) -> None:
            if not held:
                held.append(submits.pop(0))
            link.answer(submits)

        smsc.on_submit = hold_first
        await smsc.start()
        pool, ledger = await pool_of(smsc, timers=QUICK._replace(response_ms=100))
        (first,) = ledger.send(1)
        while not ledger.unanswered:
            ledger.send(1)
            await asyncio.sleep(0.005)
        assert ledger.unanswered == [first]
        smsc.bound[0].answer(held)
        await until(lambda: ledger.late == [(first, 0, b"m" + first)])
        assert len(smsc.links) == 1
        assert first not in ledger.answers
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_slow_carrier_is_seen(run: Run) -> None:
    """F65: the age of the oldest unanswered submit, and the room that is left, are there to route by."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: None
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=3, timers=Timers())
        ledger.send(10)
        await until(lambda: pool.snapshot().binds[0].oldest_ms >= 50)
        (state,) = pool.snapshot().binds
        assert (state.in_flight, state.room, state.window) == (3, 0, 3)
        await pool.close(100)
        await smsc.stop()

    run(main())


def test_a_throttled_answer_is_an_answer(run: Run) -> None:
    """F63: the pool does not judge: every 0x58 reaches the lane with its handle, in order, and no alarm."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: link.answer(submits, 0x58)
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        tokens = ledger.send(200)
        await until(lambda: len(ledger.answers) == 200)
        assert list(ledger.answers) == tokens
        assert set(ledger.answers.values()) == {(0x58, None)}
        assert ledger.alarms == []
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_frame_that_is_none(run: Run) -> None:
    """Our own bug: what stands before it goes, then it is refused with its index, and the bind is kept."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=2)
        frames = [frame(b"t:good"), b"junk", frame(b"t:other")]
        assert pool.submit(["t:good", "junk", "t:other"], frames) == 1
        with pytest.raises(LocalProtocolError, match=r"frames\[1\]"):
            pool.submit(["t:good", "junk", "t:other"], frames, 1)
        await until(lambda: len(ledger.answers) == 1)
        assert smsc.submits == [b"t:good"]
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_burst_is_one_write(run: Run) -> None:
    """However often the owner submits in one turn of the loop, the kernel sees one write."""

    async def main() -> None:
        smsc = Smsc()
        reads: list[int] = []

        def count(link: Link, submits: list[Got]) -> None:
            reads.append(len(submits))
            link.answer(submits)

        smsc.on_submit = count
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=100, backoff=FAST)
        for number in range(50):
            token = b"t:burst%d" % number
            assert pool.submit([token], [frame(token)]) == 1
        await until(lambda: len(ledger.answers) == 50)
        assert reads == [50]
        await pool.close()
        await smsc.stop()

    run(main())
