"""A bind between its connection and its pool: when the pool hears of room."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dispatcher.smpp.account import Account
from dispatcher.smpp.backoff import Backoff
from dispatcher.smpp.bind import Bind
from dispatcher.smpp.constants import Command


class Hub:
    """Counts what a bind tells."""

    def __init__(self) -> None:
        self.rooms = self.answered = 0

    def room(self) -> None:
        """There may be more room."""
        self.rooms += 1

    def answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Answers came."""
        self.answered += len(handles)

    def bound(self, bind: Bind) -> None:
        """It is bound."""


@pytest.mark.parametrize("ramp_ms", [0, 1], ids=["at once", "slow start"])
def test_with_the_whole_window_answers_say_that_there_is_room(ramp_ms: int) -> None:
    """Once a new bind has its whole window, the pool hears of answers, and no more of room beside them."""

    async def run() -> None:
        hub = Hub()
        bind = Bind(1, Command.BIND_TRANSCEIVER, cast("Any", hub), lambda: now_ns)
        exchange = SimpleNamespace(window=10, in_flight=0, room=10)
        connection = cast("Any", SimpleNamespace(exchange=exchange, room=10))
        backoff = Backoff(quiet_ms=0, ramp_ms=ramp_ms)
        bind._account = Account(host="smsc", port=1, system_id=b"bank", window=10, backoff=backoff)
        bind.connection = connection
        now_ns = 0
        bind._bound()
        assert bind.room(now_ns) == (1 if ramp_ms else 10)
        bind.on_answers(connection, [1], [0], [b"1"])
        now_ns = 20_000_000
        await asyncio.sleep(0.02)  # the timers of the slow start
        bind._ramp(now_ns)
        assert bind.room(now_ns) == 10
        told = hub.rooms
        for _ in range(3):
            bind.on_answers(connection, [1], [0], [b"1"])
        assert (hub.answered, hub.rooms) == (4, told)
        for timer in bind._timers:
            timer.cancel()

    asyncio.run(run())
