"""The ledger: what really came and what really went, for an oracle to trust.

Laws:

* a submit is in the ledger once it was read, a response or a receipt once its octets were handed to the
  kernel; what a connection lost before is not;
* the status, the id and the state are read back from the octets that were written, where a misbehaviour may
  have changed them; octets that are no whole PDU are `mangled` and nothing else;
* totals are always kept. Copies (one for each submit_sm) only in the mode "tokens", up to `copies_max`;
  what did not fit makes the ledger incomplete, and it says so.

A *token* names a message, whoever sends it and however often: the first group of a regular expression, or
the last word of the text. The segments of a long message are joined first, by addresses and reference.
"""

import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from dispatcher._ext.session import Incoming
from dispatcher._ext.smsc import Receipt
from dispatcher.encoding.udh import split_header
from dispatcher.simulator.lateness import Lateness
from dispatcher.smpp.constants import DataCoding, EsmClass

LONG_MESSAGES_MAX: Final = 10_000
"""Long messages whose segments are remembered, whole or not: 256 references of some senders at a time."""

_SAR: Final = b"\x02\x0c\x00\x02"
"""sar_msg_ref_num as it stands in a PDU: worth decoding its TLVs."""

RESPONSE, RECEIPT, ACKNOWLEDGED = range(3)


class Copy:
    """One submit_sm as it came, and what became of it. Tuples, not lists: the collector passes over them."""

    __slots__ = (
        "account",
        "acknowledged",
        "bind",
        "came_us",
        "message_id",
        "receipts",
        "replaced_by",
        "segment",
        "statuses",
        "token",
        "told_s",
    )

    def __init__(self, account: str, bind: int) -> None:
        self.account = account
        self.bind = bind
        self.token: str | None = None
        self.segment: tuple[int, int, int] | None = None
        """reference, number, total."""
        self.message_id: bytes | None = None
        """As given; `statuses` tells whether the ESME was told."""
        self.statuses: tuple[int, ...] = ()
        """Of every response on the wire."""
        self.receipts: tuple[int, ...] = ()
        """message_state of every receipt on the wire; -1: no state, a message of a subscriber."""
        self.acknowledged: tuple[int, ...] = ()
        """command_status of every deliver_sm_resp."""
        self.replaced_by: str | None = None
        """Token of the text that a replace_sm put in its place."""
        self.came_us = 0
        """When it was read, in microseconds from 1970; shown where `times` are asked for."""
        self.told_s = 0
        """When the last receipt went, in seconds from 1970; not shown: a run can be repeated."""

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        replaced = {} if self.replaced_by is None else {"replaced_by": self.replaced_by}
        return {
            "account": self.account,
            "bind": self.bind,
            "message_id": None if self.message_id is None else self.message_id.decode("latin-1"),
            "segment": None if self.segment is None else "{}:{}/{}".format(*self.segment),
            "statuses": self.statuses,
            "receipts": self.receipts,
            "acknowledged": self.acknowledged,
            **replaced,
            **({"came_us": self.came_us} if self.came_us else {}),
        }


class Totals(msgspec.Struct):
    """What one account has seen. Numbers by command_status and by message_state where they vary."""

    submits: int = 0
    responses: dict[int, int] = {}
    receipts: dict[int, int] = {}
    acknowledged: dict[int, int] = {}
    resent: int = 0
    dropped: int = 0
    mangled: int = 0
    operations: dict[str, dict[int, int]] = {}
    """query_sm, cancel_sm, replace_sm by the status of their answer; others that were refused as a whole."""
    segments_per_s_max: int = 0
    """The most submit_sm in any span of a second: what a TPS limit is checked against."""

    @property
    def accepted(self) -> int:
        """Responses with status 0."""
        return self.responses.get(0, 0)


class _Long:
    """The segments of one long message."""

    __slots__ = ("again", "texts", "token", "waiting")

    def __init__(self, before: "_Long | None") -> None:
        repeated = {} if before is None else before.again
        self.texts: dict[int, bytes] = (
            {} if before is None else {each: before.texts[each] for each in repeated}
        )
        """By number."""
        self.waiting: list[Copy] = list(repeated.values())
        """Copies that wait for the others, to have a token."""
        self.token: str | None = None
        self.again: dict[int, Copy] = {}
        """Copies since it was whole: resent, or of another message that begins like this one."""


class Ledger:
    """Totals by account and copies by token."""

    def __init__(
        self,
        *,
        mode: str = "tokens",
        token: str = "",
        copies_max: int = 1_000_000,
        seed: int = 0,
        times: bool = False,
    ) -> None:
        self.mode = mode
        self.seed = seed
        self._times = times
        self.lateness = Lateness()
        """Of the reading, where `times` are asked for."""
        self.totals: dict[str, Totals] = {}
        self._pattern = re.compile(token) if token else None
        self._left = copies_max
        self._copies_max = copies_max
        self.unrecorded = 0
        self._tokens: dict[str, list[Copy]] = {}
        self._long: dict[tuple[object, ...], _Long] = {}
        self._order: deque[tuple[object, ...]] = deque()
        self._filed: list[Copy] = []
        self._by_id: dict[tuple[str, bytes], Copy] = {}
        self._indexed = 0
        """How many of `filed` are in the index: it is made when somebody asks."""

    def of(self, account: str) -> Totals:
        """Return an account's totals."""
        totals = self.totals.get(account)
        if totals is None:
            totals = self.totals[account] = Totals()
        return totals

    def reset(self) -> None:
        """Begin again. Copies still in flight are told into the void."""
        for totals in self.totals.values():
            for name, value in msgspec.structs.asdict(Totals()).items():
                setattr(totals, name, value)
        self._tokens.clear()
        self._long.clear()
        self._order.clear()
        self._filed.clear()
        self._by_id.clear()
        self._indexed = 0
        self._left = self._copies_max
        self.unrecorded = self.lateness.unrecorded = 0
        self.lateness.marks.clear()

    # ---- what happens ----

    def submitted(self, account: str, bind: int, incoming: Sequence[Incoming]) -> list[Copy] | None:
        """Take what was read; return its copies, None in the mode "counts"."""
        self.of(account).submits += len(incoming)
        if self.mode == "counts":
            return None
        copies = []
        came_us = time.time_ns() // 1_000 if self._times else 0
        for pdu in incoming:
            copy = Copy(account, bind)
            copy.came_us = came_us
            copies.append(copy)
            if self._left > 0:
                self._left -= 1
                self._filed.append(copy)
                self._file(copy, pdu)
            else:
                self.unrecorded += 1
        return copies

    def responded(self, account: str, status: int, number: int, copies: Iterable[Copy] | None) -> None:
        """So many responses with this status are on the wire."""
        responses = self.of(account).responses
        responses[status] = responses.get(status, 0) + number
        for copy in copies or ():
            copy.statuses += (status,)

    def delivered(self, account: str, receipts: Sequence[Receipt]) -> None:
        """These receipts (or messages) are on the wire."""
        _count(self.of(account).receipts, [receipt.state for receipt in receipts])
        if self.mode == "tokens":
            now_s = int(time.time())
            for receipt in receipts:
                if receipt.record is not None:
                    receipt.record.receipts += (receipt.state,)
                    receipt.record.told_s = now_s

    def acknowledged(self, account: str, statuses: Sequence[int], receipts: Sequence[Receipt]) -> None:
        """These receipts were answered so."""
        _count(self.of(account).acknowledged, statuses)
        if self.mode == "tokens":
            for receipt, status in zip(receipts, statuses, strict=True):
                if receipt.record is not None:
                    receipt.record.acknowledged += (status,)

    def operated(self, account: str, operation: str, status: int) -> None:
        """Count a rarer request by its answer."""
        statuses = self.of(account).operations.setdefault(operation, {})
        statuses[status] = statuses.get(status, 0) + 1

    def replaced(self, copy: Copy, text: bytes) -> None:
        """Note the token of the text that goes out instead. What came stays where it is."""
        copy.replaced_by = self._token(text.decode("latin-1").encode("utf-16-be"))

    def by_id(self, account: str, message_id: bytes) -> Copy | None:
        """Return the latest message that was accepted under an id; ids that are unknown, or refused: None."""
        for copy in self._filed[self._indexed :]:
            if copy.message_id:
                self._by_id[copy.account, copy.message_id] = copy
        self._indexed = len(self._filed)
        copy_of = self._by_id.get((account, message_id))
        return copy_of if copy_of is not None and (0 in copy_of.statuses or copy_of.receipts) else None

    # ---- tokens ----

    def _file(self, copy: Copy, pdu: Incoming) -> None:
        octets = pdu.short_message or b""
        part: tuple[int, int, int] | None = None
        plain = not pdu.esm_class & EsmClass.UDHI and pdu.data_coding != DataCoding.UCS2
        if plain and self._pattern is None and _SAR not in pdu.pdu:  # nine of ten: no need to look closer
            words = octets.rsplit(None, 1)
            self._put(copy, words[-1].decode("latin-1") if words else "")
            return
        if pdu.esm_class & EsmClass.UDHI:
            header, octets = split_header(octets)
            if header is not None and header.concatenation is not None:
                each = header.concatenation
                part = (each.reference, each.number, each.total)
        elif _SAR in pdu.pdu:
            part = _sar(pdu)
        text = octets if pdu.data_coding == DataCoding.UCS2 else octets.decode("latin-1").encode("utf-16-be")
        if part is None or part[2] < 2:
            self._put(copy, self._token(text))
            return
        copy.segment = part
        key = (copy.account, pdu.source_addr, pdu.destination_addr, part[0], part[2])
        known = self._long.get(key)
        if known is None or known.texts.get(part[1], text) != text:  # another one under the same reference
            known = self._long[key] = _Long(known)
            self._order.append(key)
            if len(self._order) > LONG_MESSAGES_MAX:
                self._long.pop(self._order.popleft(), None)
        if known.token is not None:
            known.again[part[1]] = copy
            self._put(copy, known.token)
            return
        known.texts[part[1]] = text
        known.waiting.append(copy)
        if len(known.texts) < part[2]:
            self._put(copy, _unfinished(pdu, part))
            return
        known.token = self._token(b"".join(known.texts[number] for number in sorted(known.texts)))
        for early in known.waiting:
            self._take_out(early)
            self._put(early, known.token)
        known.waiting.clear()

    def _token(self, utf16: bytes) -> str:
        text = utf16.decode("utf-16-be", "replace")
        if self._pattern is not None:
            found = self._pattern.search(text)
            return (found[1] if self._pattern.groups else found[0]) if found else ""
        words = text.split()
        return words[-1] if words else ""

    def _put(self, copy: Copy, token: str) -> None:
        copy.token = token
        self._tokens.setdefault(token, []).append(copy)

    def _take_out(self, copy: Copy) -> None:
        if copy.token is not None:
            copies = self._tokens[copy.token]
            copies.remove(copy)
            if not copies:
                del self._tokens[copy.token]

    # ---- what it says ----

    def copies(self, token: str) -> list[Copy]:
        """Return the copies of one message, in the order in which they came."""
        return list(self._tokens.get(token, ()))

    @property
    def tokens(self) -> list[str]:
        """Every token, in the order in which they came."""
        return list(self._tokens)

    def plain(self, token: str | None = None) -> dict[str, Any]:
        """Return all of it, or one token, for JSON. Without times: a seeded run gives the same twice."""
        chosen = self._tokens if token is None else {token: self._tokens.get(token, [])}
        return {
            "seed": self.seed,
            "mode": self.mode,
            "complete": self.mode == "tokens" and not self.unrecorded and not self.lateness.unrecorded,
            "unrecorded": self.unrecorded,
            **({"late_us": self.lateness.marks} if self._times else {}),
            "accounts": {name: msgspec.to_builtins(totals) for name, totals in self.totals.items()},
            "tokens": {
                name: {
                    "submits": len(copies),
                    "responses": sum(len(copy.statuses) for copy in copies),
                    "accepted": sum(copy.statuses.count(0) for copy in copies),
                    "receipts": sum(len(copy.receipts) for copy in copies),
                    "acknowledged": sum(len(copy.acknowledged) for copy in copies),
                    "copies": [copy.plain() for copy in copies],
                }
                for name, copies in chosen.items()
            },
        }

    def json(self, token: str | None = None) -> bytes:
        """Return `plain` as JSON."""
        return msgspec.json.encode(self.plain(token))


def _count(totals: dict[int, int], numbers: Sequence[int]) -> None:
    for number in set(numbers):
        totals[number] = totals.get(number, 0) + numbers.count(number)


def _sar(pdu: Incoming) -> tuple[int, int, int] | None:
    whole = pdu.decode()
    values = tuple(
        getattr(whole, name, None) for name in ("sar_msg_ref_num", "sar_segment_seqnum", "sar_total_segments")
    )
    return values if all(isinstance(value, int) for value in values) else None  # type: ignore[return-value]


def _unfinished(pdu: Incoming, part: tuple[int, int, int]) -> str:
    """Name a long message some of whose segments have not come."""
    return f"unfinished:{(pdu.destination_addr or b'').decode('latin-1')}:{part[0]}/{part[2]}"
