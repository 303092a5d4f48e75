"""F38 to F43: how a pool comes up, stays up, and comes up again."""

import asyncio
import socket
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from dispatcher.smpp.account import Account
from dispatcher.smpp.dial import NotReached, dial
from dispatcher.smpp.pool import Alarm

from .conftest import Run
from .scripted import FAST, QUICK, Got, Ledger, Link, Smsc, account, pdu, pool_of, start, until

pytestmark = [
    pytest.mark.timeout(60),
    # The standard library's transport complains when its handshake failed, whoever closes what.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def gaps(smsc: Smsc) -> list[float]:
    """Return the times between attempts, in milliseconds."""
    return [(after - before) / 1e6 for before, after in pairwise(smsc.attempts)]


def test_a_refused_connection(run: Run) -> None:
    """F38: it backs off, raises one alarm, and binds as soon as somebody listens; then the alarm is over."""

    async def main() -> None:
        smsc = Smsc()
        with socket.create_server(("127.0.0.1", 0)) as free:
            smsc.port = free.getsockname()[1]
        pool, ledger = await start(smsc)
        await until(lambda: pool.snapshot().closed_by.get("refused", 0) >= 3)
        assert ledger.rang == [Alarm.UNREACHABLE]
        await smsc.start()
        await until(lambda: len(smsc.bound) == 1)
        await until(lambda: ledger.cleared == [Alarm.UNREACHABLE])
        await pool.close()
        await smsc.stop()

    run(main())


def test_every_address_of_a_name_is_tried(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """F17: a dead address first, and one that does not answer, do not keep it from the third."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        loop = asyncio.get_running_loop()
        really: Any = loop.getaddrinfo
        with socket.create_server(("127.0.0.1", 0)) as free:
            dead = free.getsockname()[1]

        async def resolve(host: str, port: int, **options: Any) -> Any:
            if host != "smsc.example":  # uvloop asks about addresses, too
                return await really(host, port, **options)
            stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*stream, ("127.0.0.1", dead)), (*stream, ("127.0.0.1", smsc.port))]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        made = await dial("smsc.example", 2775, asyncio.Protocol)
        monkeypatch.undo()
        assert isinstance(made, asyncio.Protocol)
        await until(lambda: len(smsc.links) == 1)
        await smsc.stop()

    run(main())


@pytest.mark.parametrize("name", ["no-such-host.invalid", "smsc..example", "x" * 64 + ".example", "."])
def test_a_name_without_an_address(run: Run, name: str) -> None:
    """F17: a value, not an exception, and it says that the name is at fault; so for what can be no name."""

    async def main() -> None:
        made = await dial(name, 2775, asyncio.Protocol)
        assert isinstance(made, NotReached)
        assert made.reason == "dns"

    run(main())


def test_a_pool_with_a_name_that_is_none(run: Run) -> None:
    """F17: it keeps trying and says so; given a better name, it binds."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await start(smsc, host="smsc..example")
        await until(lambda: pool.snapshot().closed_by.get("dns", 0) >= 2)
        assert ledger.rang == [Alarm.UNREACHABLE]
        await pool.reconfigure(account(smsc))
        await until(lambda: len(smsc.bound) == 1)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_bug_is_loud(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that raises ends what keeps the binds up; the loop's exception handler hears of it at once."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_bind = lambda link, got: link.accept(got, 0x0E)
        await smsc.start()
        heard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        monkeypatch.setattr(Ledger, "on_alarm", lambda *told: 1 // 0)
        pool, _ = await start(smsc)
        await until(lambda: bool(heard))
        assert isinstance(heard[0]["exception"], ZeroDivisionError)
        await pool.close()
        await smsc.stop()

    run(main())


@pytest.mark.parametrize("status", [0x0E, 0x0F, 0x53])
def test_wrong_credentials(run: Run, status: int) -> None:
    """F39: all binds share one slow budget, the alarm comes at once, and is over when it works again."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_bind = lambda link, got: link.accept(got, status)
        await smsc.start()
        pool, ledger = await start(smsc, transceivers=4)
        await until(lambda: ledger.rang == [Alarm.CREDENTIALS])
        assert len(smsc.attempts) == 1
        await asyncio.sleep(0.3)
        assert len(smsc.attempts) == 1
        smsc.on_bind = lambda link, got: link.accept(got)
        await until(lambda: len(smsc.bound) == 4)
        assert gaps(smsc)[0] >= 400
        assert ledger.cleared == [Alarm.CREDENTIALS]
        await pool.close()
        await smsc.stop()

    run(main())


def test_already_bound(run: Run) -> None:
    """F40: the bind that is over the quota waits long; the others stay, and go on."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_bind = lambda link, got: link.accept(got, 5 if len(smsc.bound) >= 2 else 0)
        await smsc.start()
        pool, ledger = await start(smsc, transceivers=3)
        await until(lambda: ledger.rang == [Alarm.ALREADY_BOUND])
        ledger.send(50)
        await until(lambda: len(ledger.answers) == 50)
        assert len(smsc.bound) == 2
        tried = len(smsc.attempts)
        assert tried == 3
        await until(lambda: len(smsc.attempts) == 5)
        assert gaps(smsc)[2] >= 300
        assert gaps(smsc)[3] >= 600
        assert len(smsc.bound) == 2
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_bind_that_is_never_answered(run: Run) -> None:
    """F41: closed at the session_init timer, not a single submit_sm on the wire."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_bind = lambda link, got: None if len(smsc.links) == 1 else link.accept(got)
        await smsc.start()
        pool, ledger = await start(smsc, timers=QUICK._replace(session_init_ms=300))
        ledger.send(3)
        assert len(ledger.waiting) == 3
        await until(lambda: len(ledger.answers) == 3)
        assert smsc.links[0].lost
        assert smsc.links[0].count(4) == 0
        assert pool.snapshot().closed_by == {"bind_timeout": 1}
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_bind_answered_with_another_number(run: Run) -> None:
    """F41: it binds nothing; the timer ends it."""

    async def main() -> None:
        smsc = Smsc()
        smsc.on_bind = lambda link, got: (
            link.write(pdu(got.command_id | 0x80000000, got.number + 1, 0, b"smsc\0"))
            if len(smsc.links) == 1
            else link.accept(got)
        )
        await smsc.start()
        pool, _ = await start(smsc, timers=QUICK._replace(session_init_ms=300))
        await until(lambda: len(smsc.bound) == 1 and len(smsc.links) == 2)
        assert pool.snapshot().counters["unknown"] == 1
        await pool.close()
        await smsc.stop()

    run(main())


def test_flapping(run: Run, processors: int) -> None:
    """F42: bound and closed at once, again and again: the backoff climbs, nothing is submitted, one alarm."""

    async def main() -> None:
        smsc = Smsc()

        def flap(link: Link, got: Got) -> None:
            link.accept(got)
            if len(smsc.links) < 6:
                asyncio.get_running_loop().call_later(0.01, link.transport.close)

        smsc.on_bind = flap
        await smsc.start()
        slow = FAST._replace(quiet_ms=100, ramp_ms=10)
        pool, ledger = await start(smsc, backoff=slow)
        ledger.send(20)
        await until(lambda: len(smsc.links) == 6)
        assert smsc.submits == []
        assert ledger.rang == [Alarm.UNSTABLE]
        assert gaps(smsc)[3] >= 90
        await until(lambda: len(ledger.answers) == 20)
        assert (ledger.unanswered, ledger.unsent) == ([], [])
        await until(lambda: ledger.cleared == [Alarm.UNSTABLE])
        await pool.close()
        await smsc.stop()

    run(main())


def test_slow_start_begins_with_one(run: Run) -> None:
    """F42: until the first answer a new bind has one submit in flight, however large its window."""

    async def main() -> None:
        smsc = Smsc()
        held: list[Got] = []
        smsc.on_submit = lambda link, submits: held.extend(submits)
        await smsc.start()
        slow = FAST._replace(quiet_ms=20, ramp_ms=20)
        timers = QUICK._replace(response_ms=5000)
        pool, ledger = await pool_of(smsc, backoff=slow, window=50, timers=timers)
        ledger.send(100)
        await until(lambda: len(held) == 1)
        await asyncio.sleep(0.1)
        assert len(held) == 1
        smsc.on_submit = lambda link, submits: link.answer(submits)
        smsc.bound[0].answer(held)
        await until(lambda: len(ledger.answers) == 100)
        await pool.close()
        await smsc.stop()

    run(main())


def test_one_of_the_binds_dies(run: Run, processors: int) -> None:
    """F43: its load moves to the others, its unanswered come back, no message is lost or doubled."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=3, window=10)
        tokens = ledger.send(3000)
        await until(lambda: len(ledger.answers) > 500)
        smsc.bound[0].transport.abort()
        smsc.bound[0].transport.abort()
        await until(lambda: len(ledger.answers) + len(ledger.unanswered) + len(ledger.unsent) == 3000)
        assert len(ledger.unanswered) <= 20
        assert smsc.copies == 0
        assert sorted([*ledger.answers, *ledger.unanswered, *ledger.unsent]) == sorted(tokens)
        await until(lambda: len(smsc.bound) == 3)
        await pool.close()
        await smsc.stop()

    run(main())


def test_transmitter_and_receiver(run: Run) -> None:
    """Submits go out on the transmitter, receipts come in on the receiver, which bound first."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=0, transmitters=1, receivers=1)
        assert [link.bound for link in smsc.links] == [1, 2]
        ledger.send(20)
        await until(lambda: len(ledger.answers) == 20)
        assert [link.count(4) for link in smsc.links] == [0, 20]
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_changed_password_rebinds_one_by_one(run: Run, processors: int) -> None:
    """F98: while traffic flows, never more than one bind is missing; nothing is unknown, nothing doubled."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=3, window=5)
        fewest = 3
        passwords: list[bytes] = []

        def note(link: Link, got: Got) -> None:
            passwords.append(got.body.split(b"\0")[1])
            link.accept(got)

        smsc.on_bind = note
        await pool.reconfigure(changed(smsc))
        while min(state.generation for state in pool.snapshot().binds) < 2 or len(smsc.bound) < 3:
            ledger.send(5)
            fewest = min(fewest, sum(state.stage == "bound" for state in pool.snapshot().binds))
            await asyncio.sleep(0.002)
        await until(lambda: not ledger.waiting and pool.in_flight == 0)
        assert fewest == 2
        assert passwords == [b"new"] * 3
        assert smsc.copies == 0
        assert smsc.unbinds == 3
        assert (ledger.unanswered, ledger.unsent, ledger.alarms) == ([], [], [])
        await pool.close()
        await smsc.stop()

    run(main())


def changed(smsc: Smsc) -> Account:
    """Return the account with another password."""
    return replace(account(smsc, transceivers=3, window=5), password=b"new")


def test_a_wrong_new_password_costs_one_bind(run: Run) -> None:
    """F98: the first bind that fails with it stops the roll; the others keep the traffic going."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=3, window=5)
        smsc.on_bind = lambda link, got: link.accept(got, 0x0E)
        await pool.reconfigure(changed(smsc))
        await until(lambda: ledger.rang == [Alarm.CREDENTIALS])
        await asyncio.sleep(0.1)
        assert len(smsc.bound) == 2
        ledger.send(20)
        await until(lambda: len(ledger.answers) == 20)
        await pool.close()
        await smsc.stop()

    run(main())


def test_fewer_and_more_binds(run: Run) -> None:
    """A changed number of binds: those too many unbind politely, those missing come up."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await pool_of(smsc, transceivers=3)
        stays = smsc.bound[0]
        await pool.reconfigure(account(smsc, transceivers=1, receivers=1))
        await until(lambda: sorted(link.bound for link in smsc.bound) == [1, 9])
        assert smsc.bound[0] is stays or smsc.bound[1] is stays, "who stays is not bound anew"
        assert len(pool.snapshot().binds) == 2
        assert ledger.alarms == []
        await pool.close()
        await smsc.stop()

    run(main())
