"""Webhooks, told by a whole dispatcher to real HTTP servers."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from dispatcher.__main__ import main
from dispatcher.app import Dispatcher
from dispatcher.model import Callback
from dispatcher.outcomes.service import Outcomes
from dispatcher.simulator import Simulator
from dispatcher.store.deliveries import ask, connect, parked
from tests.integration.house import Clock, accepted, request, requests, run, until
from tests.integration.webhooks import OLDER, SECRET, Call, listening, telling, told


def test_each_end_is_told_once_signed_by_every_secret(tmp_path: Path) -> None:
    """Another's implementation verifies each of two secrets; no number and no text is told."""

    async def scenario() -> None:
        async with Simulator() as smsc, listening() as listener:
            config = told(tmp_path, smsc, listener.port, secret_files=["secret", "older"])
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path):
                messages = accepted(await dispatcher.send(requests(50, first=100)))
                await until(lambda: len(listener.calls) >= 50)
            assert {call.data["message_id"] for call in listener.calls} == {m.message_id for m in messages}
            assert len(set(listener.ids)) == len(listener.ids) == 50
            for call in listener.calls:
                for secret in (SECRET, OLDER):
                    assert Verifier(secret).verify(call.body, call.headers)["type"] == "message.finished"
                with pytest.raises(WebhookVerificationError):
                    Verifier("whsec_" + "A" * 32).verify(call.body, call.headers)
                assert not re.search(rb"790000001[0-4][0-9]", call.body)
                assert b"4711" not in call.body

    run(scenario())


def test_events_of_a_message_come_in_order_while_calls_fail(tmp_path: Path) -> None:
    """F93: every second call is a 500; each event comes, retries keep their id, and order holds."""
    seen: Counter[str] = Counter()
    order: dict[str, list[str]] = {}

    async def every_second(call: Call) -> web.StreamResponse:
        seen[call.headers["webhook-id"]] += 1
        if seen[call.headers["webhook-id"]] == 1 and len(seen) % 2:
            return web.Response(status=500)
        order.setdefault(call.data["message_id"], []).append(call.data["type"])
        return web.Response()

    async def scenario() -> None:
        async with Simulator() as smsc, listening(every_second) as listener:
            kinds = ["claimed", "submitted", "receipted", "finished"]
            config = told(tmp_path, smsc, listener.port, events=kinds)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path):
                accepted(await dispatcher.send(requests(30)))
                await until(lambda: sum(map(len, order.values())) >= 120)
        assert [*order.values()] == [[f"message.{kind}" for kind in kinds]] * 30
        assert max(seen.values()) > 1

    run(scenario())


def test_what_is_given_up_is_parked_and_can_be_sent_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F93: after a day of failures it is parked and visible; F94: a command has it sent, with the same id."""
    clock, is_well = Clock(), False

    async def sick(call: Call) -> web.StreamResponse:
        return web.Response(status=200 if is_well else 503)

    async def scenario() -> None:
        nonlocal is_well
        async with Simulator() as smsc, listening(sick) as listener:
            config = told(tmp_path, smsc, listener.port)
            async with (
                Dispatcher(config) as dispatcher,
                telling(dispatcher, config, tmp_path, now_ms=clock) as outcomes,
            ):
                accepted(await dispatcher.send([request(1)]))
                await until(lambda: outcomes.receivers["crm"].failed)
                clock.ahead_ms = 86_400_000
                await until(lambda: outcomes.receivers["crm"].parked == 1)
                side = connect(Path(config.store))
                await until(lambda: len(parked(side, "crm")) == 1)
                (name, held) = parked(side)[0]
                assert (name, held.why) == ("crm", "status_503")
                before, is_well = len(listener.calls), True
                store = ("--store", config.store)
                assert main(["webhooks", "list", *store, "--json"]) == 0
                assert main(["webhooks", "parked", *store]) == 0
                assert held.webhook_id in capsys.readouterr().out
                assert main(["webhooks", "resend", *store, "--endpoint", "nobody", "--all"]) != 0
                assert main(["webhooks", "resend", *store, "--endpoint", "crm", "--id", held.webhook_id]) == 0
                await until(lambda: len(listener.calls) > before and not parked(side))
                assert set(listener.ids) == {held.webhook_id}
                assert main(["webhooks", "replay", *store, "crm", "--since", "3d"]) == 0
                await until(lambda: len(listener.calls) == before + 2)
                await until(lambda: "crm/replay" not in outcomes.receivers)
                side.close()

    run(scenario())


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """F06: what was told is not told again, what was not is told after the restart, with the same id."""
    is_up = False

    async def later(call: Call) -> web.StreamResponse:
        return web.Response(status=200 if is_up else 500)

    async def scenario() -> None:
        nonlocal is_up
        async with Simulator() as smsc, listening(later) as listener:
            config = told(tmp_path, smsc, listener.port)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                accepted(await dispatcher.send(requests(40)))
                await until(lambda: outcomes.receivers["crm"].queue.is_down)
            first, is_up = set(listener.ids), True
            listener.calls.clear()
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path):
                await until(lambda: len(listener.calls) >= 40)
                await asyncio.sleep(0)
            assert len(set(listener.ids)) == len(listener.ids) == 40
            assert first < set(listener.ids)

    run(scenario())


def test_private_addresses_and_redirects_are_not_followed(tmp_path: Path) -> None:
    """F93: without leave no address inside is called; a redirect is a failure, not a way."""

    async def away(call: Call) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async def why_of(tmp: Path, smsc: Simulator, port: int, **more: object) -> str:
        config = told(tmp, smsc, port, **more)
        async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp) as outcomes:
            accepted(await dispatcher.send([request(1)]))
            receiver = outcomes.receivers["crm"]
            await until(lambda: receiver.failed)
            return next(item.why for _, _, item in receiver.queue._waiting)

    async def scenario() -> None:
        async with Simulator() as smsc, listening(away) as listener:
            for name in ("one", "two"):
                (tmp_path / name).mkdir()
            why = await why_of(tmp_path / "one", smsc, listener.port, allow_private=False)
            assert (why, listener.calls) == ("address_forbidden", [])
            assert await why_of(tmp_path / "two", smsc, listener.port) == "status_302"
            assert {call.path for call in listener.calls} == {"/hook"}

    run(scenario())


def test_410_disables_until_somebody_enables(tmp_path: Path) -> None:
    """One 410 and nothing more is sent; after `enable` what waited is told."""
    is_gone = True

    async def gone(call: Call) -> web.StreamResponse:
        return web.Response(status=410 if is_gone else 200)

    async def scenario() -> None:
        nonlocal is_gone
        async with Simulator() as smsc, listening(gone) as listener:
            config = told(tmp_path, smsc, listener.port, parallel=1)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                accepted(await dispatcher.send(requests(3)))
                await until(lambda: outcomes.receivers["crm"].disabled)
                assert len(listener.calls) == 1
                is_gone = False
                side = connect(Path(config.store))
                ask(side, "enable", "crm")
                await until(lambda: len(listener.calls) == 4)
                side.close()

    run(scenario())


def test_callbacks_go_to_the_address_of_the_message(tmp_path: Path) -> None:
    """A Kannel user's address is fetched with its escapes replaced; an API's is posted to."""

    async def scenario() -> None:
        async with Simulator() as smsc, listening() as listener:
            config = told(tmp_path, smsc, listener.port)
            url = f"http://127.0.0.1:{listener.port}"
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path):
                kannel = request(1, source="kannel:tom", callback=Callback(f"{url}/dlr?type=%d", 1))
                api = request(2, source="core", callback=Callback(f"{url}/cb", 3))
                accepted(await dispatcher.send([kannel, api]))
                await until(lambda: len(listener.calls) >= 4)
            paths = Counter((call.request.method, call.path) for call in listener.calls)
            assert paths == {("POST", "/hook"): 2, ("GET", "/dlr?type=1"): 1, ("POST", "/cb"): 1}

    run(scenario())


def test_an_unknown_receiver_is_no_trouble(tmp_path: Path) -> None:
    """A request that names nobody is dropped."""

    async def scenario() -> None:
        async with Simulator() as smsc, listening() as listener:
            config = told(tmp_path, smsc, listener.port)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                assert isinstance(outcomes, Outcomes)
                side = connect(Path(config.store))
                ask(side, "resend", "nobody")
                await until(lambda: not side.execute("SELECT count(*) FROM request").get)
                side.close()

    run(scenario())
