"""Our side: dispatcher.smpp.pool on uvloop, driven as a lane would drive it, with nothing behind it.

It submits frames that were encoded before (what the pool itself costs); encoded.py is the other way. Receipts
are read by the compiled scan, a read at a time, matched by smsc_message_id in a dict of what is outstanding,
and acknowledged together.
"""

import asyncio
import sys
from typing import Any, Final

import uvloop

import dispatcher
from bench.clients.face import CODES, DESTINATIONS, Absent, Job, Outcome, Span
from dispatcher._ext.pdu import SubmitTemplate
from dispatcher._ext.receipt import scan_many
from dispatcher._ext.session import Incoming
from dispatcher.smpp.account import Account
from dispatcher.smpp.backoff import Backoff
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.pool import Alarm, Pool

NAME: Final = "Pool, prebuilt frames"
EAGER: Final = Backoff(spacing_ms=1, quiet_ms=0, ramp_ms=0)
"""No slow start: it is a matter of the first seconds of a bind."""


class Lane:
    """The owner of a pool; keeps it full."""

    def __init__(self, job: Job, encoded: bool = False) -> None:
        self.span = Span()
        self._job = job
        self._encode = SubmitTemplate().encode
        self._encoded = encoded
        self._texts = [(to.encode(), code.encode()) for to, code in zip(DESTINATIONS, CODES, strict=True)]
        self._frames = [self._frame(to, text) for to, text in self._texts]
        self._handles = list(range(len(self._frames)))
        self._at = 0
        self._outstanding: dict[bytes | None, int] = {}
        account = Account(
            host="127.0.0.1",
            port=job.port,
            system_id=job.system_id.encode(),
            transceivers=job.binds,
            window=job.window,
            incoming_max=10_000,
            backoff=EAGER,
        )
        self._pool = Pool(account, self)

    async def flood(self) -> Outcome:
        """Bind, flood, drain."""
        loop = asyncio.get_running_loop()
        await self._pool.start()
        while sum(bind.stage == "bound" for bind in self._pool.snapshot().binds) < self._job.binds:
            await asyncio.sleep(0.01)
        loop.call_later(self._job.warm_s, self.span.begin)
        loop.call_later(self._job.warm_s + self._job.span_s, self.span.end)
        self._fill()
        while not self.span.over or self._pool.in_flight or self._outstanding:
            await asyncio.sleep(0.01)
        await self._pool.close()
        return self.span.outcome()

    def _frame(self, to: bytes, text: bytes) -> bytes:
        return self._encode(1, b"bank", to, text, registered_delivery=self._job.receipts)

    def _fill(self) -> None:
        """Submit as much as there is room for."""
        if self.span.over:
            return
        if self._encoded:
            at = self._at
            texts = self._texts[at : at + self._pool.room]
            taken = self._pool.submit(
                self._handles[at : at + len(texts)], [self._frame(to, text) for to, text in texts]
            )
        else:
            taken = self._pool.submit(self._handles, self._frames, self._at)
        self.span.sent += taken
        self._at += taken
        if self._at == len(self._frames):
            self._at = 0
            self._fill()

    # ---- what the pool tells ----

    def on_answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Note what was accepted, fill up."""
        if statuses.count(0) != len(statuses):
            raise SystemExit(f"refused: {set(statuses)}")
        if self._job.receipts:
            self._outstanding.update(zip(ids, handles, strict=True))
        else:
            self.span.count += len(handles)
        self._fill()

    def on_incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """Read receipts, match them, acknowledge them."""
        settle = self._outstanding.pop
        for smsc_message_id, state, _, _ in scan_many([each.short_message or b"" for each in incoming]):
            if state != 2 or settle(smsc_message_id, None) is None:
                raise SystemExit(f"unmatched: {smsc_message_id!r}, state {state}")
        self._pool.acknowledge(source, incoming)
        self.span.count += len(incoming)

    def on_late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Never: nothing is late here."""
        raise SystemExit("late answers")

    def on_unanswered(self, handles: list[Any]) -> None:
        """Never: the SMSC answers all."""
        raise SystemExit("unanswered")

    def on_unsent(self, handles: list[Any]) -> None:
        """Never: no connection is lost."""
        raise SystemExit("unsent")

    def on_room(self) -> None:
        """The kernel takes more, or a bind is there."""
        self._fill()

    def on_alarm(self, kind: Alarm, detail: str) -> None:
        """Never."""
        raise SystemExit(f"{kind}: {detail}")

    def on_clear(self, kind: Alarm) -> None:
        """Nothing stands."""


def version() -> str:
    """Return ours."""
    return dispatcher.__version__


def missing() -> Absent | None:
    """Nothing ever is."""


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "pool", *job.arguments]


def flood(job: Job) -> Outcome:
    """Bind, flood, drain."""
    outcome: Outcome = uvloop.run(Lane(job).flood())
    return outcome
