"""Bodies of requests and answers as values, and how octets become them.

Strict, and every error says where: an unknown field is refused with what comes close, a field that stands
twice is refused and not silently lost. Decoders are made once; a line of NDJSON goes straight into its value.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from dispatcher._ext.http import Reader, Writer, count_of
from dispatcher.convert import did_you_mean
from dispatcher.faces import ClassName
from dispatcher.ingest.problems import Problem, problem
from dispatcher.model import Accepted, Callback, Message, Refused, SendRequest, TrafficClass

T = TypeVar("T")

TTL_MAX_MS: Final = 31 * 86_400_000
"""Of any class: what a configuration may allow at most."""
URL_MAX: Final = 2_000
"""Characters of a callback's address: what every peer takes."""
CALLBACK_MASK: Final = 3
"""Delivered and not delivered: the ends."""

Text = str | None
Milliseconds = Annotated[int, Meta(ge=1, le=TTL_MAX_MS)]
Moment = Annotated[datetime, Meta(tz=True)]


class MessageIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One message as it is asked for. What is null or not there is as the batch's defaults say."""

    to: str
    """E.164 with or without +; national forms where a default country is configured."""
    text: Text = None
    sender: Text = None
    """A name, a short code or a number."""
    traffic_class: ClassName | None = None
    """transactional, if nobody says."""
    client_ref: Text = None
    """The sender's own name for it; the same one with the same body again is the same message."""
    ttl_ms: Milliseconds | None = None
    """How long it is worth sending."""
    send_after: Moment | None = None
    """RFC 3339: not before this time."""
    callback_url: Text = None
    """Told of this message's end."""


class Defaults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Of a batch: what its messages do not say themselves."""

    text: Text = None
    sender: Text = None
    traffic_class: ClassName | None = None
    ttl_ms: Milliseconds | None = None
    send_after: Moment | None = None
    callback_url: Text = None


class BatchIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A batch in one JSON body; its messages are read one by one, so that a bad one costs only itself."""

    messages: list[Raw]
    defaults: Raw | UnsetType = UNSET
    """`Defaults`, or null."""


class MessageAccepted(Struct, frozen=True, kw_only=True, gc=False):
    """A message is on disk and will reach exactly one outcome."""

    message_id: str
    client_ref: str | UnsetType = UNSET
    segments: int
    is_repeated: bool
    """It was accepted before, by the same key."""


class BatchOut(Struct, frozen=True, kw_only=True):
    """One result a message, in order."""

    results: list[MessageAccepted | Problem]


NO_DEFAULTS: Final = Defaults()
_QUOTE: Final = ord('"')
_NEWLINE: Final = ord("\n")
CLASSES: Final = {each.name.lower(): each for each in TrafficClass}
_message_decoder: Final = msgspec.json.Decoder(MessageIn)
_batch_decoder: Final = msgspec.json.Decoder(BatchIn)
_defaults_decoder: Final = msgspec.json.Decoder(Defaults | None)
encoder: Final = msgspec.json.Encoder()
"""Of all answers."""


def read_message(
    line: bytes | Raw, defaults: Defaults, source: str, key: str | None = None
) -> SendRequest | Refused:
    """Return the request that one JSON object asks for; `key`: the Idempotency-Key of a single one."""
    try:
        body = _message_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refused_by(error, MessageIn, line)
    (found,), quotes = _reader.read([body], defaults, source, key)
    # A name and a string have two quotes each; more than those are a quote in a text, a null, or one twice.
    if bytes(line).count(b'"') > quotes and has_duplicates(line):
        return Refused("duplicate_key", "a field stands in it twice", "", body.client_ref)
    return found


def read_lines(octets: bytes, defaults: Defaults, source: str) -> list[SendRequest | Refused]:
    """Return what whole lines ask for, one for each that is not empty."""
    lines = count_of(octets, _NEWLINE) + (not octets.endswith(b"\n"))
    try:
        bodies = _message_decoder.decode_lines(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        bodies = []
    if len(bodies) == lines:  # or one goes over several lines, or some are empty
        found, quotes = _reader.read(bodies, defaults, source)
        if count_of(octets, _QUOTE) == quotes:
            return found
    return [
        read_message(line, defaults, source) for line in octets.split(b"\n") if line and not line.isspace()
    ]


def read_all(bodies: list[Raw], defaults: Defaults, source: str) -> list[SendRequest | Refused]:
    """Return what each of the JSON objects asks for."""
    found = read_lines(b"\n".join(bodies), defaults, source)
    if len(found) == len(bodies):
        return found
    return [read_message(each, defaults, source) for each in bodies]


def read_batch(body: bytes, names: int) -> BatchIn | Refused:
    """Return a batch, its messages and defaults not read yet. `names`: so many stand in it, see
    _ext.http.shape."""
    try:
        batch = _batch_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refused_by(error, BatchIn, body)
    if names > 1 + bool(batch.defaults):
        return Refused("duplicate_key", "a field stands in it twice")
    return batch


def read_defaults(body: bytes | Raw) -> Defaults | Refused:
    """Return the defaults of a batch, or of a stream: the value of its query parameter ``defaults``."""
    try:
        found = _defaults_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refused_by(error, Defaults, body)
    if has_duplicates(body):
        return Refused("duplicate_key", "a field stands in it twice")
    return found or NO_DEFAULTS


def answers(verdicts: Iterable[Accepted | Refused]) -> bytes:
    """Return verdicts as they are told, a line each; a refusal's path starts at its own message."""
    return _writer.write(verdicts, lambda refused, _: encoder.encode(problem(refused)), b"\n")


def results(verdicts: Iterable[Accepted | Refused], start: int) -> bytes:
    """Return the elements of an array, whose first one is the message `start` of a batch."""

    def said(refused: Refused, place: int) -> bytes:
        told = problem(refused)
        path = told.path if isinstance(told.path, str) else "$"
        return encoder.encode(structs.replace(told, path=f"$.messages[{start + place}]{path[1:]}"))

    return _writer.write(verdicts, said, b",")[:-1]


_FIELD: Final = re.compile(
    r"Object (contains unknown|missing required) field `(.*?)`(?: - at `\$\.?(.*)`)?\Z", re.S
)
_AT: Final = re.compile(r"(.*?)(?: - at `\$\.?(.*?)`)?\Z", re.S)
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LIKE_A_FIELD: Final = re.compile(r"[A-Za-z_-]{1,40}[0-9]{0,3}")
"""An unknown name that is said again; another may be a number or a text in a wrong place (law 11)."""


def refused_by(error: Exception, struct: type[Struct], body: bytes | Raw) -> Refused:
    """Return what a decoder complains of: `field` is the path behind ``$.``."""
    if isinstance(error, RecursionError):
        return Refused("too_deep", "it is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Refused("malformed", "it is not UTF-8")
    said = str(error)
    if (found := _FIELD.match(said)) is not None:
        kind, name, above = found.groups()
        shown = name if _LIKE_A_FIELD.fullmatch(name) else "?"
        path = f"{above}.{shown}" if above else shown
        if kind == "missing required":
            return Refused("malformed", "it is missing", path)
        known = _known(struct)
        return Refused("malformed", f"unknown field{did_you_mean(name, known)}", path)
    what, path = _AT.match(said).groups(default="")  # type: ignore[union-attr]
    if path.rpartition(".")[2] == "traffic_class" and what.startswith("Invalid enum"):
        word = what.partition("'")[2].rstrip("'")
        return Refused("malformed", f"no traffic class{did_you_mean(word, CLASSES)}", path)
    if what.startswith("Input data was truncated"):
        is_half = _HALF.search(bytes(body)) is not None
        what = "an escape is half of a surrogate pair" if is_half else "the JSON ends too early"
    return Refused("malformed", what.replace("`", ""), path)


def _moment_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _callback(url: str) -> Callback | None:
    return Callback(url, CALLBACK_MASK) if _is_url(url) else None


def _wrong(field: str, client_ref: str | None) -> Refused:
    if field != "callback":
        return Refused("malformed", "it is missing", field, client_ref)
    detail = f"an http or https address of up to {URL_MAX:,} characters is expected"
    return Refused("callback_malformed", detail, field, client_ref)


_reader: Final = Reader(MessageIn, SendRequest, CLASSES, _moment_ms, _callback, _wrong)
_writer: Final = Writer(Accepted, Message, encoder.encode)


def _known(struct: type[Struct]) -> Sequence[str]:
    return struct.__struct_fields__


def _is_url(text: str) -> bool:
    return len(text) <= URL_MAX and re.fullmatch(r"https?://[!-~]+", text) is not None


# ---- what JSON leaves open ----


class _TwiceError(Exception):
    """A name stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _TwiceError


def has_duplicates(body: bytes | Raw) -> bool:
    """Whether a name stands twice in one object of sound JSON. Slow: five microseconds a message."""
    try:
        json.loads(bytes(body), object_pairs_hook=_once)
    except _TwiceError:
        return True
    except (ValueError, RecursionError):  # stricter than ours in something else: say nothing
        return False
    return False
