"""Work beside the path: a task that is not to end by itself says so when it does."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("dispatcher.kafka")


def begin(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Run it; a fault inside is logged at once, and not when somebody asks."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("%s has ended", task.get_name(), exc_info=error, extra={"event": "kafka_task_failed"})
