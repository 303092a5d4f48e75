"""The door: what may come in, and as what. A batch of requests becomes messages, refusals and repetitions.

Law 8: a request that cannot go costs only itself. Nothing here waits or writes: the pipeline does. Requests
are judged in ext/admit.pyx; here is what is said to those that are refused, and what outlives a call.

Idempotency: a request with a key (its idempotency_key, else its client_ref) is a repetition if the same key
came within the window. Repetition means the same body too; another body is refused as a conflict. `Keys`
holds the last ones, also over a restart; how old a number is, is told by marks, one a minute.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from dispatcher._ext.admit import Batch, Judge
from dispatcher._ext.keys import Keys, key_hash
from dispatcher._ext.numbers import Normaliser
from dispatcher.carrier.profile import Profile
from dispatcher.carrier.schedule import N_MAX
from dispatcher.config import HOUR_MS, Config
from dispatcher.model import Accepted, Message, Refused, SendRequest, TrafficClass
from dispatcher.refusal import ALL_WAIT, SCHEDULE_FULL, Code, Refusal
from dispatcher.slips import plain
from dispatcher.store.records import packer

KEY_MAX: Final = 64
"""Characters of a client_ref or an idempotency_key: two UUIDs and a separator fit nearly, a text does not."""
KEYS_REMEMBERED: Final = 500_000
"""At least, of the window: 48 octets of memory each, and half a second of a restart."""
MARK_MS: Final = 60_000
"""How exactly it is known when a number was accepted: a key is remembered so much too long at most."""
LATER: Final = 4
"""In `closed`, behind the classes: whatever is to be sent later."""
_REFERENCES: Final = 1 << 16
_ENTROPY_OCTETS: Final = 5
"""Of each message: the random bits of its id."""
_NOT_CARRIED: Final = Refusal(Code.NO_ROUTE, "the carrier cannot send this", "to")
_SAID: Final = {
    "key_malformed": ("key_malformed", "", f"1 to {KEY_MAX} characters are possible"),
    "idempotency_conflict": (
        "idempotency_conflict",
        "idempotency_key",
        "this key came before with another body; a new message needs a new key",
    ),
    "overloaded": ("overloaded", "", "{1}; nothing is wrong with this message"),
    "schedule_full": ("overloaded", "", f"{SCHEDULE_FULL.reason}; nothing is wrong with this message"),
    "text_length": ("text_length", "text", "a text has 1 to {0:,} characters"),
    "send_after_malformed": (
        "send_after_malformed",
        "send_after_ms",
        "expected milliseconds of UTC from 1970; these may be seconds",
    ),
    "send_after_too_late": (
        "send_after_too_late",
        "send_after_ms",
        "more than a year ahead; expected milliseconds of UTC from 1970",
    ),
    "callback_not_possible": (
        "callback_not_possible",
        "callback",
        "the configuration does not enable callbacks",
    ),
    "ttl_out_of_range": (
        "ttl_out_of_range",
        "ttl_ms",
        "1 to {0:,} ms are possible for this traffic class",
    ),
    "no_route": (Code.NO_ROUTE, "to", "no route of the configuration fits this message"),
    "too_many_segments": (
        Code.TOO_MANY_SEGMENTS,
        "text",
        "the text needs {0[0]} segments, {0[1]} are allowed",
    ),
}
"""Why a request is refused: code, field, detail; {0} is what ext/admit.pyx gives with the word, {1} what
`why_shut` says of its class."""

Recall = Callable[[list[int], int], Awaitable[dict[int, tuple[int, int]]]]
"""(hashes of idempotency keys, up to which message they may be forgotten) -> of those that the store knows, n
and hash of the body."""
Route = Callable[[str, str, int, int], tuple[int, ...]]
"""(to, sender, traffic_class, n) -> numbers of carriers, best first none: no rule fits."""


class Admission:
    """Makes messages of requests. `entropy(k)` returns k random octets; numbers go on from `next_n`."""

    def __init__(
        self,
        config: Config,
        normalise: Normaliser,
        route: Route,
        profiles: Mapping[int, Profile],
        entropy: Callable[[int], bytes],
        next_n: int = 1,
    ) -> None:
        self.keys = Keys(KEYS_REMEMBERED)
        self.reorder: Callable[[Sequence[int], int, int], tuple[int, ...]] | None = None
        """(carriers, traffic_class, now_ms) -> carriers; set while some carrier is not fit."""
        self.why_shut: Callable[[int], str] = lambda traffic_class: ALL_WAIT.reason
        """(traffic_class) -> why it is closed, in words; asked of those that are."""
        self.next_n = next_n
        self.unread_n = 0
        """After a restart, keys of messages up to here were left in the store."""
        self.oldest_key_n = 1
        """Keys of earlier messages are outside the idempotency window: they may come again."""
        self._marks: deque[tuple[int, int]] = deque()
        """(when, n): numbers below n were accepted by then."""
        self._marked_ms = self._last_ms = 0
        self._entropy = entropy
        # A counter for all destinations that share a hash: two live messages to one never share a reference.
        references = entropy(2 * _REFERENCES)
        types = SendRequest, Message, Accepted, TrafficClass
        self._judge = Judge(self.keys, *types, plain, self._refuse, packer, references)
        self.configure(config, normalise, route, profiles)

    def configure(
        self,
        config: Config,
        normalise: Normaliser,
        route: Route,
        profiles: Mapping[int, Profile],
    ) -> None:
        """Take up a changed configuration."""
        self._batch_max = config.limits.batch_max
        self.window_ms = config.retention.idempotency_hours * HOUR_MS
        self._route = route
        self._profiles = profiles
        self._judge.configure(
            [config.classes[traffic_class] for traffic_class in TrafficClass],
            config.limits.text_max,
            config.callbacks.enabled,
            normalise,
            route,
            {number: profile.builder for number, profile in profiles.items()},
        )

    def admit(
        self,
        requests: Sequence[SendRequest],
        now_ms: int,
        closed: Sequence[int] = (0, 0, 0, 0, 0),
        given: list[tuple[bytes, int, int]] | None = None,
    ) -> Batch:
        """Look at each. `closed`: by class, then LATER: 0, or after how many milliseconds to come again.
        `given`: see Judge.admit."""
        self._forget(now_ms)
        some = requests[: self._batch_max]
        batch = self._judge.admit(
            some,
            now_ms,
            closed,
            self.oldest_key_n,
            self.next_n,
            self._entropy(_ENTROPY_OCTETS * len(some)),
            self.reorder,
            given,
        )
        self.next_n += len(batch.messages)
        batch.verdicts += self.too_many(requests[self._batch_max :])
        return batch

    def judge(
        self, request: SendRequest, now_ms: int, closed: Sequence[int] = (0, 0, 0, 0, 0)
    ) -> Message | Refused:
        """Say what `admit` would make of a request, without any effect; a repetition is judged anew."""
        found = self._judge.one(request, now_ms, closed, self.oldest_key_n, self.next_n)
        if isinstance(found, int):
            request = msgspec.structs.replace(request, client_ref=None, idempotency_key=None)
            found = self._judge.one(request, now_ms, closed, self.oldest_key_n, self.next_n)
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
        return self._judge.unknown_keys(requests)

    def is_known(self, request: SendRequest) -> bool:
        """Whether its key came of late: it would be a repetition, or a conflict."""
        key = request.client_ref if request.idempotency_key is None else request.idempotency_key
        known = None if key is None else self.keys.get(key_hash(key, request.source))
        return known is not None and known[0] >= self.oldest_key_n

    def recall(self, found: Mapping[int, tuple[int, int]]) -> None:
        """Take up what the store knows of unknown keys: n and hash of the body, by hash of the key."""
        for known, (n, body_hash) in found.items():
            self.keys.put(known, body_hash, n)

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

    def _refuse(self, why: str, request: SendRequest, given: Any) -> Refused:
        """Say why a request is refused; words and what is given with them are those of ext/admit.pyx."""
        refusal: Refusal | None = None
        if why == "number":
            refusal = given
        elif why == "not_carried":
            refusal = self._profiles[given].refusal(request) or _NOT_CARRIED
        if refusal is not None:
            return Refused(refusal.code, refusal.reason, refusal.field, request.client_ref)
        code, field, detail = _SAID[why]
        field = given if why == "key_malformed" else field
        retry_after_ms = given if code == "overloaded" else 0
        said = detail.format(given, self.why_shut(request.traffic_class) if why == "overloaded" else "")
        return Refused(code, said, field, request.client_ref, retry_after_ms)


def number_of(message_id: bytes) -> int:
    """Return the number in a message_id, which may be anybody's invention: compare the whole id."""
    return int.from_bytes(message_id[11:], "big") & N_MAX
