"""Flow: what a segment costs while so many segments await their receipt.

A second carrier takes messages of the sender "Quiet" and never reports: they stay outstanding, more at each
level. At each, the first carrier is flooded, whose receipts come at once: a price there holds finding a
receipt's segment among all that are waited for. Memory is that of the process, the book of receipts included.
"""

from typing import Any

import msgspec

from bench.clients.smsc import SILENT
from bench.flows.house import House, Job, config_of, resident_bytes, summed, yardstick_ns
from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.config import Rule as Route

QUIET = "Quiet"


async def run(job: Job) -> dict[str, Any]:
    """Fill up and measure, level by level, the lowest first."""
    levels: list[dict[str, Any]] = []
    async with Dispatcher(_config(job)) as dispatcher:
        house = House(dispatcher, job)
        await house.bound()
        await house.drain(0)
        quiet = 0
        for level in sorted(job.levels):
            while quiet < level:
                some = house.batch(quiet // 1000)[: level - quiet]
                await house.send([msgspec.structs.replace(each, sender=QUIET) for each in some])
                quiet += len(some)
                while house.dispatcher.pipeline.book.outstanding < quiet - 20 * len(some):
                    await house.nap()
            while house.dispatcher.pipeline.book.outstanding < level:
                await house.nap()
            memory = resident_bytes()
            house.feed()
            await house.slices(job.warm_s, job.warm_s)
            slices = await house.slices(job.span_s, job.slice_s)
            await house.stop()
            while house.finished < house.accepted - quiet:
                await house.nap()
            levels.append({**summed(slices), "level": level, "memory_bytes": memory})
        await house.dispatcher.committed()
    return {
        "levels": levels,
        "quiet": quiet,
        "yardstick_ns": yardstick_ns(),
        "accepted": house.accepted,
        "refused": house.refused,
    }


def _config(job: Job) -> Config:
    """Two carriers, the second one for one sender."""
    config = config_of(job)
    (loud,) = config.carriers.values()
    carriers = {"c0": loud, "quiet": msgspec.structs.replace(loud, system_id=SILENT)}
    routes = (Route(carriers=("quiet",), senders=(QUIET,)), *config.routes)
    return msgspec.structs.replace(config, carriers=carriers, routes=routes)
