"""The door: what may come in, and as what. A batch of requests becomes messages, refusals and repetitions.

Law 8: a request that cannot go costs only itself. Nothing here waits or writes: the pipeline does.

Idempotency: a request with a key (its idempotency_key, else its client_ref) is a repetition if the same key
came within the window. Repetition means the same body too; another body is refused as a conflict. `Keys`
holds the last ones, also over a restart; how old a number is, is told by marks, one a minute.
"""

from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import msgspec

from dispatcher._ext.keys import Keys, message_id
from dispatcher.carrier.profile import Profile
from dispatcher.carrier.schedule import N_MAX
from dispatcher.config import HOUR_MS, Config
from dispatcher.model import Accepted, Message, Refused, SendRequest
from dispatcher.refusal import Code, Refusal
from dispatcher.slips import flaw

KEY_MAX: Final = 64
"""Characters of a client_ref or an idempotency_key: two UUIDs and a separator fit nearly, a text does not."""
KEYS_REMEMBERED: Final = 500_000
"""At least, of the window: 48 octets of memory each, and half a second of a restart."""
MARK_MS: Final = 60_000
"""How exactly it is known when a number was accepted: a key is remembered so much too long at most."""
LATER: Final = 4
"""In `closed`, behind the classes: whatever is to be sent later."""
SEND_AFTER_MIN_MS: Final = 100_000_000_000
"""1973: what is less was meant as seconds."""
SEND_AFTER_MAX_MS: Final = 366 * 86_400_000
"""A year ahead: later is a slip of units (seconds for milliseconds)."""
_REFERENCES: Final = 1 << 16
_NO_ROUTE: Final = Refusal(Code.NO_ROUTE, "no route of the configuration fits this message", "to")

Recall = Callable[[list[int], int], Awaitable[dict[int, tuple[int, int]]]]
"""(hashes of idempotency keys, up to which message they may be forgotten) -> of those that the store knows, n
and hash of the body."""
Route = Callable[[str, str, int, int], tuple[int, ...]]
"""(to, sender, traffic_class, n) -> numbers of carriers, best first none: no rule fits."""


@dataclass(slots=True)
class Batch:
    """What became of a batch; the lists of messages run in parallel."""

    verdicts: list[Accepted | Refused | None]
    messages: list[Message] = field(default_factory=list)
    frames: list[list[bytes]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    """Of each message in `verdicts`."""
    repeats: list[tuple[int, int]] = field(default_factory=list)
    """(place, n) of what was accepted before: the verdict is to be filled in."""

    def by_queue(self) -> dict[tuple[int, int], tuple[list[Message], list[list[bytes]]]]:
        """Divide messages and frames of what can go at once by (carrier, class), in order."""
        groups: dict[tuple[int, int], tuple[list[Message], list[list[bytes]]]] = {}
        for message, frames in zip(self.messages, self.frames, strict=True):
            if message.send_after_ms:
                continue
            key = (message.carriers[0], message.traffic_class)
            group = groups.get(key)
            if group is None:
                group = groups[key] = ([], [])
            group[0].append(message)
            group[1].append(frames)
        return groups


class Admission:
    """Makes messages of requests. `entropy(k)` returns k random octets; numbers go on from `next_n`."""

    def __init__(
        self,
        config: Config,
        normalise: Callable[[str], str | Refusal],
        route: Route,
        profiles: Mapping[int, Profile],
        entropy: Callable[[int], bytes],
        next_n: int = 1,
    ) -> None:
        self.keys = Keys(KEYS_REMEMBERED)
        self.reorder: Callable[[Sequence[int], int, int], tuple[int, ...]] | None = None
        """(carriers, traffic_class, now_ms) -> carriers; set while some carrier is not fit."""
        self.next_n = next_n
        self.unread_n = 0
        """After a restart, keys of messages up to here were left in the store."""
        self.oldest_key_n = 1
        """Keys of earlier messages are outside the idempotency window: they may come again."""
        self._marks: deque[tuple[int, int]] = deque()
        """(when, n): numbers below n were accepted by then."""
        self._marked_ms = self._last_ms = 0
        self.configure(config, normalise, route, profiles)
        self._entropy = entropy
        # A counter for all destinations that share a hash: two live messages to one never share a reference.
        self._references = array("H", entropy(2 * _REFERENCES))

    def configure(
        self,
        config: Config,
        normalise: Callable[[str], str | Refusal],
        route: Route,
        profiles: Mapping[int, Profile],
    ) -> None:
        """Take up a changed configuration."""
        self._policies = tuple(config.classes[traffic_class] for traffic_class in range(4))
        self._text_max = config.limits.text_max
        self._takes_callbacks = config.callbacks.enabled
        self._batch_max = config.limits.batch_max
        self.window_ms = config.retention.idempotency_hours * HOUR_MS
        self._normalise = normalise
        self._route = route
        self._profiles = profiles

    def admit(
        self, requests: Sequence[SendRequest], now_ms: int, closed: Sequence[int] = (0, 0, 0, 0, 0)
    ) -> Batch:
        """Look at each. `closed`: by class, then LATER: 0, or after how many milliseconds to come again."""
        batch = Batch([None] * len(requests))
        self._forget(now_ms)
        entropy = self._entropy(5 * len(requests))
        for place, request in enumerate(requests):
            if place == self._batch_max:
                batch.verdicts[place:] = self.too_many(requests[place:])
                break
            random_bits = int.from_bytes(entropy[5 * place : 5 * place + 5], "little")
            found = self._admit(request, now_ms, random_bits, closed, batch)
            if isinstance(found, Refused):
                batch.verdicts[place] = found
            elif isinstance(found, int):
                batch.repeats.append((place, found))
            else:
                batch.places.append(place)
                batch.verdicts[place] = Accepted(found)
        return batch

    def judge(
        self, request: SendRequest, now_ms: int, closed: Sequence[int] = (0, 0, 0, 0, 0)
    ) -> Message | Refused:
        """Say what `admit` would make of a request, without any effect; a repetition is judged anew."""
        found = self._admit(request, now_ms, 0, closed, None)
        if isinstance(found, int):
            request = msgspec.structs.replace(request, client_ref=None, idempotency_key=None)
            found = self._admit(request, now_ms, 0, closed, None)
            assert not isinstance(found, int)
        return found

    def too_many(self, rest: Iterable[SendRequest]) -> list[Refused]:
        """Refuse what is beyond the largest batch."""
        detail = f"{self._batch_max:,} messages may come at a time; give the rest in another call"
        return [Refused("batch_too_large", detail, "", getattr(each, "client_ref", None)) for each in rest]

    @property
    def forgotten_n(self) -> int:
        """Keys of messages up to here may be in the store only; 0: all within the window are known here."""
        n = max(self.keys.forgotten_n, self.unread_n)
        return n if n >= self.oldest_key_n else 0

    def unknown_keys(self, requests: Iterable[SendRequest]) -> list[int]:
        """Return the hashes of keys that are not known here."""
        keys = [
            (each.idempotency_key or each.client_ref, each.source) for each in requests if flaw(each) is None
        ]
        hashes = [_hash(key, source) for key, source in keys if key]
        return [key_hash for key_hash in hashes if self.keys.get(key_hash) is None]

    def is_known(self, request: SendRequest) -> bool:
        """Whether its key came of late: it would be a repetition, or a conflict."""
        key = request.client_ref if request.idempotency_key is None else request.idempotency_key
        known = None if key is None else self.keys.get(_hash(key, request.source))
        return known is not None and known[0] >= self.oldest_key_n

    def recall(self, found: Mapping[int, tuple[int, int]]) -> None:
        """Take up what the store knows of unknown keys: n and hash of the body, by hash of the key."""
        for key_hash, (n, body_hash) in found.items():
            self.keys.put(key_hash, body_hash, n)

    def remember(self, messages: Iterable[Message]) -> None:
        """After a restart: take up the keys of what was accepted before, oldest first."""
        for message in messages:
            self._mark(message.accepted_ms, message.n)
            if message.key_hash:
                self.keys.put(message.key_hash, message.body_hash, message.n)

    def _forget(self, now_ms: int) -> None:
        """Let go of keys that are older than the window."""
        self._mark(now_ms, self.next_n)
        while self._marks and self._marks[0][0] <= now_ms - self.window_ms:
            self.oldest_key_n = max(self.oldest_key_n, self._marks.popleft()[1])

    def _mark(self, now_ms: int, n: int) -> None:
        if self._last_ms and now_ms - self._marked_ms >= MARK_MS:
            self._marks.append((self._last_ms, n))
            self._marked_ms = now_ms
        self._last_ms = now_ms

    def route_of(self, message: Message) -> tuple[int, ...]:
        """Return the carriers that the rules of today give a message."""
        return self._route(message.to, message.sender, message.traffic_class, message.n)

    def take_back(self, batch: Batch, code: str, detail: str, retry_after_ms: int) -> None:
        """Refuse after all what could not be written."""
        for place, message in zip(batch.places, batch.messages, strict=True):
            if message.key_hash:
                self.keys.drop(message.key_hash, message.n)
            batch.verdicts[place] = Refused(code, detail, "", message.client_ref, retry_after_ms)
        batch.messages.clear()

    def _admit(
        self, request: SendRequest, now_ms: int, random_bits: int, closed: Sequence[int], batch: Batch | None
    ) -> Refused | int | Message:
        """Without a batch it is a dry run, which changes nothing."""
        if (slip := flaw(request)) is not None:
            return slip
        traffic_class = request.traffic_class
        policy = self._policies[traffic_class]
        key_hash = body_hash = 0
        key = request.client_ref if request.idempotency_key is None else request.idempotency_key
        if key is not None:
            if not 0 < len(key) <= KEY_MAX:
                name = "client_ref" if request.idempotency_key is None else "idempotency_key"
                detail = f"1 to {KEY_MAX} characters are possible"
                return Refused("key_malformed", detail, name, request.client_ref)
            key_hash, body_hash = _hash(key, request.source), _hash_of_body(request)
            if (known := self.keys.get(key_hash)) is not None and known[0] >= self.oldest_key_n:
                return known[0] if known[1] == body_hash else _conflict(request)
        if closed[traffic_class]:
            detail = "too much is waiting, the disk is full, or we are closing: nothing is wrong with it"
            return Refused("overloaded", detail, "", request.client_ref, closed[traffic_class])
        to = self._normalise(request.to)
        if isinstance(to, Refusal):
            return _refused(request, to)
        text = request.text
        if not text or len(text) > self._text_max:
            detail = f"a text has 1 to {self._text_max:,} characters"
            return Refused("text_length", detail, "text", request.client_ref)
        sends_ms = request.send_after_ms
        if sends_ms < 0 or 0 < sends_ms < SEND_AFTER_MIN_MS:
            detail = "expected milliseconds of UTC from 1970; these may be seconds"
            return Refused("send_after_malformed", detail, "send_after_ms", request.client_ref)
        if sends_ms <= now_ms:
            sends_ms = 0
        elif sends_ms > now_ms + SEND_AFTER_MAX_MS:
            detail = "more than a year ahead; expected milliseconds of UTC from 1970"
            return Refused("send_after_too_late", detail, "send_after_ms", request.client_ref)
        elif closed[LATER]:
            detail = "too much waits for its time already; nothing is wrong with this message"
            return Refused("overloaded", detail, "", request.client_ref, closed[LATER])
        if request.callback is not None and not self._takes_callbacks:
            detail = "the configuration does not enable callbacks"
            return Refused("callback_not_possible", detail, "callback", request.client_ref)
        ttl_ms = request.ttl_ms or policy.ttl_ms
        if not 0 < ttl_ms <= policy.ttl_max_ms:
            detail = f"1 to {policy.ttl_max_ms:,} ms are possible for this traffic class"
            return Refused("ttl_out_of_range", detail, "ttl_ms", request.client_ref)
        n = self.next_n
        carriers = self._route(to, request.sender, traffic_class, n)
        if not carriers:
            return _refused(request, _NO_ROUTE)
        if self.reorder is not None and batch is not None:
            carriers = self.reorder(carriers, traffic_class, now_ms)
        slot = hash(to) & (_REFERENCES - 1)
        reference = self._references[slot]
        message = Message(
            n,
            message_id(now_ms, n, random_bits),
            to,
            request.sender,
            text,
            traffic_class,
            now_ms,
            (sends_ms or now_ms) + ttl_ms,
            sends_ms,
            1,
            reference,
            carriers,
            request.client_ref,
            key_hash,
            body_hash,
            request.source,
            request.callback,
        )
        profile = self._profiles[carriers[0]]
        frames = profile.frames(message, now_ms)
        if len(frames) != 1:
            if not frames:
                refusal = profile.refusal(message)
                return _refused(
                    request, refusal or Refusal(Code.NO_ROUTE, "the carrier cannot send this", "to")
                )
            if len(frames) > policy.max_segments:
                detail = f"the text needs {len(frames)} segments, {policy.max_segments} are allowed"
                return Refused(Code.TOO_MANY_SEGMENTS, detail, "text", request.client_ref)
            if batch is not None:
                self._references[slot] = reference + 1 & 0xFFFF
            message = with_segments(message, len(frames))
        if batch is None:
            return message
        self.next_n = n + 1
        if key_hash:
            self.keys.put(key_hash, body_hash, n)
        batch.messages.append(message)
        batch.frames.append(frames)
        return message


def number_of(message_id: bytes) -> int:
    """Return the number in a message_id, which may be anybody's invention: compare the whole id."""
    return int.from_bytes(message_id[11:], "big") & N_MAX


def with_segments(message: Message, segments: int) -> Message:
    """Return the message with its number of segments."""
    values = [getattr(message, name) for name in Message.__struct_fields__]
    values[_SEGMENTS] = segments
    return Message(*values)


_SEGMENTS: Final = Message.__struct_fields__.index("segments")


def _hash(key: str, source: str = "") -> int:
    """Return that of a key among the keys of its source."""
    if source:
        key = f"{source}\0{key}"
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _hash_of_body(request: SendRequest) -> int:
    numbers = f"{request.traffic_class:d} {request.ttl_ms} {request.send_after_ms}"
    body = f"{request.to}\0{request.sender}\0{numbers}\0{request.text}"
    if (callback := request.callback) is not None:
        body = f"{callback.mask} {callback.url}\0{body}"
    return _hash(body)


def _refused(request: SendRequest, refusal: Refusal) -> Refused:
    return Refused(refusal.code, refusal.reason, refusal.field, request.client_ref)


def _conflict(request: SendRequest) -> Refused:
    detail = "this key came before with another body; a new message needs a new key"
    return Refused("idempotency_conflict", detail, "idempotency_key", request.client_ref)
