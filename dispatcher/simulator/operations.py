"""The rarer requests: data_sm and submit_multi, which are submits, and query_sm, cancel_sm, replace_sm.

Laws:

* data_sm and submit_multi meet all that submit_sm meets: errors, TPS, latency, receipts, mischief, and the
  ledger, with one copy for each destination; those of a submit_multi share one message_id;
* query_sm tells what the ledger knows: ENROUTE until a receipt with a final state was on the wire, however
  the message may end; it looks at the id alone, as copies hold no addresses;
* what waits for its receipt can be cancelled (its receipt then says DELETED, at once) and replaced; what has
  its receipt, or asked for none, is gone. An id that was never given is ESME_RINVMSGID.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dispatcher._ext.pdu import Pdu, encode
from dispatcher._ext.session import Exchange, Incoming
from dispatcher._ext.smsc import Receipt
from dispatcher.simulator.account import Account, Answers
from dispatcher.simulator.ledger import Copy
from dispatcher.simulator.receipts import parties, restated
from dispatcher.smpp.constants import RESPONSE_BIT, Command, CommandStatus
from dispatcher.smpp.dialect import STATE_WORDS
from dispatcher.smpp.spec import COMMAND_NAME, SmeAddress, UnsuccessSme
from dispatcher.smpp.time import format_absolute

if TYPE_CHECKING:
    from dispatcher.simulator.connection import Connection

_ENROUTE: Final = STATE_WORDS["ENROUTE"]
_DELETED: Final = STATE_WORDS["DELETED"]
_OF_A_SUBMIT: Final = ("service_type", "source_addr_ton", "source_addr_npi", "source_addr", "esm_class",
                       "registered_delivery", "data_coding", "protocol_id", "priority_flag",
                       "short_message")  # fmt: skip


def serve(connection: "Connection", request: Pdu, now_ns: int) -> None:
    """Carry out a request other than submit_sm."""
    account = connection.account
    assert account is not None  # the session lets nothing through before a bind
    match request.command_id:
        case Command.DATA_SM:
            address = SmeAddress(request.dest_addr_ton, request.dest_addr_npi, request.destination_addr)
            account.submitted(connection, [_incoming(request, address)], now_ns, Command.DATA_SM_RESP)
            return
        case Command.SUBMIT_MULTI:
            status = _submit_multi(connection, account, request, now_ns)
            if not status:
                return
            answer = request.response(status)
        case Command.QUERY_SM:
            answer = _query(account, request)
        case Command.CANCEL_SM:
            answer = request.response(_cancel(account, request))
        case Command.REPLACE_SM:
            answer = request.response(_replace(account, request))
        case _:
            answer = Pdu(
                request.command_id | RESPONSE_BIT, request.sequence_number, CommandStatus.ESME_RINVCMDID
            )
    account.ledger.operated(account.name, COMMAND_NAME[request.command_id], answer.command_status)
    connection.session.exchange.say(answer)


# ---- submits under another name ----


def _incoming(request: Pdu, to: SmeAddress) -> Incoming:
    """Return the submit_sm that a request amounts to, with the request's sequence_number."""
    fields: dict[str, Any] = {name: request.fields[name] for name in _OF_A_SUBMIT if name in request.fields}
    frame = encode(Pdu(Command.SUBMIT_SM, request.sequence_number, 0, request.tlvs, **fields, **to._asdict()))
    exchange = Exchange(smsc=True, read_octets=len(frame))
    exchange.receives = True
    exchange.feed(frame, 0)
    (incoming,) = exchange.take_incoming()
    return incoming


def _submit_multi(connection: "Connection", account: Account, request: Pdu, now_ns: int) -> int:
    """Submit to each destination; return a status other than 0 if the request as a whole is refused."""
    addresses = request.dest_address
    if not addresses:
        return CommandStatus.ESME_RINVNUMDESTS
    if not all(isinstance(each, SmeAddress) for each in addresses):
        return CommandStatus.ESME_RINVDLNAME  # it keeps no lists
    incoming = [_incoming(request, each) for each in addresses]
    account.submitted(_Multi(connection, request, incoming), incoming, now_ns, one_id=True)
    return 0


class _Multi:
    """Stands for the connection of a submit_multi: gathers the answers to its parts, says them at once."""

    def __init__(self, connection: "Connection", request: Pdu, incoming: list[Incoming]) -> None:
        self._connection = connection
        self._request = request
        self._waiting = len(incoming)
        self._answers: list[Answers] = []
        self.number = connection.number

    @property
    def unanswered(self) -> int:
        """Of the bind."""
        return self._connection.unanswered

    @unanswered.setter
    def unanswered(self, value: int) -> None:
        self._connection.unanswered = value

    @property
    def stalled(self) -> bool:
        """Whether it answers nothing."""
        return self._connection.stalled

    @property
    def can_receive(self) -> bool:
        """Whether receipts may go here."""
        return self._connection.can_receive

    def deliver(self, receipts: list[Receipt]) -> None:
        """Send receipts to the bind."""
        self._connection.deliver(receipts)

    def flush(self) -> None:
        """Write what the bind has collected."""
        self._connection.flush()

    def flush_soon(self) -> None:
        """Write it once this turn of the loop is over."""
        self._connection.flush_soon()

    def answer(self, answers: Answers) -> None:
        """Keep; the last one brings the response."""
        number = len(answers.incoming)
        self._waiting -= number
        self.unanswered -= number
        self._answers.append(answers)
        if self._waiting == 0:
            self._respond()

    def _respond(self) -> None:
        failed = [
            UnsuccessSme(each.dest_addr_ton, each.dest_addr_npi, each.destination_addr or b"", part.status)
            for part in self._answers
            for each in part.incoming
            if part.status
        ]
        statuses = {part.status for part in self._answers}
        if statuses == {failed[0].error_status_code if failed else 0} and failed:
            response = self._request.response(failed[0].error_status_code)  # nobody, and all for one reason
        else:
            message_id = next((part.ids[0] for part in self._answers if not part.status), b"")
            response = self._request.response(0, message_id=message_id, unsuccess_sme=tuple(failed))
        rules = tuple(rule for part in self._answers for rule in part.rules)
        frame = encode(response)
        self._connection.put(frame, rules, lambda octets: self._told(octets == frame))

    def _told(self, whole: bool) -> None:
        account = self._connection.account
        assert account is not None
        if not whole:
            account.ledger.of(account.name).mangled += 1
            return
        for part in self._answers:
            account.ledger.responded(account.name, part.status, len(part.incoming), part.copies)


# ---- what became of a message ----


def _query(account: Account, request: Pdu) -> Pdu:
    copy = account.ledger.by_id(account.name, request.message_id)
    if copy is None:
        return request.response(_unknown(account, CommandStatus.ESME_RQUERYFAIL))
    final = _final(copy)
    date = b"" if not final else format_absolute(datetime.fromtimestamp(copy.told_s, UTC), datetime.now(UTC))
    return request.response(
        0, message_id=request.message_id, final_date=date, message_state=final or _ENROUTE, error_code=0
    )


def _final(copy: Copy) -> int:
    """Return the final state that a receipt told last; 0: none did."""
    return next((state for state in reversed(copy.receipts) if state not in (-1, _ENROUTE)), 0)


def _unknown(account: Account, cannot_tell: int) -> int:
    """Return why there is no such message: it was never given, or nothing is written down to tell by."""
    return cannot_tell if account.ledger.mode == "counts" else CommandStatus.ESME_RINVMSGID


def _cancel(account: Account, request: Pdu) -> int:
    if request.message_id:
        copy = account.ledger.by_id(account.name, request.message_id)
        if copy is None:
            return _unknown(account, CommandStatus.ESME_RCANCELFAIL)
        waiting = [] if _final(copy) else account.post.of(copy)
        if not waiting:
            return CommandStatus.ESME_RCANCELFAIL
        if parties(waiting[0], account.behaviour.receipts.dialect)[0] != request.source_addr:
            return CommandStatus.ESME_RINVSRCADR
        copies = [copy]
    else:  # all that go from here to there (4.9.1)
        sought = (request.source_addr, request.destination_addr)
        copies = account.post.between(sought)
    for copy in copies:
        cancelled = account.post.take(copy)
        last = next((each for each in cancelled if each.state != _ENROUTE), cancelled[-1])
        deleted = restated(last, account.behaviour.receipts.dialect, _DELETED)
        account.post.deliver([deleted], None)
    return 0 if copies else CommandStatus.ESME_RCANCELFAIL


def _replace(account: Account, request: Pdu) -> int:
    copy = account.ledger.by_id(account.name, request.message_id)
    if copy is None:
        return _unknown(account, CommandStatus.ESME_RREPLACEFAIL)
    waiting = [] if _final(copy) else account.post.of(copy)
    if not waiting:
        return CommandStatus.ESME_RREPLACEFAIL
    if parties(waiting[0], account.behaviour.receipts.dialect)[0] != request.source_addr:
        return CommandStatus.ESME_RINVSRCADR
    account.ledger.replaced(copy, request.short_message)
    return 0
