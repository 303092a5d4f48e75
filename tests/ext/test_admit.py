"""The compiled door against a slow twin: random batches, the same verdicts, the same octets."""

from random import Random
from typing import Any

import msgspec
import pytest

from dispatcher._ext.keys import key_hash
from dispatcher.admission import Admission
from dispatcher.carrier.profile import load
from dispatcher.config import Carrier, Config, from_dict
from dispatcher.model import Accepted, Callback, Refused, SendRequest, TrafficClass
from dispatcher.routing.numbers import normaliser
from tests.ext.admission_twin import Twin, digest

NOW_MS = 1_795_000_000_000
CARRIER: dict[str, Any] = {"host": "smsc", "port": 2775, "system_id": "bank"}
TO = (
    "+79001234567",
    "89001234567",
    "79001234569",
    "hello",
    "",
    "+0123456",
    "+7 900 123-45-67",
    "+79٠01234567",
)
TEXT = (
    "Code 4711",
    "Код 4711",
    "naïve café €",
    "x" * 200,
    "привет " * 40,
    "😀" * 30,
    "",
    "half \ud83d",
    "x" * 3000,
    "x" * 10_001,
    "a" * 127,
    "a" * 128,
)
SENDER = ("Bank", "1234", "+79001112233", "Банк", "A name far too long", "")
KEYS = (None, "k1", "k2", "k3", "ключ", "k" * 64, "k" * 65, "", "\ud800")
TTL = (0, 0, 0, 1, -1, 60_000, 1 << 40, 1 << 80, -(1 << 80))
SEND_AFTER = (0, 0, 0, 5, -1, NOW_MS, NOW_MS + 1, NOW_MS + 1000 * 86_400_000, 1 << 90)
ENCODE = msgspec.msgpack.Encoder().encode


class Str(str):
    """A string of a program's own."""

    __slots__ = ()


def one_of(dice: Random, values: tuple[Any, ...]) -> Any:
    """Mostly the first one: most requests are plain."""
    return values[0] if dice.random() < 0.8 else dice.choice(values)


def request(dice: Random) -> Any:
    """Mostly one that can go."""
    asked = SendRequest(
        to=one_of(dice, TO),
        text=one_of(dice, TEXT),
        sender=one_of(dice, SENDER),
        traffic_class=dice.choice(tuple(TrafficClass)),
        client_ref=dice.choice((None, f"r{dice.randrange(100)}", one_of(dice, KEYS))),
        idempotency_key=one_of(dice, KEYS),
        ttl_ms=one_of(dice, TTL),
        send_after_ms=one_of(dice, SEND_AFTER),
        source=one_of(dice, ("", "shop", "касса")),
        callback=one_of(dice, (None, None, None, Callback("https://a.example/б", 3))),
    )
    slips: tuple[tuple[str, Any], ...] = (
        ("to", Str("+79001234567")),
        ("text", Str("Code 4711")),
        ("traffic_class", 2),
        ("traffic_class", 7),
        ("ttl_ms", True),
        ("sender", b"Bank"),
        ("client_ref", 7),
    )
    if dice.random() < 0.1:
        name, value = dice.choice(slips)
        fields = {each: getattr(asked, each) for each in SendRequest.__struct_fields__}
        return SendRequest(**{**fields, name: value})
    return "no request" if dice.random() < 0.01 else asked


@pytest.mark.parametrize("profile", ["smpp34", {"base": "smpp34", "method": "sar"}])
@pytest.mark.parametrize("seed", range(6))
def test_random_batches_have_the_verdicts_of_the_twin(seed: int, profile: Any) -> None:
    """Refusals with code, field and reference; repetitions; messages in every field; frames."""
    dice = Random(seed)
    more: dict[str, Any] = {"default_country": "RU"} if seed % 2 else {}
    more |= {"callbacks": {"enabled": True}} if seed % 3 else {}
    given = from_dict({"store": "s", "carriers": {"c0": CARRIER}, "routes": [{"carriers": ["c0"]}], **more})
    door, twin = both(given, dice, profile)
    for _ in range(60):
        requests = [request(dice) for _ in range(dice.randrange(1, 12))]
        closed = tuple(dice.choice((0, 0, 0, 0, 1500)) for _ in range(5))
        entropy = dice.randbytes(5 * len(requests))
        door._entropy = lambda count, entropy=entropy: entropy[:count]  # type: ignore[misc]
        assert door.unknown_keys(requests) == twin.unknown(requests)
        batch = door.admit(requests, NOW_MS, closed)
        expected = twin.admit(requests, NOW_MS, closed, entropy)
        repeats, accepted = dict(batch.repeats), iter(zip(batch.places, batch.messages, strict=True))
        frames: dict[int, list[bytes]] = {}
        for group in (*batch.groups.values(), batch.later):
            listed = [[its] if isinstance(its, bytes) else its for its in group.frames]
            frames |= {each.n: its for each, its in zip(group.messages, listed, strict=True)}
            assert group.segments == sum(map(len, listed))
            assert all(isinstance(its, bytes) or len(its) > 1 for its in group.frames)
            assert group.body == b"".join(map(ENCODE, group.messages))
        for place, (verdict, its) in enumerate(zip(batch.verdicts, expected, strict=True)):
            if isinstance(its, int):
                assert (verdict, repeats.pop(place)) == (None, its)
            elif isinstance(its, Refused):
                assert isinstance(verdict, Refused), (requests[place], its)
                assert shown(verdict) == shown(its)
                assert verdict.detail
            else:
                assert verdict == Accepted(its[0])
                assert next(accepted) == (place, its[0])
                assert frames.pop(its[0].n) == its[1]
        assert (repeats, frames) == ({}, {})
        assert next(accepted, None) is None
        assert door.next_n == twin.next_n
    assert twin.next_n > 60, "hardly any was accepted: the dice are bad"
    assert {key: door.keys.get(key) for key in twin.known} == twin.known


def shown(refused: Refused) -> tuple[Any, ...]:
    """All of a refusal but what it says to people."""
    return refused.code, refused.field, refused.client_ref, refused.retry_after_ms


def both(config: Config, dice: Random, profile: Any) -> tuple[Admission, Twin]:
    """Two doors that know the same."""
    carrier = load(Carrier(host="smsc", port=2775, system_id="bank", profile=profile), "c0")
    references = dice.randbytes(131_072)

    def route(to: str, *_: object) -> tuple[int, ...]:
        return () if to.endswith("9") else (1,)

    door = Admission(config, normaliser(config.default_country), route, {1: carrier}, lambda _: references)
    return door, Twin(config, carrier, references)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 126, 127, 128, 129, 255, 256, 257, 5000])
def test_the_hash_of_a_body_is_blake2b_whatever_its_length(length: int) -> None:
    """At the edges of its blocks: what hashlib wrote into older stores is found."""
    for letter in "aя€😀":
        assert key_hash(letter * length) == digest(letter * length)
        assert key_hash("k", letter * length) == digest(f"{letter * length}\0k" if length else "k")
