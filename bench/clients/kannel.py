"""Kannel, from Debian: bearerbox and smsbox, fed over HTTP with 100 recipients a request.

Its queue is kept some thousands long, so that every window is full; what counts is bearerbox's own totals,
CPU is that of both boxes. What feeds them shares their core.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import uvloop

from bench.clients.face import CODES, DESTINATIONS, Absent, Job, Outcome
from dispatcher.cli import rig

NAME: Final = "Kannel"
BOXES: Final = ("bearerbox", "smsbox")
FOLDERS: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
CONNECTIONS: Final = 4
RECIPIENTS: Final = 100
QUEUED_MAX: Final = 5_000
"""Messages that wait in bearerbox, or are on the wire."""
LOOK_S: Final = 0.05
_CORE: Final = """\
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {boxes}
admin-allow-ip = "127.0.0.1"
box-allow-ip = "127.0.0.1"
dlr-storage = internal
log-level = 4
sms-outgoing-queue-limit = 1000000

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {http}
log-level = 4

group = sendsms-user
username = bench
password = bench
"""
_BIND: Final = """
group = smsc
smsc = smpp
smsc-id = bank
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = {system_id}
smsc-password = ""
system-type = ""
max-pending-submits = {window}
dest-addr-ton = 1
dest-addr-npi = 1
"""
_COUNTS: Final = re.compile(r"<sms>.*?<sent><total>(\d+).*?<dlr>.*?<received><total>(\d+)", re.DOTALL)


def version() -> str:
    """Return what bearerbox says of itself."""
    found = shutil.which(BOXES[0], path=FOLDERS)
    if found is None:
        return ""
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    matched = re.search(r"version `([^']+)'", told)
    return matched[1] if matched else "of unknown version"


def missing() -> Absent | None:
    """Say what is missing, if anything."""
    if any(shutil.which(box, path=FOLDERS) is None for box in BOXES):
        return Absent("bearerbox and smsbox are not on the PATH: apt install kannel")
    return None


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "kannel", *job.arguments]


def flood(job: Job) -> Outcome:
    """Start both boxes, feed, drain, end them."""
    ports = rig.free_ports(3)
    text = _CORE.format(admin=ports[0], boxes=ports[1], http=ports[2])
    bind = _BIND.format(port=job.port, system_id=job.system_id, window=job.window)
    boxes: list[subprocess.Popen[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kannel.conf"
        config.write_text(text + bind * job.binds, "ascii")
        try:
            outcome: Outcome = uvloop.run(Feeder(job, ports[0], ports[2], boxes).run(config))
        finally:
            rig.kill_all(boxes)
    return outcome


class Feeder:
    """Keeps both boxes busy."""

    def __init__(self, job: Job, admin: int, http: int, boxes: "list[subprocess.Popen[Any]]") -> None:
        self._job, self._admin, self._http, self._boxes = job, admin, http, boxes
        self._sent = self._out = 0
        self._over = False
        targets = [
            f"/cgi-bin/sendsms?username=bench&password=bench&from=bank&dlr-mask={3 * job.receipts}"
            f"&text={quote_plus(CODES[at])}&to={'+'.join(DESTINATIONS[at : at + RECIPIENTS])}"
            for at in range(0, len(CODES) - RECIPIENTS, RECIPIENTS)
        ]
        self._requests = [f"GET {each} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for each in targets]

    async def run(self, config: Path) -> Outcome:
        """Feed for warm-up and span; wait for the rest."""
        for box, port in zip(BOXES, (self._admin, self._http), strict=True):
            words = [shutil.which(box, path=FOLDERS) or box, "-v", "4", str(config)]
            self._boxes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            await _listens(port)
        while (await self._status()).count("<status>online") < self._job.binds:
            await asyncio.sleep(LOOK_S)
        feeding = [asyncio.create_task(self._feed(at)) for at in range(CONNECTIONS)]
        await self._look(self._job.warm_s)
        begun = await self._meters()
        await self._look(self._job.span_s)
        ended = await self._meters()
        self._over = True
        await asyncio.gather(*feeding)
        while min(await self._counts()) < self._sent:
            await asyncio.sleep(LOOK_S)
        messages, seconds, cpu_s = (late - early for early, late in zip(begun, ended, strict=True))
        return Outcome(int(messages), seconds, cpu_s, self._sent)

    async def _feed(self, at: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http)
        while not self._over:
            if self._sent - self._out > QUEUED_MAX:
                await asyncio.sleep(LOOK_S / 10)
                continue
            writer.write(self._requests[at % len(self._requests)])
            told = await _answer(reader)
            if not told.startswith("HTTP/1.1 202"):
                raise SystemExit(f"refused: {told.partition(chr(13))[0]}")
            self._sent += RECIPIENTS
            at += CONNECTIONS
        writer.close()

    async def _look(self, seconds: float) -> None:
        """Let so much time pass, and see how many are out."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            self._out = min(await self._counts())
            await asyncio.sleep(min(left, LOOK_S))

    async def _counts(self) -> tuple[int, ...]:
        """Return what was answered and, with receipts, what was reported."""
        found = _COUNTS.search(await self._status())
        assert found is not None
        return (int(found[1]), int(found[2])) if self._job.receipts else (int(found[1]),)

    async def _meters(self) -> tuple[int, float, float]:
        counts = await self._counts()
        cpu_s = sum(rig.cpu_s(box.pid) for box in self._boxes)
        return counts[-1], asyncio.get_running_loop().time(), cpu_s

    async def _status(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._admin)
        writer.write(
            b"GET /status.xml?password=bench HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        told = await _answer(reader)
        writer.close()
        return told


async def _answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]  # it always says so
    return (head + await reader.readexactly(length)).decode()


async def _listens(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"nobody listens at port {port}")
