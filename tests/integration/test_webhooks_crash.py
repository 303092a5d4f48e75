"""A daemon that is killed: what was told and not noted is told again, with the same id; nothing is lost."""

import asyncio
from collections import Counter
from pathlib import Path

from dispatcher.app import Dispatcher
from dispatcher.config import from_dict
from dispatcher.simulator import Simulator
from tests.integration import serving as house
from tests.integration.hooks import SECRET, Call, Listener, hook, telling
from tests.integration.house import accepted, outcomes, requests, run, until
from tests.integration.serving import serving

PARALLEL = 4
MESSAGES = 200


def test_killed_after_the_answer(tmp_path: Path) -> None:
    """F06: kill -9 at any answer: each event comes, at most those in flight twice, with the same id."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            (tmp_path / "secret").write_text(SECRET)
            hooks = {"core": hook(listener, parallel=PARALLEL)}
            data = house.data_for(tmp_path, smsc, webhooks=hooks)
            kills = [10, 50, 51, 120]
            due = asyncio.Event()

            def reply(call: Call) -> int:
                if kills and len(listener.calls) >= kills[0]:
                    due.set()
                return 200

            listener.reply = reply
            async with Dispatcher(from_dict(data)) as dispatcher:
                async with telling(dispatcher, tmp_path):
                    pass  # the webhook is new: it begins here
                accepted(await dispatcher.send(requests(MESSAGES)))
                await outcomes(dispatcher, MESSAGES)
            path = house.write(tmp_path, data)
            killed = 0
            while kills:
                async with serving(path, wait_ready=False) as served:
                    await asyncio.wait_for(due.wait(), 30)
                    served.process.kill()
                    await served.ended()
                killed += 1
                kills = [each for each in kills if each > len(listener.calls)]
                due.clear()
            async with serving(path):
                await until(lambda: len(set(listener.ids)) == MESSAGES)
            times = Counter(listener.ids)
            assert len({call.data["message_id"] for call in listener.calls}) == MESSAGES
            assert sum(times.values()) - MESSAGES <= killed * PARALLEL
            told = {(call.webhook_id, call.body) for call in listener.calls}
            assert len(told) == MESSAGES

    run(scenario(), 120)
