"""Each test here runs on both loops; race tests also on one and on two processors."""

import asyncio
import os
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["stdlib", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one of the loops."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def run_on_loop(coroutine: Coroutine[Any, Any, None]) -> None:
        with warnings.catch_warnings():
            # A failed test leaves sockets open; uvloop never ends where this warning is an error.
            warnings.simplefilter("ignore", ResourceWarning)
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(asyncio.wait_for(coroutine, 30))

    return run_on_loop


@pytest.fixture(params=[1, 2])
def processors(request: pytest.FixtureRequest) -> Iterator[int]:
    """Pin the process to one processor, or to two."""
    before = os.sched_getaffinity(0)
    if len(before) < request.param:
        pytest.skip(f"this machine has {len(before)} processor")
    os.sched_setaffinity(0, sorted(before)[: request.param])
    yield request.param
    os.sched_setaffinity(0, before)
