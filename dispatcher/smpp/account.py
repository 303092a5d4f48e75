"""A carrier account: where it is, how to bind, how many binds; a value, checked when it is made.

Sizes are those of SMPP 3.4 without their NUL: system_id 15, password 8, system_type 12, address_range 40
octets. Nothing is cut; what does not fit is a ConfigError that names the setting.
"""

from dataclasses import dataclass, field
from typing import Final

from dispatcher.errors import ConfigError
from dispatcher.smpp.backoff import DEFAULT_BACKOFF, Backoff
from dispatcher.smpp.constants import INTERFACE_VERSION, Command
from dispatcher.smpp.session import DEFAULT_TIMERS, Bind, Timers

SIZES: Final = {"system_id": 15, "password": 8, "system_type": 12, "address_range": 40}
WINDOW_MAX: Final = 65_536
"""As in the exchange; the specification advises 10, contracts go to about 100."""
BINDS_MAX: Final = 100
"""Of one account. Contracts allow one to about twenty; more is a slip of the pen."""
INCOMING_MAX: Final = 10_000
"""deliver_sm of one bind that wait to be stored; beyond it they are sent back for later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to speak TLS. The certificate of the SMSC is verified unless `verify` is turned off by name."""

    verify: bool = True
    ca_file: str | None = None
    """PEM; the system's authorities where it is not given."""
    certificate_file: str | None = None
    """PEM, ours, for carriers that ask for one; `key_file` may be left out where it holds the key too."""
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    server_hostname: str | None = None
    """The name in the SMSC's certificate, where it is not the account's host."""

    def __post_init__(self) -> None:
        if self.key_file and not self.certificate_file:
            raise ConfigError("tls.key_file: a key without tls.certificate_file is of no use")
        if self.server_hostname is not None and self.server_hostname[:1] in ("", "."):
            raise ConfigError("tls.server_hostname: a name without a dot in front; the host's if left out")
        if self.ca_file and not self.verify:
            raise ConfigError("tls.ca_file: with verify = false nobody looks at it; remove one of the two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account at a carrier. `transceivers`, or `transmitters` and `receivers`, say how many binds."""

    host: str
    port: int
    system_id: bytes
    password: bytes = field(default=b"", repr=False)
    system_type: bytes = b""
    interface_version: int = INTERFACE_VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: bytes = b""
    transceivers: int = 1
    transmitters: int = 0
    receivers: int = 0
    window: int = 10
    timers: Timers = DEFAULT_TIMERS
    backoff: Backoff = DEFAULT_BACKOFF
    connect_timeout_ms: int = 10_000
    tcp_user_timeout_ms: int = 30_000
    """Octets that the peer's host does not acknowledge for so long: the connection is dead."""
    incoming_max: int = 1_000
    """deliver_sm of one bind that may wait to be stored; the next ones are answered ESME_RX_T_APPN."""
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigError("host: the name or address of the SMSC is missing")
        self._within("port", 1, 65_535)
        if not self.system_id:
            raise ConfigError("system_id: it is missing; the carrier assigns one")
        for name, most in SIZES.items():
            value = getattr(self, name)
            if not isinstance(value, bytes):
                raise ConfigError(f"{name}: bytes are expected, not {type(value).__name__}")
            if len(value) > most:
                raise ConfigError(f"{name}: {len(value)} octets, SMPP allows {most}; nothing is cut")
            if b"\0" in value:
                raise ConfigError(f"{name}: a NUL inside would end it early")
        for name, most in (("interface_version", 255), ("addr_ton", 255), ("addr_npi", 255)):
            self._within(name, 0, most)
        for name in ("transceivers", "transmitters", "receivers"):
            self._within(name, 0, BINDS_MAX)
        if not 1 <= len(self.binds) <= BINDS_MAX:
            raise ConfigError(f"transceivers, transmitters, receivers: together 1 to {BINDS_MAX} binds")
        if self.transceivers + self.transmitters == 0:
            raise ConfigError("transceivers, transmitters: without one of them nothing can be sent")
        self._within("window", 1, WINDOW_MAX)
        self._within("incoming_max", 1, INCOMING_MAX)
        self._within("connect_timeout_ms", 1, 600_000)
        self._within("tcp_user_timeout_ms", 1, 600_000)
        for name, value in self.timers._asdict().items():
            if value < 0:
                raise ConfigError(f"timers.{name}: milliseconds, 0 turns it off; not {value}")

    def _within(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"{name}: {least} to {most} is possible, not {value!r}")

    @property
    def binds(self) -> tuple[int, ...]:
        """The command_id of each bind; receivers first, so that no receipt finds nobody at home."""
        return (
            (Command.BIND_RECEIVER,) * self.receivers
            + (Command.BIND_TRANSCEIVER,) * self.transceivers
            + (Command.BIND_TRANSMITTER,) * self.transmitters
        )

    def bind(self, command_id: int) -> Bind:
        """Return what a bind says."""
        return Bind(
            system_id=self.system_id,
            password=self.password,
            system_type=self.system_type,
            command_id=command_id,
            interface_version=self.interface_version,
            addr_ton=self.addr_ton,
            addr_npi=self.addr_npi,
            address_range=self.address_range,
        )
