"""How the simulated SMSC answers submit_sm: latency, limits, errors, ids, stalls; a seed repeats it."""

import asyncio
import time
from typing import Any

import pytest

from dispatcher.errors import ConfigError
from dispatcher.simulator import Behaviour, Settings, Simulator
from tests.integration.esme import BIND_RX, DELIVER_SM, RESPONSE, SUBMIT_SM, Esme, run, until


def bank(**behaviour: Any) -> Behaviour:
    """Return a behaviour without receipts, unless told otherwise."""
    from dispatcher.simulator.settings import parse

    return parse({"receipts": {"share": 0}} | behaviour, Behaviour)


async def statuses(behaviour: Behaviour, count: int, **settings: Any) -> list[int]:
    """Submit so many and return the statuses in the order of submitting."""
    async with Simulator(behaviour, **settings) as smsc, Esme(smsc.port) as esme:
        await esme.bind()
        first = esme.sequence + 1
        for number in range(count):
            esme.submit(b"code %d" % number)
        answers = {got.sequence: got.status for got in await esme.read_some(count)}
        return [answers[first + number] for number in range(count)]


def test_a_perfect_smsc_is_the_default() -> None:
    """Without any settings every submit_sm is accepted in order, with its own id, and gets one receipt."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            bound = await esme.bind()
            assert (bound.status, bound.body) == (0, b"simulator\0\x02\x10\x00\x01\x34")
            asked = [esme.submit(b"hello t%d" % number) for number in range(50)]
            came = await esme.read_some(100)
            answers = [got for got in came if got.command == SUBMIT_SM | RESPONSE]
            assert [got.sequence for got in answers] == asked
            assert {got.status for got in answers} == {0}
            assert len({got.message_id for got in answers}) == 50
            for got in came:
                if got.command == DELIVER_SM:
                    esme.acknowledge(got)
            await until(lambda: smsc.ledger.of("bank").acknowledged == {0: 50})
            copy = smsc.ledger.copies("t7")[0]
            assert (copy.statuses, copy.receipts, copy.acknowledged) == ((0,), (2,), (0,))
            assert copy.message_id == answers[7].message_id

    run(scenario())


@pytest.mark.parametrize("latency", [80, {"kind": "uniform", "low_ms": 80, "high_ms": 90}])
def test_answers_take_their_time(latency: Any) -> None:
    """latency_ms delays each response, never less than it says; submits in between are read."""

    async def scenario() -> None:
        async with Simulator(bank(latency_ms=latency)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            began = time.monotonic()
            for number in range(5):
                esme.submit(b"t%d" % number)
            await until(lambda: smsc.ledger.of("bank").submits == 5)
            assert smsc.ledger.of("bank").responses == {}
            await esme.read_some(5)
            assert time.monotonic() - began >= 0.08

    run(scenario())


def test_the_tps_is_of_the_account() -> None:
    """Above `tps` in any second, over all binds, submits get throttle_status; a second later it goes on."""

    async def scenario() -> None:
        async with Simulator(bank(tps=10)) as smsc, Esme(smsc.port) as one, Esme(smsc.port) as two:
            await one.bind(), await two.bind()
            for esme in (one, two):
                for number in range(10):
                    esme.submit(b"t%d" % number)
            got = [each.status for esme in (one, two) for each in await esme.read_some(10)]
            assert sorted(got) == [0] * 10 + [0x58] * 10
            assert smsc.ledger.of("bank").segments_per_s_max == 20
            await asyncio.sleep(1.02)
            one.submit(b"later")
            assert (await one.read()).status == 0

    run(scenario())


def test_the_window_is_of_the_bind() -> None:
    """More unanswered submit_sm than `window` get window_status."""

    async def scenario() -> None:
        behaviour = bank(window=3, window_status="RMSGQFUL", latency_ms=50)
        async with Simulator(behaviour) as smsc, Esme(smsc.port) as one, Esme(smsc.port) as two:
            await one.bind(), await two.bind()
            for number in range(5):
                one.submit(b"t%d" % number)
            two.submit(b"other")
            assert sorted(got.status for got in await one.read_some(5)) == [0, 0, 0, 0x14, 0x14]
            assert (await two.read()).status == 0
            one.submit(b"again")
            assert (await one.read()).status == 0

    run(scenario())


def test_errors_come_at_their_rates_and_a_seed_repeats_them() -> None:
    """errors = {status: share} hits about that share, by name or number; the same seed hits the same ones."""
    behaviour = bank(errors={"0x58": 0.2, "ESME_RSYSERR": 0.1})
    first, second, other = (run(statuses(behaviour, 1000, seed=seed)) for seed in (1, 1, 2))
    assert first == second != other
    assert 150 < first.count(0x58) < 250
    assert 60 < first.count(0x08) < 140
    assert first.count(0x58) + first.count(0x08) + first.count(0) == 1000


def test_errors_to_one_destination() -> None:
    """errors_to hits the destinations that begin so, and no others."""

    async def scenario() -> None:
        behaviour = bank(errors_to={"7900": {"RMSGQFUL": 1.0}, "79005": {"RINVDSTADR": 1.0}})
        async with Simulator(behaviour) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for to in (b"79001", b"79005", b"79111"):
                esme.submit(b"t", to=to)
            assert [got.status for got in await esme.read_some(3)] == [0x14, 0x0B, 0]

    run(scenario())


def test_a_stalled_smsc_answers_late() -> None:
    """stall: submits are taken and not answered; when it ends they are, receipts and all."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            smsc.account("bank").change(stall=True)
            esme.submit(b"stuck")
            assert await esme.silence()
            assert smsc.ledger.copies("stuck")[0].statuses == ()
            smsc.account("bank").change(stall=False)
            assert (await esme.read()).status == 0
            await esme.receipts(1)
            await until(lambda: smsc.ledger.copies("stuck")[0].acknowledged == (0,))

    run(scenario())


@pytest.mark.parametrize(
    ("notation", "body"),
    [
        ("decimal", b"0000000255\0"),
        ("hex", b"00000000ff\0"),
        ("HEX", b"00000000FF\0"),
        ("empty", b"\0"),
        ("missing", b""),
        ("long", b"9" * 77 + b"255\0"),
    ],
)
def test_message_ids(notation: str, body: bytes) -> None:
    """Ids come in every notation, and badly: empty, without a body, longer than the 64 allowed."""

    async def scenario() -> None:
        behaviour = bank(message_id={"notation": notation, "first": 255})
        async with Simulator(behaviour) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            got = await esme.read()
            assert (got.status, got.body) == (0, body)

    run(scenario())


def test_ids_repeat() -> None:
    """repeat_every gives the same ids to later messages."""

    async def scenario() -> None:
        async with Simulator(bank(message_id={"repeat_every": 2})) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for _ in range(5):
                esme.submit(b"t")
            ids = [got.message_id for got in await esme.read_some(5)]
            assert ids == [b"0000000001", b"0000000002", b"0000000001", b"0000000002", b"0000000001"]

    run(scenario())


def test_a_seed_gives_the_same_ledger_twice() -> None:
    """Errors, latencies, receipts, their states and mischief: with one seed the whole ledger is the same."""

    async def ledger() -> dict[str, Any]:
        behaviour = bank(
            errors={"0x08": 0.2},
            latency_ms={"kind": "lognormal", "median_ms": 3},
            receipts={
                "share": 0.8,
                "states": {"DELIVRD": 3, "UNDELIV": 1},
                "delay_ms": {"kind": "normal", "mean_ms": 20, "deviation_ms": 10},
                "duplicate": 0.2,
                "before_response": 0.1,
            },
            message_id={"notation": "uuid"},
            mischief=[{"kind": "duplicate", "share": 0.1}, {"kind": "drop", "share": 0.1}],
        )
        async with Simulator(behaviour, seed=42) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for number in range(200):
                esme.submit(b"t%d" % number)
            totals = smsc.ledger.of("bank")
            await until(lambda: totals.submits == 200)
            await asyncio.sleep(0.15)
            plain = smsc.ledger.plain()
            plain["accounts"]["bank"].pop("segments_per_s_max")
            return plain

    first, second = run(ledger()), run(ledger())
    assert first["accounts"]["bank"]["submits"] == 200
    assert set(first["accounts"]["bank"]["responses"]) == {0, 8}
    assert first == second


def test_requests_in_the_wrong_state() -> None:
    """submit_sm before the bind, or on a receiver, gets ESME_RINVBNDSTS and is not in the ledger."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as early, Esme(smsc.port) as receiver:
            early.submit(b"t")
            assert (await early.read()).status == 0x04
            await receiver.bind(command=BIND_RX)
            receiver.submit(b"t")
            assert (await receiver.read()).status == 0x04
            assert smsc.ledger.of("bank").submits == 0

    run(scenario())


def test_it_stays_on_loopback() -> None:
    """An address that others can reach is refused, unless allow_remote says so."""
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        with pytest.raises(ConfigError, match="no loopback address"):
            Simulator(settings=Settings(host=host))
    Simulator(settings=Settings(host="0.0.0.0", allow_remote=True))
    Simulator(settings=Settings(host="::1"))


def test_limits_of_connections() -> None:
    """Above connections_max a connection is closed at once; those before live on."""

    async def scenario() -> None:
        async with Simulator(connections_max=1) as smsc, Esme(smsc.port) as one:
            await one.bind()
            async with Esme(smsc.port) as two:
                assert await two.rest() == (b"", "fin")
            one.submit(b"t", asked=0)
            assert (await one.read()).status == 0

    run(scenario())


def test_counts_only() -> None:
    """ledger = "counts" keeps totals and no tokens."""

    async def scenario() -> None:
        async with Simulator(ledger="counts") as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for _ in range(10):
                esme.submit(b"t")
            await esme.receipts(10)
            await until(lambda: smsc.ledger.of("bank").acknowledged == {0: 10})
            assert smsc.ledger.plain()["tokens"] == {}
            assert smsc.ledger.of("bank").receipts == {2: 10}

    run(scenario())


def test_many_messages_on_many_binds() -> None:
    """Nothing is lost or doubled under load: 4 binds, 20,000 submits, a receipt each."""

    async def one(port: int, name: int) -> set[bytes]:
        async with Esme(port) as esme:
            await esme.bind()
            ids, told = set(), 0
            for block in range(50):
                for number in range(100):
                    esme.submit(b"b%dn%d" % (name, block * 100 + number))
                for _ in range(200):
                    got = await esme.read()
                    if got.command == SUBMIT_SM | RESPONSE:
                        ids.add(got.message_id)
                    else:
                        esme.acknowledge(got)
                        told += 1
            assert told == 5000
            return ids

    async def scenario() -> None:
        async with Simulator() as smsc:
            ids = await asyncio.gather(*(one(smsc.port, name) for name in range(4)))
            assert len(set().union(*ids)) == 20_000
            await until(lambda: smsc.ledger.of("bank").acknowledged == {0: 20_000})
            assert len(smsc.ledger.tokens) == 20_000

    run(scenario())
