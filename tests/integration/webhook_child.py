"""A dispatcher with a webhook, to be killed: ``python -m tests...webhook_child FOLDER SMSC HOOK N``."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from dispatcher.app import Dispatcher
from tests.integration.house import accepted, outcomes, requests
from tests.integration.webhooks import telling, told


async def live(folder: Path, smsc_port: int, hook_port: int, count: int) -> None:
    """Send so many, and tell until killed."""
    smsc = cast(Any, SimpleNamespace(port=smsc_port))
    config = told(folder, smsc, hook_port, parallel=4)
    async with Dispatcher(config) as dispatcher:
        if count:
            async with telling(dispatcher, config, folder):
                pass  # from now on it is to be told
            accepted(await dispatcher.send(requests(count)))
            await outcomes(dispatcher, count)
        async with telling(dispatcher, config, folder):
            await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), *map(int, sys.argv[2:])))
