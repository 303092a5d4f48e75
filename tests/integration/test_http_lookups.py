"""Finding, taking back and dry runs over real sockets."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import aiohttp

from dispatcher.api import Checked
from dispatcher.faces import Http
from dispatcher.ingest.keys import KeyRing
from dispatcher.ingest.server import HttpServer
from dispatcher.model import SendRequest
from tests.integration.front import body, front
from tests.integration.house import run


def test_messages_are_found_page_by_page(tmp_path: Path) -> None:
    """By client_ref and by number, newest first; `before` leads through all of them; others' are not
    there."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            ids = []
            for number in range(5):
                asked = body(number, to="+79000000001", client_ref=f"r-{number}")
                ids.append((await house.post("/v1/messages", asked))[1]["message_id"])
            other = SendRequest(to="+79000000001", text="x", sender="Bank", client_ref="r-1", source="other")
            await house.dispatcher.send([other])
            status, page = await house.get("/v1/messages", client_ref="r-1")
            assert status == 200
            assert [each["message_id"] for each in page["messages"]] == [ids[1]]
            seen: list[str] = []
            query = {"to": "+79000000001", "limit": 2}
            while True:
                _, page = await house.get("/v1/messages", **query)
                seen += [each["message_id"] for each in page["messages"]]
                if page["before"] is None:
                    break
                query["before"] = page["before"]
            assert seen == ids[::-1]
            for wrong in ({}, {"to": "x"}, {"to": "7", "limit": 0}, {"to": "7", "before": "x"}):
                status, said = await house.get("/v1/messages", **wrong)
                assert (status, said["code"]) == (400, "malformed")
            async with house.client.get(f"{house.url}/v1/messages?to=7&limit=1&limit=2") as response:
                said = await response.json(content_type=None)
                assert (response.status, said["code"], said["path"]) == (400, "duplicate_key", "limit")
                assert response.headers["Server"] == "dispatcher"

    run(scenario())


def test_what_waits_can_be_taken_back_once(tmp_path: Path) -> None:
    """200 while it waits; then 409 that says why; 404 for what never was; 405 names the right method."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            tomorrow = datetime.now(timezone(timedelta(hours=3))) + timedelta(days=1)
            asked = body(1, send_after=tomorrow.isoformat())
            _, said, _ = await house.post("/v1/messages", asked)
            path = f"/v1/messages/{said['message_id']}"
            assert (await house.get(path))[1]["state"] == "waiting"
            status, answer, _ = await house.post(f"{path}:cancel", b"")
            assert (status, answer) == (200, {"cancelled": True})
            status, answer, _ = await house.post(f"{path}:cancel", b"")
            assert (status, answer["code"]) == (409, "not_cancellable")
            assert "cancelled" in answer["detail"]
            assert (await house.get(path))[1]["state"] == "cancelled"
            status, answer, _ = await house.post("/v1/messages/no:cancel", b"")
            assert (status, answer["code"]) == (404, "not_found")
            async with house.client.delete(house.url + path) as response:
                assert (response.status, response.headers["Allow"]) == (405, "GET")

    run(scenario())


def test_a_dry_run_tells_what_each_would_cost(tmp_path: Path) -> None:
    """One result a message, in order; a bad one costs only itself."""

    async def scenario() -> None:
        class Dry:
            """A door that only looks."""

            async def check(self, requests: list[SendRequest]) -> list[Checked]:
                """Say the same of each."""
                told = Checked(
                    alphabet="ucs2",
                    segments=2,
                    units=160,
                    forced_by=(("ё", 3),),
                    carriers=("c0",),
                    price=Decimal("0.05"),
                    currency="EUR",
                )
                return [told for _ in requests]

        http = Http(port=0, require_key=False)
        server = HttpServer(cast(Any, Dry()), http, KeyRing(tmp_path / "keys.json"))
        url = f"http://127.0.0.1:{await server.start()}/v1/messages:check"
        messages = [body(1), {"to": 5}, body(2)]
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, json={"messages": messages}) as response,
        ):
            said = await response.json()
            assert response.status == 200
        first, second, third = said["results"]
        assert first == third
        assert (first["alphabet"], first["forced_by"], first["price"]) == ("ucs2", [["ё", 3]], "0.05")
        assert (second["code"], second["path"]) == ("malformed", "$.messages[1].to")
        await server.stop()

    run(scenario())
