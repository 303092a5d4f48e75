"""From requests to verdicts: what a key may send, how fast one sender may go, and then the dispatcher.

Shared by all that comes over HTTP. A request that cannot go costs only itself (law 8).
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from dispatcher.errors import OverloadedError, StoreError
from dispatcher.faces import Http
from dispatcher.ingest.door import Door
from dispatcher.ingest.keys import ApiKey
from dispatcher.model import Accepted, Refused, SendRequest, TrafficClass
from dispatcher.policy.pace import NumberPace, Rate

SLICE: Final = 500
"""Messages read, admitted and answered in one turn of the loop: two milliseconds."""
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
            self._paces, self._pace, self._has_pace = paces, NumberPace(*paces), any(paces)

    async def take(
        self, caller: Caller, asked: Sequence[SendRequest | Refused]
    ) -> Sequence[Accepted | Refused]:
        """Return in order what became of each; what was refused while it was read stays so."""
        verdicts: list[Accepted | Refused | None] = [None] * len(asked)
        places: list[int] = []
        going: list[SendRequest] = []
        now_ms = self._clock_ms()
        left = self._tokens(caller, len(asked), now_ms)
        for place, request in enumerate(asked):
            if isinstance(request, Refused):
                verdicts[place] = request
            elif (refused := self._judge(caller, request, left, now_ms)) is not None:
                verdicts[place] = refused
            else:
                left -= 1
                places.append(place)
                going.append(request)
        if caller.rate and left:
            self._rates[caller.key_id].put_back(left)
        if going:
            for place, request, verdict in zip(places, going, await self._send(going), strict=True):
                verdicts[place] = verdict
                if self._has_pace and (isinstance(verdict, Refused) or verdict.is_repeated):
                    self._pace.give_back(request.source, request.to)
        self._count(verdicts)  # type: ignore[arg-type]
        return verdicts  # type: ignore[return-value]  # none is None any more

    def _judge(self, caller: Caller, request: SendRequest, left: int, now_ms: int) -> Refused | None:
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
            if self.door.is_known(request):  # a repetition sends nothing: it is told what became of the first
                self._pace.force(request.source, request.to)
                return None
            detail = (
                f"to one number {self._pace.per_minute} a minute and {self._pace.per_hour} an hour may go"
            )
            return Refused("number_limited", detail, "to", request.client_ref, wait_ms)
        return None

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

    def _count(self, verdicts: Sequence[Accepted | Refused]) -> None:
        for each in verdicts:
            if isinstance(each, Refused):
                self.refused[each.code] += 1
            elif each.is_repeated:
                self.repeated += 1
            else:
                self.accepted += 1
