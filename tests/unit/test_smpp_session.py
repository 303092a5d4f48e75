"""The session's tables and timers, for both roles, under a clock that the tests turn by hand."""

import struct
from typing import Any

import pytest

from dispatcher._ext.pdu import Pdu, SubmitTemplate, encode
from dispatcher.errors import LocalProtocolError, Recoverable
from dispatcher.smpp.constants import RESPONSE_BIT, Command, CommandStatus
from dispatcher.smpp.session import (
    BIND_STATES,
    BOUND,
    Bind,
    BindRefused,
    BindRequest,
    Bound,
    Event,
    Failed,
    Lapsed,
    Malformed,
    Nacked,
    Request,
    Response,
    Session,
    State,
    Timers,
    Unanswered,
    Unbound,
)

MS = 1_000_000
FRAME = SubmitTemplate().encode(1, b"BANK", b"79990000000", b"hello")
DELIVER = encode(Pdu(Command.DELIVER_SM, 1, source_addr=b"1", destination_addr=b"2", short_message=b"x"))
BIND = Bind(b"bank", b"secret")

BODIES: dict[int, dict[str, Any]] = {
    Command.SUBMIT_SM: {"source_addr": b"1", "destination_addr": b"2"},
    Command.DELIVER_SM: {"source_addr": b"1", "destination_addr": b"2"},
    Command.DATA_SM: {"source_addr": b"1", "destination_addr": b"2"},
    Command.QUERY_SM: {"message_id": b"1"},
    Command.CANCEL_SM: {"message_id": b"1"},
    Command.REPLACE_SM: {"message_id": b"1"},
    Command.SUBMIT_MULTI: {"dest_address": ((1, 1, b"2"),)},
    Command.OUTBIND: {"system_id": b"smsc"},
    Command.ALERT_NOTIFICATION: {},
    **{command_id: {"system_id": b"bank"} for command_id in BIND_STATES},
    Command.UNBIND: {},
    Command.ENQUIRE_LINK: {},
    0x0000FFFF: {},
}
NO_RESPONSE = {Command.OUTBIND, Command.ALERT_NOTIFICATION, 0x0000FFFF}
BINDS = sorted(BIND_STATES)
SUBMITS = {
    Command.SUBMIT_SM,
    Command.SUBMIT_MULTI,
    Command.DATA_SM,
    Command.QUERY_SM,
    Command.CANCEL_SM,
    Command.REPLACE_SM,
}

# What is taken in each state, written out once more from SMPP 3.4 (2.3): the oracle of the tables.
LIVE = {Command.UNBIND, Command.ENQUIRE_LINK}
RECEIVED = {Command.DELIVER_SM, Command.DATA_SM, Command.ALERT_NOTIFICATION}
TAKEN_BY_ESME = {
    State.OPEN: {Command.OUTBIND, Command.ENQUIRE_LINK},
    State.BINDING: LIVE,
    State.BOUND_TX: LIVE,
    State.BOUND_RX: LIVE | RECEIVED,
    State.BOUND_TRX: LIVE | RECEIVED,
    State.UNBINDING: LIVE | {Command.DELIVER_SM},
}
TAKEN_BY_SMSC = {
    State.OPEN: {*BINDS, Command.ENQUIRE_LINK},
    State.BOUND_TX: LIVE | SUBMITS,
    State.BOUND_RX: LIVE,
    State.BOUND_TRX: LIVE | SUBMITS,
}


def request(command_id: int, number: int = 5, **fields: Any) -> bytes:
    """Return a request; an unknown command has no body."""
    if command_id not in BODIES or command_id == 0xFFFF:
        return struct.pack(">4I", 16, command_id, 0, number)
    return encode(Pdu(command_id, number, **(fields or BODIES[command_id])))


def written(session: Session, now_ns: int = 0) -> list[tuple[int, int, int]]:
    """Return (command_id, status, sequence_number) of what the session wrote since the last call."""
    octets, found = session.exchange.outgoing(now_ns), []
    while octets:
        length, *rest = struct.unpack_from(">4I", octets)
        found.append((rest[0], rest[1], rest[2]))
        octets = octets[length:]
    return found


def heard(session: Session, octets: bytes, now_ns: int = 0) -> list[Event]:
    """Feed octets and return what they mean."""
    session.exchange.feed(octets, now_ns)
    return session.react(now_ns)


def in_state(state: State, smsc: bool = False, **options: Any) -> Session:
    """Return a session that was brought into a state by octets alone."""
    session = Session(smsc=smsc, now_ns=0, **options)
    command_id = next(
        (each for each, bound in BIND_STATES.items() if bound is state), Command.BIND_TRANSCEIVER
    )
    if state is State.OPEN:
        return session
    if smsc:
        (event,) = heard(session, request(command_id))
        assert isinstance(event, BindRequest)
        session.accept(event.request, 0)
    else:
        session.bind(BIND._replace(command_id=command_id), 0)
        ((_, _, number),) = written(session)
        if state is State.BINDING:
            return session
        response = Pdu(command_id | RESPONSE_BIT, number, 0, ((0x0210, 0x34),), system_id=b"smsc")
        (bound,) = heard(session, encode(response))
        assert isinstance(bound, Bound)
        assert bound.response.sc_interface_version == 0x34
    if state is State.UNBINDING:
        session.unbind(0)
    written(session)
    assert state_of(session) is state
    return session


def state_of(session: Session) -> State:
    """Return the state, in a way that a type checker does not remember."""
    return session.state


def numbered(session: Session, command_id: int, now_ns: int = 0) -> int:
    """Return the sequence number of the one request that was just written."""
    ((found, _, number),) = written(session, now_ns)
    assert found == command_id
    return number


@pytest.mark.parametrize("command_id", BODIES)
@pytest.mark.parametrize(
    ("smsc", "state", "taken"),
    [(False, state, taken) for state, taken in TAKEN_BY_ESME.items()]
    + [(True, state, taken) for state, taken in TAKEN_BY_SMSC.items()],
)
def test_every_request_in_every_state(smsc: bool, state: State, taken: set[int], command_id: int) -> None:
    """F41, F46: what may come is taken; what may not is refused politely, once, and the session lives on."""
    session = in_state(state, smsc)
    events = heard(session, request(command_id))
    incoming = session.exchange.take_incoming()
    answers = written(session)
    if command_id == Command.ENQUIRE_LINK:
        assert (events, answers) == ([], [(Command.ENQUIRE_LINK_RESP, 0, 5)])
    elif command_id == Command.UNBIND and command_id in taken:
        assert (events, answers) == ([Unbound(by_peer=True)], [(Command.UNBIND_RESP, 0, 5)])
        assert state_of(session) is State.CLOSED
        return
    elif command_id in taken:
        assert answers == []
        if incoming:
            assert command_id == (Command.SUBMIT_SM if smsc else Command.DELIVER_SM)
        else:
            (event,) = events
            assert isinstance(event, BindRequest if command_id in BINDS else Request)
    else:
        assert incoming == []
        ((answered, status, number),) = answers
        assert answered == (Command.GENERIC_NACK if command_id in NO_RESPONSE else command_id | RESPONSE_BIT)
        assert status in (
            CommandStatus.ESME_RINVBNDSTS,
            CommandStatus.ESME_RINVCMDID,
            CommandStatus.ESME_RALYBND,
        )
        assert number == 5
        assert all(isinstance(event, Malformed) for event in events)
    assert state_of(session) is state


def test_a_second_bind_is_refused_as_already_bound() -> None:
    """A bound ESME that binds again hears ESME_RALYBND."""
    session = in_state(State.BOUND_TRX, smsc=True)
    assert heard(session, request(Command.BIND_TRANSMITTER)) == []
    assert written(session) == [(Command.BIND_TRANSMITTER_RESP, CommandStatus.ESME_RALYBND, 5)]


@pytest.mark.parametrize("smsc", [False, True])
@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_pushing_is_allowed_in_the_right_states(smsc: bool, state: State) -> None:
    """F41: no submit_sm before the bind nor on a receiver, no deliver_sm to a transmitter."""
    if smsc and state in (State.BINDING,):
        return
    if state is State.UNBINDING and smsc:
        session = in_state(State.BOUND_TRX, True)
        session.unbind(0)
    else:
        session = in_state(state, smsc)
    allowed = {State.BOUND_TRX, State.BOUND_RX if smsc else State.BOUND_TX}
    assert session.can_push is (state in allowed)


@pytest.mark.parametrize(
    "status", [CommandStatus.ESME_RINVPASWD, CommandStatus.ESME_RALYBND, CommandStatus.ESME_RBINDFAIL]
)
@pytest.mark.parametrize("body", [b"", b"\0"])
def test_a_bind_may_be_refused(status: int, body: bytes) -> None:
    """F39, F40: with or without a body, the status is told and the session can bind no more than before."""
    session = in_state(State.BINDING)
    events = heard(session, struct.pack(">4I", 16 + len(body), 0x80000009, status, 1) + body)
    assert events == [BindRefused(status)]
    assert state_of(session) is State.OPEN


@pytest.mark.parametrize("body", [b"", b"\0", b"smsc\0"])
def test_an_smsc_of_version_33_says_nothing_of_its_version(body: bytes) -> None:
    """F47: a bind_resp without TLVs, without a system_id even, binds."""
    session = in_state(State.BINDING)
    (event,) = heard(session, struct.pack(">4I", 16 + len(body), 0x80000009, 0, 1) + body)
    assert isinstance(event, Bound)
    assert state_of(session) is State.BOUND_TRX


def test_a_bind_response_with_broken_tlvs_still_binds() -> None:
    """F47: what is wrong is told, what was said counts."""
    session = in_state(State.BINDING)
    body = b"smsc\0\x02\x10\x00\x09\x34"
    events = heard(session, struct.pack(">4I", 16 + len(body), 0x80000009, 0, 1) + body)
    assert [type(event) for event in events] == [Malformed, Bound]
    assert state_of(session) is State.BOUND_TRX


def test_a_bind_response_with_another_number_binds_nothing() -> None:
    """F41: it is counted, and the bind runs into its timer."""
    session = in_state(State.BINDING, timers=Timers(session_init_ms=100))
    response = encode(Pdu(Command.BIND_TRANSCEIVER_RESP, 99, system_id=b"smsc"))
    assert heard(session, response) == []
    assert session.exchange.unknown == 1
    assert state_of(session) is State.BINDING
    assert session.deadline_ns == 100 * MS
    assert session.poll(100 * MS - 1) == []
    assert session.poll(100 * MS) == [Failed("bind_timeout")]
    assert state_of(session) is State.CLOSED


def test_a_nack_refuses_the_bind() -> None:
    """An SMSC that does not know the bind says so, and the bind is over at once."""
    session = in_state(State.BINDING)
    events = heard(session, struct.pack(">4I", 16, 0x80000000, 3, 1))
    assert events == [Nacked(3, 1, ours=True), BindRefused(3)]


def test_binding_twice_or_with_a_bad_field_is_our_bug() -> None:
    """LocalProtocolError; nothing is written for the second."""
    session = in_state(State.BINDING)
    with pytest.raises(LocalProtocolError, match="binding, not open"):
        session.bind(BIND, 0)
    fresh = Session(now_ns=0)
    with pytest.raises(LocalProtocolError, match="no bind"):
        fresh.bind(BIND._replace(command_id=Command.SUBMIT_SM), 0)
    with pytest.raises(LocalProtocolError, match="system_id"):
        fresh.bind(BIND._replace(system_id=b"x" * 16), 0)
    assert written(fresh) == []
    assert fresh.state is State.OPEN


@pytest.mark.parametrize("smsc", [False, True])
def test_unbinding_politely(smsc: bool) -> None:
    """We ask; answers still count; the response ends it. Without one, the timer does."""
    session = in_state(State.BOUND_TRX, smsc, timers=Timers(unbind_ms=50))
    session.unbind(0)
    number = numbered(session, Command.UNBIND)
    session.unbind(0)
    assert written(session) == []
    assert state_of(session) is State.UNBINDING
    events = heard(session, encode(Pdu(Command.UNBIND_RESP, number)))
    assert events == [Unbound(by_peer=False)]
    assert state_of(session) is State.CLOSED
    other = in_state(State.BOUND_TRX, smsc, timers=Timers(unbind_ms=50))
    other.unbind(7)
    assert other.deadline_ns == 50 * MS + 7
    assert other.poll(50 * MS + 7) == [Failed("unbind_timeout")]


def test_answers_after_the_peers_unbind_still_count() -> None:
    """F37: unbind_resp at once, nothing more is pushed, what was in flight may still be answered."""
    session = in_state(State.BOUND_TRX)
    session.exchange.push([1, 2], [FRAME] * 2, 0, 0)
    first, second = (number for _, _, number in written(session))
    assert heard(session, request(Command.UNBIND)) == [Unbound(by_peer=True)]
    assert not session.can_push
    heard(session, encode(Pdu(Command.SUBMIT_SM_RESP, second, message_id=b"a")))
    assert session.exchange.take_answers() == ([2], [0], [b"a"])
    assert session.close(0) == ([1], [])
    assert first


def test_a_lost_framing_ends_the_session_with_a_nack() -> None:
    """F55, F56: a banner of another protocol gives one generic_nack and one event."""
    session = in_state(State.BOUND_TRX)
    (event,) = heard(session, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert isinstance(event, Failed)
    assert event.reason == "framing_lost"
    assert written(session) == [(Command.GENERIC_NACK, CommandStatus.ESME_RINVCMDLEN, 0)]
    assert heard(session, b"more") == []
    assert session.poll(10**15) == []
    assert session.deadline_ns == -1


def test_nacks_tell_whether_they_are_about_us() -> None:
    """F52, F53: with our number that request fails and others go on; without, nothing is guessed."""
    session = in_state(State.BOUND_TRX)
    session.exchange.push([1, 2], [FRAME] * 2, 0, 0)
    first, _ = (number for _, _, number in written(session))
    assert heard(session, struct.pack(">4I", 16, 0x80000000, 8, first)) == [Nacked(8, first, ours=True)]
    assert session.exchange.take_answers() == ([1], [8], [None])
    assert heard(session, struct.pack(">4I", 16, 0x80000000, 0, 0)) == [Nacked(0, 0, ours=False)]
    assert session.exchange.in_flight == 1


def test_a_broken_request_is_refused_and_told() -> None:
    """F57: the frame is intact, the PDU is answered with what is wrong, the bind is kept."""
    session = in_state(State.BOUND_TRX)
    body = b"\0\0\0" + b"1" * 30
    (event,) = heard(session, struct.pack(">4I", 16 + len(body), Command.DELIVER_SM, 0, 5) + body)
    assert isinstance(event, Malformed)
    assert isinstance(event.error, Recoverable)
    ((command_id, status, number),) = written(session)
    assert (command_id, number) == (Command.DELIVER_SM_RESP, 5)
    assert status != 0
    assert state_of(session) is State.BOUND_TRX


def test_a_request_of_ours_gets_its_response_or_lapses() -> None:
    """What was asked on the exchange comes back with its handle, or with the news that its time is over."""
    session = in_state(State.BOUND_TRX, timers=Timers(response_ms=10, enquire_link_ms=0))
    number = session.exchange.ask(Command.QUERY_SM, "mine", 0, message_id=b"1")
    (event,) = heard(session, struct.pack(">4I", 16, Command.QUERY_SM_RESP, 0x67, number))
    assert isinstance(event, Response)
    assert (event.handle, event.response.command_status) == ("mine", 0x67)
    session.exchange.ask(Command.QUERY_SM, "mine", 0, message_id=b"1")
    assert session.poll(10 * MS) == [Lapsed(Command.QUERY_SM, "mine")]


def test_a_submit_runs_out_of_time_and_its_late_answer_is_told() -> None:
    """F31, F32: at the response timer the outcome is unknown; a later answer finds its handle."""
    session = in_state(State.BOUND_TRX, timers=Timers(response_ms=30_000, enquire_link_ms=0))
    session.exchange.push(["a"], [FRAME], 0, 5)
    number = numbered(session, Command.SUBMIT_SM, 5)
    assert session.deadline_ns == 30_000 * MS + 5
    assert session.poll(30_000 * MS + 4) == []
    assert session.poll(30_000 * MS + 5) == [Unanswered(["a"])]
    assert session.exchange.room == 10
    heard(session, encode(Pdu(Command.SUBMIT_SM_RESP, number, message_id=b"x")), 35_000 * MS)
    assert session.exchange.take_late() == [("a", 0, b"x")]
    assert session.close(0) == ([], [])


def test_enquire_link_only_when_idle() -> None:
    """Anything heard or said puts it off; one is in flight at a time; its answer is life."""
    session = in_state(State.BOUND_TRX, timers=Timers(enquire_link_ms=1000, enquire_response_ms=100))
    assert session.deadline_ns == 1000 * MS
    heard(session, DELIVER, 900 * MS)
    session.exchange.answer(session.exchange.take_incoming())
    written(session, 950 * MS)
    assert session.poll(1000 * MS) == []
    assert written(session, 1000 * MS) == []
    assert session.deadline_ns == 1950 * MS
    assert session.poll(1950 * MS) == []
    number = numbered(session, Command.ENQUIRE_LINK, 1950 * MS)
    session.enquire(1960 * MS)
    assert written(session) == []
    assert session.deadline_ns == 2050 * MS
    assert heard(session, encode(Pdu(Command.ENQUIRE_LINK_RESP, number)), 2000 * MS) == []
    assert session.deadline_ns == 3000 * MS


def test_a_nack_of_an_enquiry_is_a_sign_of_life() -> None:
    """A peer that does not know enquire_link is alive all the same."""
    session = in_state(State.BOUND_TRX, timers=Timers(enquire_response_ms=100))
    session.enquire(0)
    number = numbered(session, Command.ENQUIRE_LINK)
    heard(session, struct.pack(">4I", 16, 0x80000000, 3, number), 1)
    assert session.poll(200 * MS) == []


def test_silence_after_an_enquiry_is_death() -> None:
    """F35: nothing heard since it was asked, and the time is over: dead after one miss."""
    session = in_state(State.BOUND_TRX, timers=Timers(enquire_link_ms=1000, enquire_response_ms=100))
    session.poll(1000 * MS)
    assert session.poll(1100 * MS - 1) == []
    assert session.poll(1100 * MS) == [Failed("dead")]


def test_a_peer_that_talks_but_answers_no_enquiry_has_a_second_chance() -> None:
    """F35: traffic in between forgives one miss, not two."""
    timers = Timers(enquire_link_ms=1000, enquire_response_ms=100)
    session = in_state(State.BOUND_TRX, timers=timers)
    session.poll(1000 * MS)
    heard(session, DELIVER, 1050 * MS)
    assert session.poll(1100 * MS) == []
    assert written(session, 1100 * MS)
    session.poll(2100 * MS)
    assert len(written(session, 2100 * MS)) == 1
    heard(session, DELIVER, 2150 * MS)
    assert session.poll(2200 * MS) == [Failed("dead")]


def test_a_pdu_that_trickles_in_runs_out_of_time() -> None:
    """F33, F54: an octet a second keeps nothing alive; the time runs from the first octet of the PDU."""
    session = in_state(State.BOUND_TRX, timers=Timers(enquire_link_ms=0, partial_pdu_ms=5000))
    for second in range(5):
        heard(session, DELIVER[second : second + 1], second * 1000 * MS)
        assert session.deadline_ns == 5000 * MS
        assert session.poll(second * 1000 * MS) == []
    assert session.poll(5000 * MS) == [Failed("partial_pdu")]


def test_a_finished_pdu_starts_a_new_count() -> None:
    """The timer is that of one PDU: a slow but moving stream lives."""
    session = in_state(State.BOUND_TRX, timers=Timers(enquire_link_ms=0, partial_pdu_ms=5000))
    half = len(DELIVER) // 2
    heard(session, DELIVER[:half], 0)
    heard(session, DELIVER[half:] + DELIVER[:half], 4000 * MS)
    assert session.poll(5000 * MS) == []
    assert session.poll(9000 * MS) == [Failed("partial_pdu")]


def test_an_esme_that_does_not_bind_or_falls_silent_is_dropped() -> None:
    """As SMSC: session_init before the bind, inactivity after it, put off by what the peer says only."""
    timers = Timers(session_init_ms=100, inactivity_ms=1000, enquire_link_ms=0)
    assert in_state(State.OPEN, True, timers=timers).poll(100 * MS) == [Failed("bind_timeout")]
    session = in_state(State.BOUND_TRX, True, timers=timers)
    assert session.deadline_ns == 1000 * MS
    heard(session, request(Command.ENQUIRE_LINK), 500 * MS)
    written(session, 900 * MS)
    assert session.deadline_ns == 1500 * MS
    assert session.poll(1500 * MS - 1) == []
    assert session.poll(1500 * MS) == [Failed("inactive")]


def test_timers_can_be_turned_off() -> None:
    """With every timer 0 nothing ever falls due."""
    off = Timers(*[0] * len(Timers()))
    for state in (State.OPEN, State.BINDING, *sorted(BOUND, key=str), State.UNBINDING):
        session = in_state(state, timers=off)
        session.exchange.feed(b"\0\0", 0)
        session.react(0)
        assert session.deadline_ns == -1
        assert session.poll(10**18) == []


def test_the_repr_tells_an_operator_what_matters() -> None:
    """Role, state and the window, in one line."""
    session = in_state(State.BOUND_TRX)
    session.exchange.push([1], [FRAME], 0, 0)
    assert repr(session).startswith("<Session ESME bound_trx <Exchange 1/10 in flight, 1 pushed, 0 answered")
