"""Other people's ESMEs against the simulated SMSC: bind, submit, a long message, receipts, unbind."""

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import aiosmpplib
import pytest
import smpp34
import smpplib.client
import smpplib.consts
import smpplib.gsm

from dispatcher.simulator import Behaviour, Simulator
from tests.integration.esme import run, until

BEARERBOX, SMSBOX = (shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("bearerbox", "smsbox"))
LONG = "A long message, " * 15 + "tok-long"


def finished(smsc: Simulator, token: str, copies: int = 1) -> bool:
    """Whether a message was accepted, reported on, and its reports answered."""
    found = smsc.ledger.copies(token)
    return len(found) == copies and all(
        (copy.statuses, copy.receipts, copy.acknowledged) == ((0,), (2,), (0,)) for copy in found
    )


def test_smpplib() -> None:
    """smpplib binds, submits a short and a long message, gets a receipt for each segment, and unbinds."""

    def client(port: int) -> list[bytes]:
        esme = smpplib.client.Client("127.0.0.1", port, timeout=2, allow_unknown_opt_params=True)
        received: list[bytes] = []
        esme.set_message_received_handler(lambda pdu: received.append(pdu.receipted_message_id))
        esme.connect()
        try:
            esme.bind_transceiver(system_id="bank", password="secret")
            parts = [(b"hello tok-1", 0, 0)]
            pieces, encoding, flags = smpplib.gsm.make_parts(LONG)
            parts += [(piece, encoding, flags) for piece in pieces]
            for piece, encoding, flags in parts:
                esme.send_message(
                    source_addr="bank",
                    destination_addr="79001234567",
                    short_message=piece,
                    data_coding=encoding,
                    esm_class=flags,
                    registered_delivery=1,
                )
            while len(received) < len(parts):
                esme.read_once()
            esme.unbind()
        finally:
            esme.disconnect()
        return received

    async def scenario() -> None:
        async with Simulator(Behaviour(password="secret")) as smsc:
            received = await asyncio.to_thread(client, smsc.port)
            assert received == [b"0000000001", b"0000000002", b"0000000003"]
            await until(lambda: finished(smsc, "tok-1") and finished(smsc, "tok-long", 2))
            await until(lambda: not smsc.connections)

    run(scenario())


def test_smpp34() -> None:
    """smpp34 submits 100 in parallel (its window_size does not hold them), gets 100 receipts, unbinds."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            client = smpp34.Client("127.0.0.1", smsc.port, "bank", "secret", window_size=10)
            session = await client.connect()
            answers = await asyncio.gather(
                *(
                    session.submit_sm("79001234567", b"hello t%d" % number, registered_delivery=1)
                    for number in range(100)
                )
            )
            assert len({answer.message_id for answer in answers}) == 100
            for _ in range(100):
                event = await asyncio.wait_for(session.next(), 2)
                assert isinstance(event, smpp34.DeliverSmEvent)
                assert b"stat:DELIVRD" in event.short_message
            await until(lambda: all(finished(smsc, f"t{number}") for number in range(100)))
            await session.unbind()
            await client.stop()
            await until(lambda: not smsc.connections)

    run(scenario())


class Hook(aiosmpplib.AbstractHook):  # type: ignore[misc]
    """Collects what an aiosmpplib ESME hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def sending(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        """Pass."""

    async def received(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        """Remember."""
        self.heard.append(smpp_message)

    async def send_error(self, smpp_message: Any, error: Exception, client_id: str) -> None:
        """Remember."""
        self.heard.append(error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its writer open
def test_aiosmpplib() -> None:
    """aiosmpplib binds, submits a short and a long message (message_payload), gets the receipts."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            hook, broker = Hook(), aiosmpplib.broker.SimpleBroker()
            esme = aiosmpplib.ESME(
                "127.0.0.1", smsc.port, "bank", "secret", hook=hook, broker=broker, log_level="CRITICAL"
            )
            started = asyncio.create_task(esme.start())
            for number, text in enumerate(("hello tok-1", LONG)):
                await broker.enqueue(
                    aiosmpplib.SubmitSm(
                        short_message=text,
                        source=aiosmpplib.PhoneNumber("bank", ton=aiosmpplib.TON.ALPHANUMERIC),
                        destination=aiosmpplib.PhoneNumber("79001234567"),
                        log_id=str(number),
                        registered_delivery=1,
                    )
                )
            await until(lambda: finished(smsc, "tok-1") and finished(smsc, "tok-long"))
            receipts = [heard for heard in hook.heard if isinstance(heard, aiosmpplib.DeliverSm)]
            assert len(receipts) == 2
            await esme.stop()
            await asyncio.wait_for(started, 2)

    run(scenario())


# ---- kannel ----

KANNEL = """
group = core
admin-port = {admin}
admin-password = test
smsbox-port = {boxes}
box-allow-ip = "127.0.0.1"
admin-allow-ip = "127.0.0.1"
log-level = 1
log-file = "{folder}/bearerbox.log"
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = simulator
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = bank
smsc-password = secret
system-type = ""
max-pending-submits = 10
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
sendsms-interface = "127.0.0.1"
log-level = 1
log-file = "{folder}/smsbox.log"

group = sendsms-user
username = test
password = test
concatenation = true
max-messages = 5

group = sms-service
keyword = default
text = ""
omit-empty = true
"""


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.skipif(
    BEARERBOX is None or SMSBOX is None, reason="kannel is not installed (apt install kannel)"
)
def test_kannel(tmp_path: Path) -> None:
    """Kannel binds with its password, submits a short and a long message, and answers their receipts.

    Of a long message it asks for the receipt of one segment only.
    """
    assert BEARERBOX is not None
    assert SMSBOX is not None
    send = free_port()

    def submit(text: str) -> None:
        query = {"username": "test", "password": "test", "to": "79001234567", "from": "bank", "text": text,
                 "dlr-mask": 31, "dlr-url": "http://127.0.0.1:9/"}  # fmt: skip
        with urlopen(f"http://127.0.0.1:{send}/cgi-bin/sendsms?{urlencode(query)}", timeout=3) as answer:
            assert answer.status == 202

    def long_finished(smsc: Simulator) -> bool:
        copies = smsc.ledger.copies("tok-long")
        return [copy.statuses for copy in copies] == [(0,), (0,)] and any(
            copy.acknowledged for copy in copies
        )

    def ready() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", send)) == 0

    async def scenario() -> None:
        async with Simulator(Behaviour(password="secret")) as smsc:
            config = tmp_path / "kannel.conf"
            config.write_text(
                KANNEL.format(
                    admin=free_port(), boxes=free_port(), port=smsc.port, send=send, folder=tmp_path
                )
            )
            boxes: list[subprocess.Popen[bytes]] = []
            try:
                for box in (BEARERBOX, SMSBOX):
                    boxes.append(
                        subprocess.Popen(
                            [box, str(config)],
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL,
                            cwd=tmp_path,
                        )
                    )
                    await asyncio.sleep(0.5)
                await until(lambda: smsc.account("bank").binds == 1, 10)
                await until(ready, 10)
                await asyncio.to_thread(submit, "hello tok-1")
                await asyncio.to_thread(submit, LONG)
                await until(lambda: finished(smsc, "tok-1") and long_finished(smsc), 10)
            finally:
                for process in reversed(boxes):
                    process.terminate()
                    try:
                        await asyncio.to_thread(process.wait, 3)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()

    run(scenario())
