"""Topics that change while the process runs: deleted, made anew with other partitions, set to keep less.

A client notices none of it: it asks for a topic that is gone again and again and says nothing, and many a
broker then makes it anew with its own defaults. So they are looked at, as at the start; what has become worse
since is told, and stands in /readyz until somebody mends it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.errors import KafkaError

from dispatcher.kafka.client import Access
from dispatcher.kafka.topics import Found, Wanted, look, missing, unsafe

log = logging.getLogger("dispatcher.kafka")

REQUESTS: Final = 3
"""Between two looks, in times of a request: half a minute."""


class Watch:
    """Looks at topics; `wrong` is what is worse than at the start."""

    def __init__(self, access: Access, topics: Sequence[Wanted], found: Mapping[str, Found]) -> None:
        self.wrong: list[str] = []
        self._access = access
        self._topics = topics
        self._found = found
        self._known = set(unsafe(access.kafka, topics, found))

    def __repr__(self) -> str:
        return f"<Watch of {len(self._topics)} topics: {'; '.join(self.wrong) or 'as at the start'}>"

    async def run(self) -> None:
        """Look, until cancelled. Brokers that are away are others' business: nothing is known then."""
        while True:
            await asyncio.sleep(REQUESTS * self._access.kafka.request_timeout_ms / 1000)
            try:
                wrong = await self._look()
            except (KafkaError, OSError, TimeoutError):
                continue
            for each in wrong:
                if each not in self.wrong:
                    log.error("%s", each, extra={"event": "kafka_topic_changed"})
            if self.wrong and not wrong:
                log.warning("topics are as they were at the start", extra={"event": "kafka_topics_mended"})
            self.wrong = wrong

    async def _look(self) -> list[str]:
        kafka = self._access.kafka
        admin = self._access.admin()
        try:
            await admin.start()
            found = await look(admin, [each.name for each in self._topics])
        finally:
            await admin.close()
        wrong = [*missing(self._topics, found)]
        wrong += [each for each in unsafe(kafka, self._topics, found) if each not in self._known]
        return wrong + [
            f"topic {name} has {its.partitions} partition(s), and had {self._found[name].partitions}"
            for name, its in found.items()
            if its.partitions < self._found[name].partitions
        ]
