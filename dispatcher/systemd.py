"""What systemd is told, and what it asks: sd_notify(3) and the watchdog. Without systemd nothing is done."""

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

log = logging.getLogger("dispatcher.systemd")

STARTING_S: Final = 60
"""How long a start may take from the last word on: reading a large journal is no reason to be killed."""


class Systemd:
    """Speaks to the service manager whose socket the environment names."""

    def __init__(self, environ: Mapping[str, str] = os.environ, pid: int | None = None) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.watchdog_s: float | None = None
        """How often to say `alive`: half of what systemd waits for. None: it does not wait for anything."""
        mine = environ.get("WATCHDOG_PID", "") in ("", str(pid or os.getpid()))
        usec = environ.get("WATCHDOG_USEC", "")
        if mine and self._socket is not None and usec.isdecimal() and int(usec):
            self.watchdog_s = int(usec) / 2_000_000

    def starting(self, status: str) -> None:
        """Say that the start goes on; after a minute without a word it counts as failed."""
        self.tell(f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={STARTING_S * 1_000_000}")

    def ready(self, status: str) -> None:
        """Say that it is started, or that it is loaded anew."""
        self.tell("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` ends it."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self, status: str) -> None:
        """Say that it stops."""
        self.tell("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        """Say that the loop turns."""
        self.tell("WATCHDOG=1")

    def tell(self, *words: str) -> None:
        """Send one datagram; nobody is waited for."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            log.warning("systemd was not told %s: %s", words[0], error, extra={"event": "notify_failed"})
