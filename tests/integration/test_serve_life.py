"""The daemon's life: exit codes, what systemd is told, stalls, a failed journal, a log that nobody reads."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from dispatcher.simulator import Simulator
from tests.integration import serving as house
from tests.integration.house import copies, requests, run, until
from tests.integration.serving import serving
from tests.test_architecture import ROOT

PARTS = """
import asyncio, errno, logging, os, time
from dispatcher import daemon

class Part:
    def __init__(self, its):
        self.daemon = its
    async def start(self):
        {start}
    async def stop(self, limit_ms):
        logging.getLogger("part").info("the part stops")
    async def reload(self, config):
        {reload}

daemon.parts_of = lambda its: [Part(its)]
"""


def with_part(start: str = "pass", reload: str = "pass") -> str:
    """Return a program that gives the daemon a part of ours."""
    return PARTS.format(start=start, reload=reload)


def ends_with(data: dict[str, Any], folder: Path, program: str = "") -> tuple[int, str]:
    """Start a daemon that must end by itself; return its exit code and all it said."""

    async def scenario() -> tuple[int, str]:
        async with serving(house.write(folder, data), program=program, wait_ready=False) as served:
            return await served.ended(), "".join(served.raw)

    return run(scenario())


def plain(folder: Path, **more: Any) -> dict[str, Any]:
    """Return a configuration whose carrier nobody reaches."""
    carrier = {"host": "127.0.0.1", "port": 1, "system_id": "bank", **more.pop("carrier", {})}
    base = house.data_for(folder, **more)
    return {**base, "carriers": {"c0": carrier}, "routes": [{"carriers": ["c0"]}]}


# ---- exit codes ----


def test_a_wrong_configuration_is_78(tmp_path: Path) -> None:
    """Every mistake with file, line and key; the same for a secret that is not there."""
    code, said = ends_with(plain(tmp_path, carrier={"tsp": 5}, http={"port": 70_000}), tmp_path)
    assert code == 78
    assert "carriers.c0.tsp: unknown key; did you mean 'tps'?" in said
    assert "dispatcher.toml:" in said
    assert "http.port: expected int <= 65535" in said
    code, said = ends_with(plain(tmp_path, carrier={"password_file": "none"}), tmp_path)
    assert code == 78
    assert "dispatcher.toml:7: carriers.c0.password_file: " in said


@pytest.mark.parametrize(
    ("section", "host", "why"),
    [
        ("http", "127.0.0.1", "Address already in use; another process has the port"),
        ("admin", "127.0.0.1", "Address already in use; another process has the port"),
        ("http", "192.0.2.1", "Cannot assign requested address; no interface of this machine"),
        ("admin", "nowhere.invalid", "Cannot assign requested address; no interface of this machine"),
    ],
)
def test_a_port_that_cannot_be_had_is_69(section: str, host: str, why: str, tmp_path: Path) -> None:
    """It is said which listener it is, its address, why, and what to do; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        table = {"host": host, "port": port, "allow_plain": True}
        code, said = ends_with(plain(tmp_path, **{section: table}), tmp_path)
    assert code == 69
    assert f"cannot start: [{section}] {host}:{port}: {why}" in said
    assert "Traceback" not in said


def test_what_the_system_refuses_has_its_code(tmp_path: Path) -> None:
    """A damaged store 74, a fault inside 70 with its traceback."""
    code, said = ends_with(plain(tmp_path), tmp_path, with_part("1 / 0"))
    assert code == 70
    assert "ZeroDivisionError" in said
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "journal.db").write_bytes(b"no database " * 1000)
    code, said = ends_with(plain(tmp_path, store=str(tmp_path / "bad")), tmp_path)
    assert code == 74, said


def test_a_store_in_use_is_75(tmp_path: Path) -> None:
    """F15: the second one says who has it and ends; after a kill of the first the store is free at once."""

    async def scenario() -> None:
        path = house.write(tmp_path, plain(tmp_path))
        async with serving(path) as first:
            async with serving(path, wait_ready=False) as second:
                assert await second.ended() == 75
                assert f"in use by another process (pid {first.process.pid})" in "".join(second.raw)
            first.signal(signal.SIGKILL)
            await first.ended()
            async with serving(path) as third:
                third.signal(signal.SIGTERM)
                assert await third.ended() == 0

    run(scenario())


@pytest.mark.skipif(house.NOBODY not in house.users(), reason="only root can become an ordinary user")
def test_a_store_of_somebody_else_is_77() -> None:
    """An ordinary user who may not write there is told so."""

    async def scenario(folder: Path) -> None:
        path = house.write(folder, plain(folder))
        async with serving(path, uid=house.NOBODY, wait_ready=False) as served:
            assert await served.ended() == 77
            assert "Permission denied" in "".join(served.raw)

    with house.place_for(None) as folder:
        folder.chmod(0o755)
        run(scenario(folder))


def test_a_failed_journal_is_74(tmp_path: Path) -> None:
    """F21, F25: the store is taken away under it: it says so, stops its parts and leaves by itself."""

    async def scenario() -> None:
        async with serving(house.write(tmp_path, plain(tmp_path)), program=with_part()) as served:
            journal = next((tmp_path / "store").glob("journal*"))
            journal.rename(tmp_path / "elsewhere")
            journal.write_bytes(b"")
            assert await served.ended() == 74
            assert served.said("journal_failed")[0]["level"] == "critical"
            assert served.said("the_part_stops")

    run(scenario())


# ---- systemd ----


class Manager:
    """The socket that systemd listens on."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.told: list[str] = []

    def hear(self) -> list[str]:
        """Return all that was told so far, word by word."""
        while True:
            try:
                self.told += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.told


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told(is_abstract: bool, tmp_path: Path) -> None:
    """READY once messages are taken, RELOADING and READY around a reload, STOPPING; WATCHDOG as it asks."""
    name = f"@dispatcher-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    manager = Manager(name.replace("@", "\0"))

    async def scenario() -> None:
        environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}
        async with serving(house.write(tmp_path, plain(tmp_path)), environ=environ) as served:
            await until(lambda: "READY=1" in manager.hear(), "READY")
            assert f"MAINPID={served.process.pid}" in manager.told
            assert any(word.startswith("EXTEND_TIMEOUT_USEC=") for word in manager.told)
            await until(lambda: manager.hear().count("WATCHDOG=1") >= 3, "WATCHDOG")
            (tmp_path / "dispatcher.toml").write_text("=")
            served.signal(signal.SIGHUP)
            await until(lambda: manager.hear().count("READY=1") == 2, "READY after a reload")
            at = manager.told.index("RELOADING=1")
            assert manager.told[at + 1].startswith("MONOTONIC_USEC=")
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0
            assert "STOPPING=1" in manager.hear()

    with manager.socket:
        run(scenario())


def test_a_loop_that_stands_is_reported_and_not_alive(tmp_path: Path) -> None:
    """F14: the log says where it stands and for how long it did; systemd hears nothing meanwhile."""
    manager = Manager(str(tmp_path / "notify"))
    release = tmp_path / "release"
    block = f"""
        from dispatcher import stalls
        stalls.TELL_S = 0.0  # on a busy machine it may stand before
        def stand_still():
            while not os.path.exists({str(release)!r}):
                time.sleep(0.01)
        asyncio.get_running_loop().call_later(0.3, stand_still)"""

    async def scenario() -> None:
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        path = house.write(tmp_path, plain(tmp_path))
        async with serving(path, environ=environ, program=with_part(block)) as served:
            await until(
                lambda: any("stand_still" in each["stack"] for each in served.said("loop_stalled")),
                "where it stands",
            )
            alive = manager.hear().count("WATCHDOG=1")
            await asyncio.sleep(0.5)  # ten times as long as it takes a loop that turns
            assert manager.hear().count("WATCHDOG=1") == alive
            release.touch()
            await until(lambda: any(each["ms"] >= 500 for each in served.said("loop_turns")), "how long")
            await until(lambda: manager.hear().count("WATCHDOG=1") > alive, "alive again")
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0

    with manager.socket:
        run(scenario())


# ---- reload ----

ENGINE = """
from dispatcher.app import Dispatcher
if not hasattr(Dispatcher, "reload"):
    async def engine_reload(self, config):
        self.config = config
        return ["something"]
    Dispatcher.reload = engine_reload
"""


def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """F98: each mistake is logged with its line, all stays as it was, and it goes on; then a good one."""

    async def scenario() -> None:
        data = plain(tmp_path)
        path = house.write(tmp_path, data)
        async with serving(path, program=ENGINE) as served:
            house.write(tmp_path, {**data, "http": {"port": "x"}, "store": 5})
            served.signal(signal.SIGHUP)
            await served.says("reload_refused", 2)
            told = " ".join(line["msg"] for line in served.said("reload_refused"))
            assert "dispatcher.toml:1: store: expected str, got int" in told
            assert "http.port: expected int, got str" in told
            house.write(tmp_path, data)
            served.signal(signal.SIGHUP)
            await served.says("reloaded")
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0

    run(scenario())


def test_a_part_that_cannot_follow_takes_all_back(tmp_path: Path) -> None:
    """F98: all or nothing: what the dispatcher had taken up is taken back."""
    follow = """
        logging.getLogger("part").info("it is told %s", config.currency, extra={"event": "part_told"})
        if config.currency == "RUB":
            from dispatcher.errors import ConfigError
            raise ConfigError("currency: not this one")"""

    async def scenario() -> None:
        data = plain(tmp_path)
        path = house.write(tmp_path, data)
        async with serving(path, program=ENGINE + with_part(reload=follow)) as served:
            house.write(tmp_path, {**data, "currency": "RUB"})
            served.signal(signal.SIGHUP)
            told = await served.says("reload_refused")
            assert ": currency: not this one" in told["msg"]
            assert "dispatcher.toml:" in told["msg"]
            assert [line["msg"] for line in served.said("part_told")] == ["it is told RUB", "it is told EUR"]

    run(scenario())


# ---- log ----


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    """F26: standard error is a full pipe: messages are sent, the process drains and ends with 0."""
    noise = 'logging.getLogger("part").error("x" * 1000) if i else None'
    start = f"for i in range(20_000): {noise}"

    async def scenario(folder: Path) -> None:
        async with Simulator() as smsc:
            data = house.data_for(folder, smsc)
            path = house.write(folder, data)
            await house.fill(data, requests(50))
            read_end, write_end = os.pipe()
            process = await asyncio.create_subprocess_exec(
                *house.command(path, with_part(start)), cwd=ROOT, stderr=write_end
            )
            os.close(write_end)
            try:
                await until(lambda: len(copies(smsc)) == 50, "all are sent")
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
            finally:
                os.close(read_end)
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    with house.place_for(None) as folder:
        run(scenario(folder))
