"""F45: TLS verified by default, refused with a reason, never plain text instead; F56, F98."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import ConfigError
from dispatcher.smpp.account import Tls
from dispatcher.smpp.pool import Alarm

from .conftest import Run
from .scripted import QUICK, Got, Link, Smsc, account, pool_of, start, until

pytestmark = [
    pytest.mark.timeout(60),
    # The standard library's transport complains when its handshake failed, whoever closes what.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def server_context(certificates: dict[str, Path], name: str) -> ssl.SSLContext:
    """Return the SMSC's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[name])
    return context


@pytest.mark.parametrize(
    ("name", "reason"),
    [("expired", "tls_expired"), ("untrusted", "tls_untrusted"), ("other", "tls_wrong_name")],
)
def test_a_bad_certificate(run: Run, certificates: dict[str, Path], name: str, reason: str) -> None:
    """F45: refused with its reason in the alarm; never a bind, least of all in plain text."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start(server_context(certificates, name))
        pool, ledger = await start(smsc, tls=Tls(ca_file=str(certificates["ca"])))
        await until(lambda: ledger.rang == [Alarm.TLS])
        assert ledger.alarms[0][1].startswith(reason)
        await until(lambda: pool.snapshot().closed_by.get(reason, 0) >= 2)
        assert all(not link.got and not link.raw for link in smsc.links)
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_good_certificate(run: Run, certificates: dict[str, Path]) -> None:
    """F45: verified, with a certificate of ours; messages go as they do without TLS."""

    async def main() -> None:
        smsc = Smsc()
        context = server_context(certificates, "good")
        context.load_verify_locations(certificates["ca"])
        context.verify_mode = ssl.CERT_REQUIRED
        await smsc.start(context)
        tls = Tls(ca_file=str(certificates["ca"]), certificate_file=str(certificates["client"]))
        pool, ledger = await pool_of(smsc, transceivers=2, tls=tls)
        ledger.send(500)
        await until(lambda: len(ledger.answers) == 500)
        await pool.close()
        assert smsc.unbinds == 2
        await smsc.stop()

    run(main())


def test_a_peer_that_stops_reading_tls(run: Run, certificates: dict[str, Path]) -> None:
    """F34, F45: TLS does not tell how much of a write has left: what was written is unknown, never unsent."""

    async def main() -> None:
        smsc = Smsc()

        def stop_reading(link: Link, got: Got) -> None:
            link.accept(got)
            link.transport.pause_reading()

        smsc.on_bind = stop_reading
        await smsc.start(server_context(certificates, "good"))
        tls = Tls(ca_file=str(certificates["ca"]))
        timers = QUICK._replace(response_ms=600)
        pool, ledger = await pool_of(smsc, tls=tls, window=60_000, timers=timers)
        ledger.waiting = [b"t:%06d" % number + b"x" * 120 for number in range(60_000)]
        for _ in range(20):
            ledger.on_room()
            await asyncio.sleep(0.005)
        ledger.waiting.clear()
        await until(lambda: pool.snapshot().closed_by.get("stuck", 0) >= 1)
        assert len(ledger.unanswered) > 1000
        assert ledger.unsent == []
        await pool.close()
        await smsc.stop()

    run(main())


def test_another_name_can_be_expected_by_name(run: Run, certificates: dict[str, Path]) -> None:
    """F45: a carrier behind a tunnel: server_hostname says whose certificate it is."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start(server_context(certificates, "other"))
        tls = Tls(ca_file=str(certificates["ca"]), server_hostname="smsc.example")
        pool, ledger = await pool_of(smsc, tls=tls)
        assert ledger.alarms == []
        await pool.close()
        await smsc.stop()

    run(main())


def test_a_handshake_that_stalls_or_is_not_one(run: Run, certificates: dict[str, Path]) -> None:
    """F45, F56: a peer without TLS ends in the time of a connect, and is never spoken to in plain text."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, ledger = await start(smsc, tls=Tls(ca_file=str(certificates["ca"])), connect_timeout_ms=200)
        await until(lambda: pool.snapshot().closed_by.get("tls_handshake_timeout", 0) >= 1)
        smsc.on_connect = lambda link: link.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await until(lambda: pool.snapshot().closed_by.get("tls_failed", 0) >= 1)
        assert ledger.rang == [Alarm.TLS]
        assert smsc.bound == []
        await pool.close()
        await smsc.stop()

    run(main())


@contextmanager
def openssl_server(certificates: dict[str, Path], newest: ssl.TLSVersion) -> Iterator[int]:
    """Run an SMSC that wants a certificate, in a thread: there, unlike in a loop, OpenSSL sends its alert."""
    context = server_context(certificates, "good")
    context.maximum_version = newest
    context.load_verify_locations(certificates["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                sock, _ = listening.accept()
                with sock:
                    sock.settimeout(1)
                    with suppress(OSError):
                        context.wrap_socket(sock.dup(), server_side=True)
                    with suppress(OSError):  # else closing is a reset, which overtakes the alert
                        sock.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(
    ("newest", "shown", "reason", "cause"),
    [
        (ssl.TLSVersion.TLSv1_2, None, "tls_failed", "HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_2, "stranger", "tls_client_refused", "UNKNOWN_CA"),
        (ssl.TLSVersion.TLSv1_3, None, "tls_client_refused", "CERTIFICATE_REQUIRED"),
        (ssl.TLSVersion.TLSv1_3, "stranger", "tls_client_refused", "UNKNOWN_CA"),
    ],
)
def test_a_certificate_of_ours_that_is_refused(
    run: Run,
    certificates: dict[str, Path],
    newest: ssl.TLSVersion,
    shown: str | None,
    reason: str,
    cause: str,
) -> None:
    """F45: the SMSC wants one, or another one: the TLS alarm says which, though TLS 1.3 says it late."""

    async def main() -> None:
        with openssl_server(certificates, newest) as port:
            smsc = Smsc()
            smsc.port = port
            ours = str(certificates[shown]) if shown else None
            pool, ledger = await start(smsc, tls=Tls(ca_file=str(certificates["ca"]), certificate_file=ours))
            await until(lambda: pool.snapshot().closed_by.get(reason, 0) >= 1)
            assert ledger.rang == [Alarm.TLS]
            assert ledger.alarms[0][1].startswith(reason)
            assert cause in ledger.alarms[0][1]
            await pool.close()

    run(main())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"ca_file": "/no/such/file"}, "tls.ca_file: there is no file"),
        ({"certificate_file": "/no/such/file"}, "tls.certificate_file"),
        ({"ca_file": __file__}, "tls.ca_file: no certificates"),
        ({"certificate_file": __file__}, "not a certificate with its key"),
    ],
)
def test_files_that_are_missing_or_wrong(run: Run, options: dict[str, Any], complaint: str) -> None:
    """F98: a ConfigError before anything is dialled; a running pool keeps what it has."""

    async def main() -> None:
        smsc = Smsc()
        await smsc.start()
        pool, _ = await pool_of(smsc)
        with pytest.raises(ConfigError, match=complaint):
            await pool.reconfigure(account(smsc, tls=Tls(**options)))
        assert pool.generation == 1
        assert pool.account.tls is None
        await pool.close()
        await smsc.stop()

    run(main())
