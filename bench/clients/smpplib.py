"""smpplib: pure Python, blocking; a thread a bind, which sends until its window is full, then reads."""

import socket
import sys
import threading
import time
from typing import Any, Final

from bench.clients.face import CODES, DESTINATIONS, TEXTS, Absent, Job, Outcome, Span, absent, installed

NAME: Final = "smpplib (threads)"


def version() -> str:
    """Return the installed version."""
    return installed("smpplib")


def missing() -> Absent | None:
    """Say so where it is."""
    return None if version() else absent("smpplib")


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "smpplib", *job.arguments]


def flood(job: Job) -> Outcome:
    """Bind, flood, drain."""
    span = Span()
    binds = [_Bind(job, span) for _ in range(job.binds)]
    threads = [threading.Thread(target=bind.flood) for bind in binds]
    for thread in threads:
        thread.start()
    time.sleep(job.warm_s)
    span.count = sum(bind.count for bind in binds)
    span.begin()
    time.sleep(job.span_s)
    span.count = sum(bind.count for bind in binds)
    span.end()
    for thread in threads:
        thread.join()
    span.sent = sum(bind.sent for bind in binds)
    return span.outcome()


class _Bind:
    """One client in its thread."""

    def __init__(self, job: Job, span: Span) -> None:
        import smpplib.client

        self.count = self.sent = self.answered = self.reported = 0
        self._job, self._span = job, span
        self._texts = [code.encode() for code in CODES]
        self._client = smpplib.client.Client("127.0.0.1", job.port, timeout=20, allow_unknown_opt_params=True)
        self._client.set_message_sent_handler(self._answered)
        self._client.set_message_received_handler(self._reported)
        self._client.connect()
        self._client._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # it does not by itself
        self._client.bind_transceiver(system_id=job.system_id, password="")

    def flood(self) -> None:
        """Run the thread."""
        job, client, span = self._job, self._client, self._span
        while not span.over or self.answered < self.sent or (job.receipts and self.reported < self.sent):
            while not span.over and self.sent - self.answered < job.window:
                at = self.sent % TEXTS
                self.sent += 1
                client.send_message(
                    source_addr="bank",
                    dest_addr_ton=1,
                    dest_addr_npi=1,
                    destination_addr=DESTINATIONS[at],
                    short_message=self._texts[at],
                    registered_delivery=job.receipts,
                )
            if self.answered < self.sent or job.receipts:
                client.read_once()
        client.unbind()
        client.disconnect()

    def _answered(self, pdu: Any) -> None:
        self.answered += 1
        self.count += not self._job.receipts

    def _reported(self, pdu: Any) -> None:
        self.reported += 1
        self.count += self._job.receipts
