"""Webhooks: signed as Standard Webhooks has it, in order for each message, tried again, parked and resent."""

from pathlib import Path

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from dispatcher.app import Dispatcher
from dispatcher.errors import ConfigError
from dispatcher.simulator import Simulator
from tests.integration.hooks import NEWER, SECRET, Listener, hook, hooks_config, telling
from tests.integration.house import accepted, outcomes, request, run, until


def test_an_outcome_is_told_and_signed(tmp_path: Path) -> None:
    """The end of a message is posted once; another's code verifies it; no number and no text are in it."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                asked = request(1, client_ref="order-1", source="core")
                (one,) = accepted(await dispatcher.send([asked]))
                (call,) = await listener.came(1)
                body = call.verify()
                assert body["type"] == "message.finished"
                assert body["timestamp"] == body["data"]["at"]
                assert body["data"]["message_id"] == one.message_id
                assert (body["data"]["outcome"], body["data"]["client_ref"]) == ("delivered", "order-1")
                assert asked.to.lstrip("+").encode() not in call.body
                assert asked.text.encode() not in call.body
                with pytest.raises(WebhookVerificationError):
                    call.verify(NEWER)
            assert dict(told.counters()) == {}
            assert len(listener.calls) == 1

    run(scenario())


def test_secrets_rotate(tmp_path: Path) -> None:
    """With two secrets, who has only one of them can verify; newest first."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            (tmp_path / "newer").write_text(NEWER)
            both = hook(listener, secret_files=["newer", "secret"])
            config = hooks_config(tmp_path, smsc, webhooks={"core": both})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path):
                accepted(await dispatcher.send([request(1)]))
                (call,) = await listener.came(1)
                assert call.verify(NEWER) == call.verify(SECRET)
                first, second = call.headers["webhook-signature"].split()
                for signature, secret in ((first, NEWER), (second, SECRET)):
                    alone = call._replace(headers=call.headers | {"webhook-signature": signature})
                    alone.verify(secret)

    run(scenario())


def test_after_a_restart_it_goes_on(tmp_path: Path) -> None:
    """What ended while nobody told it is told after the next start, each message once."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener)})
            async with Dispatcher(config) as dispatcher:
                async with telling(dispatcher, tmp_path):
                    accepted(await dispatcher.send([request(n) for n in range(20)]))
                    await listener.came(20)
                accepted(await dispatcher.send([request(n) for n in range(20, 40)]))
                await outcomes(dispatcher, 40)
                assert len(listener.calls) == 20
                async with telling(dispatcher, tmp_path):
                    await listener.came(40)
            assert len({call.data["message_id"] for call in listener.calls}) == 40
            assert len(set(listener.ids)) == 40

    run(scenario())


def test_a_batch_is_one_request(tmp_path: Path) -> None:
    """With batch_max, many events come in one signed request, each once, those of a message in order."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            table = hook(listener, batch_max=50, parallel=2, events=["submitted", "finished"])
            config = hooks_config(tmp_path, smsc, webhooks={"core": table})
            listener.reply = lambda call: 503 if len(listener.calls) % 3 == 1 else 200
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send([request(n) for n in range(200)]))
                await until(lambda: told.receivers["core"].delivered == 400)
            taken: dict[str, list[str]] = {}
            for call in {call.webhook_id: call for call in listener.calls}.values():
                assert len(call.verify()["data"]) <= 50
            for number, call in enumerate(listener.calls, 1):
                if number % 3 != 1:
                    for event in call.data:
                        taken.setdefault(event["message_id"], []).append(event["type"])
            assert len(taken) == 200
            assert set(map(tuple, taken.values())) == {("message.submitted", "message.finished")}
            assert len(listener.calls) < 200

    run(scenario())


def test_a_reload_changes_only_what_changed(tmp_path: Path) -> None:
    """A new endpoint begins, a gone one ends, a new secret is used; another's counters go on."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as stays, Listener() as goes, Listener() as comes:
            (tmp_path / "newer").write_text(NEWER)
            tables = {"stays": hook(stays), "goes": hook(goes)}
            config = hooks_config(tmp_path, smsc, webhooks=tables)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send([request(1)]))
                await goes.came(1)
                await stays.came(1)
                before = told.receivers["stays"]
                newer = {"stays": hook(stays), "comes": hook(comes, secret_files=["newer"])}
                await told.reload(hooks_config(tmp_path, smsc, webhooks=newer))
                accepted(await dispatcher.send([request(2)]))
                (call,) = await comes.came(1)
                call.verify(NEWER)
                await stays.came(2)
                assert told.receivers["stays"] is before
                assert len(goes.calls) == 1
                wrong = {"stays": hook(stays), "comes": hook(comes, secret_files=["nowhere"])}
                with pytest.raises(ConfigError, match=r"webhooks\.comes\.secret_files\[0\]"):
                    await told.reload(hooks_config(tmp_path, smsc, webhooks=wrong))
                accepted(await dispatcher.send([request(3)]))
                await comes.came(2)

    run(scenario())
