"""Receipt texts, user data headers, long messages, times, addresses, and the tables that octets index.

The laws: receipts and headers give a value for any octets, times and addresses a value or a
RemoteProtocolError; what was read lies in what came; the twins agree; what is written reads back; nothing
given to the reassembler is lost or comes back twice, and it never keeps more than its limit.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from dispatcher._ext.receipt import key, local_seconds, scan, scan_many
from dispatcher.encoding import Part, split_header
from dispatcher.errors import LocalProtocolError, RemoteProtocolError
from dispatcher.smpp import address, flags, status
from dispatcher.smpp import time as smpp_time
from dispatcher.smpp.constants import Tlv
from dispatcher.smpp.data_coding import data_coding_parts
from dispatcher.smpp.dialect import DEFAULT, Dialect
from dispatcher.smpp.reassembly import Reassembler
from dispatcher.smpp.receipt_text import ReceiptText, parse, recognise
from tests import vectors
from tests.ext import receipt_twin
from tests.fuzz import desk
from tests.fuzz.desk import need
from tests.fuzz.mangle import below

BATCH: Final = 50
TWIN_EVERY: Final = 4
NOW: Final = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
DIALECTS: Final = (
    DEFAULT,
    Dialect(
        id_notation="response_hex", strip_zeros=True, fold_case=True, done_zone=ZoneInfo("Europe/Moscow")
    ),
    Dialect(
        id_notation="receipt_hex",
        tlv_id="receipt",
        date_formats=("YYYY-MM-DD hh:mm:ss", "YYMMDDhhmm"),
        submit_zone=timezone(timedelta(hours=-9, minutes=-30)),
        states={"FAILED": 5, "DELIVRD": 2},
    ),
)
RECEIPTS = [
    b"id:0123456789 sub:002 dlvrd:001 submit date:1005232039 done date:1005242339 stat:DELIVRD err:1 text:A",
    b"id:4 sub:001 dlvrd:001 submit date:1006020051 done date:1006020051 stat:DELIVRD err:000 Text:H",
    b"id:38601fa-aa sub:1 dlvrd:1 submit date:20261124101112 done date:2611241011 stat:UNDELIV err:4b text:",
    b"stat:EXPIRED,id:a1b2,err:7;done_date:2611241011|sub:000",
    b"ID: 77 Submit Date: 2026-11-24 10:11 Done-Date: 10:11 STAT: accepted ERR:",
    b"\0i\0d\0:\0001\0 \0s\0t\0a\0t\0:\0D\0E\0L\0I\0V\0R\0D",
]
if vectors.present():
    RECEIPTS += [
        text.encode("utf-8", "surrogatepass")
        for vector in vectors.load("receipts")
        if isinstance(vector.input, dict) and isinstance(text := vector.input.get("text"), str)
    ]
WORDS: Final = (
    *(b"id:", b"ID :", b"sub:", b"dlvrd:", b"submit date:", b"done date:", b"submit_date:", b"done--date :"),
    *(
        b"stat:",
        b"err:",
        b"text:",
        b"Text:",
        b"DELIVRD",
        b"UNDELIV",
        b"scheduled",
        b"FAILED",
        b",",
        b";",
        b"|",
    ),
    *(
        b" ",
        b"\t",
        b"\0",
        b"\x80",
        b":",
        b"_",
        b"-",
        b".",
        b"12:30",
        b" 12:30",
        b"2611241011",
        b"0x1f",
        b"i",
        b"s",
    ),
)
TAGS: Final = (Tlv.RECEIPTED_MESSAGE_ID, Tlv.MESSAGE_STATE, Tlv.NETWORK_ERROR_CODE)
DIGITS: Final = b"0123456789abcdefABCDEF"


def any_text(dice: Random) -> bytes:
    """Return a receipt that something was done to, words in any order, or octets."""
    kind = dice.random()
    if kind < 0.1:
        return dice.randbytes(below(dice, 120))
    if kind < 0.35:
        return b"".join([WORDS[below(dice, len(WORDS))] for _ in range(below(dice, 16))])
    if kind > 0.999:  # as long as a TLV can be, and beyond
        return WORDS[below(dice, len(WORDS))] * (20_000 + below(dice, 60_000))
    octets = bytearray(RECEIPTS[below(dice, len(RECEIPTS))])
    for _ in range(below(dice, 5)):
        at, what = below(dice, len(octets) + 1), dice.random()
        if what < 0.3:
            octets[at:at] = WORDS[below(dice, len(WORDS))]
        elif what < 0.6:
            del octets[at : at + 1 + below(dice, 9)]
        elif what < 0.8:
            octets[at : at + 1] = dice.randbytes(1)
        elif what < 0.9:
            del octets[at:]
        else:
            other = RECEIPTS[below(dice, len(RECEIPTS))]
            octets[at:] = other[below(dice, len(other) + 1) :]
    return bytes(octets)


def receipts(dice: Random, twin: bool) -> None:
    """Scan and parse; every field lies in the text."""
    text = any_text(dice)
    desk.DESK.note(text)
    fields = scan(text)
    state = fields[1]
    need(-2 <= state <= 9 and (state == -1) == (fields[2] is None), "the state is of the word", text)
    need(
        all(each is None or each in text for each in (fields[0], *fields[2:])), "fields lie in the text", text
    )
    if twin and len(text) < 65_536:
        expected, word = receipt_twin.scan(text)
        need(((fields[0], *fields[2:]), state) == (expected, word), "the twin scans the same", text)
    if twin:
        ((*few, err),) = scan_many([text])
        need(few == [fields[0], state, fields[2] if state == -2 else None], "scan_many is scan", text)
        need(err == fields[3], "scan_many is scan", text)
    dialect = DIALECTS[below(dice, len(DIALECTS))]
    tlvs = (
        {} if twin else {TAGS[below(dice, 3)]: dice.randbytes(below(dice, 4)) for _ in range(below(dice, 3))}
    )
    read = parse(text, tlvs, dialect)
    need(type(read) is ReceiptText, "a receipt is read", text)
    need(read.state is None or 0 <= read.state <= 9, "a state is one of ten", text, tlvs)
    recognise(below(dice, 256), text, tlvs)
    if read.message_id is not None:
        dialect.key_of_receipt(read.message_id, read.id_from_tlv)


def ids(dice: Random, twin: bool) -> None:
    """The key of an id is what the twin says; dates are what the standard library says."""
    size = below(dice, 70)
    octets = bytes(DIGITS[below(dice, len(DIGITS) if size & 1 else 10)] for _ in range(size))
    if dice.random() < 0.5:
        octets = b" 0" + octets + dice.randbytes(below(dice, 3))
    base, number = (0, 10, 16)[below(dice, 3)], below(dice, 4)
    desk.DESK.note(octets)
    found = key(octets, base, number)
    if len(octets) <= 64:
        need(found == receipt_twin.key(octets, base, bool(number & 1), bool(number & 2)), "key", octets, base)
    value = b"%010d" % below(dice, 10**10) if dice.random() < 0.7 else any_text(dice)[:12]
    need(
        local_seconds(value, b"YYMMDDhhmm") == receipt_twin.local_seconds(value, "%y%m%d%H%M", 10)
        or value[:2] == b"69",  # where the standard library's centuries part
        "a date",
        value,
    )
    local_seconds(value, dice.randbytes(len(value)))


def headers(dice: Random, twin: bool) -> None:
    """A header and a body are what came; a reassembler hands everything back, once."""
    most = 1 + below(dice, 8)
    keeper: Reassembler[int] = Reassembler(most=most, wait_ms=50)
    back: list[int] = []
    given = 2 + below(dice, 12)
    for item in range(given):
        body = dice.randbytes(below(dice, 12))
        kind = dice.random()
        total, number = below(dice, 4), below(dice, 5)
        if kind < 0.5:
            body = bytes((5, 0, 3, 7, total, number)) + body
        elif kind < 0.7:
            body = bytes((6, 8, 4, 1, 7, total, number)) + body
        esm_class = 0x40 if dice.random() < 0.8 else below(dice, 256)
        desk.DESK.note(body)
        header, rest = split_header(body)
        need(
            body.endswith(rest) and (header is None or header.octets + len(rest) == len(body)), "split", body
        )
        sar = (below(dice, 3), total, number) if kind > 0.9 else None
        part = Part(body, (0, 8, 4, 3, below(dice, 256))[below(dice, 5)], esm_class, sar)
        done = keeper.add(b"1", b"%d" % below(dice, 2), part, item, item * 20_000_000)
        need(len(keeper) <= most, "it keeps no more than its limit", most)
        if dice.random() < 0.3:
            done += keeper.expire(item * 20_000_000)
        back += [each for whole in done for each in whole.items]
    back += [each for whole in keeper.expire(1 << 62) for each in whole.items]
    need(sorted(back) == list(range(given)) and not len(keeper), "all comes back once", back)


def remote(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call; a RemoteProtocolError is an answer too, every other one goes through."""
    try:
        return function(*arguments)
    except RemoteProtocolError:
        return None


def times(dice: Random, twin: bool) -> None:
    """Times: any octets give a time or a RemoteProtocolError, and what is written reads back."""
    octets = bytearray(b"%015d" % below(dice, 10**15))
    octets[12:15] = b"%03d" % below(dice, 490)
    octets[2:8] = b"%02d%02d%02d" % (below(dice, 14), below(dice, 33), below(dice, 26))
    octets += (b"+", b"-", b"R", b"x")[below(dice, 4)]
    for _ in range(below(dice, 3)):
        at = below(dice, 17)
        octets[at : at + below(dice, 2)] = dice.randbytes(below(dice, 2))
    value = bytes(octets)
    desk.DESK.note(value)
    now = NOW if dice.random() < 0.9 else datetime(1 + below(dice, 9999), 12, 31, 23, 59, tzinfo=UTC)
    found = remote(smpp_time.parse, value, now)
    if isinstance(found, datetime) and abs(found.year - now.year) < 49:
        again = smpp_time.parse(smpp_time.format_absolute(found, now), now)
        need(again == found, "an absolute time reads back", value, now)
    remote(smpp_time.resolve, value, now)
    remote(smpp_time.parse_receipt_date, value[: 10 + 2 * below(dice, 3)], now, 2 + 2 * below(dice, 2))
    seconds = below(dice, 32 * 86_400)
    written = smpp_time.format_relative(seconds)
    read = smpp_time.parse(written, NOW)
    need(isinstance(read, smpp_time.Relative) and read.total_seconds() == seconds, "relative", seconds)


def addresses(dice: Random, twin: bool) -> None:
    """Addresses of a TPDU, and every table that an octet or a status from a peer is looked up in."""
    octets = bytes((below(dice, 24), 0x80 | below(dice, 128) if dice.random() < 0.9 else below(dice, 256)))
    octets += dice.randbytes(below(dice, 14))
    desk.DESK.note(octets)
    found = remote(address.parse_tp_address, octets[: below(dice, len(octets) + 1)])
    found = remote(address.parse_tp_address, octets)
    if found is not None and len(found[0]) == octets[0] <= 20 and found[1] != 5:
        again = address.parse_tp_address(address.format_tp_address(*found))
        need(again == found, "an address reads back", octets)
    text = "".join(chr(below(dice, 0x600)) if dice.random() < 0.2 else "+0123456789@Az"[below(dice, 14)]
                   for _ in range(below(dice, 18)))  # fmt: skip
    try:
        kind = address.classify(text)
        need(0 < len(kind.octets) <= 20 and 0 not in kind.octets, "an address fits its field", text)
    except LocalProtocolError:
        pass
    octet, code = below(dice, 256), below(dice, 1 << (12 if dice.random() < 0.9 else 32))
    data_coding_parts(octet)
    flags.esm_parts(octet)
    flags.registered_parts(octet)
    flags.network_error(octets[:3])
    need(status.disposition(code) is status.status(code).disposition, "a status has a disposition", code)


KINDS: Final = (receipts, receipts, receipts, ids, times, addresses)


def turn(dice: Random, number: int) -> int:
    """Try some of each; return how many inputs that were."""
    for index in range(BATCH):
        KINDS[index % len(KINDS)](dice, index % TWIN_EVERY == 0)
    headers(dice, False)
    return BATCH + 1
