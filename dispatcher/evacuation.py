"""What waits for a carrier that cannot send just now, or will not any more, is brought to others.

Law 6 holds: a message moves as a whole, in the order of its segments, and never when one of them has been
accepted already. Where its route has no other carrier, it waits. A carrier that is configured no more is
wound up: what still waits for it takes today's route or is rejected (NO_CARRIER), the rest of a long message
still goes out there, what is in flight is answered, and its receipts are waited for before it unbinds.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dispatcher._ext.book import Submission
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.queue import ClassQueue, by_message
from dispatcher.model import Message, Outcome, Reason, TrafficClass

if TYPE_CHECKING:
    from dispatcher.pipeline import Pipeline

MOVE_MOST: Final = 1_000
"""Segments looked at in one turn of the loop: 3 ms if all move (2026-11-24, two cores)."""
UNBIND_MS: Final = 10_000
"""For an unbind_resp: nothing is in flight by then."""

log = logging.getLogger("dispatcher.pipeline")


def evacuate(pipeline: "Pipeline", lane: Lane, queues: Sequence[ClassQueue]) -> None:
    """Begin to bring what waits for a carrier that is down, paused or slow to others, whole, in order.

    Looks once at all that is in memory, in slices; what has no other carrier keeps its place. What stands
    behind it in the journal is seen when it is read.
    """
    if not lane.is_evacuated and any(len(queue.waiting) for queue in queues):
        lane.is_evacuated = True
        pipeline.spawn(_evacuate(pipeline, lane, queues))


async def _evacuate(pipeline: "Pipeline", lane: Lane, queues: Sequence[ClassQueue]) -> None:
    try:
        for queue in queues:
            start = 0
            while start < len(queue.waiting):
                start += _evacuate_some(pipeline, lane, queue, start)
                await asyncio.sleep(0)
    finally:
        lane.is_evacuated = False


def _evacuate_some(pipeline: "Pipeline", lane: Lane, queue: ClassQueue, start: int) -> int:
    """Look at a slice; return how many segments of it stay."""
    now_ms = pipeline.now_ms()
    messages = by_message(queue.waiting.peek(start, MOVE_MOST))
    if len(messages) > 1 and len(messages[-1]) < messages[-1][0].segments:
        messages.pop()  # cut by the slice: it is the first of the next
    stay, has_moved = 0, False
    for segments in messages:
        number = _other(pipeline, lane, segments[0], now_ms)
        if (
            number is None
            or len(segments) < segments[0].segments
            or not reroute(pipeline, segments, number, now_ms)
        ):
            stay += len(segments)
            continue
        has_moved = True
        for submission in segments:
            submission.cancelled = True  # its copy goes on
    if has_moved:
        lane.sweep(now_ms)  # before anything else looks here
        pipeline.flush_soon()
    return stay


def reroute(pipeline: "Pipeline", segments: list[Submission], number: int, now_ms: int) -> bool:
    """Give a whole message to a carrier; False: it can't be sent there in as many segments."""
    first = segments[0]
    frames = pipeline.profiles[number].frames(first.message, now_ms)
    if len(frames) != first.segments:
        return False
    pipeline.book.reroute(first, number, now_ms)
    moved = []
    for submission, frame in zip(segments, frames, strict=True):
        copy = Submission(
            submission.message, submission.n, submission.segment, submission.segments,
            submission.traffic_class, submission.deadline_ms, frame, number,
        )  # fmt: skip
        copy.attempts, copy.trouble = submission.attempts, submission.trouble
        copy.since_ms = submission.since_ms
        moved.append(copy)
    lane = pipeline.lanes[number]
    lane.queues[first.traffic_class].waiting.extend(moved)
    lane.look()
    return True


def configured(pipeline: "Pipeline", message: Message) -> list[int]:
    """Return the carriers that a message may still go by: of its route, else of the route of today."""
    of_its_route = [each for each in message.carriers if each in pipeline.lanes]
    return of_its_route or list(pipeline.admission.route_of(message))


def wind_up(pipeline: "Pipeline", lane: Lane, now_ms: int) -> None:
    """Bring a carrier that is configured no more nearer to its end, once a tick; at the end, let go of it."""
    if lane.is_paused:
        lane.give_back()
    is_moving = sum(_rehome_all(pipeline, queue, now_ms) for queue in lane.queues) > 0  # all of them
    lane.pause(pipeline.is_closing or is_moving)  # of what is left now, the beginning was sent there
    if lane.pool.stage == "closed":
        del pipeline.leaving[lane.number]
        pipeline.aftermath.health.forget(lane.number)
        log.warning("%s is gone: it was taken out of the configuration", lane.name)
    elif lane.pool.stage == "open" and lane.is_idle and not any(pipeline.book.awaiting(lane.number)):
        pipeline.spawn(lane.pool.close(UNBIND_MS))


def _rehome_all(pipeline: "Pipeline", queue: ClassQueue, now_ms: int) -> bool:
    """Move what waits in a queue; whether there may be more of it."""
    kept: list[Submission] = []
    moved = 0
    for segments in by_message(queue.take(MOVE_MOST, now_ms)):
        if len(segments) < segments[0].segments:
            kept += segments
        else:
            _rehome(pipeline, segments, now_ms)
            moved += 1
    queue.waiting.push_front(kept)
    return bool(moved or queue.arriving or queue.claiming or queue.is_behind or queue.is_loading)


def _rehome(pipeline: "Pipeline", segments: list[Submission], now_ms: int) -> None:
    first = segments[0]
    others = configured(pipeline, first.message)
    reason = Reason.REFUSED if others else Reason.NO_CARRIER
    while others:
        number = pipeline.aftermath.health.pick(others, now_ms, _is_urgent(first)) or others[0]
        others.remove(number)
        if reroute(pipeline, segments, number, now_ms):
            return
    pipeline.book.finish(first.n, Outcome.REJECTED, reason, 0, now_ms, first.traffic_class)


def _other(pipeline: "Pipeline", lane: Lane, submission: Submission, now_ms: int) -> int | None:
    message: Message = submission.message
    health = pipeline.aftermath.health
    others = [each for each in message.carriers if each != lane.number and each in pipeline.lanes]
    if health[lane.number].slow and lane.is_bound and not health[lane.number].held:
        others = [each for each in others if not health[each].slow]
    return health.pick(others, now_ms, _is_urgent(submission))


def _is_urgent(submission: Submission) -> bool:
    return submission.traffic_class <= TrafficClass.TRANSACTIONAL
