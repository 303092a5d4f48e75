"""F29 to F37: connections that break, stall, trickle, flood, or end."""

import asyncio
import socket
import struct
from typing import Any

import pytest

from dispatcher.smpp.pool import Alarm
from dispatcher.smpp.session import Timers

from .conftest import Run
from .scripted import (
    DELIVER_RESP,
    ENQUIRE,
    ENQUIRE_RESP,
    GENERIC_NACK,
    QUICK,
    SUBMIT_RESP,
    UNBIND,
    Got,
    Link,
    Smsc,
    deliver,
    pdu,
    pool_of,
    until,
)

pytestmark = pytest.mark.timeout(60)


def test_messages_go_and_answers_come(run: Run, processors: int) -> None:
    """Two thousand messages over four binds: each is received once and answered with its own id."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=4, window=10)
        tokens = ledger.send(2000)
        await until(lambda: len(ledger.answers) == 2000)
        assert sorted(smsc.submits) == sorted(tokens)
        assert all(ledger.answers[token] == (0, b"m" + token) for token in tokens)
        assert ledger.times_answered == 2000
        share = [link.count(4) for link in smsc.bound]
        assert min(share) > 100
        await pool.close()
        assert smsc.unbinds == 4
        assert (ledger.unanswered, ledger.unsent, ledger.alarms) == ([], [], [])
        await smsc.stop()

    run(main())


@pytest.mark.parametrize("cut", range(1, 21))
def test_a_reset_in_mid_pdu(run: Run, cut: int) -> None:
    """F29: the partial PDU counts for nothing, what was in flight is unknown, the other bind goes on."""

    async def main() -> None:
        smsc = Smsc()
        broken: list[Link] = []

        def break_first(link: Link, submits: list[Got]) -> None:
            if link is not smsc.links[0]:
                link.answer(submits)
            elif not broken:
                broken.append(link)
                link.write(pdu(SUBMIT_RESP, submits[0].number, 0, b"half\0")[:cut])
                sock = link.transport.get_extra_info("socket")
                asyncio.get_running_loop().call_later(0.02, reset, link, sock)

        def reset(link: Link, sock: Any) -> None:
            raw = socket.socket(fileno=socket.dup(sock.fileno()))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.transport.abort()
            raw.close()

        smsc.on_submit = break_first
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=2, window=5)
        tokens = ledger.send(100)
        await until(lambda: len(ledger.answers) + len(ledger.unanswered) + len(ledger.unsent) == 100)
        assert 1 <= len(ledger.unanswered) <= 5
        assert set(ledger.unanswered) <= set(smsc.submits)
        assert set(ledger.answers) | set(ledger.unanswered) | set(ledger.unsent) == set(tokens)
        assert not set(ledger.unsent) & set(smsc.submits)
        assert smsc.copies == 0
        await until(lambda: len(smsc.bound) == 2)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_silent_peer_is_found_by_enquire_link(run: Run) -> None:
    """F30, F35: an idle bind whose peer answers nothing any more is closed and bound again."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_enquire = lambda link, got: (
            None if link is smsc.links[0] else link.write(pdu(ENQUIRE_RESP, got.number))
        )
        await smsc.start()
        pool, ledger = await pool_of(smsc, timers=QUICK._replace(enquire_link_ms=50))
        await until(lambda: len(smsc.bound) == 1 and len(smsc.links) == 2)
        assert pool.snapshot().closed_by == {"dead": 1}
        assert smsc.links[0].count(ENQUIRE) == 1
        await until(lambda: smsc.links[1].count(ENQUIRE) >= 3)
        assert ledger.alarms == []
        await pool.close()
        await smsc.stop()

    run(main())


def test_no_enquire_link_while_there_is_traffic(run: Run) -> None:
    """An enquire_link is for silence: a busy bind sends none."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, timers=QUICK._replace(enquire_link_ms=250))
        for _ in range(30):
            ledger.send(1)
            await asyncio.sleep(0.02)
        assert smsc.links[0].count(ENQUIRE) == 0
        await until(lambda: smsc.links[0].count(ENQUIRE) == 1)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_response_that_trickles_in(run: Run) -> None:
    """F33, F54: an octet now and then keeps no bind alive; the other one is not disturbed."""

    async def main() -> None:
        smsc = Smsc()

        def trickle(link: Link, submits: list[Got]) -> None:
            if link is smsc.links[0]:
                asyncio.get_running_loop().create_task(drip(link, submits[0]))
            else:
                link.answer(submits)

        async def drip(link: Link, got: Got) -> None:
            for octet in pdu(SUBMIT_RESP, got.number, 0, b"x" * 60 + b"\0"):
                link.write(bytes([octet]))
                await asyncio.sleep(0.03)

        smsc.on_submit = trickle
        await smsc.start()
        timers = QUICK._replace(response_ms=5000)
        pool, ledger = await pool_of(smsc, transceivers=2, window=1, timers=timers)
        ledger.send(40)
        await until(lambda: len(ledger.answers) == 39 and len(ledger.unanswered) == 1)
        assert pool.snapshot().closed_by == {"partial_pdu": 1}
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_peer_that_stops_reading(run: Run) -> None:
    """F34: at most the window is held, and what never left is unsent: safe to send again."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: None

        def stop_reading(link: Link, got: Got) -> None:
            link.accept(got)
            link.transport.pause_reading()

        smsc.on_bind = stop_reading
        await smsc.start()
        window = 60_000
        pool, ledger = await pool_of(smsc, window=window, timers=QUICK._replace(response_ms=600))
        big = [b"t:%06d" % n + b"x" * 120 for n in range(window)]
        ledger.waiting = big
        for _ in range(20):
            ledger.on_room()
            await asyncio.sleep(0.005)
        (state,) = pool.snapshot().binds
        assert state.room == 0
        await until(lambda: pool.snapshot().closed_by.get("stuck", 0) >= 1)
        smsc.on_bind = lambda link, got: link.accept(got)
        first = len(ledger.unanswered) + len(ledger.unsent)
        assert first <= window
        assert ledger.unsent
        ledger.waiting.clear()
        for link in smsc.links:
            if not link.lost:
                link.transport.resume_reading()
        await until(lambda: smsc.links[0].lost)
        assert not set(ledger.unsent) & set(smsc.submits)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_flood_of_enquire_link(run: Run) -> None:
    """F36: every one of ten thousand is answered, and submits go on."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        (link,) = smsc.bound
        for batch in range(100):
            link.write(b"".join(pdu(ENQUIRE, batch * 100 + n) for n in range(100)))
            ledger.send(10)
            await asyncio.sleep(0)
        await until(lambda: link.count(ENQUIRE_RESP) == 10_000 and len(ledger.answers) == 1000)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_peer_that_asks_and_does_not_read_is_cut_off(run: Run) -> None:
    """F36: answers that pile up are bounded; then the bind is closed, with a reason."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, _ = await pool_of(smsc)
        (link,) = smsc.bound
        link.transport.pause_reading()
        chunk = b"".join(pdu(ENQUIRE, n) for n in range(4000))
        while not link.lost and "flooded" not in pool.snapshot().closed_by:
            link.write(chunk)
            await asyncio.sleep(0.001)
        assert pool.snapshot().closed_by == {"flooded": 1}
        await pool.close()
        await smsc.stop()

    run(main())


def test_the_smsc_unbinds(run: Run, processors: int) -> None:
    """F37: unbind_resp, no new submit on that bind, what was in flight may still be answered; then again."""

    async def main() -> None:
        smsc = Smsc()
        held: list[tuple[Link, list[Got]]] = []

        def hold(link: Link, submits: list[Got]) -> None:
            if link is smsc.links[0]:
                held.append((link, submits))
            else:
                link.answer(submits)

        smsc.on_submit = hold
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=4, timers=QUICK._replace(unbind_ms=1000, response_ms=5000))
        ledger.send(10)
        await until(lambda: sum(len(submits) for _, submits in held) == 4)
        link = held[0][0]
        link.write(pdu(UNBIND, 77))
        await until(lambda: link.count(UNBIND | 0x80000000) == 1)
        assert pool.room == 0
        for _, submits in held:
            link.answer(submits)
        await until(lambda: len(ledger.answers) == 10)
        assert link.count(4) == 4
        assert ledger.unanswered == []
        assert pool.snapshot().closed_by == {"unbound_by_peer": 1}
        await pool.close()
        await smsc.stop()

    run(main())


def test_the_smsc_unbinds_and_answers_no_more(run: Run) -> None:
    """F37: what stays unanswered within the time is unknown."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: link.write(pdu(UNBIND, 77)) if len(smsc.links) == 1 else None
        await smsc.start()
        pool, ledger = await pool_of(smsc, window=4)
        ledger.send(4)
        await until(lambda: len(ledger.unanswered) == 4)
        assert ledger.unsent == []
        await until(lambda: len(smsc.bound) == 1)
        await pool.close()
        await smsc.stop()

    run(main())


def test_closing_waits_for_answers(run: Run, processors: int) -> None:
    """A polite end: what is in flight is answered before unbind is sent."""

    async def main() -> None:
        smsc = Smsc()

        def answer_later(link: Link, submits: list[Got]) -> None:
            asyncio.get_running_loop().call_later(0.1, link.answer, submits)

        smsc.on_submit = answer_later
        await smsc.start()
        pool, ledger = await pool_of(smsc, timers=QUICK._replace(response_ms=2000))
        ledger.send(5)
        await until(lambda: len(smsc.submits) == 5)
        assert pool.room == 5
        closing = asyncio.ensure_future(pool.close())
        await asyncio.sleep(0.02)
        assert (pool.room, pool.in_flight) == (0, 5)
        await closing
        assert len(ledger.answers) == 5
        assert smsc.unbinds == 1
        assert pool.submit([b"t:x"], [b""]) == 0
        await smsc.stop()

    run(main())


def test_closing_has_a_limit(run: Run) -> None:
    """A carrier that answers nothing, unbind neither, does not hold up the end."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_submit = lambda link, submits: link.transport.pause_reading()
        await smsc.start()
        pool, ledger = await pool_of(smsc, timers=Timers())
        ledger.send(5)
        await until(lambda: len(smsc.submits) == 5)
        before = asyncio.get_running_loop().time()
        await pool.close(300)
        assert asyncio.get_running_loop().time() - before < 5
        assert len(ledger.unanswered) == 5
        await smsc.stop()

    run(main())


def test_incoming_waits_for_its_acknowledgement(run: Run, processors: int) -> None:
    """deliver_sm is answered when the owner says that it is stored; a bind that is gone takes no answer."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, incoming_max=3)
        ledger.acknowledge = False
        (link,) = smsc.bound
        link.write(b"".join(deliver(n) for n in range(1, 6)))
        await until(lambda: link.count(DELIVER_RESP) == 2)
        assert [(got.number, got.status) for got in link.got[-2:]] == [(4, 0x64), (5, 0x64)]
        ((source, incoming),) = ledger.incoming
        assert [each.short_message for each in incoming] == [b"hi"] * 3
        assert pool.acknowledge(source, incoming)
        await until(lambda: link.count(DELIVER_RESP) == 5)
        assert [(got.number, got.status) for got in link.got[-3:]] == [(1, 0), (2, 0), (3, 0)]
        link.write(deliver(9))
        await until(lambda: len(ledger.incoming) == 2)
        link.transport.abort()
        await until(lambda: link.lost and len(smsc.bound) == 1)
        source, incoming = ledger.incoming[1]
        assert not pool.acknowledge(source, incoming)
        await pool.close()
        await smsc.stop()

    run(main())


def test_receipts_right_behind_the_bind_response(run: Run) -> None:
    """F77: old receipts that come in one packet with bind_resp are incoming like all others."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_bind = lambda link, got: link.write(
            pdu(got.command_id | 0x80000000, got.number, 0, b"s\0") + deliver(1) + deliver(2)
        )
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        await until(lambda: sum(len(incoming) for _, incoming in ledger.incoming) == 2)
        await until(lambda: smsc.links[0].count(DELIVER_RESP) == 2)
        await pool.close()
        await smsc.stop()

    run(main())


def test_an_http_banner(run: Run) -> None:
    """F56: a stream of something else ends the connection at once, with one generic_nack and one alarm."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc)
        (link,) = smsc.bound
        link.write(b"HTTP/1.1 400 Bad Request\r\n" * 1000)
        await until(lambda: link.lost and len(smsc.bound) == 1)
        assert link.got[-1] == (GENERIC_NACK, 2, 0, b"")
        assert pool.snapshot().closed_by == {"framing_lost": 1}
        assert set(ledger.rang) <= {Alarm.MALFORMED}
        await pool.close()
        await smsc.stop()

    run(main())
