"""Flow: accept while the carrier is down, and be killed. Its price, and memory."""

import asyncio
import json
from time import perf_counter_ns, process_time_ns
from typing import Any, Final

from bench.flows.house import BATCH, House, Job, config_of, resident_bytes
from dispatcher.app import Dispatcher

STEPS: Final = 20
"""Readings on the way."""


async def run(job: Job) -> dict[str, Any]:
    """Fill up, print what it took, and wait for the end."""
    async with Dispatcher(config_of(job)) as dispatcher:
        house = House(dispatcher, job)
        empty_bytes = resident_bytes()
        cpu_ns, clock_ns = [], []
        step = job.messages // STEPS // BATCH * BATCH
        for _ in range(job.messages // step):
            begun_cpu_ns, begun_ns = process_time_ns(), perf_counter_ns()
            await house.fill(step)
            cpu_ns.append((process_time_ns() - begun_cpu_ns) / step)
            clock_ns.append((perf_counter_ns() - begun_ns) / step)
        filled = {
            "accepted": house.accepted,
            "refused": house.refused,
            "waiting": house.waiting,
            "cpu_ns_rounds": cpu_ns,
            "clock_ns_rounds": clock_ns,
            "memory_bytes": resident_bytes() - empty_bytes,
            "empty_bytes": empty_bytes,
        }
        print(json.dumps(filled), flush=True)
        await asyncio.Event().wait()
    return {}
