"""How the daemon shows itself to the world: HTTP, admin port, webhooks, files of events, log, process.

Sections of `config.Config`; every default says why. Nothing is read here: no file, no environment. A secret
is never a value of the configuration but the name of a file or of an environment variable that holds it.
"""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from dispatcher.errors import ConfigError

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
"""0: any that is free; the log says which."""
Milliseconds: TypeAlias = Annotated[int, Meta(ge=1, le=86_400_000)]
ClassName: TypeAlias = Literal["authorization", "transactional", "service", "marketing"]
Label: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")]
"""A name that becomes a label of metrics, and part of file names."""
LABEL_WORDS: Final = "expected 1 to 32 letters (A-Z), digits, _ . or -, a letter or digit first"
"""The same for people."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ServerTls(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS of a door of ours; PEM files, relative to the configuration or to $CREDENTIALS_DIRECTORY."""

    certificate_file: str
    """With its chain."""
    key_file: str | None = None
    """None: the certificate's file holds it."""
    client_ca_file: str | None = None
    """Where given, who comes must show a certificate that it signed."""


class Http(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The door for messages."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    tls: ServerTls | None = None
    allow_plain: bool = False
    """Other addresses than loopback without TLS: keys and texts go over the network as they are."""
    require_key: bool = True
    """Without, whoever reaches the port may send: on loopback only."""
    keys_file: str | None = None
    """Of `dispatcher keys`; None: keys.json in the store's folder."""
    body_max_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 4 << 20
    """Of one JSON body: some 20,000 messages, taken apart in 5 ms. Streamed NDJSON has no such limit."""
    line_max_bytes: Annotated[int, Meta(ge=1024, le=16 << 20)] = 256 << 10
    """Of one line of NDJSON: a text of 10,000 characters, escaped, and what goes with it."""
    depth_max: Annotated[int, Meta(ge=4, le=1000)] = 32
    """Of nested JSON; ours has 4."""
    header_timeout_ms: Milliseconds = 10_000
    """For a request's line and headers: slowloris takes longer."""
    body_timeout_ms: Milliseconds = 30_000
    """Without an octet of a body; also between two requests of a connection it is closed after twice that."""
    connections_max: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    """Of all; each takes some 20 KiB."""
    connections_of_one_max: Annotated[int, Meta(ge=1, le=100_000)] = 200
    """From one address."""
    per_number_minute_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 10
    """Messages of one key to one number, codes included: more is a loop in a program, or somebody who pumps
    one-time codes. 0: no limit."""
    per_number_hour_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 60
    """The same within an hour."""
    kannel: dict[Label, "KannelUser"] = {}
    """Users of /cgi-bin/sendsms, for those who come from Kannel; none: it is not served."""

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and self.tls is None and not self.allow_plain:
            raise ConfigError(
                f"host: {self.host} is not loopback: give [http.tls], or say allow_plain = true"
            )
        if self.host not in LOOPBACK and not self.require_key:
            raise ConfigError("require_key: only on loopback may messages come without a key")


class KannelUser(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``sendsms-user`` of Kannel; the table's name is its username."""

    password_file: str | None = None
    password_env: str | None = None
    traffic_class: ClassName = "transactional"
    default_sender: str | None = None
    """Kannel's ``default-sender``."""
    forced_sender: str | None = None
    """Kannel's ``faked-sender``: it is always this one."""

    def __post_init__(self) -> None:
        if (self.password_file is None) == (self.password_env is None):
            raise ConfigError("password_file, password_env: give one of them")


class Admin(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Health, metrics, and switches of carriers; apart from the door for messages."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8081
    tls: ServerTls | None = None
    allow_plain: bool = False
    """Other addresses than loopback without TLS; whoever reaches the port may pause a carrier."""

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and self.tls is None and not self.allow_plain:
            raise ConfigError(
                f"host: {self.host} is not loopback: give [admin.tls], or say allow_plain = true"
            )


EventName: TypeAlias = Literal[
    "claimed", "submitted", "refused", "unanswered", "unsent", "retry", "receipted", "rerouted", "failed",
    "finished", "corrected",
]  # fmt: skip
"""`EventKind` in lower case, of those that are about a message."""


class Webhook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One address that is told what happened: Standard Webhooks, signed with HMAC-SHA256."""

    url: Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+")]
    secret_files: tuple[str, ...] = ()
    """Each holds ``whsec_`` and base64 of 24 to 64 octets; signed with all of them, the newest first: add the
    new one, change the receiver, take the old one away."""
    secret_envs: tuple[str, ...] = ()
    events: tuple[EventName, ...] = ("finished", "corrected")
    sources: tuple[str, ...] = ()
    """Only messages of these API keys; empty: of all."""
    traffic_classes: tuple[ClassName, ...] = ()
    parallel: Annotated[int, Meta(ge=1, le=100)] = 8
    """Requests at a time."""
    batch_max: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Events in one request; above 1, ``data`` is a list."""
    timeout_ms: Milliseconds = 10_000
    retry_first_ms: Milliseconds = 1_000
    retry_most_ms: Milliseconds = 3_600_000
    give_up_ms: Annotated[int, Meta(ge=1000, le=31 * 86_400_000)] = 86_400_000
    """Then it is parked, visible, and can be sent again by a command."""
    allow_private: bool = False
    """Addresses inside: 10/8, 172.16/12, 192.168/16, loopback, link-local and the like."""

    def __post_init__(self) -> None:
        if not self.secret_files and not self.secret_envs:
            raise ConfigError("secret_files: a webhook is signed; give it a secret")


class Callbacks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the addresses are called that messages bring along: `callback_url`, and `dlr-url` of Kannel."""

    enabled: bool = False
    """Every message is looked at for an address then, which costs some 10 us of CPU each; without, one that
    brings an address along is refused."""
    parallel: Annotated[int, Meta(ge=1, le=1000)] = 64
    """Calls at a time."""
    host_parallel: Annotated[int, Meta(ge=1, le=100)] = 8
    """Of them to one host: a slow one leaves places for others."""
    timeout_ms: Milliseconds = 10_000
    retry_first_ms: Milliseconds = 10_000
    """As Kannel waits, whose receivers are used to it; then twice as long each time."""
    retry_most_ms: Milliseconds = 3_600_000
    give_up_ms: Annotated[int, Meta(ge=1000, le=31 * 86_400_000)] = 86_400_000
    """Then it is parked, visible, and can be sent again by a command."""
    allow_private: bool = False
    """Addresses inside; who may send could have the dispatcher call what only it can reach."""


class EventFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events as NDJSON in a file, for those who ship logs."""

    path: Annotated[str, Meta(min_length=1)]
    events: tuple[EventName, ...] = (
        "submitted",
        "refused",
        "unanswered",
        "receipted",
        "finished",
        "corrected",
    )
    max_bytes: Annotated[int, Meta(ge=4096, le=1 << 40)] = 256 << 20
    """Then it is renamed to PATH.1 and begun anew."""
    keep: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Older files of it."""


class Log(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process says."""

    file: str | None = None
    """Relative to the configuration; opened anew on SIGUSR2. None: standard error."""
    format: Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, else one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"


class Process(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The process itself."""

    drain_ms: Milliseconds = 25_000
    """After SIGTERM, for answers that are under way; systemd kills after 90 s, Kubernetes after 30 s."""
    stall_ms: Milliseconds = 100
    """A turn of the event loop that takes longer is reported: what waits behind it is a code."""
