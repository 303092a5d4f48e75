"""Which addresses may be called, and what a secret is."""

import base64
import datetime
import socket

import pytest
from standardwebhooks.webhooks import Webhook

from dispatcher.errors import ConfigError
from dispatcher.outcomes.address import ForbiddenAddressError, any_socket, is_public, public_socket
from dispatcher.outcomes.signature import headers_of, secret_of

INSIDE = (
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2001:db8::1",
)  # fmt: skip
OUTSIDE = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111")


@pytest.mark.parametrize("text", INSIDE)
def test_inside(text: str) -> None:
    """Private, loopback, link-local, carrier's NAT, metadata, multicast, and their forms in IPv6: refused."""
    assert not is_public(text)
    with pytest.raises(ForbiddenAddressError):
        public_socket((0, 0, 0, "", (text, 443)))


@pytest.mark.parametrize("text", OUTSIDE)
def test_outside(text: str) -> None:
    """Addresses of the internet, also next to those that are inside."""
    assert is_public(text)


def test_a_socket_is_made() -> None:
    """For an address that may be called there is a socket, of its family."""
    for make in (public_socket, any_socket):
        with make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 443))) as made:
            assert made.family == socket.AF_INET


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_***", "c2VjcmV0", "whsec_" + "A" * 28, "whsec_" + "A" * 88]
)
def test_no_secrets(text: str) -> None:
    """Without the prefix, no base64, too short, too long: refused, and not shown."""
    with pytest.raises(ConfigError, match=r"webhooks\.core") as caught:
        secret_of(text, "webhooks.core.secret_files[0]")
    assert not text.removeprefix("whsec_") or text not in str(caught.value)


@pytest.mark.parametrize("octets", [24, 32, 64])
def test_signatures(octets: int) -> None:
    """The example of Standard Webhooks' own package is what we sign."""
    text = "whsec_" + base64.b64encode(bytes(range(octets))).decode()
    at = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    headers = headers_of([secret_of(text, "")], "core_1-2_x", int(at.timestamp()), b'{"a":1}')
    assert headers["webhook-signature"] == Webhook(text).sign("core_1-2_x", at, '{"a":1}')
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))
    assert "webhook-signature" not in headers_of([], "x", 0, b"")
