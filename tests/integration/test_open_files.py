"""F13: the process may open few more files, and then none at all: ulimit -n 64, and what is open now."""

import asyncio
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from dispatcher.cli.init import first_key
from dispatcher.simulator import Simulator
from dispatcher.store.audit import audit
from tests.integration import serving as house
from tests.integration.front import bearer, body
from tests.integration.house import copies, run, until
from tests.integration.serving import Served, serving

FILES = 64
LIMITED = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(port: int) -> Peer:
    """Connect to the door."""
    return await asyncio.open_connection("127.0.0.1", port)


async def ask(peer: Peer, token: str, number: int) -> bytes:
    """Post a message on a connection that stays; return the status, empty where the connection is cut."""
    content = json.dumps(body(number)).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer(token)['Authorization']}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    try:
        peer[1].write(head.encode() + content)
        said = await peer[0].readuntil(b"\r\n\r\n")
        length = next(line for line in said.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await peer[0].readexactly(int(length.split(b":")[1]))
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    return said.split()[1]


async def is_taken(port: int, token: str, number: int) -> bool:
    """Post a message on a connection of its own; tell whether it was accepted."""
    peer = await connect(port)
    try:
        return await ask(peer, token, number) == b"202"
    finally:
        peer[1].close()


def ticks(served: Served) -> int:
    """Return how long the process has worked, in ticks of the kernel."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def lowest_free(pid: int) -> int:
    """Return the number that a process's next file would have: as its limit, it may open none."""
    opened = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return min(set(range(len(opened) + 1)) - opened)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_more_files() -> None:
    """F13: with 64 files the door refuses further connections with 503, and keeps some files for others: a
    bind that is lost comes back, messages on open connections go. When even these are gone, nothing turns in
    a circle, binds live; after relief the door answers again.

    Relief is waited for, not timed; "no busy loop" is that a second of waiting costs under half a second of
    processor time.
    """

    async def scenario(folder: Path) -> None:
        async with Simulator() as smsc:
            path = house.write(folder, house.data_for(folder, smsc))
            (folder / "store").mkdir(mode=0o700)
            token = first_key(folder / "store" / "keys.json")
            async with serving(path, program=LIMITED) as served:
                bank, pid = smsc.account("bank"), served.process.pid
                port = int((await served.says("http_port"))["msg"].rpartition(":")[2])
                await until(lambda: bank.binds == 1, "it is bound")
                first = await connect(port)
                assert await ask(first, token, 0) == b"202"
                await until(lambda: copies(smsc)["t0"], "the first one goes")

                peers: list[Peer] = []
                for _ in range(FILES):
                    peers.append(await connect(port))
                    await asyncio.sleep(0)
                answers = [await peer[0].read(32) for peer in peers[-20:]]
                assert {answer[:12] for answer in answers} == {b"HTTP/1.1 503"}
                assert lowest_free(pid) < FILES - 8

                bank.act("disconnect")
                await until(lambda: bank.binds == 0, "it is lost")
                await until(lambda: bank.binds == 1, "it is bound again")
                assert await ask(first, token, 1) == b"202"
                await until(lambda: copies(smsc)["t1"], "what is asked on an open connection goes")

                resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), FILES))
                waiting = [await connect(port) for _ in range(5)]
                before = ticks(served)
                await asyncio.sleep(1)
                assert ticks(served) - before < os.sysconf("SC_CLK_TCK") // 2, "it turns in a circle"
                assert bank.binds == 1
                assert await ask(first, token, 2) == b"202"
                await until(lambda: copies(smsc)["t2"], "the bind lives")

                resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES, FILES))
                for _, writer in (*peers, *waiting):
                    writer.close()
                number = 3
                while not await is_taken(port, token, number):
                    await asyncio.sleep(0.05)
                await until(lambda: copies(smsc)["t3"], "the door is open again")
                assert set(copies(smsc).values()) == {1}
                first[1].close()
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0
                assert not [line for line in served.lines if line["level"] in ("error", "critical")]
        assert audit(folder / "store").accepted == 4

    with house.place_for(None) as folder:
        run(scenario(folder), 40)
