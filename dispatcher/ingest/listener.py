"""What both listeners say: where and why one cannot listen, and what of it cannot change meanwhile."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dispatcher.errors import ConfigError
from dispatcher.faces import Admin, Http


def check_fixed(section: str, old: Http | Admin, new: Http | Admin) -> None:
    """ConfigError, a line for each: keys have changed that a listener has for as long as it listens."""
    changed = [key for key in ("host", "port") if getattr(old, key) != getattr(new, key)]
    if (old.tls is None) != (new.tls is None):
        changed.append("tls")
    elif old.tls is not None and new.tls is not None and old.tls.client_ca_file != new.tls.client_ca_file:
        changed.append("tls.client_ca_file")
    if changed:
        why = "it cannot change while the process runs: restart for that, or take it back"
        raise ConfigError("\n".join(f"{section}.{key}: {why}" for key in changed))


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
