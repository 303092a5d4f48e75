"""TLS of the simulated SMSC: its certificate, which may be a bad one, and a handshake that may go wrong.

Law: a certificate is data of whoever runs the simulator: an expired, untrusted or misnamed one is given as a
file, like a good one. What needs code is a handshake that does not come to its end.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Literal, cast

from msgspec import Struct

from dispatcher.errors import ConfigError


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS on the SMPP port. Without it the port speaks plain text."""

    certificate: str
    """PEM: the certificate, with its chain, and the key unless that has a file of its own."""
    key: str = ""
    client_ca: str = ""
    """PEM: who must have signed the certificate that an ESME then has to show; "": it needs none.
    Who shows no good one is cut off without TLS's word for it: the event loop sends none."""
    handshake: Literal["complete", "stall", "close", "garbage"] = "complete"
    """stall: read, say nothing; close: once the ESME has spoken; garbage: answer with what is no TLS."""
    newest: Literal["1.2", "1.3"] = "1.3"
    """1.3 refuses a client's certificate only after the client believes that all is well."""


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return the context; ConfigError: a file is missing or wrong."""
    for name in ("certificate", "key", "client_ca"):
        path = getattr(tls, name)
        if path and not Path(path).is_file():
            raise ConfigError(f"tls.{name}: there is no file {path}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls.newest == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:  # an encrypted key would ask the terminal for its password
        context.load_cert_chain(tls.certificate, tls.key or None, lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError("tls.certificate, tls.key: not a certificate with its key in PEM form") from error
    if tls.client_ca:
        try:
            context.load_verify_locations(tls.client_ca)
        except ssl.SSLError as error:
            raise ConfigError(f"tls.client_ca: no certificates in PEM form in {tls.client_ca}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class BadHandshake(asyncio.Protocol):
    """A connection whose handshake does not come to its end."""

    def __init__(self, how: str, seen: "set[BadHandshake]") -> None:
        self._how = how
        self._seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the ESME to begin."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._seen.add(self)

    def data_received(self, data: bytes) -> None:
        """Do as told."""
        if self._how == "garbage":
            self.transport.write(b"220 ready\r\n")
        elif self._how == "close":
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._seen.discard(self)
