"""Flow: authorization every 10 ms, at times fixed before, while marketing takes all that the carrier gives.

Times count from the moment at which a code was meant to be sent, so that a loop that is late is not forgiven.
On the wire: handed to the pool, which writes at the end of the same turn of the loop.
"""

import asyncio
from time import perf_counter_ns
from typing import Any, Final, cast

from bench.flows.house import House, Job, config_of, percentile, prove, yardstick_ns
from dispatcher._ext.book import Submission
from dispatcher.app import Dispatcher
from dispatcher.model import Accepted, SendRequest, TrafficClass
from dispatcher.smpp.pool import Pool

EVERY_NS: Final = 10_000_000


class Tap:
    """A pool that notes when each code is submitted, by its number."""

    def __init__(self, pool: Pool) -> None:
        self.submitted_ns: dict[int, int] = {}
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def submit(self, batch: list[Submission], frames: list[bytes]) -> int:
        """Submit, and note."""
        taken = self._pool.submit(batch, frames)
        now_ns = perf_counter_ns()
        for submission in batch[:taken]:
            if submission.traffic_class == TrafficClass.AUTHORIZATION:
                self.submitted_ns.setdefault(submission.n, now_ns)
        return taken


async def run(job: Job) -> dict[str, Any]:
    """Saturate, send codes, drain; return percentiles and the share of marketing that went through."""
    async with Dispatcher(config_of(job)) as dispatcher:
        house = House(dispatcher, job, traffic_class=TrafficClass.MARKETING)
        await house.bound()
        tap = Tap(house.lane.pool)
        house.lane.pool = cast("Pool", tap)
        code = SendRequest(
            to="79001234567", text="4711", sender="Bank", traffic_class=TrafficClass.AUTHORIZATION
        )
        accepted: list[tuple[int, int, int]] = []

        async def send(intended_ns: int) -> None:
            (verdict,) = await dispatcher.send([code])
            house.accepted += 1
            assert isinstance(verdict, Accepted)
            accepted.append((verdict.message.n, intended_ns, perf_counter_ns() - intended_ns))

        house.feed()
        await house.slices(job.warm_s, job.warm_s)
        before = house.read()
        codes = []
        intended_ns = perf_counter_ns()
        end_ns = intended_ns + int(job.span_s * 1e9)
        while intended_ns < end_ns:
            await asyncio.sleep(max(0, intended_ns - perf_counter_ns()) / 1e9)
            codes.append(asyncio.create_task(send(intended_ns)))
            intended_ns += EVERY_NS
        span = house.read().since(before)
        await house.stop()
        await asyncio.gather(*codes)
        await house.drain(0)
    accept_ns = [took for _, _, took in accepted]
    wire_ns = [tap.submitted_ns[n] - intended for n, intended, _ in accepted]
    return {
        "codes": len(accepted),
        "per_s": span.finished / span.at_ns * 1e9,
        "accept_ns": [percentile(accept_ns, share) for share in (0.5, 0.99, 1)],
        "wire_ns": [percentile(wire_ns, share) for share in (0.5, 0.99, 1)],
        "yardstick_ns": yardstick_ns(),
        "accepted": house.accepted,
        "refused": house.refused,
        "proof": prove(job.store)._asdict(),
    }
