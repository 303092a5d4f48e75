"""Flow: as many segments a second as go through. Warm-up, a span cut into slices, drain, proof.

Feeders hand over batches of 1,000 requests, made before; each message has one segment, and a receipt.
"""

from time import perf_counter_ns
from typing import Any

from bench.flows.house import House, Job, config_of, percentile, prove, summed, yardstick_ns
from dispatcher.app import Dispatcher


async def run(job: Job) -> dict[str, Any]:
    """Flood; return the span, the whole run, and what the journal says of it."""
    yardsticks = [yardstick_ns()]
    async with Dispatcher(config_of(job)) as dispatcher:
        house = House(dispatcher, job)
        await house.bound()
        await house.drain(0)
        before, begun_ns = house.finished, perf_counter_ns()
        house.feed()
        await house.slices(job.warm_s, job.warm_s)
        house.accept_ns.clear()
        slices = await house.slices(job.span_s, job.slice_s)
        accept_ns = house.accept_ns.copy()
        await house.stop()
        await house.drain(0)
        whole = house.finished - before, (perf_counter_ns() - begun_ns) / 1e9
    yardsticks.append(yardstick_ns())
    return {
        **summed(slices),
        "yardstick_ns": sum(yardsticks) / len(yardsticks),
        "whole_segments": whole[0],
        "whole_seconds": whole[1],
        "accept_p50_ns": percentile(accept_ns, 0.5),
        "accept_p99_ns": percentile(accept_ns, 0.99),
        "accepted": house.accepted,
        "refused": house.refused,
        "proof": prove(job.store)._asdict(),
    }
