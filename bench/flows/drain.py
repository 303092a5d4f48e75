"""Flow: start on a store whose process was killed, and what a segment costs at each level.

At a level, feeders hand over as much as goes out, so that the backlog stays: a segment's price there is
accept, journal, reading back, delivery and receipt. Between two levels nothing is accepted: the price of
draining.
"""

import asyncio
from typing import Any

from bench.flows.house import HEAD, House, Job, config_of, prove, since_ns, summed, yardstick_ns
from dispatcher.app import Dispatcher


async def run(job: Job) -> dict[str, Any]:
    """Recover, measure at each level, drain, prove."""
    async with Dispatcher(config_of(job)) as dispatcher:
        house = House(dispatcher, job)
        found = house.waiting
        await house.send(house.one)
        accepting_ns = since_ns(job)
        while not (house.lane.unsettled or dispatcher.pipeline.book.outstanding or house.finished):
            await asyncio.sleep(0.001)
        submitting_ns = since_ns(job)
        house.accepted += job.messages
        await house.bound()
        levels = []
        for level in (*job.levels, 0):
            draining = house.read()
            await house.drain(max(level, HEAD))
            drained = house.read().since(draining)
            house.level = max(level, HEAD)
            house.feed()
            await house.slices(job.warm_s, job.warm_s)
            before = house.waiting
            slices = await house.slices(job.span_s, job.slice_s)
            levels.append({**summed(slices), "level": level, "backlog": (before + house.waiting) / 2})
            if drained.finished > 10 * HEAD:
                levels[-1]["draining"] = summed([drained])
            await house.stop()
        await house.drain(0)
    return {
        "found": found,
        "accepting_ns": accepting_ns,
        "submitting_ns": submitting_ns,
        "levels": levels,
        "yardstick_ns": yardstick_ns(),
        "accepted": house.accepted,
        "refused": house.refused,
        "proof": prove(job.store)._asdict(),
    }
