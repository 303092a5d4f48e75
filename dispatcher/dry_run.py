"""What would become of a message if it were sent now: every check of the door, and no effect.

The order of carriers is that of the rules: which of them is fit just now is no property of the message.
"""

import asyncio
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

from dispatcher.api import Checked
from dispatcher.config import Config
from dispatcher.encoding.explain import explain_by
from dispatcher.model import Message, Refused, SendRequest
from dispatcher.pipeline import Pipeline

TURNING: Final = frozenset("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")
"""Embeddings, overrides and isolates; the marks of right-to-left scripts beside them turn nothing."""
SLICE: Final = 10
"""Requests in one turn of the loop: explaining a long text takes a tenth of a millisecond, or several."""


async def check(
    pipeline: Pipeline, config: Config, requests: Sequence[SendRequest]
) -> list[Checked | Refused]:
    """Return for each request, in order, what it would be sent as, or the refusal that `send` would give."""
    most = config.limits.batch_max
    found: list[Checked | Refused] = []
    for start in range(0, min(len(requests), most), SLICE):
        some = requests[start : min(start + SLICE, most)]
        closed, now_ms = pipeline.closed(), pipeline.now_ms()
        for request in some:
            verdict = pipeline.admission.judge(request, now_ms, closed)
            found.append(verdict if isinstance(verdict, Refused) else _checked(pipeline, config, verdict))
        await asyncio.sleep(0)
    return found + pipeline.admission.too_many(requests[most:])


def _checked(pipeline: Pipeline, config: Config, message: Message) -> Checked:
    names = tuple(pipeline.journal.carrier_name(number) for number in message.carriers)
    why = explain_by(pipeline.profiles[message.carriers[0]].encoder, message.text)
    cheaper = next((each.text for each in why.suggestions if "shorten" not in each.actions), None)
    price = config.carriers[names[0]].price
    return Checked(
        alphabet=why.alphabet,
        segments=message.segments,
        units=why.units,
        forced_by=tuple((cost.character, cost.position) for cost in why.forced),
        warnings=tuple(_warnings(message.text)),
        cheaper=cheaper,
        carriers=names,
        price=None if price is None else price * message.segments,
        currency=config.currency,
    )


def _warnings(text: str) -> Iterator[str]:
    """Yield what a text has that turns the order in which it is read: legal, and a trick of impostors."""
    for position, character in enumerate(text):
        if character in TURNING:
            name = unicodedata.name(character)
            yield f"position {position}: U+{ord(character):04X} {name} turns the order of what follows it"
