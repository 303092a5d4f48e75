"""Flow: start on a store with a history, and end. How long reading it takes, and what memory it needs."""

from typing import Any

from bench.flows.house import House, Job, config_of, resident_bytes, since_ns
from dispatcher.app import Dispatcher


async def run(job: Job) -> dict[str, Any]:
    """Accept one message."""
    async with Dispatcher(config_of(job)) as dispatcher:
        house = House(dispatcher, job)
        await house.send(house.one)
        return {"accepting_ns": since_ns(job), "resident_bytes": resident_bytes()}
