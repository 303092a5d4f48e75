"""Our pool against other people's SMSCs: smpp34 (Rust under Python) and node's smpp, where they are at hand.

node's is looked for where node looks: `npm install smpp@0.5.1`, and NODE_PATH set to its node_modules.
"""

import asyncio
import shutil
import socket
import subprocess
from typing import Any

import pytest

from dispatcher.smpp.account import Account
from dispatcher.smpp.backoff import Backoff
from dispatcher.smpp.pool import Pool

from .conftest import Run
from .scripted import Ledger, until

pytestmark = pytest.mark.timeout(60)
MESSAGES = 500
EAGER = Backoff(first_ms=50, spacing_ms=10, quiet_ms=20, ramp_ms=10)

NODE_SERVER = """
const smpp = require('smpp');
const server = smpp.createServer({}, session => {
  session.on('bind_transceiver', pdu => session.send(pdu.response({system_id: 'node'})));
  session.on('submit_sm', pdu => {
    session.send(pdu.response({message_id: 'm' + pdu.short_message.message}));
    if (pdu.registered_delivery) return;
    session.deliver_sm({source_addr: pdu.destination_addr, destination_addr: pdu.source_addr,
                        short_message: 'back ' + pdu.short_message.message});
  });
  session.on('enquire_link', pdu => session.send(pdu.response()));
  session.on('unbind', pdu => { session.send(pdu.response()); session.close(); });
  session.on('error', () => {});
});
server.listen(Number(process.argv[1]), '127.0.0.1', () => console.log('listening'));
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def exchange(port: int) -> None:
    """Send messages over two binds; each is answered with its own id, and comes back as a deliver_sm."""
    ledger = Ledger()
    account = Account(
        host="127.0.0.1",
        port=port,
        system_id=b"bank",
        password=b"secret",
        transceivers=2,
        window=20,
        backoff=EAGER,
    )
    pool = ledger.pool = Pool(account, ledger)
    await pool.start()
    tokens = ledger.send(MESSAGES)
    await until(lambda: len(ledger.answers) == MESSAGES, 20)
    assert all(ledger.answers[token] == (0, b"m" + token) for token in tokens)
    await until(lambda: sum(len(incoming) for _, incoming in ledger.incoming) == MESSAGES, 20)
    texts = {each.short_message for _, incoming in ledger.incoming for each in incoming}
    assert texts == {b"back " + token for token in tokens}
    await pool.close(3000)
    assert (ledger.unanswered, ledger.unsent, ledger.alarms) == ([], [], [])
    counters = pool.snapshot().counters
    assert [counters[name] for name in ("unknown", "duplicate", "mismatched", "malformed")] == [0] * 4


def test_smpp34(run: Run) -> None:
    """smpp34's server takes our binds and submits, and we answer its deliver_sm."""
    smpp34 = pytest.importorskip("smpp34")

    async def main() -> None:
        port = free_port()
        server = smpp34.Server("127.0.0.1", port)
        await server.start()
        esmes = []

        async def serve() -> None:
            while True:
                event = await server.next()
                if isinstance(event, smpp34.Esme):
                    esmes.append(event)
                elif isinstance(event, smpp34.SubmitSmEvent):
                    text = event.short_message
                    event.accept("m" + text.decode())
                    delivering.add(asyncio.ensure_future(esmes[0].deliver_sm("1", b"back " + text)))

        delivering: set[asyncio.Future[Any]] = set()
        serving = asyncio.ensure_future(serve())
        await exchange(port)
        responses = await asyncio.gather(*delivering)
        assert all(response.is_success for response in responses)
        serving.cancel()
        await server.stop()

    run(main())


def test_node_smpp(run: Run) -> None:
    """The same with node's."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    found = subprocess.run([node, "-e", "require('smpp')"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("node's smpp is not installed: npm install smpp@0.5.1, then set NODE_PATH")
    port = free_port()
    with subprocess.Popen([node, "-e", NODE_SERVER, str(port)], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"listening\n"
            run(exchange(port))
        finally:
            server.kill()
