"""Which addresses may be called: none inside, unless the configuration allows it.

The check is made where a socket is about to connect, for the very address that it connects to: a name that
says one thing when it is looked up and another later changes nothing, and neither does a number in the place
of a name.
"""

import ipaddress
import socket
from typing import Any, Final

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""The last 32 bits are an IPv4 address that a translator calls."""
_CARRIERS_OWN: Final = ipaddress.IPv4Network("100.64.0.0/10")
"""Behind a carrier's NAT; some clouds have their metadata there."""


class ForbiddenAddressError(OSError):
    """An address that may not be called."""


def is_public(text: str) -> bool:
    """Say whether an address is one of the public internet: not private, loopback, link-local, multicast,
    reserved, unspecified, nor an IPv6 form of such an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return all(_is_public(each) for each in (address, *_inside(address)))


def is_inside(host: str) -> bool:
    """Say whether the host of an address is surely not public: a number in any notation, or this machine's
    name. Nobody is asked: another name may stand for anything."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return not all(is_public(str(info[4][0])) for info in found)


def public_socket(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """Make the socket for an address that was looked up. ForbiddenAddressError: it is not public."""
    if not is_public(str(info[4][0])):
        raise ForbiddenAddressError("the address is not public")
    return any_socket(info)


def any_socket(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """Make the socket for an address, whatever it is."""
    family, kind, proto = info[:3]
    return socket.socket(family, kind, proto)


def _is_public(address: _Address) -> bool:
    if address.version == 4 and address in _CARRIERS_OWN:
        return False
    return address.is_global and not address.is_multicast


def _inside(address: _Address) -> list[_Address]:
    """The IPv4 addresses that an IPv6 address stands for, in one of the ways to do that."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[_Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64) or int(address) >> 32 == 0:  # the last: ::1.2.3.4
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [each for each in found if each is not None]
