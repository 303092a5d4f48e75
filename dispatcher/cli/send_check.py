"""``dispatcher send --dry-run``: what messages would cost, and which would be refused; nothing is sent."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli.exits import CommandError, Exit, fail
from dispatcher.cli.remote import JSON, refusal

if TYPE_CHECKING:
    from dispatcher.cli.remote import Remote
    from dispatcher.cli.send_rows import Row, Rows

SLICE: Final = 500
SHOWN_MAX: Final = 10
"""Refused rows that are named: a wrong column spoils every row."""


def check_one(remote: "Remote", body: dict[str, Any], as_json: bool) -> Exit:
    """Say what one message would cost."""
    result = _checked(remote, [body])[0]
    if as_json:
        print(json.dumps(result))
    elif "code" in result:
        raise CommandError(f"{result.get('detail')} ({result['code']})", Exit.DATA)
    else:
        print("\n".join(_described(result)))
    return Exit.DATA if "code" in result else Exit.OK


def check_file(remote: "Remote", rows: "Rows", limit: int | None, as_json: bool) -> Exit:
    """Say what a file would cost: segments by alphabet, the price, and which rows would be refused."""
    total = Total()
    source = islice(rows, limit)
    while some := list(islice(source, SLICE)):
        good = [row for row in some if not row.flaw]
        results = iter(_checked(remote, [row.values for row in good])) if good else iter(())
        for row in some:
            total.add(row, {"code": "malformed", "detail": row.flaw} if row.flaw else next(results))
    if as_json:
        print(json.dumps(total.as_json()))
    else:
        print("\n".join(total.lines()))
    return Exit.DATA if total.refused else Exit.OK


class Total:
    """The sum over a file's rows."""

    def __init__(self) -> None:
        self.messages = 0
        self.segments: Counter[str] = Counter()
        """By alphabet."""
        self.carriers: Counter[str] = Counter()
        """Segments by the first of the route."""
        self.price = Decimal(0)
        self.unpriced = 0
        """Messages whose price is not known."""
        self.currency = ""
        self.refused: Counter[str] = Counter()

    def add(self, row: "Row", result: dict[str, Any]) -> None:
        """Add one row's result."""
        if "code" in result:
            if self.refused.total() < SHOWN_MAX:
                fail("send", f"line {row.line}: {result.get('detail')} ({result['code']})", Exit.DATA)
            self.refused[result["code"]] += 1
            return
        self.messages += 1
        self.segments[result["alphabet"]] += result["segments"]
        self.carriers[(result.get("carriers") or ["none"])[0]] += result["segments"]
        self.currency = result.get("currency", "")
        if result.get("price") is None:
            self.unpriced += 1
        else:
            self.price += Decimal(str(result["price"]))

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "messages": self.messages,
            "segments": self.segments.total(),
            "by_alphabet": dict(self.segments),
            "by_carrier": dict(self.carriers),
            "price": str(self.price),
            "currency": self.currency,
            "without_price": self.unpriced,
            "refused": dict(self.refused),
        }

    def lines(self) -> Iterable[str]:
        """Yield the lines for a person."""
        yield f"{self.messages:,} messages, {self.segments.total():,} segments"
        for what, counts in (("alphabet", self.segments), ("first carrier", self.carriers)):
            yield from (f"  {what} {name}: {count:,} segments" for name, count in sorted(counts.items()))
        if self.messages > self.unpriced:
            yield f"price {self.price:,} {self.currency}"
        if self.unpriced:
            yield f"no price is known of {self.unpriced:,} messages"
        for code, count in self.refused.most_common():
            yield f"{count:,} would be refused: {code}"


def _checked(remote: "Remote", messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = remote.ask(
        "POST", "/v1/messages:check", json.dumps({"messages": messages}).encode(), {"Content-Type": JSON}
    )
    if answer.status != 200:
        raise refusal(answer)
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def _described(result: dict[str, Any]) -> Iterable[str]:
    yield f"{result['alphabet']}: {result['segments']} segments, {result['units']} units"
    yield f"route: {', '.join(result['carriers'])}"
    price = result.get("price")
    yield f"price: {price} {result.get('currency', '')}" if price is not None else "no price is known"
    if forced := result.get("forced_by"):
        yield "forced by: " + ", ".join(f"{character!r} at {at}" for character, at in forced[:8])
    yield from (f"warning: {warning}" for warning in result.get("warnings", ()))
    if cheaper := result.get("cheaper"):
        yield f"cheaper: {cheaper}"
