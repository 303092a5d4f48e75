"""A message on its way out: number, route, health, frames, and the decision after a refusal.

Run: ``python -m pytest bench/bench_submit.py``. Every figure is of one Python call and includes it.
"""

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dispatcher.carrier.profile import Profile
from dispatcher.carrier.profiles import READY, table
from dispatcher.carrier.retry import Action, Situation, decide
from dispatcher.config import Classes, Rule
from dispatcher.model import Message
from dispatcher.routing.health import Health
from dispatcher.routing.numbers import normaliser
from dispatcher.routing.plan import NumberingPlan, parse
from dispatcher.routing.ported import parse_ported
from dispatcher.routing.rules import Router
from dispatcher.smpp.status import Disposition

CODE = "Your code is 482193. Never tell it to anyone, not even to us."
LONG = "Списание 12 500,00 RUB, карта *1234, магазин на углу. Доступно 48 300,15 RUB. " * 2
TEXTS = {"a code of 61": CODE, "three segments of UCS-2": LONG, "three segments of GSM-7": "x" * 400}
NUMBER = "79031550550"
REGISTER = [
    f"{900 + i // 200};{i % 200:03d}0000;{i % 200:03d}9999;10000;Operator {i * 31 % 97};R;;1"
    for i in range(20_000)
]
"""As many ranges as the Russian register has, made up."""


def message(text: str) -> Message:
    """Return a message of five minutes."""
    fields: dict[str, Any] = {"n": 1, "message_id": bytes(16), "to": NUMBER, "sender": "Bank", "text": text}
    fields |= {"accepted_ms": 0, "deadline_ms": 300_000, "send_after_ms": 0}
    return Message(**fields, traffic_class=0, segments=1, reference=7, carriers=(1,))


@pytest.mark.parametrize("profile", READY)
@pytest.mark.parametrize("name", TEXTS)
def test_frames(benchmark: BenchmarkFixture, profile: str, name: str) -> None:
    """All submit_sm of a message, a relative validity period included."""
    sent, made = message(TEXTS[name]), Profile(table(profile))
    assert benchmark(made.frames, sent, 1_000)


def test_count_and_check_sender(benchmark: BenchmarkFixture) -> None:
    """What accept asks a profile."""
    profile = Profile(table("smpp34"))

    def ask() -> Any:
        profile.check_sender("Bank")
        return profile.count(CODE)

    assert benchmark(ask).segments == 1


@pytest.mark.parametrize(
    "written", [NUMBER, "+79031550550", "89031550550", "8 (903) 155-05-50", "84912345678"]
)
def test_normalise(benchmark: BenchmarkFixture, written: str) -> None:
    """A number where Russia is the default country; the last one is refused."""
    assert benchmark(normaliser("RU"), written)


@pytest.mark.parametrize("down", [False, True])
def test_pick(benchmark: BenchmarkFixture, down: bool) -> None:
    """The first carrier of a route; the second, as the first is down."""
    health = Health({1: 2_000, 2: 2_000})
    health[1].bound(not down, 0)
    health[2].bound(True, 0)
    assert benchmark(health.pick, (1, 2), 1_000_000) == 1 + down


@pytest.mark.parametrize("ported", [0, 1_000_000])
def test_route(benchmark: BenchmarkFixture, ported: int) -> None:
    """A rule of operators with weights, over 20,000 ranges."""
    rules = [
        Rule(carriers=("a",), traffic_classes=("marketing",), prefixes=("7999",)),
        Rule(carriers=("b", "a"), weights=(70, 30), operators=tuple(f"Operator {i}" for i in range(97))),
    ]
    moved, _ = parse_ported(f"{79_000_000_000 + 7 * i},Operator 1" for i in range(ported))
    plan = NumberingPlan(parse(REGISTER)[0])
    router = Router(rules, {"a": 1, "b": 2}, plan, moved if ported else None)
    assert len(benchmark(router.route, NUMBER, "Bank", 0, 12_345)) == 2


def test_answered(benchmark: BenchmarkFixture) -> None:
    """All accepted answers of one read into the window of a carrier, however many."""
    carrier = Health({1: 2_000})[1]
    benchmark(carrier.answered, Disposition.OK, 50, 1_000_000, 200)


def test_decide(benchmark: BenchmarkFixture) -> None:
    """A temporary error."""
    at = Situation(1, 1, 1, 1, 0, 300_000)
    decision = benchmark(decide, Disposition.RETRY_LATER, Classes().service, at, command_status=8, random=0.5)
    assert decision.action is Action.LATER
