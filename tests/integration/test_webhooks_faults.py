"""What receivers may do, and must not reach: slow, refusing, endless, redirecting, gone, or inside."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from dispatcher.app import Dispatcher
from dispatcher.outcomes.receiver import Answer
from dispatcher.outcomes.webhook import Caller
from dispatcher.simulator import Simulator
from tests.integration.hooks import Call, Listener, hook, hooks_config, never, telling
from tests.integration.house import Clock, accepted, outcomes, request, requests, run, until

HOUR_MS = 3_600_000


def test_an_endpoint_that_hangs_slows_nobody(tmp_path: Path) -> None:
    """F93: while one endpoint answers nothing, messages go, and the other endpoint is told of all."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener(never) as slow, Listener() as swift:
            hooks = {"slow": hook(slow, parallel=3), "swift": hook(swift)}
            config = hooks_config(tmp_path, smsc, webhooks=hooks)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path, limit_ms=1):
                accepted(await dispatcher.send(requests(200)))
                await outcomes(dispatcher, 200)
                await swift.came(200)
                assert len(slow.calls) == slow.most_in_flight == 3
            slow.reply = lambda call: 200
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path):
                await until(lambda: len(set(slow.ids)) == 200)
            assert len(swift.calls) == 200
            assert len(slow.calls) == 203  # those three again, with their ids

    run(scenario())


def test_refused_for_a_day_then_parked(tmp_path: Path) -> None:
    """F93: refused for 24 h, deliveries are parked and seen; what is new is told when it is back."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc, Listener() as listener:
            waits = {"retry_first_ms": 1_000, "retry_most_ms": HOUR_MS, "give_up_ms": 24 * HOUR_MS}
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener, **waits)})
            await listener.__aexit__()
            async with (
                Dispatcher(config) as dispatcher,
                telling(dispatcher, tmp_path, clock) as told,
            ):
                accepted(await dispatcher.send(requests(3)))
                receiver = told.receivers["core"]
                await until(lambda: receiver.failed >= 3)
                for hour in range(1, 24):
                    failed = receiver.failed
                    clock.ahead_ms = hour * HOUR_MS
                    await until(lambda failed=failed: receiver.failed > failed)  # type: ignore[misc]
                    assert receiver.parked == 0
                clock.ahead_ms = 24 * HOUR_MS
                await until(lambda: receiver.parked == 3)
                assert dict(told.counters())["core"].parked == 3
                async with listener:
                    accepted(await dispatcher.send(requests(1, first=3)))
                    await until(lambda: receiver.delivered == 1)

    run(scenario())


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    """F93: one message whose delivery always gets 500 is tried again and again; all others are told."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            listener.reply = lambda call: 500 if call.data["client_ref"].startswith("bad") else 200
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                asked = [request(n, client_ref=f"{'bad' if n == 7 else 'good'}-{n}") for n in range(50)]
                bad = accepted(await dispatcher.send(asked))[7]
                await until(lambda: told.receivers["core"].delivered == 49)
                before = len(listener.calls)
                await listener.came(before + 3)
                tries = [call for call in listener.calls if call.data["client_ref"].startswith("bad")]
                assert {call.data["message_id"] for call in tries} == {bad.message_id}
                assert len({call.webhook_id for call in tries}) == 1
                assert len({call.body for call in tries}) == 1
                listener.reply = lambda call: 200
                await until(lambda: told.receivers["core"].delivered == 50)
                assert dict(told.counters())["core"].waiting == 0

    run(scenario())


def test_the_events_of_a_message_keep_their_order(tmp_path: Path) -> None:
    """F93: while an event of a message fails, its later ones wait, over a restart too; others pass by."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            names = ["claimed", "submitted", "receipted", "finished"]
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener, events=names)})
            done: dict[str, list[str]] = {}

            def reply(call: Call) -> int:
                told = call.data
                if (
                    told["client_ref"].startswith("bad")
                    and told["type"] == "message.submitted"
                    and not is_mended
                ):
                    return 503
                done.setdefault(told["message_id"], []).append(told["type"])
                return 200

            is_mended = False
            listener.reply = reply
            async with Dispatcher(config) as dispatcher:
                asked = [request(n, client_ref=f"{'bad' if n % 5 == 0 else 'good'}-{n}") for n in range(30)]
                async with telling(dispatcher, tmp_path):
                    bad = {each.message_id for each in accepted(await dispatcher.send(asked))[::5]}
                    await outcomes(dispatcher, 30)
                    await until(lambda: sum(map(len, done.values())) == 24 * 4 + 6)
                assert all(done[each] == ["message.claimed"] for each in bad)
                is_mended = True
                async with telling(dispatcher, tmp_path) as told:
                    await until(lambda: sum(map(len, done.values())) == 30 * 4)
                    await until(lambda: dict(told.counters())["core"].waiting == 0)
            assert set(map(tuple, done.values())) == {tuple(f"message.{name}" for name in names)}

    run(scenario())


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """F93: a redirect is a failure: nothing is sent where it leads."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as inside, Listener() as listener:
            listener.reply = lambda call: web.Response(status=307, headers={"Location": inside.url})
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send([request(1)]))
                await listener.came(3)
                assert inside.calls == []
                assert told.receivers["core"].delivered == 0

    run(scenario())


def test_an_endless_answer_is_closed(tmp_path: Path) -> None:
    """F93: of a body without an end little is read, then it is closed; its 200 counts all the same."""

    async def scenario() -> None:
        sent = 0
        closed = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while True:
                    writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                    await writer.drain()
                    sent += 1024
            except ConnectionError:
                closed.set()

        async with Simulator() as smsc:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            table = {"url": url, "secret_files": ["secret"], "allow_private": True}
            config = hooks_config(tmp_path, smsc, webhooks={"core": table})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send([request(1)]))
                await until(lambda: told.receivers["core"].delivered == 1)
                await asyncio.wait_for(closed.wait(), 10)
            assert sent < 32 << 20  # what buffers of the system hold
            server.close()

    run(scenario())


def test_gone_is_gone(tmp_path: Path) -> None:
    """410 disables an endpoint, over a restart too, until a command enables it; then nothing is missing."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener(lambda call: 410) as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener, parallel=1)})
            async with Dispatcher(config) as dispatcher:
                async with telling(dispatcher, tmp_path) as told:
                    accepted(await dispatcher.send(requests(20)))
                    await outcomes(dispatcher, 20)
                    await until(lambda: dict(told.counters())["core"].is_disabled)
                assert len(listener.calls) == 1
                listener.reply = lambda call: 200
                async with telling(dispatcher, tmp_path) as told:
                    assert dict(told.counters())["core"].is_disabled
                    told.receivers["core"].enable()
                    await until(lambda: told.receivers["core"].delivered == 20)
                assert len(set(listener.ids)) == 20
                async with telling(dispatcher, tmp_path) as told:
                    assert not dict(told.counters())["core"].is_disabled

    run(scenario())


def test_retry_after_is_kept(tmp_path: Path) -> None:
    """429 with Retry-After: until then it is left alone, all of it."""

    async def scenario() -> None:
        clock = Clock()
        wait = web.Response(status=429, headers={"Retry-After": "600"})
        async with Simulator() as smsc, Listener(lambda call: wait) as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener, parallel=1)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path, clock) as told:
                accepted(await dispatcher.send(requests(5)))
                await outcomes(dispatcher, 5)
                receiver = told.receivers["core"]
                await until(lambda: receiver.failed == 1)
                listener.reply = lambda call: 200
                clock.ahead_ms = 590_000
                assert receiver.queue.take(clock()) is None
                clock.ahead_ms = 601_000
                await until(lambda: receiver.delivered == 5)
                assert len(listener.calls) == 6

    run(scenario())


class Names(AbstractResolver):
    """Says what each name means; `later` from the second time on."""

    def __init__(self, first: str, later: str = "") -> None:
        self.asked = 0
        self._first, self._later = first, later or first

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up."""
        self.asked += 1
        address = self._first if self.asked == 1 else self._later
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("http://hook.example:{port}/", "127.0.0.1"),
        ("http://hook.example:{port}/", "::ffff:127.0.0.1"),
        ("http://127.0.0.1:{port}/", ""),
        ("http://0.0.0.0:{port}/", ""),
        ("http://[::ffff:127.0.0.1]:{port}/", ""),
        ("http://2130706433:{port}/", ""),
    ],
)
def test_no_address_inside_is_called(
    tmp_path: Path, url: str, means: str, caplog: pytest.LogCaptureFixture
) -> None:
    """F93: without allow_private no connection is made inside, whatever a name or number stands for; the log
    names the setting, once."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            table: dict[str, Any] = hook(listener, url=url.format(port=listener.port), allow_private=False)
            config = hooks_config(tmp_path, smsc, webhooks={"core": table})
            names = Names(means) if means else None
            async with (
                Dispatcher(config) as dispatcher,
                telling(dispatcher, tmp_path, resolver=names) as told,
            ):
                accepted(await dispatcher.send([request(1)]))
                receiver = told.receivers["core"]
                await until(lambda: receiver.failed >= 2)
                whys = {each[2].why for each in receiver.queue._waiting}
                assert whys <= {"address_forbidden", "address_malformed"}
                assert listener.calls == []
                if "address_forbidden" in whys:
                    advice = [line for line in caplog.messages if "allow_private = true" in line]
                    assert len(advice) == 1

    run(scenario())


def test_a_fault_of_ours_takes_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised in a call, it counts as a failure: the delivery is made later, and others go on."""

    async def scenario() -> None:
        call, faults = Caller.call, [RuntimeError("x")] * 3

        async def faulty(self: Caller, url: str, body: bytes, headers: dict[str, str]) -> Answer:
            if faults:
                raise faults.pop()
            return await call(self, url, body, headers)

        monkeypatch.setattr(Caller, "call", faulty)
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener, parallel=2)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send(requests(10)))
                await until(lambda: told.receivers["core"].delivered == 10)
                assert told.receivers["core"].failed == 3

    run(scenario())
