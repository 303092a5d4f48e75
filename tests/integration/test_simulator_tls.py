"""F45 with the simulated SMSC: our pool's verdicts, other people's ESMEs, and what an operator sees."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import aiosmpplib
import pytest
import smpp34
import smpplib.client

from dispatcher.errors import ConfigError
from dispatcher.simulator import Settings, Simulator
from dispatcher.simulator import Tls as Served
from dispatcher.smpp.account import Account, Tls
from dispatcher.smpp.pool import Alarm, Pool

from .conftest import Run
from .scripted import FAST, QUICK, Ledger, until
from .test_simulator_peers import finished

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Files = dict[str, Path]


def simulator(certificates: Files, name: str = "good", **options: Any) -> Simulator:
    """Return one that speaks TLS with a certificate of ours."""
    return Simulator(settings=Settings(port=0, tls=Served(str(certificates[name]), **options)))


async def begin(smsc: Simulator, tls: Tls | None, **options: Any) -> tuple[Pool, Ledger]:
    """Start a pool; whether it binds is the test's affair."""
    ledger = Ledger()
    usual: dict[str, Any] = {"timers": QUICK, "backoff": FAST, "connect_timeout_ms": 300}
    account = Account(host="127.0.0.1", port=smsc.port, system_id=b"bank", tls=tls, **(usual | options))
    pool = ledger.pool = Pool(account, ledger)
    await pool.start()
    return pool, ledger


def test_messages_and_receipts(run: Run, certificates: Files) -> None:
    """Verified both ways: messages, answers and receipts go as they do without TLS; unbind is polite."""

    async def main() -> None:
        async with simulator(certificates, client_ca=str(certificates["ca"])) as smsc:
            tls = Tls(ca_file=str(certificates["ca"]), certificate_file=str(certificates["client"]))
            pool, ledger = await begin(smsc, tls, transceivers=2, window=50)
            await until(lambda: smsc.account("bank").binds == 2 and pool.room == 100)
            smsc.account("bank").change(receipts={"only_if_asked": False})
            tokens = ledger.send(1000)
            await until(lambda: len(ledger.answers) == 1000)
            await until(lambda: sum(len(incoming) for _, incoming in ledger.incoming) == 1000)
            await until(lambda: all(finished(smsc, token.decode()) for token in tokens))
            await pool.close()
            assert pool.snapshot().closed_by == {"unbound": 2}
            assert ledger.alarms == []

    run(main())


@pytest.mark.parametrize(
    ("name", "reason"),
    [("expired", "tls_expired"), ("untrusted", "tls_untrusted"), ("other", "tls_wrong_name")],
)
def test_a_bad_certificate_and_then_a_good_one(run: Run, certificates: Files, name: str, reason: str) -> None:
    """F45: refused with its reason, nothing sent in plain text; renewed, it binds, and the alarm is over."""

    async def main() -> None:
        async with simulator(certificates, name) as smsc:
            pool, ledger = await begin(smsc, Tls(ca_file=str(certificates["ca"])))
            await until(lambda: pool.snapshot().closed_by.get(reason, 0) >= 2)
            assert [kind for kind, _ in ledger.alarms] == [Alarm.TLS]
            assert reason in ledger.alarms[0][1]
            assert smsc.accounts == {}
            await smsc.secure({"certificate": str(certificates["good"])})
            await until(lambda: smsc.account("bank").binds == 1)
            await until(lambda: ledger.cleared == [Alarm.TLS])
            await pool.close()

    run(main())


@pytest.mark.parametrize(
    ("newest", "kind", "words"),
    [("1.2", Alarm.TLS, "tls_failed"), ("1.3", Alarm.REFUSED, "perhaps it wants (another) certificate")],
)
def test_an_smsc_that_wants_a_certificate(
    run: Run, certificates: Files, newest: str, kind: Alarm, words: str
) -> None:
    """F45: without ours it does not bind, and the alarm says so, though this SMSC resets without a word."""

    async def main() -> None:
        async with simulator(certificates, client_ca=str(certificates["ca"]), newest=newest) as smsc:
            pool, ledger = await begin(smsc, Tls(ca_file=str(certificates["ca"])))
            await until(lambda: bool(ledger.alarms))
            assert ledger.rang == [kind]
            assert words in ledger.alarms[0][1]
            assert smsc.accounts == {}
            await pool.close()

    run(main())


@pytest.mark.parametrize(
    ("how", "reason"),
    [("stall", "tls_handshake_timeout"), ("close", "tls_failed"), ("garbage", "tls_failed")],
)
def test_a_handshake_that_fails(run: Run, certificates: Files, how: str, reason: str) -> None:
    """F45: it ends in the time of a connect, with its reason and one alarm; then the pool comes back."""

    async def main() -> None:
        async with simulator(certificates, handshake=how) as smsc:
            pool, ledger = await begin(smsc, Tls(ca_file=str(certificates["ca"])))
            await until(lambda: pool.snapshot().closed_by.get(reason, 0) >= 2)
            assert [kind for kind, _ in ledger.alarms] == [Alarm.TLS]
            await smsc.secure({"handshake": "complete"})
            await until(lambda: smsc.account("bank").binds == 1)
            await pool.close()

    run(main())


def test_plain_text_at_a_tls_port_and_the_reverse(run: Run, certificates: Files) -> None:
    """F56, F45: neither side of the mistake binds, and each has its alarm; nothing falls back."""

    async def main() -> None:
        async with simulator(certificates) as smsc:
            pool, ledger = await begin(smsc, None)
            await until(lambda: Alarm.REFUSED in ledger.rang or Alarm.UNREACHABLE in ledger.rang)
            assert smsc.accounts == {}
            await pool.close()
            await smsc.secure(None)
            pool, ledger = await begin(smsc, Tls(ca_file=str(certificates["ca"])))
            await until(lambda: ledger.rang == [Alarm.TLS])
            assert smsc.accounts == {}
            await pool.close()

    run(main())


def test_a_bind_that_breaks_under_tls(run: Run, certificates: Files) -> None:
    """F29, F45: what was in flight is unknown, nothing unsent: of TLS nobody knows what is inside."""

    async def main() -> None:
        async with simulator(certificates) as smsc:
            pool, ledger = await begin(smsc, Tls(ca_file=str(certificates["ca"])), window=20, timers=QUICK)
            await until(lambda: pool.room == 20)
            smsc.account("bank").change(stall=True)
            tokens = ledger.send(20)
            await until(lambda: smsc.ledger.of("bank").submits == 20)
            smsc.account("bank").act("disconnect", how="rst")
            await until(lambda: ledger.unanswered == tokens)
            assert ledger.unsent == []
            smsc.account("bank").act("resume")
            await until(lambda: smsc.account("bank").binds == 1)
            await pool.close()

    run(main())


# ---- other people's ESMEs ----


def test_smpplib_with_tls(certificates: Files) -> None:
    """smpplib binds over TLS, verifies who signed (it knows no names), submits, gets its receipt, unbinds."""
    context = ssl.create_default_context(cafile=str(certificates["ca"]))
    context.check_hostname = False

    def client(port: int) -> None:
        esme = smpplib.client.Client(
            "127.0.0.1", port, timeout=2, allow_unknown_opt_params=True, ssl_context=context
        )
        received: list[bytes] = []
        esme.set_message_received_handler(lambda pdu: received.append(pdu.receipted_message_id))
        esme.connect()
        try:
            esme.bind_transceiver(system_id="bank", password="secret")
            esme.send_message(
                source_addr="bank",
                destination_addr="79001234567",
                short_message=b"hello tok-1",
                registered_delivery=1,
            )
            while not received:
                esme.read_once()
            esme.unbind()
        finally:
            esme.disconnect()

    async def scenario() -> None:
        async with simulator(certificates) as smsc:
            await asyncio.to_thread(client, smsc.port)
            await until(lambda: finished(smsc, "tok-1"))

    asyncio.run(scenario())


def test_smpp34_with_tls(certificates: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """smpp34 verifies by the system's authorities (SSL_CERT_FILE): it binds, submits and unbinds."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates["ca"]))

    async def scenario() -> None:
        async with simulator(certificates) as smsc:
            client = smpp34.Client("localhost", smsc.port, "bank", "secret", tls=True)
            try:
                session = await asyncio.wait_for(client.connect(), 5)
            except smpp34.SmppError as error:
                pytest.skip(f"this smpp34 does not take our authority: {error}")
            answer = await session.submit_sm("79001234567", b"hello tok-1", registered_delivery=1)
            assert answer.is_success
            assert isinstance(await asyncio.wait_for(session.next(), 2), smpp34.DeliverSmEvent)
            await until(lambda: finished(smsc, "tok-1"))
            await session.unbind()
            await client.stop()

    asyncio.run(scenario())


def test_aiosmpplib_has_no_tls() -> None:
    """Its ESME takes no context: the day that it does, it belongs here too."""
    import inspect

    assert not [
        name for name in inspect.signature(aiosmpplib.ESME).parameters if "ssl" in name or "tls" in name
    ]


# ---- the port as an operator sees it ----


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"certificate": "/no/such.pem"}, r"tls\.certificate: there is no file"),
        ({"certificate": __file__}, "not a certificate with its key"),
        ({"client_ca": __file__}, r"tls\.client_ca: no certificates"),
        ({"handshake": "slow"}, r"tls\.handshake: "),
        ({"certificat": "x"}, r"tls\.certificat: unknown key; did you mean 'certificate'"),
    ],
)
def test_wrong_files(certificates: Files, options: dict[str, str], complaint: str) -> None:
    """A ConfigError that names the setting; what was in force stays, and the port stays open."""

    async def scenario() -> None:
        async with simulator(certificates) as smsc:
            with pytest.raises(ConfigError, match=complaint):
                await smsc.secure(options)
            assert smsc.tls == smsc.settings.tls
            with socket.create_connection(("127.0.0.1", smsc.port)):
                pass

    asyncio.run(scenario())


def test_it_does_not_start_without_its_files() -> None:
    """The same at the start: nothing listens."""

    async def scenario() -> None:
        smsc = Simulator(settings=Settings(port=0, tls=Served("/no/such.pem")))
        with pytest.raises(ConfigError, match="there is no file"):
            await smsc.start()
        await smsc.stop()

    asyncio.run(scenario())
