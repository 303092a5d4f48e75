"""Receipts on their way: until their time has come, until a bind can take them, and again if unanswered.

Law: bounded, and nothing vanishes unseen: what a limit drops is counted.

::

    deliver_in -> pending, by time -> deliver -> a bind's outbound -> its window -> acknowledged
                                         |  no bind              \\-> again: refused, unanswered, bind lost
                                         v
                                      waiting -> retry, at the next bind
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from dispatcher._ext.smsc import Receipt
from dispatcher.simulator.agenda import Agenda
from dispatcher.simulator.behaviour import NANOSECONDS_PER_MS, Behaviour
from dispatcher.simulator.ledger import Copy, Ledger
from dispatcher.simulator.receipts import parties

if TYPE_CHECKING:
    from dispatcher.simulator.account import Answers
    from dispatcher.simulator.connection import Connection


class Origin(Protocol):
    """Where a message came from: a connection, or who stands for one."""

    @property
    def number(self) -> int:
        """Which bind of the account."""

    unanswered: int

    @property
    def stalled(self) -> bool:
        """Whether it answers nothing."""

    @property
    def can_receive(self) -> bool:
        """Whether receipts may go here."""

    def answer(self, answers: "Answers") -> None:
        """Write responses, at the latest with the next `flush`."""

    def deliver(self, receipts: list[Receipt]) -> None:
        """Send receipts as the window allows."""

    def flush(self) -> None:
        """Write what has come together."""

    def flush_soon(self) -> None:
        """Flush once this turn of the loop is over."""


class Owner(Protocol):
    """The account."""

    name: str
    ledger: Ledger
    behaviour: Behaviour

    @property
    def connections(self) -> "Sequence[Connection]":
        """Its binds."""

    def rng(self, purpose: str) -> Random:
        """Return the generator of one kind of decision."""


class Post:
    """The receipts of one account between their making and their bind."""

    def __init__(self, account: Owner, agenda: Agenda) -> None:
        self._account = account
        self._agenda = agenda
        self._due: dict[int, tuple[list[Receipt], Origin | None]] = {}
        self._number = 0
        self.pending = 0
        """Receipts whose time has not come."""
        self.waiting: deque[Receipt] = deque()
        """Receipts that no bind could take yet."""

    def deliver_in(self, delay_ns: int, receipts: list[Receipt], origin: Origin | None, now_ns: int) -> None:
        """Deliver after a delay."""
        if delay_ns <= 0:
            self.deliver(receipts, origin)
            return
        receipts = self._room_for(receipts)
        if receipts:
            self.pending += len(receipts)
            self._number += 1
            self._due[self._number] = (receipts, origin)
            self._agenda.at(now_ns + delay_ns, partial(self._now_due, self._number))

    def _now_due(self, number: int) -> None:
        receipts, origin = self._due.pop(number, ([], None))
        self.pending -= len(receipts)
        self.deliver(receipts, origin)

    def deliver(self, receipts: list[Receipt], origin: Origin | None) -> None:
        """Hand receipts to binds: the one that brought the message, or as the behaviour says."""
        account = self._account
        receipts = self._room_for(receipts)
        receiving = [each for each in account.connections if each.can_receive]
        if not receiving or account.behaviour.stall:
            self.waiting.extend(receipts)
            return
        where = account.behaviour.receipts.bind
        others = [each for each in receiving if each is not origin]
        if where == "any" and len(receiving) > 1:
            rng = account.rng("binds")
            for receipt in receipts:
                rng.choice(receiving).deliver([receipt])
        elif where == "other" and others:
            others[account.rng("binds").randrange(len(others))].deliver(receipts)
        elif origin is not None and origin.can_receive:
            origin.deliver(receipts)
        else:
            receiving[0].deliver(receipts)

    def retry(self) -> None:
        """Deliver what waits, if anybody can take it now."""
        waiting = list(self.waiting)
        self.waiting.clear()
        if waiting:
            self.deliver(waiting, None)

    def again(self, receipts: list[Receipt], origin: Origin | None, *, wait: bool) -> None:
        """Deliver once more what was refused or went unanswered, `resend_max` times."""
        settings = self._account.behaviour.receipts
        total = self._account.ledger.of(self._account.name)
        kept = []
        for receipt in receipts:
            receipt.tries += 1
            receipt.rules = ()
            if receipt.tries <= settings.resend_max:
                kept.append(receipt)
        total.dropped += len(receipts) - len(kept)
        total.resent += len(kept)
        if kept:
            delay_ns = settings.resend_after_ms * NANOSECONDS_PER_MS if wait else 0
            self.deliver_in(delay_ns, kept, origin, monotonic_ns())

    # ---- what the rarer requests ask: each looks through all that is pending, as they are rare ----

    def of(self, copy: Copy) -> list[Receipt]:
        """Return the receipts of one message whose time has not come."""
        return [each for receipts, _ in self._due.values() for each in receipts if each.record is copy]

    def take(self, copy: Copy) -> list[Receipt]:
        """Take them out."""
        taken = self.of(copy)
        for receipts, _ in self._due.values():
            receipts[:] = [each for each in receipts if each.record is not copy]
        self.pending -= len(taken)
        return taken

    def between(self, sought: tuple[bytes, bytes]) -> list[Copy]:
        """Return the messages from one address to another that wait for their first receipt."""
        dialect = self._account.behaviour.receipts.dialect
        found = {
            id(each.record): each.record
            for receipts, _ in self._due.values()
            for each in receipts
            if each.record is not None and not each.record.receipts and parties(each, dialect) == sought
        }
        return list(found.values())

    def flush(self) -> int:
        """Deliver now whatever is pending; return how many."""
        pending = self.pending
        for number in list(self._due):
            self._now_due(number)
        return pending

    def drop(self) -> int:
        """Forget whatever is pending or waiting, as a carrier that purges; return how many."""
        dropped = self.pending + len(self.waiting)
        self._due.clear()
        self.waiting.clear()
        self.pending = 0
        self._account.ledger.of(self._account.name).dropped += dropped
        return dropped

    def _room_for(self, receipts: list[Receipt]) -> list[Receipt]:
        """Return as many as there is room for; an ESME that answers no receipts fills its bind's outbound."""
        queued = sum(len(each.outbound) for each in self._account.connections)
        room = self._account.behaviour.receipts.waiting_max - self.pending - len(self.waiting) - queued
        if room >= len(receipts):
            return receipts
        self._account.ledger.of(self._account.name).dropped += len(receipts) - max(0, room)
        return receipts[: max(0, room)]


def next_batch(outbound: deque[Receipt], room: int) -> list[Receipt]:
    """Take the next receipts of a bind; one that is to be treated badly comes alone."""
    batch = [outbound.popleft() for _ in range(min(room, len(outbound)))]
    if any([receipt.rules for receipt in batch]):  # noqa: C419 - a list is faster, and this is every receipt
        first = 1 if batch[0].rules else next(at for at, receipt in enumerate(batch) if receipt.rules)
        outbound.extendleft(reversed(batch[first:]))
        del batch[first:]
    return batch
