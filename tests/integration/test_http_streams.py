"""Long streams through the HTTP door, and what the door counts."""

import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from dispatcher.faces import Http
from dispatcher.ingest.keys import KeyRing
from dispatcher.ingest.server import HttpServer
from dispatcher.metrics import METRICS
from tests.integration.front import body, front
from tests.integration.house import accepted, copies, outcomes, requests, run, until

STREAM = {"Content-Type": "application/x-ndjson"}
BODY_OCTETS = 100 << 20
FLAT_OCTETS = 12 << 20
"""What a stream may take while it passes: buffers of sockets, four slices, and the test's own lines."""


def test_a_body_of_any_size_takes_flat_memory(tmp_path: Path) -> None:
    """F91: 100 MiB of NDJSON pass through a few MiB of memory; every line has its result, in order."""
    line = json.dumps({"to": "no", "text": "x" * 50_000, "sender": "Bank"}).encode() + b"\n"
    count = BODY_OCTETS // len(line) + 1

    async def lines() -> AsyncIterator[bytes]:
        for number in range(count):
            yield line if number != count // 2 else json.dumps(body(7)).encode() + b"\n"

    async def scenario() -> None:
        async with front(tmp_path, http={"line_max_bytes": 1 << 20}) as house:
            results = taken = 0
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            try:
                async with house.client.post(
                    house.url + "/v1/messages:batch", data=lines(), headers=STREAM
                ) as response:
                    async for result in response.content:
                        if b"message_id" in result:
                            taken += 1
                            assert results == count // 2
                        results += 1
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert (results, taken) == (count, 1)
            assert peak - before < FLAT_OCTETS
            await outcomes(house.dispatcher, 1)
            assert copies(house.smsc) == {"t7": 1}

    run(scenario(), 120)


def test_what_the_door_counts_is_shown(tmp_path: Path) -> None:
    """Requests by route and status, refusals by code, connections: with the names and labels of the table."""

    async def scenario() -> None:
        before = HttpServer(cast(Any, None), Http(), KeyRing(tmp_path / "none.json")).samples()
        assert not any(before.values()), "nothing yet, and no error, before it has started"
        async with front(tmp_path) as house:
            await house.post("/v1/messages", body(1))
            await house.post("/v1/messages", body(2, to="no"))
            await house.post("/v1/messages", {"to": "+79000000003"})
            await house.get("/v1/messages/0197a1b2-0000-7000-8000-000000000000")
            await house.get("/wrong")
            samples = house.server.samples()
            for name, values in samples.items():
                assert {len(labels) for labels, _ in values} == {len(METRICS[name].labels)}
            requests = dict(samples["dispatcher_http_requests_total"])
            assert requests == {
                ("/v1/messages", "202"): 1,
                ("/v1/messages", "400"): 2,
                ("/v1/messages/{id}", "404"): 1,
                ("none", "404"): 1,
            }
            refused = dict(samples["dispatcher_http_messages_refused_total"])
            assert refused == {("number_malformed",): 1, ("malformed",): 1}
            assert dict(samples["dispatcher_http_connections_total"])[("accepted",)] >= 1

    run(scenario())


def test_a_follower_that_does_not_read_delays_nobody(tmp_path: Path) -> None:
    """Its events wait in the journal and not in memory: messages go on, another reader gets all of them,
    and after a while it is closed (F90)."""

    async def scenario() -> None:
        async with front(tmp_path, http={"body_timeout_ms": 300}) as house:
            key = dict(house.client.headers)["Authorization"]
            link = socket.socket()
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(("127.0.0.1", house.server.port))
            link.sendall(
                f"GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode()
            )
            await until(lambda: house.server.under_way == 1, "it follows")
            count = 0
            while not house.server.gate.counts["not_reading"]:
                its = [replace(each, source="core") for each in requests(500, first=count)]
                accepted(await house.dispatcher.send(its))
                count += 500
                await outcomes(house.dispatcher, count)
                assert count < 20_000
            async with house.client.get(house.url + "/v1/events", params={"types": "finished"}) as response:
                assert len([line async for line in response.content]) == count
            await until(lambda: house.server.under_way == 0, "nothing is left of it")
            link.close()

    run(scenario())
