"""``dispatcher simulate`` as a process: what it says, its exit codes, its files."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.esme import Esme, run

COMMAND = [sys.executable, "-m", "dispatcher", "simulate"]


def fails(*arguments: str) -> tuple[int, str]:
    """Run it to its end; return exit code and what it complains of."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=10, check=False)
    return done.returncode, done.stderr


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start it on a free port; give the process and the port."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"SMSC on 127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_flags_and_the_ledger_file(number: int, tmp_path: Path) -> None:
    """Flags shape the behaviour; a signal ends it with exit code 0, totals shown, the ledger on disk."""
    ledger = tmp_path / "ledger.json"
    flags = "--error 0x58=1 --system-id bank --password secret --window 10 --hex-ids --tps 50 --seed 4"
    with running(*flags.split(), "--ledger", str(ledger)) as (process, port):

        async def scenario() -> None:
            async with Esme(port) as esme:
                assert (await esme.bind(b"bank", b"wrong")).status == 0x0E
            async with Esme(port) as esme:
                assert (await esme.bind(b"bank", b"secret")).status == 0
                esme.submit(b"hello t1")
                assert (await esme.read()).status == 0x58
                await asyncio.sleep(0.05)

        run(scenario())
        process.send_signal(number)
        out, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "1 submits, 0 accepted, 1 refused" in out
    plain = json.loads(ledger.read_bytes())
    assert plain["tokens"]["t1"]["copies"][0]["statuses"] == [0x58]
    assert plain["seed"] == 4


def test_tls_flags(certificates: dict[str, Path]) -> None:
    """--tls-certificate and its companions: who shows a good certificate may bind, nobody else."""
    flags = ["--tls-certificate", str(certificates["good"]), "--tls-client-ca", str(certificates["ca"])]
    with running(*flags) as (_, port):
        context = ssl.create_default_context(cafile=str(certificates["ca"]))
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # refuses before our handshake is done
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port)) as sock:
            context.wrap_socket(sock, server_hostname="127.0.0.1")
        context.load_cert_chain(certificates["client"])
        with (
            socket.create_connection(("127.0.0.1", port)) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(bytes.fromhex("00000010 00000015 00000000 00000007"))
            assert secure.recv(16) == bytes.fromhex("00000010 80000015 00000000 00000007")
    assert fails("--tls-certificate", "/no/such.pem")[0] == 78
    assert "tls: " in fails("--tls-handshake", "stall")[1]


def test_a_file(tmp_path: Path) -> None:
    """--config reads TOML: accounts, distributions, rules; flags are laid over it."""
    config = tmp_path / "smsc.toml"
    config.write_text(
        """
        seed = 7
        [accounts.bank]
        latency_ms = { kind = "uniform", low_ms = 1, high_ms = 2 }
        errors = { "RTHROTTLED" = 1.0 }
        [accounts.bank.receipts]
        share = 0.5
        [[accounts.bank.mischief]]
        kind = "duplicate"
        """
    )
    with running("--config", str(config), "--error", "0x08=1") as (_, port):

        async def scenario() -> None:
            async with Esme(port) as esme:
                await esme.bind()
                esme.submit(b"t")
                assert [got.status for got in await esme.read_some(2)] == [8, 8]
            async with Esme(port) as esme:
                assert (await esme.bind(b"nobody")).status == 0x0F

        run(scenario())


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--host", "0.0.0.0"], 78, "no loopback address"),
        (["--config", "nowhere.toml"], 66, "nowhere.toml"),
        (["--error", "0x58=2"], 78, "errors"),
        (["--error", "0x58=x"], 2, "expected STATUS=SHARE"),
        (["--error", "NOSUCH=1"], 78, "no command_status"),
        (["--mischief", "cutt"], 78, "did you mean 'cut'?"),
        (["--mischief", "cut,at_bite=1"], 78, "did you mean 'at_byte'?"),
        (["--port", "99999"], 78, "port"),
    ],
)
def test_bad_flags(arguments: list[str], code: int, complaint: str) -> None:
    """Each gives its exit code (sysexits) and says what is wrong."""
    got, said = fails(*arguments)
    assert (got, complaint in said) == (code, True), said


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed = = 1", "line 1"),
        ("[accounts.bank]\ntpss = 5", "accounts.bank.tpss: unknown key; did you mean 'tps'?"),
        (
            "[accounts.bank.latency_ms]\nkind = 'uniform'\nlow_ms = 5\nhihg_ms = 6",
            "latency_ms.hihg_ms: unknown key",
        ),
        (
            "[accounts.bank.latency_ms]\nkind = 'uniform'\nlow_ms = 5\nhigh_ms = 4",
            "high_ms is at least low_ms",
        ),
    ],
)
def test_bad_files(text: str, complaint: str, tmp_path: Path) -> None:
    """A bad file gives 78, its name, the key path, what was expected."""
    config = tmp_path / "smsc.toml"
    config.write_text(text)
    code, said = fails("--config", str(config))
    assert (code, "smsc.toml" in said, complaint in said) == (78, True, True), said


def test_a_port_that_is_taken() -> None:
    """69, and which port."""
    with running() as (_, port):
        code, said = fails("--port", str(port))
        assert (code, str(port) in said) == (69, True)


def test_the_schema() -> None:
    """--schema describes the file to a machine."""
    done = subprocess.run([*COMMAND, "--schema"], capture_output=True, text=True, timeout=10, check=True)
    assert "accounts" in json.loads(done.stdout)["$defs"]["Settings"]["properties"]


def test_live_counters_on_a_terminal() -> None:
    """On a terminal one line is written over and over; in a pipe there is none of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "--port", "0"], stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while said.count(b"\r\x1b[K") < 1:
            said += os.read(ours, 4096)
        assert re.search(rb"SMSC on 127\.0\.0\.1:\d+\r\n\r\x1b\[K0 connections, 0 submits \(0/s\)", said)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        os.close(ours)


def test_quiet() -> None:
    """--quiet says where it listens, and nothing else."""
    with running("--quiet") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=5) == ("", "")
        assert process.returncode == 0
