"""What clients do to a door, by the numbers of the list of faults."""

import asyncio
import json
import resource
from pathlib import Path

import pytest

from dispatcher.model import SendRequest
from tests.integration.front import add_key, bearer, body, front
from tests.integration.house import copies, outcomes, run, until


def test_parallel_replays_of_one_key_are_one_message(tmp_path: Path) -> None:
    """F92: 50 at once with one Idempotency-Key give one id; another body under it is refused with 422."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            asked = body(1)
            answers = await asyncio.gather(
                *(house.post("/v1/messages", asked, Idempotency_Key='"k-1"') for _ in range(50))
            )
            assert [status for status, _, _ in answers] == [202] * 50
            assert len({said["message_id"] for _, said, _ in answers}) == 1
            assert sum(not said["is_repeated"] for _, said, _ in answers) == 1
            status, said, _ = await house.post("/v1/messages", body(2), Idempotency_Key='"k-1"')
            assert (status, said["code"]) == (422, "idempotency_conflict")
            await outcomes(house.dispatcher, 1)
            assert copies(house.smsc) == {"t1": 1}

    run(scenario())


def test_half_a_connection_is_answered(tmp_path: Path) -> None:
    """Who shuts his side down behind whole requests gets every answer, and then the end; behind half a
    request nothing but the end, which a follower gets, too."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            key = dict(house.client.headers)["Authorization"]

            async def said(octets: bytes) -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
                writer.write(octets)
                writer.write_eof()
                answer = await asyncio.wait_for(reader.read(), 10)
                writer.close()
                return answer

            def post(number: int, missing: int = 0) -> bytes:
                asked = json.dumps(body(number)).encode()
                head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
                return f"{head}Content-Length: {len(asked)}\r\n\r\n".encode() + asked[: len(asked) - missing]

            assert (await said(post(1))).count(b"202 Accepted") == 1
            assert (await said(post(2) + post(3))).count(b"202 Accepted") == 2
            assert await said(post(4, missing=1)) == b""
            follow = f"GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n"
            await said(follow.encode())
            await until(lambda: not house.server.gate.links, "all are let go")
            assert house.server.intake.accepted == 3

    run(scenario())


def test_a_client_that_leaves_before_the_answer_gets_the_same_message(tmp_path: Path) -> None:
    """F92: the connection breaks before the 202; the retry, also after a restart, has the same id."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            asked = json.dumps(body(1)).encode()
            key = dict(house.client.headers)["Authorization"]
            _, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
            head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nIdempotency-Key: k\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(asked)}\r\n\r\n"
            writer.write(head.encode() + asked)
            await writer.drain()
            writer.close()
            await until(lambda: house.server.intake.accepted == 1, "accepted")
            _, said, _ = await house.post("/v1/messages", body(1), Idempotency_Key="k")
            assert said["is_repeated"]
            await outcomes(house.dispatcher, 1)
        async with front(tmp_path) as house:
            status, again, _ = await house.post("/v1/messages", body(1), Idempotency_Key="k")
            assert (status, again["message_id"]) == (202, said["message_id"])

    run(scenario())


BAD = [
    (b'{"to":', "malformed"),
    (b"", "malformed"),
    (b"[]", "malformed"),
    (b'{"to":NaN}', "malformed"),
    (b'{"to":"\xff"}', "malformed"),
    (b'{"to":"a\x00"}', "malformed"),
    (b'{"to":"\\ud800","text":"a","sender":"B"}', "malformed"),
    (b'{"to":"+79000000001","text":"a","text":"b","sender":"B"}', "duplicate_key"),
    (b'{"to":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed"),
    (b'{"to":"+79000000001","sender":"B","text":null}', "malformed"),
    (b'{"to":"+79000000001","sender":"B","text":"x","ttl_ms":1e400}', "malformed"),
    (b'{"to":"+79000000001","sender":"B","text":"x","callback_url":"file:///x"}', "callback_malformed"),
]


@pytest.mark.parametrize(("octets", "code"), BAD)
def test_bad_json_is_refused_clearly(tmp_path: Path, octets: bytes, code: str) -> None:
    """F91: whatever is wrong with a body, it is 400 with a code, alone and as one of a batch."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            status, said, headers = await house.post("/v1/messages", octets)
            assert (status, said["code"]) == (400, code), said
            assert headers["Content-Type"].startswith("application/problem+json")

    run(scenario())


def test_giant_and_deep_bodies_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """F91: 413 by the length alone, or at the limit; nesting by a scan; the next request is served."""

    async def scenario() -> None:
        limits = {"batch_max": 2_500}
        async with front(tmp_path, http={"body_max_bytes": 100_000}, limits=limits) as house:
            key = dict(house.client.headers)["Authorization"]
            reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
            head = f"POST /v1/messages:batch HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
            writer.write(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode())
            assert b" 413 " in await reader.readline()  # and not one octet of it was sent
            writer.close()

            status, said, _ = await house.post("/v1/messages:batch", b" " * 100_001)
            assert (status, said["code"]) == (413, "too_large")
            deep = b'{"messages":[' + b"[" * 40_000 + b"]" * 40_000 + b"]}"
            status, said, _ = await house.post("/v1/messages:batch", deep)
            assert (status, said["code"]) == (400, "too_deep")
            for messages in (b"1," * 40_000 + b"1", b"{}," * 2_500 + b"{}"):  # each would get an answer
                status, said, _ = await house.post("/v1/messages:batch", b'{"messages":[%b]}' % messages)
                assert (status, said["code"]) == (413, "batch_too_large")
                status, said, _ = await house.post("/v1/messages:check", b'{"messages":[%b]}' % messages)
                assert (status, said["code"]) == (413, "batch_too_large")
            most = b'{"messages":[%b]}' % (b"1," * 2_499 + b"1")
            status, said, _ = await house.post("/v1/messages:batch", most)
            assert (status, len(said["results"])) == (200, 2_500)
            status, _, _ = await house.post("/v1/messages", body(1))
            assert status == 202

    run(scenario())


def test_a_line_too_long_costs_only_itself(tmp_path: Path) -> None:
    """F91: of a stream, one endless line is dropped as it comes; its neighbours are taken."""

    async def scenario() -> None:
        async with front(tmp_path, http={"line_max_bytes": 2_000}) as house:
            lines = [json.dumps(body(1)).encode(), b"x" * 3_000_000, json.dumps(body(2)).encode()]
            async with house.client.post(
                house.url + "/v1/messages:batch",
                data=b"\n".join(lines),
                headers={"Content-Type": "application/x-ndjson"},
            ) as response:
                results = [json.loads(line) async for line in response.content]
            assert [each.get("code") for each in results] == [None, "line_too_long", None]

    run(scenario())


def test_results_come_while_the_body_still_comes(tmp_path: Path) -> None:
    """A line is answered before the next one is sent: nothing waits for the end of the body."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            answered: asyncio.Queue[bytes] = asyncio.Queue()

            async def lines() -> object:
                for number in range(3):
                    yield json.dumps(body(number)).encode() + b"\n"
                    assert b"message_id" in await answered.get()

            async with house.client.post(
                house.url + "/v1/messages:batch",
                data=lines(),
                headers={"Content-Type": "application/x-ndjson"},
            ) as response:
                async for line in response.content:
                    answered.put_nowait(line)

    run(scenario())


SLOW = 1_000
"""Connections that send no octet more."""


def problem_of(answer: bytes) -> tuple[int, str]:
    """Return the status and the code of a whole answer, which is a problem of that length."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head + b"\r\n"
    found = json.loads(body)
    assert found["status"] == int(head.split()[1])
    return found["status"], found["code"]


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret\r\n\r\n",
        b"GET / HTTP/9.9.9 secret\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost x secret\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nContent-Length: secret\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nX-A: secret" + b"a" * 9_000 + b"\r\n\r\n",
    ],
    ids=["TLS", "version", "no colon", "length", "long header"],
)
def test_what_is_no_http_is_a_problem(tmp_path: Path, octets: bytes) -> None:
    """F91: 400 as problem+json, in which nothing of the octets stands; the connection is closed."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
            writer.write(octets)
            said = await reader.read()
            assert problem_of(said) == (400, "malformed")
            assert b"secret" not in said
            assert b"\r\nServer: dispatcher\r\n" in said
            writer.close()

    run(scenario())


def test_too_many_headers_are_told_as_such(tmp_path: Path) -> None:
    """400 that says how many are taken, and not that it were no HTTP."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            many = {f"X-{number}": "a" for number in range(100)}
            status, said, headers = await house.post("/v1/messages", body(1), **many)
            assert (status, said["detail"]) == (400, "too many headers: 64 are taken")
            assert headers["Server"] == "dispatcher"

    run(scenario())


def test_slow_headers_and_bodies_are_closed(tmp_path: Path) -> None:
    """F90: headers of 1,000 connections and a body that trickle end with 408; others are served meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * SLOW + 200:  # both ends are in this process
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * SLOW + 200), hard))

    async def scenario() -> None:
        limits = {"header_timeout_ms": 1_000, "body_timeout_ms": 300, "connections_of_one_max": SLOW + 10}
        async with front(tmp_path, http=limits) as house:
            slow = [await asyncio.open_connection("127.0.0.1", house.server.port) for _ in range(SLOW)]
            for _, writer in slow:
                writer.write(b"POST /v1/messages HTTP/1.1\r\nHost:")
            status, _, _ = await house.post("/v1/messages", body(1))
            assert status == 202
            for reader, writer in slow:
                assert problem_of(await reader.read()) == (408, "too_slow")
                writer.close()
            assert house.server.gate.counts["too_slow"] == SLOW

            key = dict(house.client.headers)["Authorization"]
            reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
            head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
            assert b" 408 " in await reader.readline()
            writer.close()

    run(scenario())


def test_too_many_connections_of_one_address_are_refused(tmp_path: Path) -> None:
    """F90: the one beyond the limit is told 429 and closed; when one leaves, another may come."""

    async def scenario() -> None:
        async with front(tmp_path, http={"connections_of_one_max": 3}) as house:
            held = [await asyncio.open_connection("127.0.0.1", house.server.port) for _ in range(3)]
            await until(lambda: len(house.server.gate.links) == 3, "all are in")
            reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
            said = await reader.read()
            assert b"Retry-After: 1\r\n" in said
            assert problem_of(said) == (429, "too_many_connections")
            writer.close()
            for _, other in held:
                other.close()
            await until(lambda: not house.server.gate.links, "all are out")
            status, _, _ = await house.post("/v1/messages", body(1))
            assert status == 202

    run(scenario())


def test_a_runaway_client_is_held_off_by_number(tmp_path: Path) -> None:
    """F72: the eleventh message of a minute to one number is 429 with Retry-After, however it is written;
    other numbers go; and it is counted."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            forms = ("+79000000001", "79000000001")
            seen = []
            for number in range(25):
                asked = body(number, to=forms[number % 2])
                status, said, headers = await house.post("/v1/messages", asked)
                seen.append(status)
            # A minute may end in between; never do more than two of them fit.
            assert seen[:10] == [202] * 10
            assert 5 <= seen.count(429) <= 15, seen
            if seen[-1] == 429:
                assert said["code"] == "number_limited"
                assert 1 <= int(headers["Retry-After"]) <= 60
            assert house.server.intake.refused["number_limited"] == seen.count(429)
            status, _, _ = await house.post("/v1/messages", body(99))
            assert status == 202

    run(scenario())


def test_a_full_backlog_is_503_with_retry_after(tmp_path: Path) -> None:
    """F71: when too much waits, new messages are refused with a time to come again; none is lost."""

    async def scenario() -> None:
        limits = {"backlog_max": 50}
        async with front(tmp_path, limits=limits, carrier={"tps": 1.0, "window": 1}) as house:
            statuses = []
            for number in range(80):
                status, said, headers = await house.post("/v1/messages", body(number))
                statuses.append(status)
            assert set(statuses) == {202, 503}
            assert (said["code"], headers["Retry-After"]) == ("overloaded", "1")
            assert said["detail"].startswith("too much is waiting in all")
            assert statuses.count(202) <= 55

    run(scenario())


def test_events_can_be_read_again_from_any_place(tmp_path: Path) -> None:
    """F94: the events of the past come again, as NDJSON or SSE, from a cursor or a time; a key sees its
    own."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            for number in range(3):
                await house.post("/v1/messages", body(number))
            other = SendRequest(to="+79000000077", text="x", sender="Bank", source="another")
            await house.dispatcher.send([other])
            await outcomes(house.dispatcher, 4)

            async def told(**query: str) -> list[dict[str, object]]:
                async with house.client.get(house.url + "/v1/events", params=query) as response:
                    assert response.status == 200
                    return [json.loads(line) async for line in response.content]

            events = await told(after="0-0")
            assert len(events) == 12
            assert {event["source"] for event in events} == {"core"}
            assert await told(after=str(events[5]["id"])) == events[6:]
            assert await told(since="2026-01-01T00:00:00Z") == events
            assert await told(since="2126-01-01T00:00:00Z") == []
            ends = await told(types="finished")
            assert [event["outcome"] for event in ends] == ["delivered"] * 3
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(events[10]["id"])}
            async with house.client.get(house.url + "/v1/events", headers=headers) as response:
                assert await response.content.readline() == f"id: {events[11]['id']}\n".encode()

    run(scenario())


def test_followers_get_what_comes_and_end_with_the_server(tmp_path: Path) -> None:
    """A follower sees new events as they come; when the server stops, its stream ends in order."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            query = {"follow": "true", "types": "finished"}
            async with house.client.get(house.url + "/v1/events", params=query) as response:
                for number in range(2):
                    _, said, _ = await house.post("/v1/messages", body(number))
                    event = json.loads(await response.content.readline())
                    assert event["message_id"] == said["message_id"]
                await house.server.stop()
                assert await response.content.read() == b""

    run(scenario())


def test_a_client_that_does_not_read_is_closed(tmp_path: Path) -> None:
    """F90: who sends and never reads the results holds a connection for a while, and nothing else."""

    async def scenario() -> None:
        async with front(tmp_path, http={"body_timeout_ms": 300, "per_number_minute_max": 0}) as house:
            key = dict(house.client.headers)["Authorization"]
            _, writer = await asyncio.open_connection("127.0.0.1", house.server.port, limit=1024)
            head = f"POST /v1/messages:batch HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
            head += "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(head.encode())
            lines = b"{}\n" * 20_000

            async def send() -> None:
                while True:
                    writer.write(b"%x\r\n%b\r\n" % (len(lines), lines))
                    await writer.drain()

            sending = asyncio.create_task(send())
            await until(lambda: house.server.gate.counts["not_reading"] == 1, "closed")
            status, _, _ = await house.post("/v1/messages", body(1))
            assert status == 202
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()

    run(scenario())


def test_a_key_may_do_what_it_may(tmp_path: Path) -> None:
    """401 without a key, 403 for other senders and classes, 429 beyond its rate; disabled within a second."""

    async def scenario() -> None:
        token = add_key(
            tmp_path / "keys.json", "shop", senders=("Shop",), traffic_classes=("service",), rate=2.0
        )
        async with front(tmp_path) as house:
            status, said, headers = await house.post("/v1/messages", body(1), Authorization="Bearer no")
            assert (status, said["code"]) == (401, "unauthorized")
            assert headers["WWW-Authenticate"].startswith("Bearer")
            key = bearer(token)
            status, said, _ = await house.post("/v1/messages", body(1, traffic_class="service"), **key)
            assert (status, said["code"], said["path"]) == (403, "sender_not_allowed", "$.sender")
            status, said, _ = await house.post("/v1/messages", body(1, sender="Shop"), **key)
            assert (status, said["code"]) == (403, "class_not_allowed")
            many = [body(number, sender="Shop", traffic_class="service") for number in range(5)]
            status, said, _ = await house.post("/v1/messages:batch", {"messages": many}, **key)
            codes = [result.get("code") for result in said["results"]]
            assert codes == [None, None, "rate_limited", "rate_limited", "rate_limited"]
            message_id = said["results"][0]["message_id"]
            status, _ = await house.get(f"/v1/messages/{message_id}")
            assert status == 404, "another's message is as if it were not there"

    run(scenario())
