"""The HTTP door over TLS: served, refused, and its certificate changed while it runs."""

import asyncio
import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from msgspec.structs import replace

from dispatcher.config import from_dict
from dispatcher.errors import ConfigError
from dispatcher.faces import Http, ServerTls
from dispatcher.ingest import tls
from dispatcher.ingest.keys import KeyRing
from dispatcher.ingest.server import HttpServer
from tests.integration.house import run


def test_tls_with_certificates_of_clients_and_a_new_one_of_ours(
    tmp_path: Path, certificates: dict[str, Path]
) -> None:
    """F45: TLS 1.2+ is served, plain text is not; who shows no certificate is refused where one is asked
    for; an unfit new certificate leaves the old one in use, a fit one is taken up."""

    async def scenario() -> None:
        file = tmp_path / "server.pem"
        shutil.copy(certificates["good"], file)
        section = ServerTls(certificate_file="server.pem", client_ca_file=str(certificates["ca"]))
        http = Http(port=0, tls=section, require_key=False)
        server = HttpServer(cast(Any, None), http, KeyRing(tmp_path / "keys.json"), folder=tmp_path)
        config = from_dict(
            {
                "store": "s",
                "carriers": {"c": {"host": "h", "port": 1, "system_id": "b"}},
                "routes": [{"carriers": ["c"]}],
            }
        )
        config = replace(config, http=http)
        await server.start()
        url = f"https://127.0.0.1:{server.port}/v1/nothing"

        async def ask(certificate: str | None) -> int:
            context = ssl.create_default_context(cafile=certificates["ca"])
            if certificate is not None:
                context.load_cert_chain(certificates[certificate])
            async with aiohttp.ClientSession() as client, client.get(url, ssl=context) as response:
                return response.status

        assert await ask("client") == 404
        with pytest.raises(aiohttp.ClientError):
            await ask(None)
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as client:
                await client.get(url.replace("https", "http"))

        file.write_text("nothing")
        with pytest.raises(ConfigError):
            await server.reload(config)
        assert await ask("client") == 404
        with pytest.raises(ConfigError, match="cannot change while"):
            await server.reload(replace(config, http=Http()))
        shutil.copy(certificates["untrusted"], file)
        await server.reload(config)
        with pytest.raises(aiohttp.ClientError):
            await ask("client")
        await server.stop()

    run(scenario())


def test_a_certificate_that_ends_soon_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F45: from 30 days before its end on, and not earlier; it is found among systemd's credentials."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    async def told(days: int) -> list[str]:
        made = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
        made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "a.pem")
        http = Http(port=0, tls=ServerTls(certificate_file="a.pem"), require_key=False)
        server = HttpServer(
            cast(Any, None), http, KeyRing(tmp_path / "keys.json"), folder=tmp_path / "elsewhere"
        )
        caplog.clear()
        await server.start()
        await server.tell_days()
        await server.stop()
        return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    async def scenario() -> None:
        assert await told(40) == []
        assert set(await told(20)) == {"the certificate of the HTTP door ends in 20.0 days"}

    run(scenario())


def test_the_days_of_a_certificate_are_counted(tmp_path: Path) -> None:
    """F45: so that somebody is warned before it ends."""
    trustme = pytest.importorskip("trustme")
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    made = trustme.CA().issue_cert("localhost", not_after=end)
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "a.pem")
    section = ServerTls(certificate_file="a.pem")
    assert abs(tls.days_left(section, tmp_path, end.timestamp() - 30 * 86_400) - 30) < 0.01
    (tmp_path / "b.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="no certificate"):
        tls.days_left(ServerTls(certificate_file="b.pem"), tmp_path, 0)


def test_stop_lets_a_request_end(tmp_path: Path) -> None:
    """A request that is under way when the server stops is answered; no connection is taken any more."""

    async def scenario() -> None:
        release = asyncio.Event()
        seen = asyncio.Event()

        class Slow:
            """A door whose look-ups take their time."""

            async def status(self, message_id: str) -> None:
                """Find nothing, late."""
                seen.set()
                await release.wait()

        http = Http(port=0, require_key=False)
        server = HttpServer(cast(Any, Slow()), http, KeyRing(tmp_path / "keys.json"))
        port = await server.start()
        url = f"http://127.0.0.1:{port}/v1/messages/01a20de1-79ac-784c-b149-af0000000001"
        async with aiohttp.ClientSession() as client:
            asking = asyncio.create_task(client.get(url))
            await seen.wait()
            stopping = asyncio.create_task(server.stop())
            release.set()
            async with await asking as response:
                assert response.status == 404
            await stopping
            with pytest.raises(aiohttp.ClientError):
                await client.get(url)

    run(scenario())
