"""Settings of the simulator: distributions, statuses, parsing, patches; rules and how often they strike."""

import random
import statistics
from typing import Any

import pytest

from dispatcher.errors import ConfigError
from dispatcher.simulator.behaviour import (
    NANOSECONDS_PER_MS,
    Behaviour,
    Constant,
    Delay,
    Lognormal,
    Normal,
    Percentiles,
    Rule,
    Uniform,
    constant_ns,
    sample_ns,
    status_code,
)
from dispatcher.simulator.mischief import MISCHIEF, Act, Rules, apply
from dispatcher.simulator.rate import Rate
from dispatcher.simulator.settings import Settings, parse, patched, schema


def drawn(delay: Delay) -> list[float]:
    """Return ten thousand samples in milliseconds, sorted."""
    rng = random.Random(5)
    return sorted(sample_ns(delay, rng) / NANOSECONDS_PER_MS for _ in range(10_000))


def test_distributions() -> None:
    """Each kind has the shape that it names, and none is negative."""
    assert set(drawn(7)) == set(drawn(Constant(7))) == {7}
    assert (constant_ns(7), constant_ns(Constant(7)), constant_ns(Uniform(1, 2))) == (
        7_000_000,
        7_000_000,
        None,
    )
    uniform = drawn(Uniform(10, 20))
    assert 10 <= uniform[0] < 10.1
    assert 19.9 < uniform[-1] <= 20
    assert statistics.mean(uniform) == pytest.approx(15, abs=0.2)
    normal = drawn(Normal(10, 10))
    assert normal[0] == 0
    assert statistics.median(normal) == pytest.approx(10, abs=0.5)
    lognormal = drawn(Lognormal(50, 0.5))
    assert statistics.median(lognormal) == pytest.approx(50, rel=0.05)
    assert lognormal[9900] == pytest.approx(160, rel=0.1)
    measured = drawn(Percentiles({"50": 20, "99": 300, "100": 2000}))
    assert measured[5000] == pytest.approx(20, rel=0.05)
    assert measured[9900] == pytest.approx(300, rel=0.1)
    assert 1500 < measured[-1] <= 2000


@pytest.mark.parametrize("points", [{}, {"50": 1}, {"50": 5, "100": 1}, {"101": 5}, {"x": 1, "100": 2}])
def test_bad_percentiles(points: dict[str, float]) -> None:
    """Points rise and end with 100."""
    with pytest.raises(ConfigError, match="latency_ms"):
        parse({"latency_ms": {"kind": "percentiles", "points": points}}, Behaviour)


def test_statuses() -> None:
    """A number, a number in a string, a name with or without ESME_; nothing else."""
    assert [status_code(word) for word in (88, "88", "0x58", "RTHROTTLED", "ESME_RTHROTTLED")] == [88] * 5
    for bad in ("", "RTHROTTLD", "0x", -1, 1 << 32):
        with pytest.raises(ValueError, match="no command_status"):
            status_code(bad)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"prt": 1}, "prt: unknown key; did you mean 'port'?"),
        ({"port": 70_000}, "port: expected int <= 65535"),
        ({"ledger": "token"}, "ledger: invalid enum value 'token'"),
        ({"accounts": {"a.b": {"tp": 5}}}, "accounts.a.b.tp: unknown key; did you mean 'tps'?"),
        (
            {"accounts": {"x": {"receipts": {"dialect": {"txt": ""}}}}},
            "accounts.x.receipts.dialect.txt: unknown",
        ),
        ({"accounts": {"x": {"receipts": {"dialect": {"text": "{nope}"}}}}}, "braces stand around one of id"),
        ({"accounts": {"x": {"receipts": {"dialect": {"text": "{id.x}"}}}}}, "braces stand around one of id"),
        ({"accounts": {"x": {"receipts": {"states": {"DELIVERD": 1}}}}}, "'DELIVERD' is no state"),
        ({"accounts": {"x": {"receipts": {"states": {"DELIVRD": 0}}}}}, "a weight above 0"),
        ({"accounts": {"x": {"errors": {"8": 0.6, "88": 0.6}}}}, "add up to at most 1"),
        ({"accounts": {"x": {"interface_version": 0x50}}}, "interface_version"),
        ({"accounts": {"x": {"latency_ms": {"kind": "unifrom"}}}}, "latency_ms"),
        ({"accounts": {"x": {"latency_ms": -1}}}, "latency_ms"),
        ({"accounts": {"x": {"mischief": [{}]}}}, "kind"),
        (
            {"accounts": {"x": {"mischief": [{"kind": "cut"}, {"kind": "?"}]}}},
            "accounts.x.mischief[1]: unknown kind",
        ),
        ({"accounts": {"x": {"mischief": [{"kind": "cut", "length": "many"}]}}}, "mischief"),
        ({"accounts": {"x": {"bind": {"refuse": "NO"}}}}, "'NO' is no command_status"),
    ],
)
def test_bad_settings(data: dict[str, Any], said: str) -> None:
    """The error names the whole key path, what was expected, and what comes close."""
    with pytest.raises(ConfigError) as caught:
        parse(data, Settings)
    assert said in str(caught.value)


def test_a_patch_merges() -> None:
    """Objects merge, null goes back to the default, distributions and weights are replaced as a whole."""
    behaviour = parse({"latency_ms": {"kind": "uniform", "low_ms": 1, "high_ms": 2}, "tps": 5}, Behaviour)
    behaviour = patched(behaviour, {"receipts": {"share": 0.5, "states": {"UNDELIV": 1}}})
    assert (behaviour.receipts.share, behaviour.receipts.states, behaviour.tps) == (0.5, {"UNDELIV": 1}, 5)
    behaviour = patched(
        behaviour, {"latency_ms": {"kind": "constant", "ms": 3}, "receipts": {"states": None}}
    )
    assert behaviour.latency_ms == Constant(3)
    assert behaviour.receipts.states == {"DELIVRD": 1}
    assert behaviour.receipts.share == 0.5


def test_the_schema_knows_every_key() -> None:
    """The JSON Schema has a definition of each part."""
    assert {"Settings", "Behaviour", "Receipts", "Dialect", "Rule"} <= set(schema()["$defs"])


# ---- mischief ----

FRAME = bytes.fromhex("0000001b8000000400000000000000023030303030303030303100")


def test_every_kind_is_described() -> None:
    """The table at the top of the module names each kind."""
    from dispatcher.simulator import mischief

    assert mischief.__doc__ is not None
    for kind in MISCHIEF:
        assert kind in mischief.__doc__


@pytest.mark.parametrize("kind", MISCHIEF)
def test_kinds_are_repeatable(kind: str) -> None:
    """The same seed does the same; nothing raises, on the shortest frame either."""
    rule = Rule(kind=kind)
    assert apply(FRAME, (rule,), random.Random(1)) == apply(FRAME, (rule,), random.Random(1))
    apply(bytes.fromhex("00000010800000040000000000000002"), (rule,), random.Random(1))


def test_rules_add_up() -> None:
    """Each rule works on what the one before it left."""
    rules = (Rule(kind="duplicate"), Rule(kind="status", status=8), Rule(kind="cut", at_byte=3))
    steps = apply(FRAME, rules, random.Random(1))
    assert steps == [FRAME[:3], Act.RESET, FRAME[:3], Act.RESET]


def test_a_cut_is_never_whole() -> None:
    """at_byte beyond the end leaves out the last octet; anywhere is anywhere."""
    assert apply(FRAME, (Rule(kind="cut", at_byte=1000),), random.Random(1))[0] == FRAME[:-1]
    rng = random.Random(1)
    steps = [step for _ in range(500) for step in apply(FRAME, (Rule(kind="cut"),), rng)]
    sizes = {len(step) for step in steps if isinstance(step, bytes)}
    assert sizes == set(range(27))


def test_shares() -> None:
    """share is a probability of each; after and times are counts."""
    rules = Rules((Rule(kind="drop", share=0.3),), random.Random(1))
    assert 250 < sum(bool(rules.draw("response")) for _ in range(1000)) < 350
    assert rules.draw("receipt") == ()
    rules = Rules((Rule(kind="drop", after=3, times=2),), random.Random(1))
    assert [bool(rules.draw("response")) for _ in range(7)] == [False] * 3 + [True] * 2 + [False] * 2


# ---- rate ----

SECOND = 1_000_000_000


def test_a_rate_holds_in_any_second() -> None:
    """Not by the second of a clock: 10 at 0.9 s and 10 at 1.1 s are too many."""
    rate = Rate()
    assert rate.free(0, 10) == 10
    rate.granted(9 * SECOND // 10, 6)
    rate.granted(9 * SECOND // 10, 4)
    assert rate.free(11 * SECOND // 10, 10) == 0
    assert rate.free(19 * SECOND // 10 - 1, 10) == 0
    assert rate.free(19 * SECOND // 10, 10) == 10
    assert rate.free(0, 0) > 1 << 50
    assert rate.free(5 * SECOND, 0.5) == 1


def test_the_peak() -> None:
    """add returns what came in the last second."""
    rate = Rate()
    assert [rate.add(at * SECOND // 2, 10) for at in range(5)] == [10, 20, 20, 20, 20]
