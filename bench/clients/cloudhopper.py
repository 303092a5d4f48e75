"""cloudhopper: Java, see jvm.py and java/."""

from typing import Final

from bench.clients import jvm
from bench.clients.face import Absent, Job

NAME: Final = "cloudhopper (Java)"
ARTIFACT: Final = "cloudhopper"


def version() -> str:
    """Return the version that is built."""
    return jvm.version(ARTIFACT)


def missing() -> Absent | None:
    """Say what is missing, if anything."""
    return jvm.missing(ARTIFACT)


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return jvm.command(ARTIFACT, job)
