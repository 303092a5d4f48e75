"""The decoder of all PDUs, the framer and the hot readers, on mangled PDUs and noise.

The laws: any octets give a Pdu, a Recoverable or an Unrecoverable, and which of them the frame alone decides;
``decode(encode(x)) == x``; a stream gives what its PDUs give one by one, however it is cut; the twin and the
hot readers agree; what is kept is never more than twice the PDU, beside the objects themselves.
"""

import pickle
import tracemalloc
from array import array
from random import Random
from typing import Any, Final

from dispatcher._ext.pdu import Framer, Pdu, decode, encode, read_deliver_sm, read_submit_sm_resps
from dispatcher.errors import LocalProtocolError, Recoverable, Unrecoverable
from dispatcher.smpp.constants import COMMAND_LENGTH_MAX, Tlv
from dispatcher.smpp.spec import COMMANDS, response_id
from tests.ext import twin_pdu
from tests.fuzz import desk
from tests.fuzz.desk import need
from tests.fuzz.mangle import Seed, any_input, below, exact, make_seeds

BATCH: Final = 100
TWIN_EVERY: Final = 12
"""One input in so many is held against the twin and the hot readers."""
MEMORY_EVERY: Final = 40
"""One turn in so many is also measured."""
OBJECTS_BYTES: Final = 3072
"""What a Pdu or the error in its place takes, whatever its length: itself, its fields, a message."""
ENTRY_BYTES: Final = 256
"""What a TLV or an entry of a list takes beside its octets: tuples, numbers, headers of bytes."""
LIST_ENTRIES_MAX: Final = 255
READS: Final = (1, 7, 64, 4096, 65_536)

Outcome = Pdu | Recoverable | Unrecoverable
SEEDS: Final[list[Seed]] = []


def seeds() -> tuple[Seed, ...]:
    """Return the seeds, made once."""
    if not SEEDS:
        SEEDS.extend(make_seeds())
    return tuple(SEEDS)


def outcome(view: "array[int]") -> Outcome:
    """Decode; any other exception goes through and is a failure."""
    try:
        return decode(view)
    except (Recoverable, Unrecoverable) as refused:
        return refused


def key(found: Outcome) -> tuple[Any, ...]:
    """Return all that an outcome says."""
    if isinstance(found, Pdu):
        return 0, found, found.flaws
    if isinstance(found, Recoverable):
        flaws = found.partial.flaws if found.partial is not None else ()
        said = (str(found), found.command_id, found.command_status, found.sequence_number, found.response_id)
        return 1, *said, found.partial, flaws
    return 2, str(found), found.command_length


def judge(octets: bytes, found: Outcome) -> None:
    """The frame decides between refusing and closing; what decodes can be written and read again."""
    size = len(octets)
    claimed = int.from_bytes(octets[:4], "big") if size >= 4 else -1
    framed = claimed == size and 16 <= size <= COMMAND_LENGTH_MAX
    need(isinstance(found, Unrecoverable) != framed, "the frame decides", octets)
    if isinstance(found, Unrecoverable):
        return
    header = tuple(int.from_bytes(octets[at : at + 4], "big") for at in (4, 8, 12))
    if isinstance(found, Recoverable):
        said = found.command_id, found.sequence_number, found.response_id
        need(said == (header[0], header[2], response_id(header[0])), "a Recoverable names its PDU", octets)
        need(0 < found.command_status < 0x100, "a Recoverable has a status", octets)
        need((found.partial is None) == (header[0] not in COMMANDS), "what could be read is kept", octets)
        return
    need((found.command_id, found.command_status, found.sequence_number) == header, "the header", octets)
    try:
        written = encode(found)
    except LocalProtocolError:  # what we may not send, a peer may
        return
    again = decode(exact(written))
    need(again == found, "decode(encode(x)) == x", octets)
    need(encode(again) == written, "encode(decode(y)) == y", octets)


def compare(octets: bytes, found: Outcome) -> None:
    """The twin, the hot readers, repr and pickle agree about a whole frame."""
    twin = twin_pdu.decode(octets)
    pdu = found.partial if isinstance(found, Recoverable) else found
    fields, tlvs = (pdu.fields, list(pdu.tlvs)) if isinstance(pdu, Pdu) else ({}, [])
    status = found.command_status if isinstance(found, Recoverable) else 0
    need((status, fields, tlvs) == tuple(twin), "the twin reads the same", octets)
    repr(found)
    if isinstance(pdu, Pdu):
        need(pickle.loads(pickle.dumps(pdu)) == pdu, "a PDU travels", octets)
        need(pdu.tlv(-1) is None and pdu.message_state in (pdu.message_state,), "attributes", octets)
    deliver = octets[:4] + b"\0\0\0\x05" + octets[8:]
    status, read = read_deliver_sm(exact(deliver))
    expected, fields, options = twin_pdu.decode(deliver)
    need(status == expected, "the hot reader blames alike", deliver)
    for name in ("service_type", "source_addr", "destination_addr"):
        need(read[name] == fields[name], "the hot reader reads alike", deliver, name)
    for name in ("source_addr_ton", "dest_addr_npi", "esm_class", "registered_delivery", "data_coding"):
        need(read[name] == (fields[name] or 0), "the hot reader reads alike", deliver, name)
    payload = next((value for tag, value in options if tag == Tlv.MESSAGE_PAYLOAD and value), None)
    text = fields["short_message"]
    need(read["short_message"] == (payload if text == b"" and payload else text), "the text", deliver)
    for tag, name in (
        (Tlv.RECEIPTED_MESSAGE_ID, "receipted_message_id"),
        (Tlv.NETWORK_ERROR_CODE, "network_error_code"),
        (Tlv.MESSAGE_STATE, "message_state"),
        (Tlv.USER_MESSAGE_REFERENCE, "user_message_reference"),
    ):
        kind = int if tag in (Tlv.MESSAGE_STATE, Tlv.USER_MESSAGE_REFERENCE) else bytes
        first = next((value for each, value in options if each == tag and isinstance(value, kind)), None)
        need(read[name] == first, "the hot reader reads alike", deliver, name)
    resp = octets[:4] + b"\x80\0\0\x04" + octets[8:]
    (row,) = read_submit_sm_resps(exact(resp))
    _, fields, _ = twin_pdu.decode(resp)
    need(row[2] == fields["message_id"], "the hot reader of responses", resp)


def cut_anywhere(dice: Random, stream: bytes, expected: list[Outcome]) -> None:
    """A stream of whole frames, and the beginning of one more, gives what its PDUs gave one by one."""
    tail = dice.choice((b"", b"\0", b"\0\0\0", b"\0\0\0\x10", b"\0\0\0\x20abc", b"\0\1\0\0" + b"x" * 40))
    desk.DESK.note(stream + tail)
    lost = dice.random() < 0.2
    if lost:
        tail = dice.choice((b"\0\0\0\x0f", b"\0\1\x11\x71", b"HTTP/1.1 400", b"\xff" * 30))
    framer = Framer(read_octets=dice.choice(READS))
    found: list[Outcome] = []
    view, at = memoryview(stream + tail), 0
    most, few = dice.choice((60, 500, 5000, len(view) + 1)), below(dice, 400)
    while at < len(view):
        size = 1 + below(dice, 3 if at < few else most)
        found += framer.feed(view[at : at + size])
        at += size
    if lost:
        need(isinstance(found[-1], Unrecoverable), "framing is lost", stream, tail)
        need(framer.feed(b"x" * 40) == [found[-1]], "and stays lost", stream)
        while isinstance(found[-1], Unrecoverable):  # every call after it says so again
            found.pop()
    need(framer.pending == (0 if lost else len(tail)), "what is pending", stream, tail)
    need(list(map(key, found)) == list(map(key, expected)), "a stream may be cut anywhere", stream, tail)


def entries(found: Outcome) -> int:
    """Count the TLVs and the entries of lists."""
    pdu = found.partial if isinstance(found, Recoverable) else found
    if not isinstance(pdu, Pdu):
        return 0
    fields = pdu.fields
    lists = sum(len(value) for value in fields.values() if type(value) is tuple)
    if fields.get("dest_address", ()) is None or fields.get("unsuccess_sme", ()) is None:
        lists += LIST_ENTRIES_MAX  # made up to where the PDU ended, and dropped
    return len(pdu.tlvs) + len(pdu.flaws) + lists


def measure(inputs: list[bytes]) -> None:
    """Decoding takes at most twice the PDU, and the objects; no length that lies is allocated."""
    tracemalloc.start()
    try:
        for octets in inputs:
            view = exact(octets)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            found = outcome(view)
            peak = tracemalloc.get_traced_memory()[1] - before
            allowed = 2 * len(octets) + OBJECTS_BYTES + ENTRY_BYTES * entries(found)
            need(peak <= allowed, f"decoding took {peak} octets of memory, {allowed} are allowed", octets)
    finally:
        tracemalloc.stop()


def turn(dice: Random, number: int) -> int:
    """Try a batch, one by one and as a stream; return how many inputs that were."""
    corpus, note = seeds(), desk.DESK.note
    inputs = [any_input(dice, corpus) for _ in range(BATCH)]
    frames: list[bytes] = []
    expected: list[Outcome] = []
    for index, octets in enumerate(inputs):
        note(octets)
        found = outcome(exact(octets))
        judge(octets, found)
        if not isinstance(found, Unrecoverable):
            frames.append(octets)
            expected.append(found)
            if index % TWIN_EVERY == 0:
                compare(octets, found)
    cut_anywhere(dice, b"".join(frames), expected)
    if number % MEMORY_EVERY == 0:
        measure(inputs)
    return BATCH
