"""Conversations: one stream into two exchanges, differently cut, and all else that can happen between.

Half the conversations are with bare exchanges, half with the sessions above them; either role. The laws:

* both say and give the same at every step, however their octets were cut;
* every handle pushed comes back exactly once: answered, given up, unanswered or unsent; an answer belongs
  to the request whose number it bears, a late one only follows a giving up; at the end nobody holds any;
* what is written is whole PDUs, and every request has a number of its own;
* nothing a peer sends raises, and no list of slots, ring or counter goes wrong.

The model that knows which answer is due reads frames with four numbers and no code of ours.
"""

import sys
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from dispatcher._ext.pdu import Pdu
from dispatcher._ext.session import Exchange
from dispatcher.errors import LocalProtocolError, Recoverable
from dispatcher.smpp.constants import RESPONSE_BIT, Command
from dispatcher.smpp.session import Bind, BindRequest, Event, Session, State, Timers, Unanswered
from tests.fuzz import desk
from tests.fuzz.codec import key, seeds
from tests.fuzz.desk import need
from tests.fuzz.mangle import below
from tests.fuzz.peer import ASKED, BIND_REQUEST, FRAMES, HEADER, Handle, utterance

STEPS: Final = 40
MS: Final = 1_000_000
LAST: Final = 0x7FFFFFFF
TIMERS: Final = Timers(3000, 150, 500, 300, 2000, 1000, 200)
COUNTERS: Final = (
    *("in_flight", "room", "pushed", "answered", "received", "late", "duplicate", "unknown", "mismatched"),
    *("malformed", "enquiries", "pending", "oldest_ns", "octets_out", "receives"),
)


class Talk:
    """One conversation; `sides` are the two exchanges, `sessions` those above them, or none."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.now = 1 + below(dice, 1 << 40)
        smsc = dice.random() < 0.4
        self.pushed_id = Command.DELIVER_SM if smsc else Command.SUBMIT_SM
        self.window = dice.choice((1, 2, 7, 10, 100))
        limit = dice.choice((70_000, 70_000, 70_000, 2000, 200))
        first = dice.choice((1, 1, LAST - 5, LAST, 1 + below(dice, LAST)))
        options: dict[str, Any] = {"window": self.window, "limit": limit, "sequence_number": first}
        self.sessions: tuple[Session, ...] = ()
        if dice.random() < 0.5:
            self.sessions = tuple(
                Session(smsc=smsc, timers=TIMERS, now_ns=self.now, **options) for _ in range(2)
            )
            self.sides = tuple(session.exchange for session in self.sessions)
        else:
            reads = dice.choice((1, 16, 300, 65_536))
            self.sides = (
                Exchange(smsc=smsc, **options, read_octets=65_536),
                Exchange(smsc=smsc, **options, read_octets=reads),
            )
        self.limit = limit
        self.handles: list[Handle] = []
        self.waiting: deque[Handle] = deque()
        """Pushed, and their numbers not yet seen on the wire."""
        self.flying: dict[int, Handle] = {}
        self.given_up: dict[int, Handle] = {}
        self.numbers: deque[int] = deque(maxlen=60)
        """The last ones that we used."""
        self.due: list[tuple[Handle, int]] = []
        self.wire = bytearray()
        """What the peer has said and we have not yet read."""
        self.unframed = bytearray()
        """What the model has read, up to the PDU that is not yet whole."""
        self.lost = False
        self.incoming: list[Any] = []
        self.inputs = 0

    # ---- the same for both sides ----

    def both(self, what: str, found: Sequence[Any]) -> Any:
        """Return what both sides gave: the same."""
        need(found[0] == found[1], f"the cut changes nothing: {what}", *found)
        return found[0]

    def each(self, what: str, *arguments: Any) -> Any:
        """Call both sides."""
        return self.both(what, [getattr(side, what)(*arguments) for side in self.sides])

    def written(self) -> None:
        """Take what was written: whole PDUs; requests get numbers that no other has."""
        before = self.sides[0].octets_out
        octets: bytes = self.each("outgoing", self.now)
        at = 0
        while at < len(octets):
            need(len(octets) - at >= 16, "whole PDUs are written", octets)
            length, command_id, _, number = HEADER.unpack_from(octets, at)
            need(16 <= length <= len(octets) - at, "whole PDUs are written", octets)
            at += length
            if command_id & RESPONSE_BIT:
                continue
            need(1 <= number <= LAST and number not in self.flying, "a number of its own", number)
            self.numbers.append(number)
            if command_id == self.pushed_id:
                self.given_up.pop(number, None)
                self.flying[number] = self.waiting.popleft()
                self.flying[number].end = before + at
        need(not self.waiting, "all that was pushed is written")

    # ---- what we do ----

    def push(self) -> None:
        """Push some frames, the last of them bad at times."""
        dice = self.dice
        if self.sessions and not self.both("can_push", [each.can_push for each in self.sessions]):
            return
        frames = [FRAMES[self.pushed_id][below(dice, 12)] for _ in range(1 + below(dice, 6))]
        good = len(frames)
        if dice.random() < 0.1:
            frames.append(dice.choice((b"", frames[0][:-1], frames[0] + b"x", seeds()[0].octets)))
        handles = [Handle(self.now) for _ in frames]
        most, start = dice.choice((65_536, 3)), 0
        if good < len(frames) and dice.random() < 0.3:
            start = good
        room = self.window - len(self.flying)
        expected = max(0, min(room, most, good - start))
        if start == good < len(frames) and room > 0:
            for side in self.sides:
                try:
                    side.push(handles, frames, start, self.now, most)
                except LocalProtocolError:
                    continue
                need(False, "a bad frame first is refused", frames)
            return
        taken = self.each("push", handles, frames, start, self.now, most)
        need(taken == expected, "as many go as there is room for", taken, expected)
        self.handles += handles[start : start + taken]
        self.waiting.extend(handles[start : start + taken])

    def ask(self) -> None:
        """Make another request."""
        command_id = self.dice.choice(ASKED)
        found: list[Any] = []
        for side in self.sides:
            try:
                found.append(side.ask(command_id, "asked", self.now))
            except LocalProtocolError as error:  # too many are unanswered
                found.append(str(error))
        self.both("ask", found)

    def laps(self) -> None:
        """Push and be answered so often that the numbers go around the ring, the oldest one left out."""
        for _ in range(60):
            self.push()
            self.written()
            for number in [*self.flying][1:]:
                self.wire += HEADER.pack(16, self.pushed_id | RESPONSE_BIT, 0, number)
                self.inputs += 1
            if self.lost or not self.handles:
                break
            self.model(bytes(self.wire))
            for side in self.sides:
                side.feed(self.wire, self.now)
            self.wire.clear()
            self.take()

    def answer(self) -> None:
        """Answer what came in."""
        dice = self.dice
        some = [self.incoming.pop(below(dice, len(self.incoming))) for _ in range(min(3, len(self.incoming)))]
        ids = [b"%d" % below(dice, 1 << 30) for _ in some] if dice.random() < 0.5 else None
        status = below(dice, 256)
        for side, mine in zip(self.sides, (0, 1), strict=True):
            side.answer([pair[mine] for pair in some], status, ids)

    def expire(self) -> None:
        """Give up what is old."""
        before = self.now - below(self.dice, 300) * MS
        given_up = [each for command, each in self.each("expire", before) if command == self.pushed_id]
        old = [handle for handle in self.flying.values() if handle.since_ns <= before]
        need(given_up == old, "what is too old is given up, in order", given_up, old)
        self.give_up(given_up)

    def give_up(self, handles: list[Any]) -> None:
        """These ran out of time."""
        numbers = {id(handle): number for number, handle in self.flying.items()}
        for handle in handles:
            handle.meet("given up")
            number = numbers[id(handle)]
            self.given_up[number] = self.flying.pop(number)

    # ---- what the peer does ----

    def say(self) -> None:
        """Let the peer say a few PDUs, most of them about our requests."""
        dice = self.dice
        for _ in range(1 + below(dice, 6)):
            self.wire += utterance(dice, self.numbers, self.pushed_id)
            self.inputs += 1

    def feed(self) -> None:
        """Read a part of what the peer said: one side at once, the other in pieces."""
        dice = self.dice
        size = below(dice, len(self.wire) + 1) if dice.random() < 0.5 else len(self.wire)
        octets = bytes(self.wire[:size])
        del self.wire[:size]
        desk.DESK.note(octets)
        self.model(octets)
        self.sides[0].feed(octets, self.now)
        cut, at = self.sides[1], 0
        most = dice.choice((1, 5, 60, 1000)) if size < 3000 else 1000
        while at < size:
            piece = octets[at : at + 1 + below(dice, most)]
            if dice.random() < 0.5:
                cut.feed(piece, self.now)
            else:
                view = cut.buffer()
                piece = piece[: len(view)]
                view[: len(piece)] = piece
                view.release()
                cut.read(len(piece), self.now)
            at += len(piece)
        self.take()

    def model(self, octets: bytes) -> None:
        """Work out which answers are due, in order."""
        if self.lost:
            return
        self.unframed += octets
        at = 0
        while len(self.unframed) - at >= 4:
            length = int.from_bytes(self.unframed[at : at + 4], "big")
            if not 16 <= length <= self.limit:
                self.lost = True
                return
            if len(self.unframed) - at < length:
                break
            _, command_id, status, number = HEADER.unpack_from(self.unframed, at)
            at += length
            nack = command_id == Command.GENERIC_NACK and status
            if number in self.flying and (nack or command_id == self.pushed_id | RESPONSE_BIT):
                self.due.append((self.flying.pop(number), status))
        del self.unframed[:at]

    def take(self) -> None:
        """Take all that came."""
        handles, statuses, _ = self.each("take_answers")
        need([*zip(handles, statuses, strict=True)] == self.due, "answers find their handles", self.due)
        self.due.clear()
        for handle in handles:
            handle.meet("answered")
        for handle, _, _ in self.each("take_late"):
            handle.meet("late")
        ours, theirs = (side.take_incoming() for side in self.sides)
        need(
            [each.pdu for each in ours] == [each.pdu for each in theirs], "the cut changes nothing: incoming"
        )
        for pair in zip(ours, theirs, strict=True):
            self.both("incoming", [(each.short_message, each.fault, each.source_addr) for each in pair])
            need(isinstance(pair[0].decode(), Pdu | Recoverable), "incoming decodes")
            self.incoming.append(pair)
        need(
            self.both("lost", [side.lost is not None for side in self.sides]) == self.lost, "framing is lost"
        )
        if self.sessions:
            self.meet([session.react(self.now) for session in self.sessions])
        else:
            self.both(
                "others",
                [[(key(pdu), about is side) for pdu, about in side.take_others()] for side in self.sides],
            )

    def meet(self, found: list[list[Event]]) -> None:
        """Handle what sessions tell."""
        self.both("events", [list(map(repr, events)) for events in found])
        for event, twin in zip(*found, strict=True):
            if isinstance(event, Unanswered):
                need(event == twin, "the same ran out of time")
                self.give_up(event.handles)
            elif isinstance(event, BindRequest) and self.sessions[0].state is State.OPEN:
                accepted = self.dice.random() < 0.9
                for session in self.sessions:
                    if accepted:
                        session.accept(event.request, self.now)
                    else:
                        session.refuse(event.request, 0x0D)

    # ---- time, and the end ----

    def step(self) -> None:
        """Do one thing."""
        kind = self.dice.random()
        if kind < 0.002:
            self.laps()
        elif kind < 0.3:
            self.push()
        elif kind < 0.75:
            self.say()
            self.feed()
        elif kind < 0.8:
            self.answer()
        elif kind < 0.9:
            self.now += below(self.dice, 60) * MS
            if not self.sessions:
                self.expire()
            else:
                self.both("deadline_ns", [session.deadline_ns for session in self.sessions])
                self.meet([session.poll(self.now) for session in self.sessions])
        elif not self.sessions:
            if kind < 0.97:
                self.ask()
            else:
                for side in self.sides:
                    side.receives = kind < 0.99
        elif self.sessions[0].state is State.OPEN:
            self.bind()
        elif kind > 0.98:
            for session in self.sessions:
                session.unbind(self.now) if kind > 0.995 else session.enquire(self.now)
        self.written()
        self.both("counters", [[getattr(side, name) for name in COUNTERS] for side in self.sides])
        need(self.sides[0].in_flight == len(self.flying), "in flight is what flies", self.sides[0])

    def bind(self) -> None:
        """Bind from our side, or let the peer."""
        if self.pushed_id == Command.DELIVER_SM:
            self.wire += BIND_REQUEST
            self.feed()
            return
        for session in self.sessions:
            session.bind(Bind(b"bank"), self.now)
        self.written()
        if self.dice.random() < 0.95:
            self.wire += HEADER.pack(17, Command.BIND_TRANSCEIVER_RESP, 0, self.numbers[-1]) + b"\0"
        self.feed()

    def end(self) -> None:
        """Close: all that did not come back does, and nothing of it stays."""
        if not self.sessions or self.sessions[0].can_push:
            self.push()
        if self.dice.random() < 0.5:
            self.written()
        unsent = below(self.dice, 2000) if self.dice.random() < 0.5 else 0
        if self.sessions:
            ends = [session.close(self.now, unsent) for session in self.sessions]
            unanswered, kept = self.both("close", ends)
        else:
            unanswered, kept = self.each("abandon", unsent)
        for fate, handles in (("unanswered", unanswered), ("unsent", kept)):
            for handle in handles:
                handle.meet(fate)
        gone = self.sides[0].octets_out - unsent
        flown = [*self.flying.values(), *self.waiting]
        need(
            unanswered == [each for each in flown if 0 <= each.end <= gone],
            "what left has an unknown outcome",
        )
        need(kept == flown[len(unanswered) :], "what did not leave is unsent")
        need(all(handle.fate for handle in self.handles), "every handle comes back")
        need(self.each("expire", 1 << 62) == [], "nothing is left")
        need(self.sides[0].in_flight == 0, "nothing is left")


def turn(dice: Random, number: int) -> int:
    """Hold one conversation; return how many PDUs, or the like, the peer said in it."""
    talk = Talk(dice)
    if talk.sessions:
        talk.bind()
    for _ in range(STEPS):
        talk.step()
        if talk.sessions and talk.sessions[0].state is State.CLOSED and dice.random() < 0.3:
            break
    talk.end()
    handles, inputs = talk.handles, talk.inputs
    del talk
    for handle in handles:
        need(sys.getrefcount(handle) == 3, "nobody keeps a handle", handle.fate)
    return inputs
