"""Slips of a program that calls us: a field of a type that cannot be, which types alone do not stop."""

from typing import Any, Final

from dispatcher.model import Callback, Refused, SendRequest, TrafficClass

_INTEGERS: Final = ("ttl_ms", "send_after_ms")
_STRINGS: Final = ("to", "text", "sender", "source")
_NAMES: Final = ("client_ref", "idempotency_key", "source", "traceparent")
_CLASSES: Final = frozenset(map(int, TrafficClass))


def plain(request: Any) -> SendRequest | Refused:
    """Return the request with values of exactly the declared types, or which of them cannot be that."""
    if (slip := flaw(request)) is not None:
        return slip
    names = (request.client_ref, request.idempotency_key, request.traceparent)
    client_ref, idempotency_key, traceparent = (None if name is None else str(name) for name in names)
    return SendRequest(
        to=str(request.to),
        text=str(request.text),
        sender=str(request.sender),
        traffic_class=TrafficClass(request.traffic_class),
        client_ref=client_ref,
        idempotency_key=idempotency_key,
        ttl_ms=request.ttl_ms,
        send_after_ms=request.send_after_ms,
        source=str(request.source),
        callback=request.callback,
        traceparent=traceparent,
    )


def flaw(request: Any) -> Refused | None:
    """Say which field is of a type that cannot be: a program's slip, which types alone do not stop."""
    if not isinstance(request, SendRequest):
        return Refused("malformed", f"a SendRequest is expected, not {type(request).__name__}")
    for name in _STRINGS:
        if not isinstance(value := getattr(request, name), str):
            return Refused("malformed", f"a string is expected, not {type(value).__name__}", name)
    for name in _INTEGERS:
        if type(value := getattr(request, name)) is not int:
            detail = f"whole milliseconds are expected, not {type(value).__name__}"
            return Refused("malformed", detail, name)
    for name in _NAMES:
        value = getattr(request, name)
        if value is not None and not (isinstance(value, str) and _is_whole(value)):
            return Refused("malformed", "a string without halves of surrogate pairs is expected", name)
    callback = request.callback
    if callback is not None and not (
        isinstance(callback, Callback) and isinstance(callback.url, str) and type(callback.mask) is int
    ):
        return Refused("malformed", "a Callback is expected", "callback", request.client_ref)
    value = request.traffic_class
    if type(value) not in (int, TrafficClass) or value not in _CLASSES:
        return Refused("malformed", "a TrafficClass is expected", "traffic_class", request.client_ref)
    return None


def _is_whole(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
