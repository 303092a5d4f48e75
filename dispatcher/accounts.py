"""From a configured carrier to the SMPP account of a pool: here secrets are read, and nowhere else."""

import logging
import os
from pathlib import Path
from typing import Final

from dispatcher.config import Carrier
from dispatcher.errors import ConfigError
from dispatcher.smpp.account import Account, Tls
from dispatcher.smpp.session import DEFAULT_TIMERS

log = logging.getLogger("dispatcher.accounts")

SECRET_MAX: Final = 4096
"""Characters of a file that holds a secret: 64 octets in base64 are the longest of ours."""


def account_of(name: str, carrier: Carrier, folder: Path) -> Account:
    """Return the SMPP account of a configured carrier; ConfigError: its password cannot be read."""
    tls = carrier.tls
    return Account(
        host=carrier.host,
        port=carrier.port,
        system_id=carrier.system_id.encode(),
        password=password_of(name, carrier, folder).encode(),
        system_type=carrier.system_type.encode(),
        transceivers=carrier.transceivers,
        transmitters=carrier.transmitters,
        receivers=carrier.receivers,
        window=carrier.window,
        timers=DEFAULT_TIMERS._replace(
            session_init_ms=carrier.timers.session_init_ms,
            response_ms=carrier.timers.response_ms,
            enquire_link_ms=carrier.timers.enquire_link_ms,
            enquire_response_ms=carrier.timers.enquire_response_ms,
        ),
        tls=None
        if tls is None
        else Tls(
            verify=tls.verify,
            ca_file=_in(folder, tls.ca_file),
            certificate_file=_in(folder, tls.certificate_file),
            key_file=_in(folder, tls.key_file),
            server_hostname=tls.server_hostname,
        ),
    )


def password_of(name: str, carrier: Carrier, folder: Path) -> str:
    """Return the password, from where the configuration says; ConfigError: it is not there."""
    at = f"carriers.{name}"
    if carrier.password_env is not None:
        return secret_of_env(f"{at}.password_env", carrier.password_env)
    if carrier.password_file is not None:
        return secret_of_file(f"{at}.password_file", carrier.password_file, folder)
    return carrier.password or ""


def secret_of_env(at: str, name: str) -> str:
    """Return the secret in an environment variable that the key at `at` names; ConfigError: it is not set."""
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigError(f"{at}: {name} is not set") from None


def secret_of_file(at: str, name: str, folder: Path) -> str:
    """Return the secret in the first line of a file that the key at `at` names; ConfigError: it is not there.

    A relative name is looked for in $CREDENTIALS_DIRECTORY, where systemd puts what LoadCredential= names,
    and then in the folder of the configuration. Of a file there that others may read, a warning is logged.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(credentials, name) if credentials else folder / name
    if credentials and not path.exists():
        path = folder / name
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(SECRET_MAX).partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{at}: {error}") from None
    if mode & 0o077 and path.parent != Path(credentials or ""):
        log.warning("%s: others may read %s: chmod 600", at, path, extra={"event": "secret_readable"})
    return text


def _in(folder: Path, name: str | None) -> str | None:
    return None if name is None else str(folder / name)
