"""One connection of the simulated SMSC: octets to the session, events to the account, answers to the wire.

Laws:

* one parse and one write per read; a frame goes to the wire alone only if misbehaviour is to happen to it;
* order: what was answered before a frame leaves before it;
* a peer that does not read what it gets is not read either.
"""

import asyncio
import struct
import time
from collections import deque
from functools import partial
from typing import Protocol, cast

from dispatcher._ext.pdu import Pdu
from dispatcher._ext.smsc import Receipt
from dispatcher.simulator.account import Account, Answers
from dispatcher.simulator.agenda import Agenda
from dispatcher.simulator.behaviour import NANOSECONDS_PER_MS, Rule
from dispatcher.simulator.mischief import Act
from dispatcher.simulator.operations import serve
from dispatcher.simulator.post import next_batch
from dispatcher.simulator.stage import (
    Stage,
    Told,
    enquiries,
    told_receipt,
    told_receipts,
    told_response,
    without,
)
from dispatcher.simulator.wire import Record, Wire
from dispatcher.smpp.constants import Command, CommandStatus
from dispatcher.smpp.session import (
    BindRequest,
    Event,
    Failed,
    Request,
    Session,
    State,
    Timers,
    Unanswered,
    Unbound,
)

_FIRST_TIMERS = Timers(session_init_ms=60_000, enquire_link_ms=0, response_ms=0)
_PACE_S = 0.05


class Host(Protocol):
    """The simulator, as far as a connection knows it."""

    agenda: Agenda
    system_id: str
    connections: "set[Connection]"

    def account_of(self, system_id: str) -> Account | None:
        """Return the account that may bind so."""

    def receipt_window(self) -> int:
        """Return the greatest window for receipts of any account."""


class Connection(asyncio.BufferedProtocol):
    """The SMSC's end of one TCP connection."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self.session = Session(
            smsc=True, window=host.receipt_window(), timers=_FIRST_TIMERS, now_ns=time.monotonic_ns()
        )
        self._exchange = self.session.exchange
        self.account: Account | None = None
        self.number = 0
        """Which bind of the account, from 1."""
        self.unanswered = self.bytes_per_s = 0
        self.stalled = self.muted = self.half_open = self.stopped_reading = False
        """Set by mischief, and by nothing but `resume` taken back."""
        self.outbound: deque[Receipt] = deque()
        self._records: list[Record] = []
        self._reading, self._deaf = True, False
        self._write_paused = self._pacing = self._busy = self._flush_planned = False

    def __repr__(self) -> str:
        return f"<Connection {self.account.name if self.account else '-'} #{self.number} {self.session!r}>"

    # ---- asyncio's calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.wire = Wire(self._transport, self._loop)
        self.stage = Stage(self.wire, self._host.agenda, self.act)
        self._host.connections.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Let the transport read into the exchange; a slow wire reads little by little."""
        view = self._exchange.buffer()
        rate = self.bytes_per_s
        return view[: max(1, int(rate * _PACE_S))] if rate else view

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if self.wire.closed:
            return
        now_ns = time.monotonic_ns()
        self._busy = True
        try:
            self._exchange.read(nbytes, now_ns)
            self._take(now_ns)
        finally:
            self._busy = False
        self.flush()
        if rate := self.bytes_per_s:
            self._pacing = True
            self._update_reading()
            self._loop.call_later(max(_PACE_S, 1 / rate), self._update_reading, True)

    def eof_received(self) -> bool:
        """Close when the peer does; what was answered still goes out."""
        return False

    def pause_writing(self) -> None:
        """The peer reads too slowly: read no more of what it sends."""
        self._write_paused = True
        self._update_reading()

    def resume_writing(self) -> None:
        """It caught up."""
        self._write_paused = False
        self._update_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what this connection did not get done."""
        self.wire.lost(politely=exc is None)
        self._host.connections.discard(self)
        unanswered, unsent = self.session.close(time.monotonic_ns())
        if self.account is not None:
            handles = [each for each in [*unanswered, *unsent] if isinstance(each, Receipt)]
            outbound = list(self.outbound)
            self.outbound.clear()
            self.account.left(self, handles, outbound)

    # ---- what comes ----

    def _take(self, now_ns: int) -> None:
        exchange = self._exchange
        account = self.account
        if incoming := exchange.take_incoming():
            assert account is not None
            account.submitted(self, incoming, now_ns)
        (handles, statuses, _), late = exchange.take_answers(), exchange.take_late()
        if account is not None and (handles or late):
            if late:
                handles = handles + [handle for handle, _, _ in late]
                statuses = statuses + [status for _, status, _ in late]
            account.ledger.acknowledged(account.name, statuses, handles)
            if statuses.count(0) < len(statuses):
                refused = [receipt for receipt, status in zip(handles, statuses, strict=True) if status]
                account.post.again(refused, self, wait=True)
        self._events(self.session.react(now_ns), now_ns)

    def tick(self, now_ns: int) -> None:
        """Do what time brings; called ten times a second."""
        if (
            self._deaf or self.wire.frozen
        ):  # what it does not read cannot be missed, and half-open never closes
            return
        self._events(self.session.poll(now_ns), now_ns)
        if self.account is not None and (rate := self.account.behaviour.enquire_per_s):
            self.enquire(max(1, rate // 10))
        self.flush()

    def _events(self, events: list[Event], now_ns: int) -> None:
        for event in events:
            match event:
                case BindRequest(request):
                    self._bind(request)
                case Request(request):
                    serve(self, request, now_ns)
                case Unanswered(handles) if self.account is not None:
                    receipts = [each for each in handles if isinstance(each, Receipt)]
                    self.account.post.again(receipts, self, wait=False)
                case Unbound() | Failed():
                    self.flush()
                    self.wire.close()
                case _:
                    pass

    # ---- binding ----

    def _bind(self, request: Pdu) -> None:
        account = self._host.account_of(request.system_id.decode("latin-1"))
        if account is None:
            self.session.refuse(request, CommandStatus.ESME_RINVSYSID)
            return
        binding = account.behaviour.bind
        if binding.silent:
            return
        if binding.latency_ms:
            due_ns = time.monotonic_ns() + int(binding.latency_ms * NANOSECONDS_PER_MS)
            self._host.agenda.at(due_ns, partial(self._decide, account, request))
        else:
            self._decide(account, request)

    def _decide(self, account: Account, request: Pdu) -> None:
        if self.wire.closed or self.session.state is not State.OPEN:
            return
        status = account.bind_status(request.password)
        rules = account.rules.draw("bind")
        self.flush()
        if status:
            self.session.refuse(request, status)
        else:
            version = account.behaviour.interface_version
            self.session.accept(
                request,
                time.monotonic_ns(),
                self._host.system_id.encode("latin-1", "replace")[:15],
                version if version >= 0x34 else None,
            )
        frame = self._exchange.outgoing(time.monotonic_ns())
        self.stage.rng = account.rng("octets")
        self.put(frame, rules, lambda octets: None)
        if not status:
            self._bound(account)

    def _bound(self, account: Account) -> None:
        behaviour = account.behaviour
        account.binds_seen += 1
        self.account, self.number = account, account.binds_seen
        self.session.timers = Timers(
            enquire_link_ms=60_000,
            response_ms=behaviour.receipts.resend_after_ms,
            inactivity_ms=behaviour.inactivity_ms,
        )
        self.pace()
        account.joined(self)
        if behaviour.bind.close_after_ms >= 0:
            due_ns = time.monotonic_ns() + int(behaviour.bind.close_after_ms * NANOSECONDS_PER_MS)
            self._host.agenda.at(
                due_ns, self.wire.reset if behaviour.bind.close_abruptly else self.wire.close
            )

    # ---- what goes ----

    def answer(self, answers: Answers) -> None:
        """Write responses, at the latest with the next `flush`."""
        number = len(answers.incoming)
        self.unanswered -= number
        account = self.account
        if self.wire.closed or account is None:
            return
        plain = not answers.rules and answers.command == Command.SUBMIT_SM_RESP
        if plain and account.behaviour.message_id.notation != "missing":
            self._exchange.answer(answers.incoming, answers.status, answers.ids)
            self._records.append(
                partial(account.ledger.responded, account.name, answers.status, number, answers.copies)
            )
            return
        for index, pdu in enumerate(answers.incoming):
            body = answers.ids[index] + b"\0"
            if answers.status or account.behaviour.message_id.notation == "missing":
                body = b""
            header = struct.pack(
                ">IIII", 16 + len(body), answers.command, answers.status, pdu.sequence_number
            )
            copy = None if answers.copies is None else answers.copies[index]
            self.put(header + body, answers.rules, partial(told_response, account, pdu.sequence_number, copy))

    @property
    def can_receive(self) -> bool:
        """Whether receipts may go here."""
        return self.session.can_push and not self.wire.closed

    def deliver(self, receipts: list[Receipt]) -> None:
        """Send receipts as the window allows."""
        self.outbound.extend(receipts)
        if not self._busy:
            self.flush_soon()

    def _push(self) -> None:
        account = self.account
        if account is None or not self.can_receive:
            return
        room = min(self._exchange.room, account.behaviour.receipts.window - self._exchange.in_flight)
        while self.outbound and room > 0:
            batch = next_batch(self.outbound, room)
            room -= len(batch)
            rules = batch[-1].rules
            if rules:
                self._write_out()
            self._exchange.push(batch, [receipt.frame for receipt in batch], 0, time.monotonic_ns())
            if rules:
                frame = self._exchange.outgoing(time.monotonic_ns())
                self.put(frame, rules, partial(told_receipt, account, batch[0]))
            else:
                self._records.append(partial(told_receipts, account, batch))

    def push_anywhere(self, octets: bytes, record: Record | None = None) -> None:
        """Write octets that the session would not: a deliver_sm to a transmitter, an outbind, anything."""
        self.flush()
        self.wire.write(octets, () if record is None else [record])

    def enquire(self, number: int) -> None:
        """Ask so often whether the ESME is alive."""
        self.push_anywhere(enquiries(number))  # past the session, which has room for few

    def unbind(self) -> None:
        """Ask to unbind."""
        self.session.unbind(time.monotonic_ns())
        self.flush()

    def flush(self) -> None:
        """Write what has come together."""
        self._flush_planned = False
        if not self.wire.closed:
            if self.outbound:
                self._push()
            self._write_out()

    def flush_soon(self) -> None:
        """Flush once this turn of the loop is over."""
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self.flush)

    def _write_out(self) -> None:
        octets = self._exchange.outgoing(time.monotonic_ns())
        if octets and self.account is not None and not self.account.behaviour.answer_enquire_link:
            octets = without(octets, Command.ENQUIRE_LINK_RESP)
        records, self._records = self._records, []
        self.wire.write(octets, records)

    # ---- mischief ----

    def put(self, frame: bytes, rules: tuple[Rule, ...], told: Told) -> None:
        """Write one frame alone, with all that the rules do to it, behind what came together before."""
        self._write_out()
        self.stage.put(frame, rules, told)

    def act(self, act: Act) -> None:
        """Do to the connection what mischief wants done."""
        match act:
            case Act.RESET:
                self.wire.reset()
            case Act.CLOSE:
                self.wire.close()
            case Act.FREEZE:
                self.muted = True
                self.pace()
            case Act.UNBIND:
                self._loop.call_soon(self.unbind)
            case Act.STALL:
                self.stalled = True
            case Act.HALF_OPEN:
                self.half_open = True
                self.pace()
            case Act.STOP_READING:
                self.stopped_reading = True
                self.pace()

    def resume(self) -> None:
        """Take back what mischief set."""
        self.stalled = self.muted = self.half_open = self.stopped_reading = False
        self.pace()

    def abort(self) -> None:
        """Close at once, whatever has not left."""
        self._transport.abort()

    def pace(self) -> None:
        """Let the behaviour's switches take effect."""
        behaviour = self.account.behaviour if self.account is not None else None
        half_open = self.half_open or (behaviour is not None and behaviour.half_open)
        self.bytes_per_s = behaviour.bytes_per_s if behaviour is not None else 0
        self.wire.pace(half_open or self.muted, self.bytes_per_s)
        self._update_reading()

    def _update_reading(self, paced: bool = False) -> None:
        self._pacing = self._pacing and not paced
        behaviour = self.account.behaviour if self.account is not None else None
        self._deaf = self.half_open or self.stopped_reading
        if behaviour is not None:
            self._deaf = self._deaf or behaviour.half_open or not behaviour.reading
        wanted = not (self._write_paused or self._pacing or self._deaf)
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()
