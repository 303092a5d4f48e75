"""The agenda: never early, in order, nothing lost, one timer."""

import asyncio
import time

import pytest

from dispatcher.simulator.agenda import Agenda


def test_calls_come_in_order_and_never_early() -> None:
    """By due time, and in the order of putting down where that is the same; a call may put down another."""

    async def scenario() -> None:
        agenda, seen = Agenda(asyncio.get_running_loop()), list[tuple[str, bool]]()
        start = time.monotonic_ns()

        def call(name: str, due_ms: int) -> None:
            due_ns = start + due_ms * 1_000_000
            agenda.at(due_ns, lambda: seen.append((name, time.monotonic_ns() >= due_ns)))

        for name, due_ms in (("c", 30), ("a", 10), ("b", 10), ("overdue", -50)):
            call(name, due_ms)
        agenda.at(start + 20_000_000, lambda: call("late", 5))
        await asyncio.sleep(0.06)
        assert seen == [(name, True) for name in ("overdue", "a", "b", "late", "c")]

    asyncio.run(scenario())


def test_a_call_that_fails_does_not_stop_the_others() -> None:
    """An exception goes to the loop's handler; what is due later still comes."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        errors: list[object] = []
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        agenda, seen = Agenda(loop), list[int]()
        now = time.monotonic_ns()
        agenda.at(now, lambda: 1 // 0)
        agenda.at(now + 20_000_000, lambda: seen.append(1))
        await asyncio.sleep(0.05)
        assert seen == [1]
        assert isinstance(errors[0], ZeroDivisionError)

    asyncio.run(scenario())


def test_clear() -> None:
    """What is cleared never comes."""

    async def scenario() -> None:
        agenda = Agenda(asyncio.get_running_loop())
        agenda.at(time.monotonic_ns() + 5_000_000, lambda: pytest.fail("cleared"))
        agenda.clear()
        await asyncio.sleep(0.02)

    asyncio.run(scenario())
