"""Reaching an SMSC: its addresses in order, the socket's options, TLS.

Trouble is a value: NotReached with one of a few words, for metrics and alarms. Files that are missing or
wrong are a ConfigError, before anything is dialled. TLS never falls back to plain text.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from dispatcher.errors import ConfigError
from dispatcher.smpp.account import Tls

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)

Reason = Literal[
    "dns",
    "refused",
    "timeout",
    "unreachable",
    "tls_expired",
    "tls_untrusted",
    "tls_wrong_name",
    "tls_handshake_timeout",
    "tls_client_refused",
    "tls_failed",
]

_EXPIRED: Final = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
_WRONG_NAME: Final = frozenset({62, 63, 64})  # X509_V_ERR_HOSTNAME_, EMAIL_, IP_ADDRESS_MISMATCH

_CLIENT_REFUSED: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""In the name of an alert: the SMSC wants a certificate of ours, or another one."""


class NotReached(NamedTuple):
    """No address answered; the reason is that of the last one tried, the detail names each."""

    reason: Reason
    detail: str


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the context for an account's connections. Reads files: call it off the loop or at start."""
    for name in ("ca_file", "certificate_file", "key_file"):
        path = getattr(tls, name)
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"tls.{name}: there is no file {path}")
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"tls.ca_file: no certificates in PEM form in {tls.ca_file}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate_file is not None:
        try:  # without a password given, an encrypted key would ask the terminal for one
            context.load_cert_chain(tls.certificate_file, tls.key_file, lambda: tls.key_password or "")
        except (ssl.SSLError, ValueError, OSError) as error:
            raise ConfigError(
                "tls.certificate_file, tls.key_file, tls.key_password: not a certificate with its key in PEM "
                "form, or the password is wrong"
            ) from error
    return context


def tls_trouble(error: BaseException) -> Reason:
    """Return what a failed handshake says; with TLS 1.3 an SMSC may refuse us when we think it is over."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _EXPIRED:
            return "tls_expired"
        return "tls_wrong_name" if error.verify_code in _WRONG_NAME else "tls_untrusted"
    if isinstance(error, TimeoutError) or "handshake is taking longer" in str(error):
        return "tls_handshake_timeout"
    cause = tls_cause(error)
    if "ALERT" in cause and any(word in cause for word in _CLIENT_REFUSED):
        return "tls_client_refused"
    return "tls_failed"


def tls_cause(error: BaseException) -> str:
    """Return TLS's own words for the trouble; empty where it has none."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "") if isinstance(error, ssl.SSLError) else ""


async def dial(
    host: str,
    port: int,
    factory: Callable[[], Protocol],
    *,
    context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    timeout_ms: int = 10_000,
    tcp_user_timeout_ms: int = 30_000,
) -> Protocol | NotReached:
    """Connect to the first address of `host` that answers, `timeout_ms` for the name and for each address."""
    loop = asyncio.get_running_loop()
    timeout = timeout_ms / 1000
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a TimeoutError is one; "smsc..example" is no name at all
        return NotReached("dns", f"{host!a}: {error or 'no answer in time'}")
    failed = NotReached("dns", f"{host} has no address")
    tried: list[str] = []
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            _set_options(sock, tcp_user_timeout_ms)
            async with asyncio.timeout(timeout):
                await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failed = NotReached(_connect_trouble(error), "")
        except BaseException:  # cancelled
            sock.close()
            raise
        else:
            try:  # from here on the socket is the transport's, which closes it
                _, made = await loop.create_connection(
                    factory,
                    sock=sock,
                    ssl=context,
                    server_hostname=(server_hostname or host) if context else None,
                    ssl_handshake_timeout=timeout if context else None,
                )
            except OSError as error:  # an SSLError is one
                reason = tls_trouble(error) if context else _connect_trouble(error)
                failed = NotReached(reason, tls_cause(error))
            else:
                return made
        cause = f" ({failed.detail})" if failed.detail else ""
        tried.append(f"{address[:2]}: {failed.reason}{cause}")
    return NotReached(failed.reason, "; ".join(tried) or failed.detail)


def _set_options(sock: socket.socket, tcp_user_timeout_ms: int) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, tcp_user_timeout_ms)
        # Keepalive finds a dead idle peer by itself, where enquire_link is turned off.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)


def _connect_trouble(error: OSError) -> Reason:
    if isinstance(error, ConnectionRefusedError | ConnectionResetError):
        return "refused"
    return "timeout" if isinstance(error, TimeoutError) else "unreachable"
