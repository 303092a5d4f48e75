"""Rules: the first that fits, every condition, weights by a hash, ported numbers, mistakes at load."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.config import Rule
from dispatcher.errors import ConfigError
from dispatcher.model import TrafficClass
from dispatcher.routing import rules as rules_module
from dispatcher.routing.countries import country_of
from dispatcher.routing.plan import NumberingPlan, parse
from dispatcher.routing.ported import parse_ported
from dispatcher.routing.rules import Router

NUMBERS = {"a": 1, "b": 2, "c": 3}
PLAN = NumberingPlan(parse(["7900,7909,Alpha\n", "7910,7919,Beta\n", "77,77,Gamma\n"])[0])
PORTED = parse_ported(["79001111111,Beta\n", "79110000000,Alpha\n"])[0]


def test_the_first_rule_that_fits_wins() -> None:
    """Class, prefix, operator, country, sender: each decides alone; all of a rule must hold."""
    router = Router(
        [
            Rule(carriers=("c",), senders=("Bank",), traffic_classes=("authorization",)),
            Rule(carriers=("a",), prefixes=("79005", "7901")),
            Rule(carriers=("b", "a"), operators=("Alpha",)),
            Rule(carriers=("b",), countries=("KZ", "BY")),
            Rule(carriers=("a", "c"), traffic_classes=("marketing",)),
        ],
        NUMBERS,
        PLAN,
    )
    authorization, marketing = TrafficClass.AUTHORIZATION, TrafficClass.MARKETING
    assert router.route("79005000000", "Bank", authorization, 1) == (3,)
    assert router.route("79005000000", "Bank", marketing, 1) == (1,)
    assert router.route("79005000000", "Shop", authorization, 1) == (1,)
    assert router.route("79015000000", "Shop", authorization, 1) == (1,)
    assert router.route("79025000000", "Shop", authorization, 1) == (2, 1)
    assert router.route("77010000000", "Shop", authorization, 1) == (2,)
    assert router.route("375290000000", "Shop", authorization, 1) == (2,)
    assert router.route("491510000000", "Shop", marketing, 1) == (1, 3)
    assert router.route("491510000000", "Shop", authorization, 1) == ()


def test_a_gap_between_ranges_of_one_operator_is_nobodys() -> None:
    """What lies between is not taken for it."""
    plan = NumberingPlan(parse(["7900,7900,Alpha\n", "7902,7902,Alpha\n"])[0])
    router = Router([Rule(carriers=("a",), operators=("Alpha",))], NUMBERS, plan)
    assert [router.route(f"790{digit}1234567", "Bank", 0, 1) for digit in range(4)] == [(1,), (), (1,), ()]


def test_ported_numbers_win_over_the_plan() -> None:
    """They change the operator and nothing else; a prefix still is one."""
    rules = [
        Rule(carriers=("c",), prefixes=("79110000000",), operators=("Beta",)),
        Rule(carriers=("a",), operators=("Alpha",)),
        Rule(carriers=("b",), operators=("Beta",)),
    ]
    router = Router(rules, NUMBERS, PLAN, PORTED)
    assert router.route("79001111111", "Bank", 0, 1) == (2,)
    assert router.route("79001111112", "Bank", 0, 1) == (1,)
    assert router.route("79110000000", "Bank", 0, 1) == (1,)
    assert Router(rules, NUMBERS, PLAN).route("79110000000", "Bank", 0, 1) == (3,)


def test_weights_share_the_traffic_and_repeat() -> None:
    """70 to 30 within a percent over 10,000 messages, also over every third n; n decides alone."""
    router = Router([Rule(carriers=("a", "b", "c"), weights=(70, 30, 0))], NUMBERS)
    for step in (1, 3, 10):
        routes = [router.route("79001234567", "Bank", 0, n) for n in range(1, 10_000 * step, step)]
        shares = Counter(routes)
        assert set(shares) == {(1, 2, 3), (2, 1, 3)}
        assert abs(shares[(1, 2, 3)] / len(routes) - 0.7) < 0.01
    assert [router.route("77", "Shop", 3, n) for n in range(50)] == [
        router.route("79001234567", "Bank", 0, n) for n in range(50)
    ]


def test_without_weights_the_first_takes_everything() -> None:
    """The others are the order of failover."""
    router = Router([Rule(carriers=("c", "a", "b"))], NUMBERS)
    assert {router.route("79001234567", "Bank", 0, n) for n in range(1000)} == {(3, 1, 2)}


def test_every_carrier_of_a_route_is_in_it() -> None:
    """Whoever leads, the rest follows in the order of the rule."""
    router = Router([Rule(carriers=("a", "b", "c"), weights=(1, 1, 1))], NUMBERS)
    assert {router.route("7", "Bank", 0, n) for n in range(1000)} == {(1, 2, 3), (2, 1, 3), (3, 1, 2)}


names = st.sampled_from(["a", "b", "c"])
rule = st.builds(
    Rule,
    carriers=names.map(lambda name: (name,)),
    traffic_classes=st.sampled_from([(), ("authorization",), ("marketing", "service")]),
    prefixes=st.lists(st.sampled_from(["7", "79", "7900", "79005", "8", "77"]), max_size=2).map(tuple),
    operators=st.lists(st.sampled_from(["Alpha", "Beta", "Gamma"]), max_size=1).map(tuple),
    countries=st.lists(st.sampled_from(["RU", "KZ", "VN"]), max_size=1).map(tuple),
    senders=st.sampled_from([(), ("Bank",)]),
)


@given(
    st.lists(rule, min_size=1, max_size=5),
    st.lists(st.from_regex(r"(7|79|7900|79005|7910|8|84|77|1)[0-9]{4,8}", fullmatch=True), max_size=8),
    st.sampled_from(["Bank", "Shop"]),
    st.sampled_from(list(TrafficClass)),
)
@settings(max_examples=300, deadline=None)
def test_zones_change_nothing(
    rules: list[Rule], numbers: list[str], sender: str, traffic_class: TrafficClass
) -> None:
    """Against a twin that asks every condition of every rule for every number."""
    router = Router(rules, NUMBERS, PLAN, PORTED)
    for number in [*numbers, "79001111111", "79110000000"]:
        holder = PLAN.find(number)
        operator = PORTED.find(number) or (holder.operator if holder else None)
        expected: tuple[int, ...] = ()
        for each in rules:
            if (
                (not each.traffic_classes or traffic_class.name.lower() in each.traffic_classes)
                and (not each.prefixes or number.startswith(each.prefixes))
                and (not each.operators or operator in each.operators)
                and (not each.countries or country_of(number) in each.countries)
                and (not each.senders or sender in each.senders)
            ):
                expected = (NUMBERS[each.carriers[0]],)
                break
        for _ in range(2):  # the second time it is remembered
            assert router.route(number, sender, traffic_class, 7) == expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(carriers=("x",)), "routes[0].carriers[0]: nobody knows 'x'"),
        (
            Rule(carriers=("a",), operators=("Alhpa",)),
            "routes[0].operators[0]: nobody knows 'Alhpa'; did you",
        ),
        (Rule(carriers=("a",), countries=("XX",)), "routes[0].countries[0]: nobody knows 'XX'"),
        (
            Rule(carriers=("a", "b"), weights=(1001, 1)),
            "routes[0].weights: they sum to 1002, 1000 are possible",
        ),
    ],
)
def test_a_rule_that_can_never_work_is_refused(rule: Rule, message: str) -> None:
    """At load, by its path; ported operators count as known ones."""
    with pytest.raises(ConfigError) as caught:
        Router([rule], NUMBERS, PLAN)
    assert str(caught.value).startswith(message)
    Router([Rule(carriers=("a",), operators=("Beta",))], NUMBERS, None, PORTED)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that invents senders does not fill the memory, and routes stay right."""
    monkeypatch.setattr(rules_module, "REMEMBERED_MAX", 10)
    router = Router([Rule(carriers=("a",), senders=("S7",)), Rule(carriers=("b",))], NUMBERS)
    for number in range(100):
        assert router.route("79001234567", f"S{number}", 0, 1) == ((1,) if number == 7 else (2,))
        assert len(router.route) <= 10


def test_a_router_says_what_it_holds() -> None:
    """One line an operator can read."""
    router = Router([Rule(carriers=("a",), prefixes=("79", "78"))], NUMBERS)
    assert repr(router) == "<Router 1 rules, 2 zones, <Routes 2 ranges, 0 remembered>>"
