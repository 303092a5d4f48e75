"""Taking back what still waits: in a queue, in its tail in the journal, or for its time."""

from dispatcher.admission import number_of
from dispatcher.model import Message, Outcome, Reason
from dispatcher.pipeline import Pipeline


async def cancel(pipeline: Pipeline, message_id: bytes, n: int | None = None) -> bool:
    """Take back a message that waits. True: it ends as cancelled and is never sent. `n`: its number, where
    its id does not say it."""
    n = number_of(message_id) if n is None else n
    message = (await pipeline.journal.find([n])).get(n)
    if message is None or message.message_id != message_id or not _take_out(pipeline, message):
        return False
    now_ms = pipeline.now_ms()
    pipeline.book.finish(n, Outcome.CANCELLED, Reason.CANCELLED, 0, now_ms, message.traffic_class)
    await pipeline.committed()
    return True


def _take_out(pipeline: Pipeline, message: Message) -> bool:
    book, n = pipeline.book, message.n
    if book.is_finished(n):
        return False
    if not book.touched(n) and pipeline.aftermath.schedule.remove(n):
        return True
    for lane in (*pipeline.lanes.values(), *pipeline.leaving.values()):
        queue = lane.queues[message.traffic_class]
        waiting = queue.waiting.find(n)
        if len(waiting) == message.segments and not any(each.attempts for each in waiting):
            for submission in waiting:
                submission.cancelled = True
            lane.look()
            return True
    its_lane = pipeline.lane(message.carriers[0])
    if message.send_after_ms or book.touched(n) or its_lane is None:
        return False
    queue = its_lane.queues[message.traffic_class]
    if not queue.loaded_n < n <= queue.tail_n:
        return False
    queue.skip.add(n)
    return True
