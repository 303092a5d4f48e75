"""The events as they are told outside: in order, with their message's names, from any cursor."""

import asyncio
from pathlib import Path

import msgspec

from dispatcher.api import EventOut, cursor_of
from dispatcher.app import Dispatcher
from dispatcher.model import EventKind
from dispatcher.simulator import Simulator
from tests.integration.house import accepted, config_for, outcomes, request, requests, run

ENDS = (EventKind.FINISHED, EventKind.CORRECTED)


async def told(dispatcher: Dispatcher, after: tuple[int, int] = (0, 0)) -> list[EventOut]:
    """All that is durable behind a cursor."""
    await dispatcher.committed()
    return [event async for _, some in dispatcher.feed.read(after, follow=False) for event in some]


def test_events_are_told_with_their_message(tmp_path: Path) -> None:
    """A message's events name it, its sender's reference, its source and carrier; never number or text."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            asked = request(1, client_ref="order-1", source="core")
            (one,) = accepted(await dispatcher.send([asked]))
            await outcomes(dispatcher, 1)
            events = await told(dispatcher)
            names = [event.type for event in events]
            assert names == [
                "message.claimed",
                "message.submitted",
                "message.receipted",
                "message.finished",
            ]
            assert {event.message_id for event in events} == {one.message_id}
            assert {(e.client_ref, e.source, e.carrier) for e in events} == {("order-1", "core", "c0")}
            assert (events[-1].outcome, events[-1].reason) == ("delivered", "receipt")
            text = msgspec.json.encode(events).decode()
            assert asked.to not in text
            assert asked.to.lstrip("+") not in text
            assert asked.text not in text

    run(scenario())


def test_any_cursor_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """From the id of each event, exactly those after it come; kinds may be chosen; followers get new ones."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            accepted(await dispatcher.send(requests(30)))
            await outcomes(dispatcher, 30)
            events = await told(dispatcher)
            assert len(events) == 4 * 30
            for at in range(0, len(events), 7):
                assert await told(dispatcher, cursor_of(events[at].id)) == events[at + 1 :]

            async def follow() -> list[EventOut]:
                ends: list[EventOut] = []
                async for _, some in dispatcher.feed.read((0, 0), ENDS):
                    ends += some
                    if len(ends) == 40:
                        return ends
                return ends

            follower = asyncio.create_task(follow())
            accepted(await dispatcher.send(requests(10, first=30)))
            ends = await asyncio.wait_for(follower, 10)
            assert {event.type for event in ends} == {"message.finished"}
            assert len({event.message_id for event in ends}) == 40

    run(scenario())
