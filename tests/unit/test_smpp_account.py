"""An account says what is wrong with it, and shows no secrets."""

from typing import Any

import pytest

from dispatcher.errors import ConfigError
from dispatcher.smpp.account import Account, Tls
from dispatcher.smpp.session import Timers


def account(**options: Any) -> Account:
    """Return an account with one or two things changed."""
    usual: dict[str, Any] = {"host": "smsc", "port": 2775, "system_id": b"bank", "password": b"secret"}
    return Account(**(usual | options))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port: 1 to 65535 is possible, not 0"),
        ({"port": 65_536}, "port"),
        ({"system_id": b""}, "system_id: it is missing"),
        ({"system_id": b"x" * 16}, "system_id: 16 octets, SMPP allows 15"),
        ({"system_id": "bank"}, "system_id: bytes are expected, not str"),
        ({"password": b"123456789"}, "password: 9 octets, SMPP allows 8"),
        ({"password": b"a\0b"}, "password: a NUL"),
        ({"system_type": b"x" * 13}, "system_type: 13 octets, SMPP allows 12"),
        ({"address_range": b"x" * 41}, "address_range: 41 octets"),
        ({"window": 0}, "window: 1 to 65536"),
        ({"window": "10"}, "window"),
        ({"transceivers": 0}, "together 1 to 100 binds"),
        ({"transceivers": 0, "receivers": 1}, "nothing can be sent"),
        ({"transceivers": 60, "transmitters": 60}, "together 1 to 100"),
        ({"transceivers": -1}, "transceivers"),
        ({"timers": Timers(response_ms=-1)}, "timers.response_ms"),
        ({"incoming_max": 0}, "incoming_max"),
        ({"addr_ton": 256}, "addr_ton"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, Any], complaint: str) -> None:
    """A ConfigError names the setting and what is possible."""
    with pytest.raises(ConfigError, match=complaint):
        account(**options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"key_file": "k"}, "tls.key_file"),
        ({"verify": False, "ca_file": "c"}, "tls.ca_file"),
        ({"server_hostname": ""}, "tls.server_hostname"),
        ({"server_hostname": ".smsc.example"}, "tls.server_hostname"),
    ],
)
def test_contradictions_of_tls_are_named(options: dict[str, Any], complaint: str) -> None:
    """A key without a certificate, an authority that nobody asks: one of the two is a mistake."""
    with pytest.raises(ConfigError, match=complaint):
        Tls(**options)


def test_sizes_up_to_the_limit_pass() -> None:
    """15, 8 and 12 octets fit, whatever they are."""
    full = account(system_id=b"\xff" * 15, password=b"x" * 8, system_type=b"y" * 12)
    bind = full.bind(9)
    assert (bind.system_id, bind.password, bind.system_type) == (b"\xff" * 15, b"x" * 8, b"y" * 12)


def test_receivers_come_first() -> None:
    """Receivers bind before transmitters, so that the first receipt finds somebody."""
    assert account(transceivers=1, transmitters=2, receivers=1).binds == (1, 9, 2, 2)


def test_secrets_are_not_shown() -> None:
    """Neither the password nor that of the key stands in a repr."""
    assert "secret" not in repr(account())
    assert "hush" not in repr(Tls(certificate_file="c", key_password="hush"))
