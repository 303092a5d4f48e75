"""Bodies and answers in bulk, against the json of the standard library and message by message."""

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest

from dispatcher._ext.http import Reader, Writer, count_of, shape
from dispatcher.ingest.bodies import (
    NO_DEFAULTS,
    Defaults,
    MessageAccepted,
    answers,
    read_all,
    read_lines,
    read_message,
    results,
)
from dispatcher.ingest.problems import Problem
from dispatcher.ingest.stream import PIECE_OCTETS, Lines
from dispatcher.model import (
    Accepted,
    Callback,
    Message,
    Refused,
    SendRequest,
    TrafficClass,
    uuid_text,
)

MOMENT = datetime(2026, 11, 24, 20, tzinfo=UTC)
FIELDS: dict[str, tuple[Any, ...]] = {
    "to": ("+79001234567",),
    "text": ("Code 4711", "Код", 'say "yes"', "back\\slash", "\n", ""),
    "sender": ("Bank", None),
    "traffic_class": ("marketing", "authorization", None),
    "client_ref": ("m1", "ключ", '"', None),
    "ttl_ms": (60_000, 1, None),
    "send_after": (MOMENT.isoformat(), None),
    "callback_url": ("https://a.example/x", "ftp://a.example", None),
}
ODD = (
    b"",
    b"  ",
    b"\r",
    b"{",
    b"}",
    b"5",
    b"null",
    b'{"to":"1","text":"a","sender":"B","to":"2"}',
    b'{"to":"1","text":"a","sender":"B","unknown":1}',
    b'{"to":"1","text":"a",',
    b'"sender":"B"}',
    b'{"to":"1","text":"a","sender":"B"} {"to":"2","text":"a","sender":"B"}',
    b'{"to":"1","text":"\xff","sender":"B"}',
    b'{"to":"1","text":"a","sender":"B","traffic_class":"urgent"}',
)
DEFAULTS = (NO_DEFAULTS, Defaults(sender="Shop", traffic_class="service", ttl_ms=5, send_after=MOMENT))


def asked(dice: Random, share: float) -> dict[str, Any]:
    """A message with some of its fields; `share` of them are there."""
    fields = {name: dice.choice(values) for name, values in FIELDS.items() if dice.random() < share}
    return {"to": "+79001234567", "text": "Code", **fields}


def request_of(fields: dict[str, Any], defaults: Defaults) -> SendRequest | str:
    """What a message should become; the code of its refusal."""
    said = {name: value for name, value in fields.items() if value is not None}
    given = {name: getattr(defaults, name) for name in Defaults.__struct_fields__}
    both = {**{name: value for name, value in given.items() if value is not None}, **said}
    if "sender" not in both or "text" not in both:
        return "malformed"
    if not (url := both.get("callback_url", "https://")).startswith("https://"):
        return "callback_malformed"
    after = both.get("send_after")
    after = datetime.fromisoformat(after) if isinstance(after, str) else after
    return SendRequest(
        to=both["to"],
        text=both["text"],
        sender=both["sender"],
        traffic_class=TrafficClass[both.get("traffic_class", "transactional").upper()],
        client_ref=said.get("client_ref"),
        ttl_ms=both.get("ttl_ms", 0),
        send_after_ms=0 if after is None else int(after.timestamp() * 1000),
        source="shop",
        callback=Callback(url, 3) if "callback_url" in both else None,
    )


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_in_them_lines_are_read_as_one_by_one(seed: int) -> None:
    """Plain batches, which are read at once, and such with odd lines among them: requests and refusals are
    those of each line alone, in order; of good ones every field is what json says."""
    dice = Random(seed)
    for number in range(60):
        defaults = dice.choice(DEFAULTS)
        share = dice.choice((0.3, 0.9))
        bodies = [asked(dice, share) for _ in range(dice.randrange(1, 8))]
        lines = [json.dumps(each, ensure_ascii=dice.random() < 0.5).encode() for each in bodies]
        expected = [request_of(each, defaults) for each in bodies]
        found = read_lines(b"\n".join(lines) + b"\n" * dice.randrange(2), defaults, "shop")
        assert [each.code if isinstance(each, Refused) else each for each in found] == expected
        assert read_all([msgspec.Raw(line) for line in lines], defaults, "shop") == found
        if number % 2:
            lines += dice.choices(ODD, k=3)
            dice.shuffle(lines)
            alone = [read_message(line, defaults, "shop") for line in lines if line.strip()]
            assert read_lines(b"\n".join(lines), defaults, "shop") == alone


def test_a_message_over_several_lines_is_none_but_one_in_a_batch_is() -> None:
    """A line is a message; an element of a JSON array may be written as its sender likes."""
    body = b'{"to":"1",\n\n"text":"a","sender":"B"}'
    assert [type(each) for each in read_lines(body, NO_DEFAULTS, "")] == [Refused, Refused]
    found = read_all([msgspec.Raw(body)] * 2, NO_DEFAULTS, "")
    assert [type(each) for each in found] == [SendRequest, SendRequest]


@pytest.mark.parametrize("seed", range(5))
def test_pieces_hold_the_lines_whatever_the_reads(seed: int) -> None:
    """However octets come, lines and refusals are the same; no piece is larger than a line may be."""
    dice = Random(seed)
    line_max = dice.choice((20, 200, 2 * PIECE_OCTETS))
    sizes = [dice.choice((0, 1, 19, 20, 21, 200, 201, PIECE_OCTETS, PIECE_OCTETS + 1)) for _ in range(40)]
    octets = b"".join(b"x" * size + b"\n" for size in sizes) + b"x" * dice.choice((0, 5))
    expected = ["too long" if size > line_max else size for size in sizes if size]
    expected += [5] if octets.endswith(b"x") else []
    lines, found, at = Lines(line_max), [], 0
    while at < len(octets):
        some = dice.choice((1, 7, 1000, PIECE_OCTETS, 10 * PIECE_OCTETS))
        found += lines.feed(octets[at : at + some])
        at += some
    said: list[int | str] = []
    for piece in found + lines.end():
        if isinstance(piece, Refused):
            said.append("too long")
        else:
            assert len(piece) <= max(PIECE_OCTETS, line_max + 1)
            said += [len(line) for line in piece.split(b"\n") if line]
    assert said == expected


REFS = (None, "m1", "", 'a"b', "back\\", "новый", "\x00\x1f\x7f", "😀")


def verdicts(dice: Random) -> list[Accepted | Refused]:
    """Of all kinds."""
    found: list[Accepted | Refused] = []
    for _ in range(30):
        ref, segments = dice.choice(REFS), dice.choice((1, 9, 10, 99, 100, 255))
        octets = dice.randbytes(16)
        message = Message(1, octets, "7", "B", "t", 1, 1, 1, 0, segments, 1, (1,), ref)
        refused = Refused("number_limited", "too many", dice.choice(("to", "")), ref, dice.choice((0, 5)))
        found.append(dice.choice((Accepted(message), Accepted(message, is_repeated=True), refused)))
    return found


def told(verdict: Accepted | Refused, path: str) -> dict[str, Any]:
    """What is said of a verdict."""
    if isinstance(verdict, Refused):
        ref, wait_ms = verdict.client_ref, verdict.retry_after_ms
        said = {"title": "Too Many Requests", "status": 429, "code": verdict.code, "detail": verdict.detail}
        said |= (
            {"path": path + (f".{verdict.field}" if verdict.field else "")} if path or verdict.field else {}
        )
        return (
            said
            | ({"client_ref": ref} if ref is not None else {})
            | ({"retry_after_ms": 5} if wait_ms else {})
        )
    ref = verdict.message.client_ref
    said = {"message_id": uuid_text(verdict.message.message_id)}
    said |= {"client_ref": ref} if ref is not None else {}
    return said | {"segments": verdict.message.segments, "is_repeated": verdict.is_repeated}


@pytest.mark.parametrize("seed", range(5))
def test_answers_are_what_json_reads(seed: int) -> None:
    """A line a verdict, or elements of an array with paths from its first; in the form that is documented."""
    given = verdicts(Random(seed))
    lines = answers(given).split(b"\n")
    assert lines.pop() == b""
    for line, verdict in zip(lines, given, strict=True):
        path = "$" if isinstance(verdict, Refused) and verdict.field else ""
        assert json.loads(line) == told(verdict, path)
        form = Problem if isinstance(verdict, Refused) else MessageAccepted
        assert msgspec.json.encode(msgspec.json.decode(line, type=form)) == line
    array = json.loads(b"[" + results(given, 100) + b"]")
    assert array == [told(each, f"$.messages[{place}]") for place, each in enumerate(given, 100)]
    assert (answers([]), results([], 0)) == (b"", b"")


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 256, 5000])
def test_octets_are_counted(length: int) -> None:
    """Of every value, all alike and scattered, on both sides of a stretch."""
    dice = Random(length)
    for octets in (bytes([255]) * length, bytes(length), dice.randbytes(length), b'"' * length):
        for octet in (0, 34, 127, 128, 255):
            assert count_of(octets, octet) == octets.count(octet)


def test_a_program_s_slips_are_exceptions() -> None:
    """What is of another type is not read where its fields would lie."""
    with pytest.raises(AttributeError):
        Reader(Message, SendRequest, {}, len, len, len)  # type: ignore[arg-type]
    writer = Writer(Accepted, Message, msgspec.json.encode)
    with pytest.raises(TypeError, match="Message"):
        writer.write([Accepted(None)], lambda *_: b"", b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="message_id"):
        writer.write([Accepted(Message(1, b"", "7", "B", "t", 1, 1, 1, 0, 1, 1, ()))], lambda *_: b"", b"")


def walked(value: Any, depth: int = 1) -> tuple[int, int]:
    """Return how deep a value is nested, and the elements, less one each, of what is two deep."""
    if not isinstance(value, dict | list):
        return depth - 1, 0
    inner = list(value.values()) if isinstance(value, dict) else value
    deepest, commas = depth, max(0, len(inner) - 1) if depth == 2 else 0
    for each in inner:
        deep, more = walked(each, depth + 1)
        deepest, commas = max(deepest, deep), commas + more
    return deepest, commas


def made(dice: Random, depth: int) -> Any:
    """Return a value with strings full of what stands between values elsewhere."""
    kind = dice.randrange(6) if depth else 5
    if kind < 2:
        return [made(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind < 4:
        return {f'k{number}\\"': made(dice, depth - 1) for number in range(dice.randrange(4))}
    return dice.choice(['[{,:"', '\\\\"', "\\", "", '"', 5, None, "]}"])


@pytest.mark.parametrize("seed", range(5))
def test_the_shape_is_that_of_the_standard_library(seed: int) -> None:
    """Depth, names and commas outside of strings, whatever is escaped in these."""
    dice = Random(seed)
    for _ in range(2_000):
        value = made(dice, 6)
        octets = json.dumps(value, ensure_ascii=dice.random() < 0.5, indent=dice.choice((None, 1))).encode()
        names = len(value) if isinstance(value, dict) else 0
        deepest, commas = walked(value)
        assert shape(octets, 100, 1000) == (deepest, names, commas), octets


def test_the_shape_is_not_followed_beyond_its_limits() -> None:
    """Nor beyond the end of what is no JSON."""
    assert shape(b"[" * 500, 31, 10)[0] == 32
    assert shape(b'{"a":[' + b"1," * 500, 31, 10) == (2, 1, 11)
    for octets in (b"", b'"', b'"\\', b'"\\"', b"}}}}[[", b'{"a":"\\\\'):
        assert shape(octets, 31, 10)[0] <= 2
