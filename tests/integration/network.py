"""Network trouble: a filter on a socket drops whatever arrives, unacknowledged (Linux)."""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
"""One instruction of a classic packet filter: keep 0 octets of every packet."""


@contextmanager
def _socket(of: Any) -> Iterator[socket.socket]:
    """Reach the socket under a transport or a server: its options belong to all who share it."""
    shared = socket.socket(fileno=os.dup(of.fileno()))
    try:
        yield shared
    finally:
        shared.close()


def black_hole(of: Any) -> None:
    """Let a socket's host vanish: segments, a FIN, a SYN to a listening socket, all get no answer at all."""
    program = ctypes.create_string_buffer(RETURN_NOTHING, len(RETURN_NOTHING))
    with _socket(of) as each:
        try:
            each.setsockopt(
                socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program))
            )
        except OSError as error:
            if error.errno == errno.EPERM and os.geteuid():
                pytest.skip("this kernel lets only root put a filter on a socket")
            raise


def reachable(of: Any) -> None:
    """Let it come back."""
    with _socket(of) as each:
        each.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, struct.pack("i", 0))
