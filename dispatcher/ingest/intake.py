"""From requests to verdicts: what a key may send, how fast one sender may go, and then the dispatcher.

Shared by all that comes over HTTP. A request that cannot go costs only itself (law 8).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar, cast

from msgspec import Struct

from dispatcher.errors import OverloadedError, StoreError
from dispatcher.faces import Http
from dispatcher.ingest.door import Door
from dispatcher.ingest.keys import ApiKey
from dispatcher.model import Accepted, Refused, SendRequest, TrafficClass
from dispatcher.policy.pace import Rate, number_pace

_T = TypeVar("_T")

SLICE: Final = 500
"""Messages read, admitted and answered in one turn of the loop: two milliseconds."""
REST_SHARE: Final = 4
"""A rest of less than such a part of a slice goes with the one before: each has a commit, and its price."""
CLOSING_RETRY_MS: Final = 10_000
"""What those are told who come while we drain: a restart takes a few seconds."""
STORE_RETRY_MS: Final = 5_000
"""The same of a journal that has failed: the process is started anew."""


class Caller(Struct, frozen=True):
    """Who asks."""

    source: str = ""
    senders: frozenset[str] = frozenset()
    """Allowed ones; empty: any."""
    traffic_classes: frozenset[TrafficClass] = frozenset()
    rate: float = 0.0
    may_read_all: bool = True
    key_id: str = ""

    def may_see(self, source: str) -> bool:
        """Whether messages of this source are his business."""
        return self.may_read_all or source == self.source


ANYBODY: Final = Caller()
"""Who comes without a key, where that is allowed: on loopback."""


def caller_of(key: ApiKey) -> Caller:
    """Return who comes with a key."""
    return Caller(
        key.name,
        frozenset(key.senders),
        frozenset(TrafficClass[name.upper()] for name in key.traffic_classes),
        key.rate,
        key.may_read_all,
        key.id,
    )


class Intake:
    """Where all doors over HTTP meet. `clock_ms` is monotonic."""

    def __init__(
        self, door: Door, http: Http, clock_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    ) -> None:
        self.door = door
        self.is_draining = False
        """Nothing new is taken any more."""
        self.refused: Counter[str] = Counter()
        """By code, since the start."""
        self.accepted = 0
        self.repeated = 0
        self._rates: dict[str, Rate] = {}
        self._clock_ms = clock_ms
        self._paces = (-1, -1)
        self.configure(http)

    def configure(self, http: Http) -> None:
        """Take up changed limits; numbers are counted anew then."""
        if (paces := (http.per_number_minute_max, http.per_number_hour_max)) != self._paces:
            self._paces, self._pace, self._has_pace = paces, number_pace(*paces), any(paces)

    async def take(
        self, caller: Caller, asked: Sequence[SendRequest | Refused]
    ) -> Sequence[Accepted | Refused]:
        """Return in order what became of each; what was refused while it was read stays so."""
        now_ms = self._clock_ms()
        left = self._tokens(caller, len(asked), now_ms)
        judged = self._judge_all(caller, asked, left, now_ms)
        refused = _refused_of(judged)
        going = _requests_of(judged) if refused else cast(list[SendRequest], judged)
        if caller.rate and left > len(going):
            self._rates[caller.key_id].put_back(left - len(going))
        verdicts = await self._send(going) if going else []
        self._count(going, verdicts)
        if not refused:
            return verdicts
        self.refused.update(each.code for each in refused)
        following = iter(verdicts)
        return [each if isinstance(each, Refused) else next(following) for each in judged]

    def _judge_all(
        self, caller: Caller, asked: Sequence[SendRequest | Refused], left: int, now_ms: int
    ) -> list[SendRequest | Refused]:
        """Return of each itself, if it may go, or why not. `left`: so many may, by the rate of the caller."""
        judged = list(asked)
        if left >= len(asked) and not _refused_of(asked):
            requests = cast(list[SendRequest], judged)
            if self._are_free(caller, requests):  # only the pace can stop one
                for place, wait_ms in self._pace.take_all(requests, now_ms) if self._has_pace else ():
                    judged[place] = self._limited(requests[place], wait_ms)
                return judged
        judged.clear()
        for each in asked:
            one = each if isinstance(each, Refused) else self._judge(caller, each, left, now_ms)
            left -= not isinstance(one, Refused)
            judged.append(one)
        return judged

    def _are_free(self, caller: Caller, requests: list[SendRequest]) -> bool:
        """Whether nothing of what `_judge` asks first stops any of them."""
        senders, classes = caller.senders, caller.traffic_classes
        return (
            not self.is_draining
            and (not senders or senders.issuperset([each.sender for each in requests]))
            and (not classes or classes.issuperset([each.traffic_class for each in requests]))
        )

    def _judge(self, caller: Caller, request: SendRequest, left: int, now_ms: int) -> SendRequest | Refused:
        if self.is_draining:
            detail = "the dispatcher is closing; nothing is wrong with this message"
            return Refused("closing", detail, "", request.client_ref, CLOSING_RETRY_MS)
        if caller.senders and request.sender not in caller.senders:
            return Refused("sender_not_allowed", "not with this key", "sender", request.client_ref)
        if caller.traffic_classes and request.traffic_class not in caller.traffic_classes:
            return Refused("class_not_allowed", "not with this key", "traffic_class", request.client_ref)
        if left <= 0:
            detail = f"this key may send {caller.rate:g} messages a second"
            wait_ms = self._rates[caller.key_id].wait_ms
            return Refused("rate_limited", detail, "", request.client_ref, wait_ms)
        if self._has_pace and (wait_ms := self._pace.take(request.source, request.to, now_ms)):
            return self._limited(request, wait_ms)
        return request

    def _limited(self, request: SendRequest, wait_ms: int) -> SendRequest | Refused:
        """Say what becomes of a request beyond the pace of its number."""
        if self.door.is_known(request):  # a repetition sends nothing: it is told what became of the first
            self._pace.force(request.source, request.to)
            return request
        detail = f"to one number {self._pace.per_minute} a minute and {self._pace.per_hour} an hour may go"
        return Refused("number_limited", detail, "to", request.client_ref, wait_ms)

    def _tokens(self, caller: Caller, wanted: int, now_ms: int) -> int:
        if not caller.rate:
            return wanted
        rate = self._rates.get(caller.key_id)
        if rate is None or rate.per_second != caller.rate:
            rate = self._rates[caller.key_id] = Rate(caller.rate, now_ms)
        return rate.take(wanted, now_ms)

    async def _send(self, going: list[SendRequest]) -> list[Accepted | Refused]:
        try:
            return await self.door.send(going)
        except OverloadedError as error:
            code, detail, wait_ms = "overloaded", str(error), error.retry_after_ms
        except StoreError:
            code, wait_ms = "store_failed", STORE_RETRY_MS
            detail = "the journal has failed; ask again with the same key: what is on disk is not taken twice"
        return [Refused(code, detail, "", each.client_ref, wait_ms) for each in going]

    def _count(self, going: list[SendRequest], verdicts: list[Accepted | Refused]) -> None:
        """Count verdicts; what sends nothing new does not count for its number."""
        odd = self._pace.settle(going, verdicts)
        self.accepted += len(going) - len(odd)
        for verdict in odd:
            if isinstance(verdict, Refused):
                self.refused[verdict.code] += 1
            else:
                self.repeated += 1


def slices(asked: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Cut what was asked into slices."""
    start = 0
    while start < len(asked):
        end = start + SLICE
        if len(asked) - end < SLICE // REST_SHARE:
            end = len(asked)
        yield asked[start:end]
        start = end


def _refused_of(judged: Sequence[SendRequest | Refused]) -> list[Refused]:
    if Refused not in map(type, judged):  # mostly: a fifth of what it takes to ask each
        return []
    return [each for each in judged if isinstance(each, Refused)]


def _requests_of(judged: Sequence[SendRequest | Refused]) -> list[SendRequest]:
    return [each for each in judged if not isinstance(each, Refused)]
