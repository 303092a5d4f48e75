"""The simulated SMSC in a process of its own, without copies in its ledger: `python -m bench.clients.smsc`.

Prints its port; then, for every line of its input that names an account, the account's totals. It ends with
its input.
"""

import asyncio
import json
import sys

import msgspec
import uvloop

from dispatcher.simulator import Simulator

SILENT = "silent"
"""An account that never gets a receipt, whatever it asks for: so that they are outstanding."""


async def main() -> None:
    """Serve."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with Simulator(ledger="counts") as smsc:
        smsc.account(SILENT).change(receipts={"share": 0})
        print(smsc.port, flush=True)
        while line := await lines.readline():
            totals = smsc.ledger.of(line.decode().strip())
            print(json.dumps(msgspec.to_builtins(totals, str_keys=True)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
