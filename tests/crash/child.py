"""The process that is killed: ``python -m tests.crash.child FOLDER UNTIL [POINT HITS]``.

It sends the first UNTIL requests of the scene in FOLDER, goes on with what an earlier one had begun, and
ends when every message has its outcome. CRASH_LOOP=uvloop takes that loop.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from dispatcher import prepare
from dispatcher.accounts import account_of
from dispatcher.app import Dispatcher
from dispatcher.config import Carrier
from dispatcher.model import Accepted, SendRequest
from dispatcher.smpp.account import Account
from dispatcher.store.journal import Journal
from dispatcher.store.records import StoredRow
from dispatcher.store.writer import Writer
from tests.crash import points, scene
from tests.crash.client import Client

BATCH: Final = 8
REPEATED: Final = 10
"""Requests with a known answer that are sent again after each start, the oldest and the newest."""
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
                    f"refused: {verdicts}",
                    file=sys.stderr,
                )
                return REFUSED
            numbers += [each.message.n for each in verdicts if isinstance(each, Accepted)]
            await asyncio.sleep(its.pause_ms / 1000)
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
        await dispatcher.find(client_ref=scene.token_of(0))  # which folds what is committed
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


def _hurry() -> None:
    """Take little of the disk, connect at once, fill the window at once: there is no time to be careful."""

    def at_once(name: str, carrier: Carrier, folder: Path) -> Account:
        account = account_of(name, carrier, folder)
        waits = {"first_ms": 50, "most_ms": 50, "spacing_ms": 50, "quiet_ms": 0, "ramp_ms": 0}
        return replace(account, backoff=account.backoff._replace(**waits))

    vars(prepare)["account_of"] = at_once
    cast(Any, Journal).open = partial(Journal.open, reserve_octets=1 << 16)


def _slow_down(disk_ms: int) -> None:
    """Let every commit take longer."""
    insert = Writer._insert

    def late(self: Writer, rows: list[StoredRow]) -> None:
        time.sleep(disk_ms / 1000)
        insert(self, rows)

    if disk_ms:
        Writer._insert = late  # type: ignore[method-assign]


def main(arguments: list[str]) -> int:
    """Run."""
    folder, until = Path(arguments[0]), int(arguments[1])
    _hurry()
    _slow_down(scene.load(folder).disk_ms)
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
