"""The whole configuration as one value: classes, carriers, routes, limits; every default says why.

Law: what is wrong is found when it is loaded, never at three in the morning. `from_dict` takes what TOML or
JSON gave and raises ConfigError with the path of the key. Nothing is read here: no file, no environment.

The smallest one: a store, a carrier, and a route that names it::

    store = "/var/lib/dispatcher"
    [carriers.first]
    host = "smsc.example"
    port = 2775
    system_id = "bank"
    password_file = "first.password"
    [[routes]]
    carriers = ["first"]
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from dispatcher.convert import convert, did_you_mean, problems
from dispatcher.errors import ConfigError
from dispatcher.faces import Admin, Callbacks, EventFile, Http, Label, Log, Process, Webhook
from dispatcher.faces_kafka import Kafka
from dispatcher.limits import SEGMENTS_MAX
from dispatcher.model import TrafficClass

ClassName: TypeAlias = Literal["authorization", "transactional", "service", "marketing"]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=0.5)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=1, le=31 * 86_400_000)]
Days: TypeAlias = Annotated[int, Meta(ge=1, le=3650)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")]
"""Of a carrier: it becomes a label of metrics, and part of file names."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEIGHTS_MAX: Final = 1000
"""Sum of a route's weights, after what divides them all is taken out: shares to a tenth of a percent."""
CARRIERS_MAX: Final = 1000
"""Far more accounts than any bank has; a number of a carrier has two octets in the journal."""
RESERVED_MOST: Final = 0.9
"""Of a window or a TPS, by all classes together: who has no reserve must come through as well."""
CARRIERS_OF_A_ROUTE_MAX: Final = 8
"""A message carries its route along; nobody fails over eight times within a deadline."""


class ClassPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one traffic class is promised, and what it may take."""

    ttl_ms: Milliseconds
    """How long a message is worth sending where its sender does not say."""
    ttl_max_ms: Milliseconds
    """The most that a sender may ask for."""
    attempts: Annotated[int, Meta(ge=1, le=20)]
    """Submits of a segment that were answered with a refusal that counts, or not at all."""
    on_unknown: Literal["resend", "grace", "hold"]
    """After a submit without an answer: again at once; again after `grace_ms` without a receipt; never."""
    grace_ms: Milliseconds = 30_000
    """Late receipts come within seconds: half a minute finds most, and a statement is still worth sending."""
    reserved_window: Share = 0.0
    """The part of a carrier's window that lower classes leave alone."""
    reserved_tps: Share = 0.0
    """The same of its TPS, while unused; lower classes alone never use it, so that large ones waste rate."""
    max_segments: Annotated[int, Meta(ge=1, le=SEGMENTS_MAX)] = 10
    """Longer texts are refused. 10 are 670 Cyrillic characters, and the most that many handsets join."""
    backlog_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 5_000_000
    """Messages that may wait; beyond it the door refuses. 5 million are a day's campaign on 60 TPS."""

    def __post_init__(self) -> None:
        if self.ttl_ms > self.ttl_max_ms:
            raise ConfigError("ttl_ms is longer than ttl_max_ms")


AUTHORIZATION: Final = ClassPolicy(
    ttl_ms=5 * MINUTE_MS,  # as long as a code is usually valid
    ttl_max_ms=HOUR_MS,  # nobody waits longer at a login
    attempts=5,  # within minutes: on several carriers
    on_unknown="resend",  # two codes are better than none
    reserved_window=0.1,  # logins of a whole bank fit a tenth of its traffic
    reserved_tps=0.004,  # it may run ahead of the pace, so that little is enough: see ext/bucket.pyx
    max_segments=3,  # a code and a warning
    backlog_max=200_000,  # at 1,000 TPS the last of more would be late anyway
)
TRANSACTIONAL: Final = ClassPolicy(
    ttl_ms=4 * HOUR_MS,  # a payment is news for half a day at most
    ttl_max_ms=3 * DAY_MS,  # what SMSCs store at most
    attempts=5,
    on_unknown="grace",  # money moved twice is what a customer fears: look for a receipt first
    reserved_window=0.05,
    reserved_tps=0.002,
)
SERVICE: Final = ClassPolicy(ttl_ms=DAY_MS, ttl_max_ms=7 * DAY_MS, attempts=4, on_unknown="grace")
MARKETING: Final = ClassPolicy(
    ttl_ms=DAY_MS,  # until the campaign's next working day
    ttl_max_ms=7 * DAY_MS,
    attempts=3,  # the price of a try is known, its worth is not
    on_unknown="hold",  # advertising twice is a complaint: better not at all
)


class Classes(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The four traffic classes. A table in the file changes only the keys that it names."""

    authorization: ClassPolicy = AUTHORIZATION
    transactional: ClassPolicy = TRANSACTIONAL
    service: ClassPolicy = SERVICE
    marketing: ClassPolicy = MARKETING

    def __post_init__(self) -> None:
        for key in ("reserved_window", "reserved_tps"):
            total = sum(getattr(self[traffic_class], key) for traffic_class in TrafficClass)
            if total > RESERVED_MOST:
                raise ConfigError(f"{key}: the classes together reserve {total:g}; {RESERVED_MOST:g} at most")

    def __getitem__(self, traffic_class: int) -> ClassPolicy:
        """Return the policy of a TrafficClass."""
        return (self.authorization, self.transactional, self.service, self.marketing)[traffic_class]


class Retention(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long what is kept."""

    texts_days: Days = 30
    """A customer's complaint comes within a month; a text is personal data and goes as soon as it can."""
    records_days: Days = 400
    """Status without the text: a year's accounts, and the month in which they are closed."""
    events_days: Days = 90
    """The journal's own facts, from which the rest can be rebuilt: a quarter, as carriers settle disputes."""
    idempotency_hours: Annotated[int, Meta(ge=1, le=720)] = 24
    """A key repeated later is a new message: retries of senders end within a day."""

    def __post_init__(self) -> None:
        if self.texts_days > self.records_days:
            raise ConfigError("texts_days is longer than records_days: a text belongs to its record")


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process takes on at most; at a limit the door refuses, nothing is discarded."""

    batch_max: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    """Messages of one accept: some 5 MB, encoded in slices; more gain nothing."""
    text_max: Annotated[int, Meta(ge=1, le=40_000)] = 10_000
    """Characters of a text, before it is encoded: 255 segments of GSM-7 have 39,015."""
    backlog_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 10_000_000
    """Messages waiting, of all classes: 5 GB of journal."""
    lane_max: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    """Segments of a carrier and class in memory, 10 MB: seconds of work; the rest waits in the journal."""
    outstanding_max: Annotated[int, Meta(ge=1000, le=100_000_000)] = 5_000_000
    """Receipts waited for, 64 octets each: an hour at 1,400 TPS; beyond it sending pauses."""
    schedule_max: Annotated[int, Meta(ge=1000, le=10_000_000)] = 200_000
    """Messages in memory that wait for a time: retries of a bad hour."""
    senders_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Different senders whose form is remembered for each carrier: a bank has dozens."""


class Tls(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS to a carrier, as `smpp.account.Tls`; files are read by who connects."""

    verify: bool = True
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    server_hostname: str | None = None


class Timers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Timers of a session that carriers prescribe, in milliseconds; 0 turns one off."""

    session_init_ms: Annotated[int, Meta(ge=0, le=600_000)] = 10_000
    response_ms: Annotated[int, Meta(ge=0, le=600_000)] = 30_000
    enquire_link_ms: Annotated[int, Meta(ge=0, le=600_000)] = 30_000
    enquire_response_ms: Annotated[int, Meta(ge=0, le=600_000)] = 15_000


class Carrier(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One account at an operator. At most one of the three passwords is given."""

    host: Annotated[str, Meta(min_length=1, max_length=255)]
    port: Annotated[int, Meta(ge=1, le=65_535)]
    system_id: Annotated[str, Meta(min_length=1, max_length=15)]
    password: Annotated[str, Meta(max_length=8)] | None = None
    """Itself, from a program or the environment: files.py takes none from a file. 8 octets by SMPP 3.4."""
    password_env: str | None = None
    """The name of an environment variable."""
    password_file: str | None = None
    """Its first line; relative to the configuration, or to $CREDENTIALS_DIRECTORY where that is set."""
    system_type: Annotated[str, Meta(max_length=12)] = ""
    transceivers: Annotated[int, Meta(ge=0, le=100)] = 1
    transmitters: Annotated[int, Meta(ge=0, le=100)] = 0
    receivers: Annotated[int, Meta(ge=0, le=100)] = 0
    window: Annotated[int, Meta(ge=1, le=65_536)] = 10
    """Unanswered submit_sm of a bind: what SMPP 3.4 advises, and every carrier takes."""
    tps: Annotated[float, Meta(gt=0, le=4_000_000)] = 10.0
    """Segments a second of the account, over all binds: a cautious first contract; carriers name theirs."""
    tls: Tls | None = None
    timers: Timers = Timers()
    profile: str | dict[str, Any] = "smpp34"
    """The name of a ready profile, or a table: ``base`` names the one that it changes."""
    receipt_timer_ms: Annotated[int, Meta(ge=1, le=31 * 86_400_000)] = 2 * HOUR_MS
    """How long after the validity period a receipt is waited for; then the outcome is unknown (F76)."""
    answer_limit_ms: Annotated[int, Meta(ge=1, le=600_000)] = 2_000
    """Answers that take longer than this on average make a carrier slow: codes go elsewhere first."""
    price: Decimal | None = None
    """Of one segment, in the `currency` of the configuration; None: not known, and not guessed."""

    def __post_init__(self) -> None:
        given = [self.password, self.password_env, self.password_file]
        if sum(each is not None for each in given) > 1:
            raise ConfigError("password, password_env, password_file: give one of them")
        if self.transceivers + self.transmitters == 0:
            raise ConfigError("transceivers, transmitters: without one of them nothing can be sent")
        if self.transceivers + self.receivers == 0:
            raise ConfigError("transceivers, receivers: without one of them no receipt can come")
        if self.price is not None and not (self.price.is_finite() and self.price >= 0):
            raise ConfigError("price: expected 0 or more")

    def __repr__(self) -> str:
        """Say where it is, and never the password."""
        return f"<Carrier {self.system_id} at {self.host}:{self.port}, {self.tps:g} TPS>"


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One route. Every condition that it names must hold, by one of its list; the first that fits wins."""

    carriers: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=CARRIERS_OF_A_ROUTE_MAX)]
    """In the order of failover."""
    weights: tuple[Annotated[int, Meta(ge=0, le=1_000_000)], ...] = ()
    """Shares of the first choice, one a carrier; 0: for failover alone. Empty: the first takes everything."""
    traffic_classes: tuple[ClassName, ...] = ()
    prefixes: tuple[Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,14}\Z")], ...] = ()
    """First digits of the E.164 number, without +."""
    operators: tuple[str, ...] = ()
    """Names as in the numbering plan."""
    countries: tuple[Annotated[str, Meta(pattern=r"^[A-Z]{2,5}\Z")], ...] = ()
    """ISO 3166 codes of two letters; NANP for the countries of +1."""
    senders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.carriers)) != len(self.carriers):
            raise ConfigError("carriers: one is named twice")
        if self.weights and len(self.weights) != len(self.carriers):
            raise ConfigError(f"weights: {len(self.weights)} for {len(self.carriers)} carriers")
        if self.weights and not sum(self.weights):
            raise ConfigError("weights: all are 0, so that no carrier would be the first")

    @property
    def catches_all(self) -> bool:
        """Whether it has no condition."""
        return not (self.traffic_classes or self.prefixes or self.operators or self.countries or self.senders)


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a person decides about one dispatcher."""

    store: Annotated[str, Meta(min_length=1)]
    """The folder of the journal: on a disk of its own where there is one."""
    carriers: Annotated[dict[Name, Carrier], Meta(min_length=1, max_length=CARRIERS_MAX)]
    routes: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=10_000)]
    """Tried in order. Who fits none is refused at the door."""
    default_country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    """Whose national forms (8 903 ..., 903 ...) are understood. None: only E.164, a guess could go abroad."""
    numbering_plan: str | None = None
    """A file of ``dispatcher plan import``. None: rules cannot name operators."""
    ported_numbers: str | None = None
    """A file of numbers that moved to another operator: they win over the plan."""
    classes: Classes = Classes()
    retention: Retention = Retention()
    limits: Limits = Limits()
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "EUR"
    """Of all prices: ISO 4217."""
    http: Http = Http()
    admin: Admin = Admin()
    webhooks: dict[Label, Webhook] = {}
    callbacks: Callbacks = Callbacks()
    event_files: dict[Label, EventFile] = {}
    kafka: Kafka | None = None
    """Messages from topics, outcomes to one; None: no Kafka."""
    log: Log = Log()
    process: Process = Process()

    def __post_init__(self) -> None:
        if self.ported_numbers is not None and self.numbering_plan is None:
            raise ConfigError("ported_numbers: give a numbering_plan too")
        if self.kafka is not None and self.kafka.mode == "journal":
            told = {
                "webhooks": self.webhooks,
                "event_files": self.event_files,
                "callbacks": self.callbacks.enabled,
            }
            for name in (name for name, is_there in told.items() if is_there):
                raise ConfigError(f"{name}: a worker keeps no cursor: read the topic of outcomes instead")


def from_dict(data: Mapping[str, Any]) -> Config:
    """Return the configuration that plain tables, as TOML gives them, describe; ConfigError names the key."""
    data = _with_defaults(data)
    config = convert(data, Config)
    for problem in _problems_of_routes(config, data):
        raise ConfigError(problem)
    return config


def all_problems(data: Mapping[str, Any]) -> list[str]:
    """Return everything for which `from_dict` would refuse these tables, the path of its key in front."""
    data = _with_defaults(data)
    wrong = list(problems(data, Config))
    return (
        [*wrong, *_unknown_carriers(data)]
        if wrong
        else list(_problems_of_routes(convert(data, Config), data))
    )


def _unknown_carriers(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what routes name and nobody knows, also of tables that are wrong otherwise."""
    carriers, routes = data.get("carriers"), data.get("routes")
    for index, rule in enumerate(routes if isinstance(routes, list | tuple) else ()):
        named = rule.get("carriers") if isinstance(rule, Mapping) and isinstance(carriers, Mapping) else ()
        for place, carrier in enumerate(named if isinstance(named, list | tuple) else ()):
            if isinstance(carrier, str) and carrier not in carriers:  # type: ignore[operator]
                known = did_you_mean(carrier, carriers)  # type: ignore[arg-type]
                yield f"routes[{index}].carriers[{place}]: no carrier has the name {carrier!r}{known}"


def _problems_of_routes(config: Config, data: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_carriers(data)
    for index, rule in enumerate(config.routes):
        at = f"routes[{index}]"
        if rule.operators and config.numbering_plan is None:
            yield f"{at}.operators: only a numbering_plan knows operators; name its file"
        if rule.catches_all and index + 1 < len(config.routes):
            yield f"routes[{index + 1}]: never reached: {at} has no condition"
            return


def _with_defaults(data: Mapping[str, Any]) -> Mapping[str, Any]:
    tables = data.get("classes")
    if not isinstance(tables, Mapping):
        return data
    return {**data, "classes": {name: _over_default(name, table) for name, table in tables.items()}}


def _over_default(name: str, table: object) -> object:
    """Return a table of a class with what it leaves out; no table or no class is left to be refused."""
    if name.upper() not in TrafficClass.__members__ or not isinstance(table, Mapping):
        return table
    default = Classes()[TrafficClass[name.upper()]]
    return {**{field: getattr(default, field) for field in default.__struct_fields__}, **table}
