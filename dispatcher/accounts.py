"""From a configured carrier to the SMPP account of a pool."""

from pathlib import Path

from dispatcher.config import Carrier
from dispatcher.credentials import secret_of_env, secret_of_file
from dispatcher.smpp.account import Account, Tls
from dispatcher.smpp.session import DEFAULT_TIMERS


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


def _in(folder: Path, name: str | None) -> str | None:
    return None if name is None else str(folder / name)
