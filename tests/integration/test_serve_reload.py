"""SIGHUP: what stands beside the dispatcher is taken up live, or named as what needs a restart (F98)."""

import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp

from dispatcher.ingest.keys import make_key, save
from tests.integration import serving as house
from tests.integration.house import run
from tests.integration.serving import Served, serving


def plain(folder: Path, **more: Any) -> dict[str, Any]:
    """Return a configuration whose carrier nobody reaches."""
    carrier = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}
    return {**house.data_for(folder, **more), "carriers": {"c0": carrier}, "routes": [{"carriers": ["c0"]}]}


async def reload(
    served: Served, path: Path, data: dict[str, Any], event: str = "reloaded", lines: int = 1
) -> list[str]:
    """Write a configuration, send SIGHUP, and return what the log says of it."""
    house.write(path.parent, data)
    before = len(served.said(event))
    served.signal(signal.SIGHUP)
    await served.says(event, before + lines)
    return [line["msg"] for line in served.said(event)[before:]]


async def post(served: Served, token: str, texts: int = 1, **more: Any) -> tuple[int, Any]:
    """Post messages to the door; return its status and what it says."""
    port = (await served.says("http_port"))["msg"].rpartition(":")[2]
    message = {"to": "+79001234567", "text": "x" * texts, "sender": "Bank", **more}
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://127.0.0.1:{port}/v1/messages", json=message, headers=headers) as response,
    ):
        return response.status, await response.json()


def test_the_door_follows(tmp_path: Path) -> None:
    """F98: limits, the file of keys and Kannel's users are in force for the next request, and said."""
    (tmp_path / "store").mkdir(mode=0o700)
    old, old_token = make_key("old", "2026-11-24T00:00:00Z")
    new, new_token = make_key("new", "2026-11-24T00:00:00Z")
    save(tmp_path / "store" / "keys.json", (old,))
    save(tmp_path / "others.json", (new,))
    (tmp_path / "password").write_text("secret\n")

    async def scenario() -> None:
        data = plain(tmp_path)
        path = house.write(tmp_path, data)
        async with serving(path) as served:
            assert await reload(served, path, data) == [
                "reloaded: nothing has changed; files of secrets and certificates were read again"
            ]
            assert (await post(served, old_token, 2000))[1]["code"] == "too_many_segments"
            assert (await post(served, new_token))[0] == 401
            changed = {
                "port": 0,
                "body_max_bytes": 1024,
                "per_number_minute_max": 1,
                "keys_file": "others.json",
                "kannel": {"shop": {"password_file": "password"}},
            }
            (told,) = await reload(served, path, {**data, "http": changed})
            limits = "http.body_max_bytes 4194304 -> 1024; http.per_number_minute_max 10 -> 1"
            assert told == f"reloaded: http.keys_file; {limits}; http.kannel"
            assert (await post(served, old_token))[0] == 401
            assert (await post(served, new_token, 2000))[1]["code"] == "too_large"
            assert (await post(served, new_token))[0] == 202
            assert (await post(served, new_token))[1]["code"] == "number_limited"
            port = (await served.says("http_port"))["msg"].rpartition(":")[2]
            query = f"http://127.0.0.1:{port}/cgi-bin/sendsms?username=shop&password=wrong&to=1&text=a"
            async with aiohttp.ClientSession() as client, client.get(query) as response:
                assert response.status == 403

    run(scenario())


def test_receivers_and_the_process_are_named(tmp_path: Path) -> None:
    """F98: webhooks, files of events, log and process that were added, changed or removed are in the log."""
    (tmp_path / "secret").write_text("whsec_" + "QUJD" * 8 + "\n")
    hook = {"url": "http://127.0.0.1:1/", "secret_files": ["secret"], "allow_private": True}

    async def scenario() -> None:
        data = plain(tmp_path)
        path = house.write(tmp_path, data)
        async with serving(path) as served:
            added = {**data, "webhooks": {"crm": hook}, "event_files": {"all": {"path": "events.ndjson"}}}
            assert await reload(served, path, added) == [
                "reloaded: webhooks.crm: added; event_files.all: added"
            ]
            changed = {**added, "webhooks": {"crm": {**hook, "parallel": 2, "url": "http://127.0.0.1:2/"}}}
            changed["process"] = {"drain_ms": 1_000}
            assert await reload(served, path, changed) == [
                "reloaded: webhooks.crm: url, parallel 8 -> 2; process.drain_ms 25000 -> 1000"
            ]
            assert await reload(served, path, data) == [
                "reloaded: webhooks.crm: removed; event_files.all: removed; process.drain_ms 1000 -> 25000"
            ]

    run(scenario())


def test_what_needs_a_restart_is_named_and_nothing_changes(tmp_path: Path) -> None:
    """F98: an address: each key by its line; the limit that was changed beside it is not taken up either."""
    (tmp_path / "store").mkdir(mode=0o700)
    key, token = make_key("core", "2026-11-24T00:00:00Z")
    save(tmp_path / "store" / "keys.json", (key,))

    async def scenario() -> None:
        data = plain(tmp_path)
        path = house.write(tmp_path, data)
        async with serving(path) as served:
            bad = {"host": "localhost", "port": 1, "body_max_bytes": 1024}
            told = await reload(served, path, {**data, "http": bad}, "reload_refused", 2)
            assert [line.partition(": ")[2] for line in told] == [
                f"{path}:{line}: http.{key}: it cannot change while the process runs: restart for that, "
                "or take it back"
                for line, key in ((12, "host"), (13, "port"))
            ]
            assert (await post(served, token, 2000))[1]["code"] == "too_many_segments"
            told = await reload(served, path, {**data, "admin": {"port": 1}}, "reload_refused")
            assert len(told) == 1
            assert "admin.port: it cannot change" in told[0]
            assert await reload(served, path, {**data, "http": {"port": 0, "body_max_bytes": 1024}}) == [
                "reloaded: http.body_max_bytes 4194304 -> 1024"
            ]

    run(scenario())


def test_certificates_are_read_again(tmp_path: Path, certificates: dict[str, Path]) -> None:
    """F98: a certificate in another file is in use for the next connection; a bad one changes nothing."""
    shutil.copy(certificates["good"], tmp_path / "first.pem")
    (tmp_path / "bad.pem").write_text("nothing")

    async def scenario() -> None:
        data = plain(tmp_path)
        data["http"] = {"port": 0, "tls": {"certificate_file": "first.pem"}}
        path = house.write(tmp_path, data)
        async with serving(path) as served:
            data["http"] = {"port": 0, "tls": {"certificate_file": "bad.pem"}}
            (told,) = await reload(served, path, data, "reload_refused")
            assert "http.tls: " in told
            data["http"] = {"port": 0, "tls": {"certificate_file": str(certificates["good"])}}
            assert await reload(served, path, data) == ["reloaded: http.tls.certificate_file"]

    run(scenario())
