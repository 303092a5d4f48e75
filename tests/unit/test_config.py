"""The configuration: the smallest one, every kind of mistake with its path, what defaults promise."""

import copy
import textwrap
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from dispatcher import config as config_module
from dispatcher._ext.bucket import RESERVED
from dispatcher.carrier import profiles
from dispatcher.carrier.profile import Profile
from dispatcher.config import Carrier, Classes, Config, Timers, from_dict
from dispatcher.errors import ConfigError
from dispatcher.model import TrafficClass
from dispatcher.smpp.events import DEFAULT_TIMERS
from dispatcher.smpp.status import Disposition

SMALLEST: dict[str, Any] = {
    "store": "data",
    "carriers": {"first": {"host": "smsc.example", "port": 2775, "system_id": "bank"}},
    "routes": [{"carriers": ["first"]}],
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the smallest configuration after a change."""
    data = copy.deepcopy(SMALLEST)
    change(data)
    return data


def first(**keys: Any) -> dict[str, Any]:
    """Return it with keys of its carrier changed."""
    return changed(lambda data: data["carriers"]["first"].update(keys))


def route(**keys: Any) -> dict[str, Any]:
    """Return it with keys of its route changed."""
    return changed(lambda data: data["routes"][0].update(keys))


def test_the_smallest_configuration_has_every_default() -> None:
    """A store, a carrier, a route; the four classes differ as the laws say."""
    config = from_dict(SMALLEST)
    assert isinstance(config, Config)
    assert config.default_country is None
    assert config.carriers["first"].window == 10
    assert [config.classes[number].on_unknown for number in TrafficClass] == [
        "resend",
        "grace",
        "grace",
        "hold",
    ]


def test_the_examples_in_the_docstrings_load() -> None:
    """What a reader copies first works: the smallest file, with the profile of its neighbour."""
    example = textwrap.dedent(str(config_module.__doc__).partition("::\n")[2])
    config = from_dict(tomllib.loads(example))
    assert config.carriers["first"].password_file == "first.password"
    profile = tomllib.loads(textwrap.dedent(str(profiles.__doc__).partition("::\n")[2]))
    written = profiles.table(profile["carriers"]["north"]["profile"])
    assert Profile(written).disposition(0x45) is Disposition.PERMANENT


def test_a_table_of_a_class_changes_only_what_it_names() -> None:
    """The rest keeps the defaults of that class, not of another."""
    config = from_dict(changed(lambda data: data.update(classes={"marketing": {"attempts": 1}})))
    assert config.classes.marketing.attempts == 1
    assert config.classes.marketing.on_unknown == "hold"
    assert config.classes.authorization == Classes().authorization


def test_defaults_agree_with_the_rooms_that_use_them() -> None:
    """Timers equal those of a session, the reserved TPS that of the bucket."""
    for name in Timers.__struct_fields__:
        assert getattr(Timers(), name) == getattr(DEFAULT_TIMERS, name)
    assert tuple(Classes()[number].reserved_tps for number in TrafficClass) == RESERVED


def test_a_password_is_never_shown() -> None:
    """Neither by the carrier nor by the whole configuration."""
    config = from_dict(first(password="s3cret"))
    assert config.carriers["first"].password == "s3cret"
    assert "s3cret" not in repr(config)


NAMES = [each.name.lower() for each in TrafficClass]
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "store: it is missing"),
    (first(tsp=1), "carriers.first.tsp: unknown key; did you mean 'tps'?"),
    (first(port="2775"), "carriers.first.port: expected int, got str"),
    (first(port=0), "carriers.first.port: expected int >= 1"),
    (first(tps=float("nan")), "carriers.first.tps: expected a finite number, got nan"),
    (
        changed(lambda data: data.update(classes={name: {"reserved_tps": 0.3} for name in NAMES})),
        "classes: reserved_tps: the classes together reserve 1.2; 0.9 at most",
    ),
    (first(tps=0), "carriers.first.tps: expected float > 0.0"),
    (first(password="123456789"), "carriers.first.password: expected str of length <= 8"),
    (
        first(password="a", password_env="B"),
        "carriers.first: password, password_env, password_file: give",
    ),
    (first(transceivers=0), "carriers.first: transceivers, transmitters: without one of them"),
    (first(transceivers=0, transmitters=1), "carriers.first: transceivers, receivers: without one of them"),
    (first(tls={"verify": 1}), "carriers.first.tls.verify: expected bool, got int"),
    (first(tls={"verfy": True}), "carriers.first.tls.verfy: unknown key; did you mean 'verify'?"),
    (first(timers={"response_s": 1}), "carriers.first.timers.response_s: unknown key; did you mean"),
    (changed(lambda data: data["carriers"]["first"].pop("host")), "carriers.first.host: it is missing"),
    (
        changed(lambda data: data["carriers"].update({"a b": data["carriers"]["first"]})),
        "carriers.a b: expected str matching regex",
    ),
    (changed(lambda data: data.update(carriers={})), "carriers: expected object of length >= 1"),
    (changed(lambda data: data.update(routes=[])), "routes: expected array of length >= 1"),
    (changed(lambda data: data.update(routes=7)), "routes: expected array, got int"),
    (changed(lambda data: data.update(classes=7)), "classes: expected object, got int"),
    (
        changed(lambda data: data.update(classes={"markting": {}})),
        "classes.markting: unknown key; did you",
    ),
    (changed(lambda data: data.update(classes={"service": 7})), "classes.service: expected object, got int"),
    (
        changed(lambda data: data.update(classes={"service": {"on_unknown": "resnd"}})),
        "classes.service.on_unknown: 'resnd' is not one of resend, grace, hold; did you mean 'resend'?",
    ),
    (
        changed(lambda data: data.update(classes={"authorization": {"ttl_ms": 7_200_000}})),
        "classes.authorization: ttl_ms is longer than ttl_max_ms",
    ),
    (
        changed(lambda data: data.update(retention={"texts_days": 500})),
        "retention: texts_days is longer than records_days",
    ),
    (changed(lambda data: data.update(limits={"batch_max": 0})), "limits.batch_max: expected int >= 1"),
    (changed(lambda data: data.update(ported_numbers="x")), "ported_numbers: give a numbering_plan too"),
    (changed(lambda data: data.update(default_country="ru")), "default_country: expected str matching"),
    (route(carriers=[]), "routes[0].carriers: expected array of length >= 1"),
    (
        route(carriers=["frist"]),
        "routes[0].carriers[0]: no carrier has the name 'frist'; did you",
    ),
    (route(carriers=["first", "first"]), "routes[0]: carriers: one is named twice"),
    (route(weights=[1, 2]), "routes[0]: weights: 2 for 1 carriers"),
    (route(weights=[0]), "routes[0]: weights: all are 0"),
    (route(prefixes=["79", "+7"]), "routes[0].prefixes[1]: expected str matching regex"),
    (route(traffic_classes=["otp"]), "routes[0].traffic_classes[0]: 'otp' is not one of authorization"),
    (route(operators=["MTS"]), "routes[0].operators: only a numbering_plan knows operators"),
    (
        changed(lambda data: data["routes"].append({"carriers": ["first"]})),
        "routes[1]: never reached: routes[0] has no condition",
    ),
]


@pytest.mark.parametrize(("data", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_named_by_its_path(data: dict[str, Any], message: str) -> None:
    """The whole path, what was expected, what comes close."""
    with pytest.raises(ConfigError) as caught:
        from_dict(data)
    assert str(caught.value).startswith(message)


def test_a_rule_without_a_condition_catches_all() -> None:
    """Every condition, one by one, takes that away."""
    rule = from_dict(SMALLEST).routes[0]
    assert rule.catches_all
    assert rule.traffic_classes == ()
    conditions = {"prefixes": ["7"], "countries": ["RU"], "senders": ["Bank"], "traffic_classes": ["service"]}
    for name, value in conditions.items():
        assert not from_dict(route(**{name: value})).routes[0].catches_all


def test_a_carrier_says_where_it_is() -> None:
    """One line an operator can read."""
    carrier = Carrier(host="smsc.example", port=2775, system_id="bank", tps=50)
    assert repr(carrier) == "<Carrier bank at smsc.example:2775, 50 TPS>"
