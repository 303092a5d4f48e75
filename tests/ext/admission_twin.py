"""The door once more, slow and plain: every rule in its order, with hashlib, dicts and uuid's own words.

Frames are asked of the profile, digits of the normaliser: these have oracles of their own.
"""

from array import array
from hashlib import blake2b
from typing import Any

from dispatcher.carrier.profile import Profile
from dispatcher.config import Config
from dispatcher.model import Message, Refused, SendRequest, TrafficClass
from dispatcher.refusal import Refusal
from dispatcher.routing.numbers import normaliser
from dispatcher.slips import flaw

YEAR_MS = 366 * 86_400_000
IN_1973_MS = 100_000_000_000


def digest(text: str) -> int:
    """BLAKE2b of 64 bits, as a number."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def uuid7(now_ms: int, n: int, random_bits: int) -> bytes:
    """RFC 9562, 5.7."""
    whole = now_ms << 80 | 7 << 76 | (random_bits >> 22 & 0xFFF) << 64
    whole |= 2 << 62 | (random_bits & 0x3FFFFF) << 40 | n
    return whole.to_bytes(16, "big")


class Twin:
    """One carrier, number 1, that every rule leads to; but what ends with 9 fits none."""

    def __init__(self, config: Config, profile: Profile, references: bytes) -> None:
        self.config = config
        self.profile = profile
        self.next_n = 1
        self.known: dict[int, tuple[int, int]] = {}
        self.references = array("H", references)
        self.normalise = normaliser(config.default_country)

    def admit(
        self, requests: list[Any], now_ms: int, closed: tuple[int, ...], entropy: bytes
    ) -> list[Refused | int | tuple[Message, list[bytes]]]:
        """Judge each."""
        found = []
        for place, request in enumerate(requests):
            bits = int.from_bytes(entropy[5 * place : 5 * place + 5], "little")
            found.append(self.one(request, now_ms, closed, bits))
        return found

    def unknown(self, requests: list[Any]) -> list[int]:
        """Hashes of keys that never came."""
        keys = [
            (each.client_ref if each.idempotency_key is None else each.idempotency_key, each.source)
            for each in requests
            if flaw(each) is None
        ]
        hashes = [digest(f"{source}\0{key}" if source else key) for key, source in keys if key]
        return [each for each in hashes if each not in self.known]

    def one(
        self, request: Any, now_ms: int, closed: tuple[int, ...], bits: int
    ) -> Refused | int | tuple[Message, list[bytes]]:
        """Judge one."""
        if (slip := flaw(request)) is not None:
            return slip

        def refused(code: str, field: str, retry_after_ms: int = 0) -> Refused:
            return Refused(code, "", field, request.client_ref, retry_after_ms)

        policy = self.config.classes[TrafficClass(request.traffic_class)]
        key = request.idempotency_key
        name = "client_ref" if key is None else "idempotency_key"
        key = request.client_ref if key is None else key
        key_hash = body_hash = 0
        if key is not None:
            if key == "" or len(key) > 64:
                return refused("key_malformed", name)
            key_hash = digest(f"{request.source}\0{key}" if request.source else key)
            body_hash = digest(self.body(request))
            if key_hash in self.known:
                n, its_body = self.known[key_hash]
                return n if its_body == body_hash else refused("idempotency_conflict", "idempotency_key")
        if closed[request.traffic_class]:
            return refused("overloaded", "", closed[request.traffic_class])
        to = self.normalise(str(request.to))
        if isinstance(to, Refusal):
            return refused(to.code, to.field)
        if not 1 <= len(request.text) <= self.config.limits.text_max:
            return refused("text_length", "text")
        sends_ms = request.send_after_ms
        if sends_ms < 0 or 0 < sends_ms < IN_1973_MS:
            return refused("send_after_malformed", "send_after_ms")
        if sends_ms > now_ms + YEAR_MS:
            return refused("send_after_too_late", "send_after_ms")
        if sends_ms <= now_ms:
            sends_ms = 0
        elif closed[4]:
            return refused("overloaded", "", closed[4])
        if request.callback is not None and not self.config.callbacks.enabled:
            return refused("callback_not_possible", "callback")
        ttl_ms = request.ttl_ms or policy.ttl_ms
        if not 0 < ttl_ms <= policy.ttl_max_ms:
            return refused("ttl_out_of_range", "ttl_ms")
        if to.endswith("9"):
            return refused("no_route", "to")
        slot = hash(to) % 65_536
        message = Message(
            self.next_n,
            uuid7(now_ms, self.next_n, bits),
            to,
            str(request.sender),
            str(request.text),
            request.traffic_class,
            now_ms,
            (sends_ms or now_ms) + ttl_ms,
            sends_ms,
            1,
            self.references[slot],
            (1,),
            request.client_ref,
            key_hash,
            body_hash,
            request.source,
            request.callback,
            request.traceparent,
        )
        frames = self.profile.frames(message, now_ms)
        if not frames:
            refusal = self.profile.refusal(message)
            assert refusal is not None
            return refused(refusal.code, refusal.field)
        if len(frames) > policy.max_segments:
            return refused("too_many_segments", "text")
        if len(frames) > 1:
            self.references[slot] = (self.references[slot] + 1) % 65_536
        self.next_n += 1
        if key_hash:
            self.known[key_hash] = message.n, body_hash
        fields = {name: getattr(message, name) for name in Message.__struct_fields__}
        return Message(**{**fields, "segments": len(frames)}), frames

    @staticmethod
    def body(request: SendRequest) -> str:
        """What tells a repetition from a conflict."""
        numbers = f"{request.traffic_class:d} {request.ttl_ms} {request.send_after_ms}"
        body = f"{request.to}\0{request.sender}\0{numbers}\0{request.text}"
        if request.callback is not None:
            body = f"{request.callback.mask} {request.callback.url}\0{body}"
        return body
