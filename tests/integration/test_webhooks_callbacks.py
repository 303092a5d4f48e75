"""Callbacks: the address that a message brought along is told of it, as the API or Kannel does it."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from dispatcher.app import Dispatcher
from dispatcher.model import Callback
from dispatcher.simulator import Simulator
from tests.integration.hooks import SWIFT, Listener, hooks_config, never, telling
from tests.integration.house import accepted, outcomes, request, requests, run, until

INSIDE = {**SWIFT, "enabled": True, "allow_private": True}
ALL = 31


def test_the_api_s_callback(tmp_path: Path) -> None:
    """Who gave a callback_url gets the end of his message by POST, as a webhook has it; others nothing."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, callbacks=INSIDE)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path):
                mine = request(1, source="core", callback=Callback(listener.url + "?a=1", 3))
                (one, *_) = accepted(await dispatcher.send([mine, *requests(10, first=2)]))
                await outcomes(dispatcher, 11)
                (call,) = await listener.came(1)
                assert call.path == "/hook?a=1"
                assert call.data["message_id"] == one.message_id
                assert call.data["outcome"] == "delivered"
                assert one.message_id in call.webhook_id
                assert mine.to.lstrip("+").encode() not in call.body
            assert len(listener.calls) == 1

    run(scenario())


def test_kannel_s_callback(tmp_path: Path) -> None:
    """Who came from Kannel gets by GET what his mask asks for, in order, the escapes replaced."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, callbacks=INSIDE)
            url = listener.url + "?id=7&type=%d&to=%p"
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path):
                asked = request(1, source="kannel:bank", callback=Callback(url, ALL))
                accepted(await dispatcher.send([asked]))
                calls = await listener.came(2)
                told = [parse_qs(urlsplit(call.path).query) for call in calls]
                assert [each["type"] for each in told] == [["8"], ["1"]]
                assert {each["to"][0].lstrip("+") for each in told} == {asked.to.lstrip("+")}
                assert {call.body for call in calls} == {b""}

    run(scenario())


def test_one_host_leaves_places_for_others(tmp_path: Path) -> None:
    """A host that hangs takes at most its own places; the callbacks of other hosts are made."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener(never) as slow, Listener() as swift:
            callbacks = {**INSIDE, "parallel": 4, "host_parallel": 2}
            config = hooks_config(tmp_path, smsc, callbacks=callbacks)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path, limit_ms=1):
                slowly = [request(n, callback=Callback(slow.url, 3)) for n in range(30)]
                swiftly = [request(n, callback=Callback(swift.url, 3)) for n in range(30, 60)]
                accepted(await dispatcher.send(slowly + swiftly))
                await swift.came(30)
                assert len(slow.calls) == 2

    run(scenario())


def test_no_callback_inside(tmp_path: Path) -> None:
    """Unless the configuration allows it, who may send cannot have us call what only we can reach."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, callbacks={**SWIFT, "enabled": True})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send([request(1, callback=Callback(listener.url, 3))]))
                await until(lambda: told.receivers["/callbacks"].failed >= 2)
            assert listener.calls == []

    run(scenario())


def test_a_callback_that_failed_is_made_after_a_restart(tmp_path: Path) -> None:
    """What waits stands in the store: the next process makes it, with the same id."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener(lambda call: 500) as listener:
            config = hooks_config(tmp_path, smsc, callbacks=INSIDE)
            async with Dispatcher(config) as dispatcher:
                async with telling(dispatcher, tmp_path):
                    accepted(await dispatcher.send([request(1, callback=Callback(listener.url, 3))]))
                    await listener.came(2)
                listener.reply = lambda call: 200
                before = len(listener.calls)
                async with telling(dispatcher, tmp_path) as told:
                    await until(lambda: told.receivers["/callbacks"].delivered == 1)
                assert len(listener.calls) == before + 1
                assert len(set(listener.ids)) == 1

    run(scenario())
