"""The daemon and signals: drain, stop at once, state in the log; nothing lost, nothing twice."""

import asyncio
import signal
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from dispatcher.cli.init import first_key
from dispatcher.model import TrafficClass
from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.behaviour import Receipts
from dispatcher.store.audit import audit
from tests.integration import serving as house
from tests.integration.house import copies, request, requests, run, until
from tests.integration.serving import serving


def submits(smsc: Simulator) -> int:
    """Return how many submit_sm came."""
    return sum(each.submits for each in smsc.ledger.totals.values())


def reached(smsc: Simulator, least: int) -> bool:
    """Tell whether so many messages came."""
    return len(copies(smsc)) >= least


@pytest.mark.parametrize("uid", house.users())
def test_a_stop_under_load_loses_nothing(uid: int | None) -> None:
    """F07: SIGTERM while submits are under way: answers come, binds unbind, exit code 0; the next process
    sends the rest: every message once. As root and as an ordinary user."""

    async def scenario(folder: Path) -> None:
        async with Simulator(Behaviour(latency_ms=50)) as smsc:
            data = house.data_for(folder, smsc, carrier={"tps": 2_000.0})
            path = house.write(folder, data)
            await house.fill(data, requests(1_500), uid)
            stops = 0
            while len(copies(smsc)) < 1_500:
                async with serving(path, uid=uid) as served:
                    enough = min(1_500, len(copies(smsc)) + 500)
                    await until(partial(reached, smsc, enough), "some are sent")
                    served.signal(signal.SIGTERM)
                    assert await served.ended() == 0
                    stops += 1
                    assert served.said("stopped")[0]["msg"].startswith("stopped: 0 submits")
                    bad = [line for line in served.lines if line["level"] in ("error", "critical")]
                    assert {line["event"] for line in bad} <= {"loop_stalled"}  # a busy machine
            assert stops >= 2
            assert set(copies(smsc).values()) == {1}
        result = audit(folder / "store")
        assert result.is_right
        assert result.accepted == 1_500

    with house.place_for(uid) as folder:
        run(scenario(folder), 120)


def test_a_process_that_was_frozen_doubles_nothing(tmp_path: Path) -> None:
    """F08: stopped for longer than its response timer, as by the pause of a VM, while codes are on their way,
    which would go again at once: it finds its answers, and each code reaches the carrier once."""

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=20)) as smsc:
            timers = {"response_ms": 400}
            data = house.data_for(tmp_path, smsc, carrier={"tps": 300.0, "window": 50, "timers": timers})
            path = house.write(tmp_path, data)
            await house.fill(data, requests(600, TrafficClass.AUTHORIZATION), None)
            async with serving(path) as served:
                for stop in range(3):
                    await until(partial(reached, smsc, 100 * (stop + 1)), "some are sent")
                    served.signal(signal.SIGSTOP)
                    await asyncio.sleep(1)
                    served.signal(signal.SIGCONT)
                await until(partial(reached, smsc, 600), "all are sent")
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0
            assert set(copies(smsc).values()) == {1}
        assert audit(tmp_path / "store").is_right

    run(scenario(), 120)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(number: signal.Signals) -> None:
    """While answers do not come, it would wait; told again it leaves, and the journal holds all."""

    async def scenario(folder: Path) -> None:
        async with Simulator(Behaviour(stall=True)) as smsc:
            data = house.data_for(folder, smsc, carrier={"timers": {"response_ms": 60_000}})
            path = house.write(folder, data)
            await house.fill(data, requests(10))
            async with serving(path) as served:
                await until(lambda: submits(smsc), "one is submitted; the others wait for its answer")
                served.signal(number)
                await served.says("stopping")
                served.signal(number)
                assert await served.ended() == 128 + number
                assert served.said("stopped_at_once")
                assert not served.said("stopped")
        result = audit(folder / "store")
        assert result.is_right
        assert (result.accepted, result.states["finished"]) == (10, 0)

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_a_drain_ends_within_its_limit() -> None:
    """F07: answers that never come are waited for no longer than process.drain_ms says; exit code 0."""

    async def scenario(folder: Path) -> None:
        async with Simulator(Behaviour(stall=True)) as smsc:
            data = house.data_for(
                folder,
                smsc,
                carrier={"timers": {"response_ms": 600_000}},
                process={"drain_ms": 1_000},
            )
            path = house.write(folder, data)
            await house.fill(data, requests(10))
            async with serving(path) as served:
                await until(lambda: submits(smsc), "one is submitted; the others wait for its answer")
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0
                assert served.said("stopped")[0]["msg"].startswith("stopped: 1 submits")
        assert audit(folder / "store").is_right

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_readiness_follows_the_drain() -> None:
    """F07: /readyz says yes once a carrier is bound, and "draining", 503, from SIGTERM until the end."""

    async def readyz(port: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/readyz?verbose") as response,
        ):
            return response.status, await response.text()

    async def scenario(folder: Path) -> None:
        async with Simulator(Behaviour(stall=True)) as smsc:
            data = house.data_for(folder, smsc, carrier={"timers": {"response_ms": 600_000}})
            path = house.write(folder, data)
            await house.fill(data, requests(10))
            async with serving(path) as served:
                port = (await served.says("admin_port"))["msg"].rpartition(":")[2]
                await until(lambda: submits(smsc), "one is submitted")
                assert (await readyz(port))[0] == 200
                served.signal(signal.SIGTERM)
                await served.says("stopping")
                status, told = await readyz(port)
                assert status == 503
                assert "draining" in told
                served.signal(signal.SIGTERM)
                assert await served.ended() == 128 + signal.SIGTERM

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_messages_come_by_http_until_it_is_told_to_stop() -> None:
    """F07: what was answered with 202 reaches the carrier, once; from SIGTERM on the door answers 503."""

    async def post(port: str, token: str, number: int) -> int:
        body = {"to": f"+7900{number:07d}", "text": f"Your code is 4711 t{number}", "sender": "Bank"}
        headers, url = {"Authorization": f"Bearer {token}"}, f"http://127.0.0.1:{port}/v1/messages"
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, json=body, headers=headers) as response,
        ):
            return response.status

    async def scenario(folder: Path) -> None:
        async with Simulator(Behaviour(latency_ms=4_000)) as smsc:
            path = house.write(
                folder, house.data_for(folder, smsc, carrier={"timers": {"response_ms": 30_000}})
            )
            (folder / "store").mkdir(mode=0o700)
            token = first_key(folder / "store" / "keys.json")
            async with serving(path) as served:
                port = (await served.says("http_port"))["msg"].rpartition(":")[2]
                assert await post(port, "wrong", 1) == 401
                assert await post(port, token, 1) == 202
                await until(lambda: submits(smsc), "it is submitted")
                admin = (await served.says("admin_port"))["msg"].rpartition(":")[2]
                async with (
                    aiohttp.ClientSession() as client,
                    client.get(f"http://127.0.0.1:{admin}/metrics") as response,
                ):
                    metrics = await response.text()
                assert 'http_requests_total{route="/v1/messages",status="202"} 1.0' in metrics
                assert 'http_requests_total{route="/v1/messages",status="401"} 1.0' in metrics
                served.signal(signal.SIGTERM)
                await served.says("stopping")
                assert await post(port, token, 2) == 503
                assert await served.ended() == 0
                assert token not in "".join(served.raw)
            assert copies(smsc) == {"t1": 1}
        assert audit(folder / "store").accepted == 1

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_what_was_recovered_is_said() -> None:
    """After kill -9 the next start says what waits, what was left unanswered, what awaits receipts."""
    waiting, sent, window = 25, 20, 10

    async def scenario(folder: Path) -> None:
        late = Receipts(delay_ms=60_000)
        async with (
            Simulator(Behaviour(receipts=late)) as quick,
            Simulator(Behaviour(latency_ms=60_000)) as mute,
        ):
            slow = {"timers": {"response_ms": 600_000}, "window": window, "tps": 200.0}
            data = house.data_for(folder, quick, mute, carrier=slow)
            data["routes"] = [{"carriers": ["c1"], "prefixes": ["790099"]}, {"carriers": ["c0"]}]
            path = house.write(folder, data)
            held = [request(n, to=f"+790099{n:05d}") for n in range(waiting)]
            await house.fill(data, [*held, *requests(sent, first=1000)])
            async with serving(path) as served:
                assert (await served.says("recovered"))["waiting"] == waiting + sent
                await until(lambda: submits(mute) and submits(quick) == sent, "all are on their way")
                store = Path(data["store"])
                await until(lambda: audit(store).states["awaiting_receipt"] == sent, "answers are on disk")
                served.signal(signal.SIGKILL)
                await served.ended()
            async with serving(path) as served:
                told = await served.says("recovered")
                assert told["awaiting_receipt"] == sent
                assert 1 <= told["unanswered"] <= 2 * window  # some were claimed and not written
                assert told["unanswered"] + told["waiting"] == waiting
                assert told["again"] == 0
                assert told["level"] == "info"
                assert len(served.said("recovered")) == 1

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_the_state_is_said_in_the_log() -> None:
    """SIGUSR1: the process, the journal, each carrier and its binds, tasks and threads; it goes on."""

    async def scenario(folder: Path) -> None:
        async with Simulator() as smsc:
            data = house.data_for(folder, smsc)
            path = house.write(folder, data)
            async with serving(path) as served:
                served.signal(signal.SIGUSR1)
                await until(lambda: any("thread" in line["msg"] for line in served.said("state")), "threads")
                told = "\n".join(line["msg"] for line in served.said("state"))
                for word in (
                    "<Daemon ready",
                    "<Journal ok",
                    "<Book",
                    "<Lane c0",
                    "<Pool 127.0.0.1",
                    "journal writer",
                ):
                    assert word in told
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_nothing_of_a_message_is_said() -> None:
    """Law 11: neither numbers nor texts of a whole run, with debug on and its state told, are in the log."""

    async def scenario(folder: Path) -> None:
        async with Simulator(Behaviour(errors={"RINVDSTADR": 0.3, "RSYSERR": 0.2})) as smsc:
            data = house.data_for(folder, smsc)
            path = house.write(folder, data)
            sent = [request(number, text=f"Secret words t{number}") for number in range(100)]
            await house.fill(data, sent)
            async with serving(path) as served:
                await until(lambda: submits(smsc) >= 100, "all are submitted")
                served.signal(signal.SIGUSR1)
                await served.says("state")
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0
                told = "".join(served.raw)
            assert "ready" in told
            assert "Secret words" not in told
            assert not [each.to for each in sent if each.to.lstrip("+") in told]

    with house.place_for(None) as folder:
        run(scenario(folder))


def test_a_renamed_log_is_opened_anew() -> None:
    """SIGUSR2 after a rename, as logrotate does it: nothing is said on standard error meanwhile."""

    async def scenario(folder: Path) -> None:
        async with Simulator() as smsc:
            log = folder / "log"
            path = house.write(folder, house.data_for(folder, smsc, log={"file": "log"}))
            async with serving(path, wait_ready=False) as served:
                await until(lambda: log.exists() and '"ready"' in log.read_text(), "ready")
                log.rename(folder / "log.1")
                served.signal(signal.SIGUSR2)
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0
                assert served.raw == []
            assert '"stopped"' in log.read_text()
            assert '"stopped"' not in (folder / "log.1").read_text()

    with house.place_for(None) as folder:
        run(scenario(folder))
