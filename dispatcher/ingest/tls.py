"""TLS of our doors: 1.2 or later, certificates that can be changed while it runs, and when they end."""

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from dispatcher.credentials import path_of
from dispatcher.errors import ConfigError
from dispatcher.faces import ServerTls

DAY_S: Final = 86_400
WARN_DAYS: Final = 30
"""From here on its end is told every day: a certificate authority may take weeks."""


def context_of(at: str, tls: ServerTls, folder: Path) -> ssl.SSLContext:
    """Return the context of a server; `at` is the path of its section. ConfigError: a file cannot be used.

    Reads files: not for the loop.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, at, tls, folder)
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(path_of(tls.client_ca_file, folder))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{at}.client_ca_file: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def reload(context: ssl.SSLContext, at: str, tls: ServerTls, folder: Path) -> None:
    """Give a context in use the certificate that its file holds now; all or nothing. ConfigError: see
    above."""
    context_of(at, tls, folder)  # on one that nobody uses first
    _load(context, at, tls, folder)


def days_left(tls: ServerTls, folder: Path, now_s: float) -> float:
    """Return how many days the certificate is still good; below 0, it is not. ConfigError: see above."""
    path = path_of(tls.certificate_file, folder)
    try:
        first = path.read_text("ascii").partition("-----BEGIN CERTIFICATE-----")[2]
        pem, found, _ = first.partition("-----END CERTIFICATE-----")
        if not found:
            raise ValueError("no certificate in it")
        octets = ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{pem}-----END CERTIFICATE-----\n")
        return (_not_after(octets).timestamp() - now_s) / DAY_S
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"http.tls.certificate_file: {path}: {error}") from None


def _load(context: ssl.SSLContext, at: str, tls: ServerTls, folder: Path) -> None:
    path = path_of(tls.certificate_file, folder)
    key = None if tls.key_file is None else path_of(tls.key_file, folder)
    for file in (path, key):
        try:
            if file is not None:
                file.open("rb").close()
        except OSError as error:  # which of them, ssl would not say
            raise ConfigError(f"{at}: {file}: {error.strerror}") from None
    try:
        context.load_cert_chain(path, key, password="")  # never ask a terminal
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{at}: {path}: {error}") from None


def _not_after(octets: bytes) -> datetime:
    """Return the end of a certificate's validity: RFC 5280, 4.1: TBSCertificate.validity.notAfter."""
    _, at, _ = _element(octets, 0)  # Certificate
    _, at, _ = _element(octets, at)  # TBSCertificate
    tag, _, end = _element(octets, at)
    fields = 4 if tag == 0xA0 else 3  # version (may be absent), serialNumber, signature, issuer
    at = end
    for _ in range(fields - 1):
        _, _, at = _element(octets, at)
    _, at, _ = _element(octets, at)  # Validity
    _, _, at = _element(octets, at)  # notBefore
    tag, start, end = _element(octets, at)
    text = octets[start:end].decode("ascii")
    if tag == 0x17:  # UTCTime: two digits of the year, from 1950
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S%z")


def _element(octets: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the contents of the DER element at a place."""
    length, start = octets[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(octets[start : start + count], "big")
        start += count
    return octets[at], start, start + length
