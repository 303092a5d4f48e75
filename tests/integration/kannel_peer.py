"""Debian's Kannel, started beside a simulated SMSC: the oracle of what sendsms answers and sends."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from aiohttp import web

from dispatcher.ingest.kannel import PATH, Accept, Kannel
from dispatcher.simulator import Simulator
from tests.integration.house import until
from tests.integration.test_simulator_peers import KANNEL, free_port

BOXES = [shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("bearerbox", "smsbox")]


def pages(kannel: Kannel, accept: Accept) -> list[web.RouteDef]:
    """Return what a router of aiohttp serves the page with."""

    async def get(request: web.Request) -> web.Response:
        return await kannel.get(request, accept)

    async def post(request: web.Request) -> web.Response:
        return await kannel.post(request, await request.read(), accept)

    return [web.get(PATH, get, allow_head=False), web.post(PATH, post)]


class Kannels:
    """bearerbox and smsbox. `port` is that of sendsms."""

    def __init__(self, folder: Path, smsc: Simulator) -> None:
        self.port = free_port()
        self._folder = folder
        self._smsc = smsc
        self._processes: list[subprocess.Popen[bytes]] = []

    async def __aenter__(self) -> "Kannels":
        config = self._folder / "kannel.conf"
        admin, boxes = free_port(), free_port()
        config.write_text(
            KANNEL.format(admin=admin, boxes=boxes, port=self._smsc.port, send=self.port, folder=self._folder)
        )
        try:
            for box, port in zip(BOXES, (boxes, self.port), strict=True):
                assert box is not None
                quiet = subprocess.DEVNULL
                self._processes.append(
                    subprocess.Popen([box, str(config)], stdout=quiet, stderr=quiet, cwd=self._folder)
                )
                await _listening(port)
            await until(lambda: self._smsc.account("bank").binds == 1)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _listening(port: int, limit_s: float = 20) -> None:
    end = asyncio.get_running_loop().time() + limit_s
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert asyncio.get_running_loop().time() < end, f"nobody listens at {port}"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return
