"""The process that is killed: ``python -m tests.crash.child FOLDER UNTIL [POINT HITS]``.

It sends the first UNTIL requests of the scene in FOLDER, goes on with what an earlier child had begun, and ends when
every message has its outcome. CRASH_LOOP=uvloop takes that loop.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dispatcher.app import Dispatcher
from dispatcher.model import Accepted, SendRequest
from tests.crash import points, scene
from tests.crash.client import Client

BATCH: Final = 8
PAUSE_S: Final = 0.002
REPEATED: Final = 10
"""Requests with a known answer that are sent again after each start: half of the oldest, half of the newest."""
LIMIT_S: Final = 60.0
REFUSED, STUCK, FAILED = 3, 4, 5
"""Exit codes, beside 0."""


async def live(folder: Path, until: int) -> int:
    """Send, wait, end; return the exit code."""
    its = scene.load(folder)
    everything = scene.requests(its)[:until]
    client = Client(folder)
    numbers: list[int] = []
    async with Dispatcher(scene.config(its, folder)) as dispatcher:
        for batch in _batches(_to_send(everything, client)):
            tokens = [str(request.client_ref) for request in batch]
            client.ask(tokens)
            verdicts = await dispatcher.send(batch)
            client.hear(tokens, verdicts)
            if not all(isinstance(verdict, Accepted) for verdict in verdicts):
                print(
                    f"refused: {[each for each in verdicts if not isinstance(each, Accepted)][0]}",
                    file=sys.stderr,
                )
                return REFUSED
            numbers += [each.message.n for each in verdicts if isinstance(each, Accepted)]
            await asyncio.sleep(PAUSE_S)
        book = dispatcher.pipeline.book
        last = dispatcher.pipeline.admission.next_n
        end_s = asyncio.get_running_loop().time() + LIMIT_S
        while not all(map(book.is_finished, range(1, last))):
            if dispatcher.failure is not None:
                print(f"failed: {dispatcher.failure!r}", file=sys.stderr)
                return FAILED
            if asyncio.get_running_loop().time() > end_s:
                left = [n for n in range(1, last) if not book.is_finished(n)]
                print(f"stuck: {len(left)} have no outcome, {left[:10]} ...: {dispatcher!r}", file=sys.stderr)
                return STUCK
            await asyncio.sleep(0.02)
        await dispatcher.committed()
    return 0


def _to_send(everything: list[SendRequest], client: Client) -> list[SendRequest]:
    """Return what is to be sent: what was asked and not answered, some that was answered, and what is new."""
    open_ = [each for each in everything if each.client_ref in client.asked - client.accepted.keys()]
    known = [each for each in everything if each.client_ref in client.accepted]
    new = [each for each in everything if each.client_ref not in client.asked]
    if len(known) > REPEATED:
        known = known[: REPEATED // 2] + known[-REPEATED // 2 :]
    return open_ + known + new


def _batches(requests: list[SendRequest]) -> list[list[SendRequest]]:
    return [requests[at : at + BATCH] for at in range(0, len(requests), BATCH)]


def main(arguments: list[str]) -> int:
    """Run."""
    folder, until = Path(arguments[0]), int(arguments[1])
    points.small_reserve()
    if len(arguments) > 2:
        points.arm(arguments[2], int(arguments[3]))
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if os.environ.get("CRASH_LOOP") == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(live(folder, until))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
