"""One account of the simulated SMSC: what is answered to its submit_sm, when, and which receipts follow.

Law: decisions are drawn when a submit_sm arrives, in the order of arrival, each kind from a generator of its
own that the seed gives; when they take effect is the agenda's affair. So a seed repeats a run.

Two paths, one result: `_plain` answers a whole read with one status and one delay; `_varied` decides one by
one and puts together again what is due at the same time. Receipts are finished octets from the start, so that
waiting for them costs a heap entry a batch.
"""

import random
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from dispatcher._ext.session import Incoming
from dispatcher._ext.smsc import Receipt
from dispatcher.simulator.agenda import Agenda
from dispatcher.simulator.behaviour import (
    Behaviour,
    Rule,
    constant_ns,
    sample_ns,
    status_code,
)
from dispatcher.simulator.ledger import Copy, Ledger
from dispatcher.simulator.mischief import Rules
from dispatcher.simulator.post import Origin, Post
from dispatcher.simulator.rate import Rate
from dispatcher.simulator.receipts import Ids, Numbering, Writer
from dispatcher.smpp.constants import Command, CommandStatus, RegisteredDelivery
from dispatcher.smpp.dialect import STATE_WORDS

if TYPE_CHECKING:
    from dispatcher.simulator.connection import Connection

STALLED_MAX: Final = 1_000_000
"""Answers kept back while an account stalls; a window times its binds in practice."""

UNANSWERED_MAX: Final = 1_000_000
"""Unanswered submit_sm of one bind without a window, while answers are slow: more are refused at once."""

_ENROUTE: Final = STATE_WORDS["ENROUTE"]


class Answers(NamedTuple):
    """A batch of responses that go out together."""

    incoming: list[Incoming]
    status: int
    ids: list[bytes]
    copies: list[Copy] | None
    rules: tuple[Rule, ...] = ()
    command: int = Command.SUBMIT_SM_RESP


class Account:
    """One account: its behaviour, its binds, its receipts."""

    def __init__(self, name: str, behaviour: Behaviour, ledger: Ledger, agenda: Agenda, seed: int) -> None:
        self.name = name
        self.ledger = ledger
        self.agenda = agenda
        self.connections: list[Connection] = []
        self.binds_seen = 0
        self.binds_refused = 0
        self._seed = seed
        self._generators: dict[str, random.Random] = {}
        self._rate = Rate()
        self._numbering = Numbering(self.rng("ids"))
        self._stalled: deque[tuple[Origin, Answers]] = deque()
        self._take_effect(behaviour)
        self.post = Post(self, agenda)

    def __repr__(self) -> str:
        totals = self.ledger.of(self.name)
        return (
            f"<Account {self.name}: {len(self.connections)} binds, {totals.submits} submits, "
            f"{totals.accepted} accepted, {self.post.pending + len(self.post.waiting)} receipts to come>"
        )

    def rng(self, purpose: str) -> random.Random:
        """Return the generator of one kind of decision."""
        if purpose not in self._generators:
            self._generators[purpose] = random.Random(f"{self._seed}/{self.name}/{purpose}")
        return self._generators[purpose]

    # ---- behaviour ----

    def change(self, behaviour: Behaviour) -> None:
        """Let another behaviour take effect at once; what was decided before stays decided."""
        stalled = self.behaviour.stall
        self._take_effect(behaviour, self.behaviour)
        for connection in list(self.connections):
            connection.pace()
        if stalled and not behaviour.stall:
            while self._stalled:
                origin, answers = self._stalled.popleft()
                self._answer(origin, answers)
            self.post.retry()
            self.flush()

    def _take_effect(self, behaviour: Behaviour, before: Behaviour | None = None) -> None:
        receipts = behaviour.receipts
        if before is None or before.mischief != behaviour.mischief:  # else they go on counting
            self.rules = Rules(behaviour.mischief, self.rng("mischief"))
        self.behaviour = behaviour
        self._writer = Writer(receipts, behaviour.interface_version >= 0x34, self.rng("states"))
        self._errors = [(status_code(word), share) for word, share in behaviour.errors.items()]
        self._errors_to = sorted(
            (
                (prefix.encode(), [(status_code(word), share) for word, share in errors.items()])
                for prefix, errors in behaviour.errors_to.items()
            ),
            key=lambda entry: -len(entry[0]),
        )
        self._throttle = status_code(behaviour.throttle_status)
        self._window = status_code(behaviour.window_status)
        self._latency_ns = constant_ns(behaviour.latency_ms)
        self._delay_ns = constant_ns(receipts.delay_ms)
        self._plain_receipts = (
            self._delay_ns is not None
            and receipts.share in (0, 1)
            and self._writer.only_state is not None
            and not self.rules.concern("receipt")
            and not any(
                (receipts.before_response, receipts.duplicate, receipts.intermediate, receipts.contradict,
                 receipts.unknown)
            )
        )  # fmt: skip
        self._is_plain = (
            self._latency_ns is not None
            and self._plain_receipts
            and not (behaviour.tps or behaviour.window or self._errors or self._errors_to)
            and not self.rules.concern("response")
            and behaviour.message_id.notation != "missing"
        )

    # ---- what comes ----

    def submitted(
        self,
        connection: Origin,
        incoming: list[Incoming],
        now_ns: int,
        command: int = Command.SUBMIT_SM_RESP,
        one_id: bool = False,
    ) -> None:
        """Take one read's worth of submit_sm, or what amounts to them; `command` is what answers them."""
        copies = self.ledger.submitted(self.name, connection.number, incoming)
        total = self.ledger.of(self.name)
        total.segments_per_s_max = max(total.segments_per_s_max, self._rate.add(now_ns, len(incoming)))
        connection.unanswered += len(incoming)
        ids = self._numbering.take(self.behaviour.message_id, 1 if one_id else len(incoming))
        if one_id:
            ids = Ids(*(column * len(incoming) for column in ids))
        if copies is not None:
            for copy, message_id in zip(copies, ids.response, strict=True):
                copy.message_id = message_id
        if self._is_plain and connection.unanswered <= UNANSWERED_MAX:
            self._plain(connection, incoming, ids, copies, now_ns, command)
        else:
            self._varied(connection, incoming, ids, copies, now_ns, command)

    def _plain(
        self,
        connection: Origin,
        incoming: list[Incoming],
        ids: Ids,
        copies: list[Copy] | None,
        now_ns: int,
        command: int,
    ) -> None:
        latency_ns = self._latency_ns or 0
        self._schedule(
            connection, Answers(incoming, 0, ids.response, copies, (), command), now_ns, latency_ns
        )
        receipts = self.behaviour.receipts
        state = self._writer.only_state
        if not receipts.share or state is None:
            return
        if receipts.only_if_asked:
            asked = [index for index, pdu in enumerate(incoming) if _asks(pdu.registered_delivery, state)]
            if not asked:
                return
            if len(asked) < len(incoming):
                incoming, ids, copies = _chosen(asked, incoming, ids, copies)
        delay_ns = latency_ns + (self._delay_ns or 0)
        self.post.deliver_in(
            delay_ns, self._receipts(incoming, ids, copies, state, delay_ns), connection, now_ns
        )

    def _varied(
        self,
        connection: Origin,
        incoming: list[Incoming],
        ids: Ids,
        copies: list[Copy] | None,
        now_ns: int,
        command: int,
    ) -> None:
        run: tuple[int, int] | None = (
            None  # neighbours that are answered alike, at the same time, go together
        )
        answers: list[tuple[int, Answers]] = []
        later: list[tuple[int, list[Receipt]]] = []
        behaviour = self.behaviour
        latencies, rng = self.rng("latency"), self.rng("errors")
        free = self._rate.free(now_ns, behaviour.tps)
        room = (behaviour.window or UNANSWERED_MAX) - (connection.unanswered - len(incoming))
        for index, pdu in enumerate(incoming):
            latency_ns = sample_ns(behaviour.latency_ms, latencies)
            rules = self.rules.draw("response")
            if index >= room:
                status = self._window
                latency_ns = latency_ns if behaviour.window else 0
            elif free <= 0:
                status = self._throttle
            else:
                status = self._draw_error(pdu, rng)
                if behaviour.tps:
                    free -= 1
                    self._rate.granted(now_ns, 1)
            message_id = ids.response[index] if status == 0 else b""
            alone = None if copies is None else [copies[index]]
            if rules or run is None or (latency_ns, status) != run:
                answers.append((latency_ns, Answers([pdu], status, [message_id], alone, rules, command)))
                run = None if rules else (latency_ns, status)
            else:
                together = answers[-1][1]
                together.incoming.append(pdu)
                together.ids.append(message_id)
                if together.copies is not None and copies is not None:
                    together.copies.append(copies[index])
            if status == 0:
                delay_ns, receipts = self._report(pdu, _one(index, ids), alone, latency_ns)
                if delay_ns < 0:
                    self.post.deliver(receipts, connection)
                    connection.flush()
                elif receipts:
                    later.append((delay_ns, receipts))
        for latency_ns, each in answers:
            self._schedule(connection, each, now_ns, latency_ns)
        for delay_ns, receipts in later:
            self.post.deliver_in(delay_ns, receipts, connection, now_ns)

    def _draw_error(self, pdu: Incoming, rng: random.Random) -> int:
        errors = self._errors
        if self._errors_to:
            to = pdu.destination_addr or b""
            errors = next((own for prefix, own in self._errors_to if to.startswith(prefix)), errors)
        if not errors:
            return 0
        at = rng.random()
        for status, share in errors:
            at -= share
            if at < 0:
                return status
        return 0

    # ---- responses ----

    def _schedule(self, connection: Origin, answers: Answers, now_ns: int, latency_ns: int) -> None:
        if latency_ns:
            self.agenda.at(now_ns + latency_ns, partial(self._answer, connection, answers, True))
        else:
            self._answer(connection, answers)

    def _answer(self, connection: Origin, answers: Answers, flush: bool = False) -> None:
        if self.behaviour.stall or connection.stalled:
            if len(self._stalled) < STALLED_MAX:
                self._stalled.append((connection, answers))
            return
        connection.answer(answers)
        if flush:
            connection.flush_soon()

    # ---- receipts ----

    def _report(
        self, pdu: Incoming, ids: Ids, copies: list[Copy] | None, latency_ns: int
    ) -> tuple[int, list[Receipt]]:
        """Decide about the receipts of one accepted message: their delay, -1 for before the response."""
        receipts, rng = self.behaviour.receipts, self.rng("receipts")
        chosen = rng.random() < receipts.share
        early = bool(receipts.before_response) and rng.random() < receipts.before_response
        state = self._writer.draw_state()
        delay_ns = sample_ns(receipts.delay_ms, self.rng("delays"))
        extra = {
            name: bool(share) and rng.random() < share
            for name, share in (("duplicate", receipts.duplicate), ("intermediate", receipts.intermediate),
                                ("contradict", receipts.contradict), ("unknown", receipts.unknown))
        }  # fmt: skip
        if not chosen or (receipts.only_if_asked and not _asks(pdu.registered_delivery, state)):
            return 0, []
        delay_ns = 0 if early else latency_ns + delay_ns

        def one(which: int, number: Ids = ids, intermediate: bool = False) -> list[Receipt]:
            return self._receipts([pdu], number, copies, which, delay_ns, intermediate)

        batch = one(state)
        if extra["duplicate"]:
            batch += [receipt for _ in range(receipts.copies) for receipt in one(state)]
        if extra["intermediate"]:
            on_the_way = one(_ENROUTE, intermediate=True)
            batch = batch + on_the_way if receipts.intermediate_after else on_the_way + batch
        if extra["contradict"]:
            batch += one(self._writer.other_state(state))
        if extra["unknown"]:
            orphan = [b"9%019d" % rng.randrange(10**18)]
            stranger = self._receipts([pdu], Ids(orphan, orphan, orphan), None, state, delay_ns)
            batch = stranger + batch
        return -1 if early else delay_ns, batch

    def _receipts(
        self,
        incoming: list[Incoming],
        ids: Ids,
        copies: list[Copy] | None,
        state: int,
        delay_ns: int,
        intermediate: bool = False,
    ) -> list[Receipt]:
        wall = time.time()
        form = self._writer.form(state, int(wall), int(wall + delay_ns / 1e9), intermediate)
        receipts = form.make(incoming, ids.text, ids.tlv, copies)
        if self.rules.concern("receipt"):
            for receipt in receipts:
                receipt.rules = self.rules.draw("receipt")
        return receipts

    # ---- binds ----

    def bind_status(self, password: bytes) -> int:
        """Decide about a bind: 0, or the status to refuse it with."""
        binding = self.behaviour.bind
        if self.behaviour.password and password != self.behaviour.password.encode("latin-1", "replace"):
            return CommandStatus.ESME_RINVPASWD
        if binding.binds_max and len(self.connections) >= binding.binds_max:
            return CommandStatus.ESME_RALYBND
        refuse = status_code(binding.refuse)
        used_up = binding.refuse_first and self.binds_refused >= binding.refuse_first
        if not refuse or used_up or self.rng("refusals").random() >= binding.refuse_share:
            return 0
        self.binds_refused += 1
        return refuse

    def joined(self, connection: "Connection") -> None:
        """A connection is bound: what waited floods in."""
        self.connections.append(connection)
        self.post.retry()

    def left(self, connection: "Connection", unanswered: list[Receipt], unsent: list[Receipt]) -> None:
        """A connection is gone: its receipts go to another bind, or wait for one."""
        if connection in self.connections:
            self.connections.remove(connection)
        self.post.again(unanswered, None, wait=False)
        self.post.deliver(unsent, None)

    def flush(self) -> None:
        """Write what the connections have collected."""
        for connection in list(self.connections):
            connection.flush()


def _asks(registered_delivery: int, state: int) -> bool:
    """Whether this registered_delivery asks for a receipt with this final state."""
    asked = registered_delivery & RegisteredDelivery.RECEIPT_MASK
    if asked == RegisteredDelivery.RECEIPT_ON_FAILURE:
        return state != STATE_WORDS["DELIVRD"]
    if asked == RegisteredDelivery.RECEIPT_ON_SUCCESS:
        return state == STATE_WORDS["DELIVRD"]
    return asked == RegisteredDelivery.RECEIPT


def _chosen(
    which: list[int], incoming: list[Incoming], ids: Ids, copies: list[Copy] | None
) -> tuple[list[Incoming], Ids, list[Copy] | None]:
    some = Ids(*([column[index] for index in which] for column in ids))
    return [incoming[index] for index in which], some, copies and [copies[index] for index in which]


def _one(index: int, ids: Ids) -> Ids:
    return Ids([ids.response[index]], [ids.text[index]], [ids.tlv[index]])
