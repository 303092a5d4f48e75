"""Our side again, the way a lane does it: each frame is encoded when there is room for it."""

import sys
from typing import Final

import uvloop

from bench.clients.face import Job, Outcome
from bench.clients.pool import Lane, missing, version

__all__ = ["NAME", "command", "flood", "missing", "version"]

NAME: Final = "Pool, frames encoded"


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "encoded", *job.arguments]


def flood(job: Job) -> Outcome:
    """Bind, flood, drain."""
    outcome: Outcome = uvloop.run(Lane(job, encoded=True).flood())
    return outcome
