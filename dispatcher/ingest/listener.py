"""What a listener that cannot listen says: which one it is, where, and why."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listening(section: str, host: str, port: int) -> Iterator[None]:
    """Let an OSError of what is done inside name the section of the configuration and the address."""
    try:
        yield
    except OSError as error:
        number = max(error.errno or 0, 0) or errno.EADDRNOTAVAIL  # below 0: the name is unknown
        why = os.strerror(number)  # uvloop puts more into it
        shown = f"[{host}]" if ":" in host else host
        raise OSError(number, why, f"[{section}] {shown}:{port}") from None
