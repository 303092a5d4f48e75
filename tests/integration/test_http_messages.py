"""POST /v1/messages, batches and look-ups over real sockets."""

import asyncio
from pathlib import Path

from dispatcher.ingest.intake import SLICE
from tests.integration.front import body, front
from tests.integration.house import copies, outcomes, run


def test_one_message_goes_all_the_way(tmp_path: Path) -> None:
    """202 with a UUIDv7, then its state, segments and events; the number masked, the text never."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            status, said, headers = await house.post("/v1/messages", body(1, client_ref="a-1"))
            assert status == 202, said
            assert said["client_ref"] == "a-1"
            assert (said["segments"], said["is_repeated"]) == (1, False)
            assert said["message_id"][14] == "7"
            assert headers["X-Request-Id"]
            await outcomes(house.dispatcher, 1)
            status, found = await house.get(f"/v1/messages/{said['message_id']}")
            assert (status, found["state"], found["reason"]) == (200, "delivered", "receipt")
            assert found["to"] == "7900***0001"
            (segment,) = found["segments"]
            assert (segment["carrier"], segment["state"], segment["attempts"]) == ("c0", "delivered", 1)
            assert segment["smsc_message_id"]
            types = [event["type"] for event in found["events"]]
            assert types == [
                "message.claimed",
                "message.submitted",
                "message.receipted",
                "message.finished",
            ]
            assert "4711" not in str(found)
            assert "79000000001" not in str(found)

    run(scenario())


def test_batches_answer_in_order_and_a_bad_message_costs_only_itself(tmp_path: Path) -> None:
    """JSON with defaults and NDJSON: one result a message, in order; the others arrive at the carrier."""

    async def scenario() -> None:
        async with front(tmp_path) as house:
            messages = [
                {"to": "+79000000001", "text": "one t1"},
                {"to": "no", "text": "two"},
                {"to": "+79000000003", "tekst": "x"},
                {"to": "+79000000004", "text": "four t4"},
            ]
            status, said, _ = await house.post(
                "/v1/messages:batch", {"defaults": {"sender": "Bank"}, "messages": messages}
            )
            assert status == 200, said
            first, second, third, fourth = said["results"]
            assert first["message_id"][-10:] < fourth["message_id"][-10:]
            assert (second["code"], second["path"]) == ("number_malformed", "$.messages[1].to")
            assert (third["code"], third["path"]) == ("malformed", "$.messages[2].tekst")
            assert "did you mean 'text'" in third["detail"]
            for defaults, code, path in (
                (b'{"sender":"A","sender":"Bank"}', "duplicate_key", "$.defaults"),
                (b'{"sendr":"Bank"}', "malformed", "$.defaults.sendr"),
                (b"5", "malformed", "$.defaults"),
            ):
                wrong = b'{"defaults":%b,"messages":[]}' % defaults
                status, said, _ = await house.post("/v1/messages:batch", wrong)
                assert (status, said["code"], said["path"]) == (400, code, path)
            lines = b"\n".join(
                [
                    b'{"to":"+79000000005","text":"five t5"}',
                    b"",
                    b'{"to":',
                    b'{"to":"+79000000006","text":"six t6"}',
                ]
            )
            async with house.client.post(
                house.url + "/v1/messages:batch",
                params={"defaults": '{"sender":"Bank"}'},
                data=lines,
                headers={"Content-Type": "application/x-ndjson"},
            ) as response:
                assert response.status == 200
                results = [await response.content.readline() for _ in range(3)]
                assert await response.content.read() == b""
            assert b"message_id" in results[0]
            assert b'"code":"malformed"' in results[1]
            assert b"message_id" in results[2]
            await outcomes(house.dispatcher, 4)
            assert copies(house.smsc) == {"t1": 1, "t4": 1, "t5": 1, "t6": 1}

    run(scenario())


def test_a_large_batch_leaves_the_loop_to_others(tmp_path: Path) -> None:
    """Law 12: also when all of it is refused, which waits for nothing, it is read and judged in slices."""
    slices = 10

    async def scenario() -> None:
        async with front(tmp_path) as house:
            house.server.drain()
            turns = 0

            async def turn() -> None:
                nonlocal turns
                while True:
                    await asyncio.sleep(0)
                    turns += house.server.under_way

            turning = asyncio.create_task(turn())
            status, answer, _ = await house.post(
                "/v1/messages:batch", {"messages": [body(n) for n in range(slices * SLICE)]}
            )
            turning.cancel()
            assert (status, len(answer["results"])) == (200, slices * SLICE)
            assert {each["code"] for each in answer["results"]} == {"closing"}
            assert turns >= 2 * slices

    run(scenario())
