"""PDUs to begin with, and what is done to them: the cheap kind of malice, a few microseconds an input."""

from array import array
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from dispatcher._ext.pdu import Pdu, encode
from dispatcher.smpp import spec
from dispatcher.smpp.constants import RESPONSE_BIT, Command, Tlv
from tests import vectors

LIES: Final = (0, 1, 4, 15, 16, 17, 69_999, 70_000, 70_001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""What a command_length says that tells no truth."""
EDGES: Final = (0, 1, 2, 0x1F, 0x20, 0x7F, 0x80, 0xFE, 0xFF)
_COMMANDS: Final = tuple(sorted(spec.COMMANDS))
_TAGS: Final = tuple(sorted(spec.TLVS))
_TIMES: Final = (b"", b"", b"000000000500000R", b"261124101112304+")


class Seed(NamedTuple):
    """A PDU that may be sent, and where its lengths stand."""

    octets: bytes
    tlvs_at: int
    lengths: tuple[int, ...]
    """Offsets of octets that say how long something is, or how many follow."""


def below(dice: Random, limit: int) -> int:
    """Return 0 to limit - 1: as randrange, four times as fast."""
    return int(dice.random() * limit)


def number_of(dice: Random) -> int:
    """Return a sequence_number: small ones often, since those are in flight."""
    return below(dice, 40) if dice.random() < 0.7 else below(dice, 1 << 32)


def text_of(dice: Random, most: int) -> bytes:
    """Return a C-octet string's content."""
    return dice.randbytes(below(dice, most + 1)).replace(b"\0", b"x")


def random_tlv(dice: Random) -> tuple[int, int | bytes]:
    """Return a TLV, known or not, that may be sent."""
    if dice.random() < 0.15:
        return 0x1400 + below(dice, 0xEC00), dice.randbytes(below(dice, 20))
    tag = _TAGS[below(dice, len(_TAGS))]
    row = spec.TLVS[tag]
    if row.kind == spec.INTEGER:
        return tag, below(dice, 1 << 8 * row.least)
    size = row.least + below(dice, min(row.most, row.least + 40) - row.least + 1)
    if row.kind == spec.C_OCTET:
        return tag, dice.randbytes(max(0, size - 1)).replace(b"\0", b"x")
    return tag, dice.randbytes(size)


def _field(dice: Random, field: spec.Field) -> Any:
    many = below(dice, 3 if dice.random() < 0.9 else 200)
    if field.kind == spec.INTEGER:
        return below(dice, 256)
    if field.kind == spec.C_OCTET:
        return text_of(dice, field.size - 1 if dice.random() < 0.2 else min(12, field.size - 1))
    if field.kind == spec.TIME:
        return _TIMES[below(dice, len(_TIMES))]
    if field.kind == spec.SHORT_MESSAGE:
        return dice.randbytes(below(dice, 255 if dice.random() < 0.2 else 40))
    if field.kind == spec.DEST_ADDRESSES:
        return tuple(
            spec.DistributionList(text_of(dice, 20))
            if dice.random() < 0.3
            else spec.SmeAddress(1, 1, text_of(dice, 20))
            for _ in range(many + 1)
        )
    return tuple(spec.UnsuccessSme(1, 1, text_of(dice, 20), below(dice, 1 << 32)) for _ in range(many))


def random_seed(dice: Random, command_id: int = 0) -> Seed:
    """Return a PDU of one command, or of any."""
    command_id = command_id or _COMMANDS[below(dice, len(_COMMANDS))]
    rows = spec.COMMANDS[command_id]
    response = command_id & RESPONSE_BIT
    status = (
        0 if not response or dice.random() < 0.6 else below(dice, 1 << (8 if dice.random() < 0.5 else 32))
    )
    fields = {row.name: _field(dice, row) for row in rows}
    tlvs = [random_tlv(dice) for _ in range(below(dice, 5))]
    tlvs = [each for each in tlvs if each[0] != Tlv.MESSAGE_PAYLOAD or not fields.get("short_message")]
    if "short_message" in fields and dice.random() < 0.05:
        fields["short_message"] = b""
        tlvs.append((Tlv.MESSAGE_PAYLOAD, dice.randbytes(below(dice, 60_000))))
    sequence_number = 1 + below(dice, 0x7FFFFFFF) if dice.random() < 0.5 else 1 + below(dice, 40)
    pdu = Pdu(command_id, sequence_number, status, **fields)
    bare = len(encode(pdu))
    octets = encode(Pdu(command_id, sequence_number, status, tlvs, **fields))
    lengths = [bare - len(fields["short_message"]) - 1] if "short_message" in fields else []
    if "dest_address" in fields:
        lengths.append(16 + len(fields["service_type"]) + 3 + len(fields["source_addr"]) + 1)
    if "unsuccess_sme" in fields:
        lengths.append(16 + len(fields["message_id"]) + 1)
    at = bare
    while at < len(octets):
        lengths += [at + 2, at + 3]
        at += 4 + int.from_bytes(octets[at + 2 : at + 4], "big")
    return Seed(octets, bare, tuple(lengths))


def make_seeds(count: int = 800) -> tuple[Seed, ...]:
    """Return the seeds of every run: some of each command, more of the frequent ones, and the vectors'."""
    dice = Random("seeds")
    frequent = (Command.DELIVER_SM, Command.SUBMIT_SM, Command.SUBMIT_SM_RESP, Command.SUBMIT_MULTI)
    commands = _COMMANDS * (count // (2 * len(_COMMANDS))) + frequent * (count // 8)
    seeds = [random_seed(dice, command_id) for command_id in commands]
    if vectors.present():
        for name in ("pdu_decode", "pdu_malformed"):
            for vector in vectors.load(name):
                octets = bytes.fromhex(vector.input["hex"]) if "hex" in vector.input else b""
                if 16 <= len(octets) <= 70_000:
                    seeds.append(Seed(octets, len(octets), ()))
    return tuple(seeds)


# ---- mutations: each changes the octets in place -----------------------------------------------------------


def flip(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """One bit is the other."""
    at = below(dice, len(octets))
    octets[at] ^= 1 << below(dice, 8)


def edge(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """One octet is a number where things happen."""
    octets[below(dice, len(octets))] = EDGES[below(dice, len(EDGES))]


def step(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """One octet is one more, or one less."""
    at = below(dice, len(octets))
    octets[at] = octets[at] + (1 if dice.random() < 0.5 else 255) & 255


def cut_off(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """The end is missing."""
    del octets[16 + below(dice, len(octets) - 15) :]


def cut_out(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """A piece is missing."""
    at = 16 + below(dice, len(octets) - 15)
    del octets[at : at + 1 + below(dice, 12)]


def put_in(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """There is a piece too many."""
    at = 16 + below(dice, len(octets) - 15)
    octets[at:at] = dice.randbytes(1 + below(dice, 8))


def splice(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """The end is another PDU's."""
    other = seeds[below(dice, len(seeds))].octets
    octets[16 + below(dice, len(octets) - 15) :] = other[16 + below(dice, len(other) - 15) :]


def unterminate(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """A NUL is none, or all are not."""
    if dice.random() < 0.2:
        octets[16:] = octets[16:].replace(b"\0", b"x")
        return
    at = octets.find(0, 16 + below(dice, len(octets) - 15))
    if at >= 0:
        octets[at] = 0x78


def become(dice: Random, octets: bytearray, seeds: tuple[Seed, ...]) -> None:
    """The body is read as another command's."""
    octets[4:8] = _COMMANDS[below(dice, len(_COMMANDS))].to_bytes(4, "big")


Mutation = Callable[[Random, bytearray, tuple[Seed, ...]], None]
MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(flip, edge, step, cut_off, cut_out, put_in, splice, unterminate, become, edge, cut_off),
)
_HOW_MANY: Final = (0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 8)


def _lie(dice: Random, octets: bytearray, seed: Seed) -> None:
    """A length says one more or less, nothing, all, or anything."""
    at = seed.lengths[below(dice, len(seed.lengths))]
    kind = dice.random()
    now = octets[at]
    octets[at] = (
        now + 1 & 255
        if kind < 0.3
        else now - 1 & 255
        if kind < 0.6
        else EDGES[below(dice, len(EDGES))]
        if kind < 0.8
        else below(dice, 256)
    )


def _retag(dice: Random, octets: bytearray, seed: Seed) -> None:
    """The TLVs come in another order, twice, with others among them, of another size than they should be."""
    pieces = []
    at = seed.tlvs_at
    while at < len(seed.octets):
        end = at + 4 + int.from_bytes(seed.octets[at + 2 : at + 4], "big")
        pieces.append(seed.octets[at:end])
        at = end
    pieces += pieces[: below(dice, 3)]
    for _ in range(below(dice, 3)):
        value = dice.randbytes(below(dice, 7))
        pieces.append(
            _TAGS[below(dice, len(_TAGS))].to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        )
    dice.shuffle(pieces)
    octets[seed.tlvs_at :] = b"".join(pieces)


def mangled(dice: Random, seeds: tuple[Seed, ...], framed: float = 0.9) -> bytes:
    """Return a PDU that something was done to; its command_length is true with the probability `framed`."""
    seed = seeds[below(dice, len(seeds))]
    if len(seed.octets) > 2000 and dice.random() < 0.9:  # long ones are slow
        seed = seeds[below(dice, len(seeds))]
    octets = bytearray(seed.octets)
    kind = dice.random()
    if kind < 0.25 and seed.lengths:
        _lie(dice, octets, seed)
    elif kind < 0.4:
        _retag(dice, octets, seed)
    for _ in range(_HOW_MANY[below(dice, 16)]):
        MUTATIONS[below(dice, len(MUTATIONS))](dice, octets, seeds)
    if dice.random() < framed:
        octets[:4] = len(octets).to_bytes(4, "big")
    elif kind < 0.5:
        octets[:4] = LIES[below(dice, len(LIES))].to_bytes(4, "big")
    elif kind < 0.75:
        octets[:4] = (len(octets) + below(dice, 7) - 3).to_bytes(4, "big")
    return bytes(octets)


def noise(dice: Random) -> bytes:
    """Return random octets, mostly behind a sound header."""
    body = dice.randbytes(below(dice, 90))
    kind = dice.random()
    if kind < 0.2:
        return body
    if kind < 0.5:
        body = body.translate(_FEW)  # many NULs, ones and twos: counts that can be right
    command = below(dice, 1 << 32) if kind > 0.97 else _COMMANDS[below(dice, len(_COMMANDS))]
    status = 0 if kind < 0.8 else 8
    header = (16 + len(body), command, status, number_of(dice))
    return b"".join([number.to_bytes(4, "big") for number in header]) + body


_FEW: Final = bytes((octet & 3 if octet < 200 else octet) for octet in range(256))


def any_input(dice: Random, seeds: tuple[Seed, ...]) -> bytes:
    """Return the next input for a decoder."""
    return noise(dice) if dice.random() < 0.15 else mangled(dice, seeds)


def exact(octets: bytes) -> "array[int]":
    """Return the octets in memory of just their size: nothing behind them hides a read too far."""
    return array("B", octets)[:]  # the first has room to grow, its copy has none
