"""Rules to routes: the first rule that fits a message gives its carriers, in the order of failover.

Law: a route depends on the message alone (number, sender, class, n), so that a run can be repeated: where
carriers share the traffic by weight, a hash of n decides, not chance.

Plan. Ranges of the numbering plan, calling codes and prefixes of the rules are laid over each other once;
what comes out are zones: numbers that no rule can tell apart. A message then costs a search for its zone and
a look-up of (zone, sender, class), which remembers the answer of the rules: ext/routes.pyx.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from math import gcd
from typing import Final, NamedTuple, TypeAlias

from dispatcher._ext.numbers import RangeTable
from dispatcher._ext.routes import Routes
from dispatcher.config import WEIGHTS_MAX, Rule
from dispatcher.convert import did_you_mean
from dispatcher.errors import ConfigError
from dispatcher.model import TrafficClass
from dispatcher.routing.countries import CALLING_CODES, COUNTRIES, country_of
from dispatcher.routing.plan import DIGITS, NumberingPlan, aligned
from dispatcher.routing.ported import PortedNumbers

Route: TypeAlias = tuple[int, ...]
"""Numbers of carriers, best first."""

REMEMBERED_MAX: Final = 100_000
"""Answers of the rules, of some 200 octets each; beyond it all are forgotten."""

ZONES_MAX: Final = 65_536
"""An index of two octets: operators times countries times sets of prefixes that rules name."""


class Zone(NamedTuple):
    """What rules can ask about a number."""

    operator: str | None
    country: str | None
    prefixes: frozenset[str]


_NOWHERE: Final = Zone(None, None, frozenset())


class Router:
    """The rules of a configuration, compiled. `numbers` gives the number of each carrier by its name."""

    __slots__ = ("_orders", "_rules", "_zones", "route")

    def __init__(
        self,
        rules: Sequence[Rule],
        numbers: Mapping[str, int],
        plan: NumberingPlan | None = None,
        ported: PortedNumbers | None = None,
    ) -> None:
        """Compile them; ConfigError: an operator, a country or a carrier that nobody knows."""
        known = (plan.operators if plan else frozenset()) | frozenset(ported.operators if ported else ())
        for index, rule in enumerate(rules):
            _check(f"routes[{index}].operators", rule.operators, known)
            _check(f"routes[{index}].countries", rule.countries, COUNTRIES)
            _check(f"routes[{index}].carriers", rule.carriers, numbers)
        self._rules = tuple(rules)
        self._orders = tuple(_orders(f"routes[{index}]", rule, numbers) for index, rule in enumerate(rules))
        moved = ported.find if ported is not None and any(rule.operators for rule in rules) else None
        self._zones, table = _lay_out(rules, plan)
        self.route: Final = Routes(table, moved, self._decide, REMEMBERED_MAX)
        """(to, sender, traffic_class, n) -> carriers, best first; empty: no rule fits."""

    def __repr__(self) -> str:
        """Say how much was compiled."""
        return f"<Router {len(self._rules)} rules, {len(self._zones)} zones, {self.route!r}>"

    def _decide(self, zone: int, moved: str | None, sender: str, traffic_class: int) -> tuple[Route, ...]:
        """Return the orders among which a hash of n chooses."""
        place = self._zones[zone] if zone >= 0 else _NOWHERE
        if moved is not None:
            place = place._replace(operator=moved)
        name = TrafficClass(traffic_class).name.lower()
        for rule, orders in zip(self._rules, self._orders, strict=True):
            if _fits(rule, place, sender, name):
                return orders
        return ((),)


def _fits(rule: Rule, place: Zone, sender: str, traffic_class: str) -> bool:
    return (
        (not rule.traffic_classes or traffic_class in rule.traffic_classes)
        and (not rule.prefixes or not place.prefixes.isdisjoint(rule.prefixes))
        and (not rule.operators or place.operator in rule.operators)
        and (not rule.countries or place.country in rule.countries)
        and (not rule.senders or sender in rule.senders)
    )


def _check(at: str, names: Iterable[str], known: Iterable[str]) -> None:
    for index, name in enumerate(names):
        if name not in known:
            raise ConfigError(
                f"{at}[{index}]: nobody knows {name!r}{did_you_mean(name, sorted(known)[:1000])}"
            )


def _orders(at: str, rule: Rule, numbers: Mapping[str, int]) -> tuple[Route, ...]:
    """Return the orders among which the hash of n chooses: each carrier leads as many as its share."""
    weights = rule.weights or (1,) + (0,) * (len(rule.carriers) - 1)
    divisor = reduce(gcd, weights)
    shares = [weight // divisor for weight in weights]
    if sum(shares) > WEIGHTS_MAX:
        raise ConfigError(f"{at}.weights: they sum to {sum(shares)}, {WEIGHTS_MAX} are possible: round them")
    carriers = [numbers[name] for name in rule.carriers]
    orders: list[Route] = []
    for first, share in zip(carriers, shares, strict=True):
        others = (carrier for carrier in carriers if carrier != first)
        orders += [(first, *others)] * share
    return tuple(orders)


def _lay_out(rules: Sequence[Rule], plan: NumberingPlan | None) -> tuple[tuple[Zone, ...], RangeTable]:
    """Return the zones, and the ranges of numbers with the zone of each."""
    prefixes = {prefix for rule in rules for prefix in rule.prefixes}
    countries = set(CALLING_CODES) if any(rule.countries for rule in rules) else set()
    ranges = plan.ranges if plan and any(rule.operators for rule in rules) else ()
    cuts = {cut for prefix in prefixes | countries for cut in _cuts(*aligned(prefix))}
    cuts |= {cut for each in ranges for cut in _cuts(each.first, each.last)}
    starts, ends, values = array("Q"), array("Q"), array("H")
    zones: dict[Zone, int] = {}
    pending = iter(ranges)
    current = next(pending, None)
    ordered = sorted(cuts)
    for first, after in pairwise(ordered):
        while current and current.last < first:
            current = next(pending, None)
        digits = f"{first:0{DIGITS}d}"
        zone = Zone(
            current.holder.operator if current and current.first <= first else None,
            country_of(digits) if countries else None,
            frozenset(prefix for prefix in prefixes if digits.startswith(prefix)),
        )
        if zone == _NOWHERE:
            continue
        value = zones.setdefault(zone, len(zones))
        if value == ZONES_MAX:
            raise ConfigError(f"routes: they tell more than {ZONES_MAX} zones apart; name fewer prefixes")
        if starts and values[-1] == value and ends[-1] + 1 == first:
            ends[-1] = after - 1
        else:
            starts.append(first)
            ends.append(after - 1)
            values.append(value)
    return tuple(zones), RangeTable(starts, ends, values)


def _cuts(first: int, last: int) -> tuple[int, int]:
    return first, last + 1
