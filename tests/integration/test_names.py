"""F17: the name of an SMSC is not found, hangs, changes, or gives a dead address first."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from dispatcher.app import Dispatcher
from dispatcher.simulator import Simulator
from dispatcher.smpp.pool import Alarm
from dispatcher.store.audit import audit
from tests.integration.house import accepted, config_for, copies, outcomes, requests, run, until

NAME = "smsc.example"
DEAD = "127.0.0.2"
"""Nobody listens there: refused at once."""


class Names:
    """What the resolver of this loop says of the SMSC: addresses and a port, nothing found, or no answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[str] | None = None
        self.port = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked_s: list[float] = []
        loop = asyncio.get_running_loop()
        self._really: Any = loop.getaddrinfo
        monkeypatch.setattr(loop, "getaddrinfo", self._resolve)

    async def _resolve(self, host: str, port: int, **more: Any) -> Any:
        if host != NAME:  # uvloop asks about addresses, too
            return await self._really(host, port, **more)
        self.asked_s.append(asyncio.get_running_loop().time())
        await self.answers.wait()
        if self.found is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, self.port)) for each in self.found]


def test_names_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F17: a name that is not found is an alarm at the first attempt, and asked for again with growing waits;
    then a dead address stands first, and the next one is tried. Binds that run do not care whether the name
    is found, hangs or has changed; a new connection goes to where it points by then.

    A look-up has 10 s, as each address (`smpp.dial`): that one without an answer ends by itself is shown with
    a shorter limit by test_pool_faults.py.
    """

    async def scenario() -> None:
        names = Names(monkeypatch)
        async with Simulator() as old, Simulator() as new:
            config = config_for(tmp_path, old, carrier={"host": NAME, "transceivers": 2})
            async with Dispatcher(config) as dispatcher:
                (lane,) = dispatcher.pipeline.lanes.values()

                def is_bound(smsc: Simulator, binds: int) -> bool:
                    return smsc.account("bank").binds == binds

                accepted(
                    await dispatcher.send(requests(10))
                )  # what the carrier does is not the door's concern
                await until(lambda: Alarm.UNREACHABLE in lane.pool.snapshot().alarms, "it is told")
                assert (
                    "Temporary failure in name resolution" in lane.pool.snapshot().alarms[Alarm.UNREACHABLE]
                )
                await until(lambda: len(names.asked_s) >= 3, "it is asked for again")
                waits = [
                    after - before for before, after in zip(names.asked_s, names.asked_s[1:], strict=False)
                ]
                assert min(waits) > 0.7

                names.found, names.port = [DEAD, "127.0.0.1"], old.port
                await until(lambda: is_bound(old, 2), "the second address is tried")
                assert Alarm.UNREACHABLE not in lane.pool.snapshot().alarms
                await outcomes(dispatcher, 10)

                names.found = None  # not found: who is bound does not ask
                asked = len(names.asked_s)
                accepted(await dispatcher.send(requests(10, first=10)))
                await outcomes(dispatcher, 20)
                assert (len(names.asked_s), is_bound(old, 2)) == (asked, True)

                names.answers.clear()  # the resolver hangs: one bind is lost, and the other one goes on
                old.account("bank").act("disconnect", bind=2)
                await until(lambda: len(names.asked_s) > asked, "it is asked for")
                accepted(await dispatcher.send(requests(10, first=20)))
                await outcomes(dispatcher, 30)
                assert is_bound(old, 1)

                names.found, names.port = [DEAD, "127.0.0.1"], new.port  # it has moved
                names.answers.set()
                await until(lambda: is_bound(new, 1), "the new connection goes there")
                assert is_bound(old, 1)
                old.account("bank").act("disconnect")
                await until(lambda: is_bound(new, 2), "and so does the other")
                accepted(await dispatcher.send(requests(10, first=30)))
                await outcomes(dispatcher, 40)
                assert set((copies(old) + copies(new)).values()) == {1}
                assert copies(new)
        assert audit(tmp_path / "store").outcomes == {"delivered": 40}

    run(scenario(), 50)
