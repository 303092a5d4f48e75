"""The carrier: the simulated SMSC in a process of its own, which notes when each message came.

``python -m dispatcher.cli.load.carrier RECEIPT_DELAY_MS`` prints its port. Then, for each line of its input:
the name of a file, into which it writes the times, eight octets a message by its number, 0 where none came;
or an empty line. It answers with its totals as JSON, and ends with its input. Copies of everything would cost
more than the rest of the simulator; this costs a few hundredths of a microsecond.
"""

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from dispatcher._ext.session import Incoming
from dispatcher.cli.load.mix import number_of
from dispatcher.simulator import Simulator
from dispatcher.simulator.behaviour import Behaviour, Receipts
from dispatcher.simulator.ledger import Copy, Ledger

ACCOUNT = "bank"
NUMBERS_MAX = 100_000_000
"""Of messages: 800 MB, hours at any rate. A larger number is not one of ours."""


class Arrivals:
    """Times by message, in nanoseconds of the monotonic clock: of its last segment."""

    def __init__(self, ledger: Ledger) -> None:
        self.came_ns = array("q")
        self._count = ledger.submitted

    def submitted(self, account: str, bind: int, incoming: Sequence[Incoming]) -> list[Copy] | None:
        """Note what was read, then let the ledger count it."""
        now_ns, came_ns = time.monotonic_ns(), self.came_ns
        for pdu in incoming:
            number = number_of(pdu.destination_addr or b"")
            if number >= len(came_ns):
                if number >= NUMBERS_MAX:
                    raise ValueError("a recipient that nobody sent")
                came_ns.frombytes(bytes(8 * (number + 1 + len(came_ns) // 8 - len(came_ns))))
            came_ns[number] = now_ns
        return self._count(account, bind, incoming)


async def main(delay_ms: float) -> None:
    """Serve."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with Simulator(Behaviour(receipts=Receipts(delay_ms=delay_ms)), ledger="counts") as smsc:
        arrivals = Arrivals(smsc.ledger)
        smsc.ledger.submitted = arrivals.submitted  # type: ignore[method-assign]
        print(smsc.port, flush=True)
        while line := await lines.readline():
            if name := line.decode().strip():
                await asyncio.to_thread(Path(name).write_bytes, arrivals.came_ns.tobytes())
            totals = smsc.ledger.of(ACCOUNT)
            print(json.dumps(msgspec.to_builtins(totals, str_keys=True)), flush=True)


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
