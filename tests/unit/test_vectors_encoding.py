"""Other people's test vectors of texts, packing, segmentation, headers and national tables.

``agrees`` must hold. ``differs``: the standard's value must, not the peer's. ``policy`` and ``vendor`` hold,
or stand in NOT_OURS with the reason, and those that stand there must really not hold.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from dispatcher.encoding import (
    ConfigError,
    Encoder,
    EncodingError,
    Part,
    Segmented,
    UnencodableError,
    count,
    decode,
    encoder,
    explain,
    pack,
    reassemble,
    replace_smart,
    segment,
    split_header,
    strip_accents,
    table,
    unpack,
)
from dispatcher.encoding.tables import DEFAULT, LANGUAGE_ID, LOCKING, SINGLE_SHIFT
from dispatcher.encoding.udh import UserDataHeader, parse_elements
from tests import vectors
from tests.vectors import Vector

FILES: Final = ("text_charset", "gsm7_packed", "segmentation", "udh", "national_text", "national_tables")
VECTORS: Final = [vector for name in FILES for vector in vectors.load(name)]
LANGUAGE: Final = {number: language for language, number in LANGUAGE_ID.items()}
ENCODINGS: Final = {"GSM-7": "gsm7", "UCS-2": "ucs2"}

VENDOR: Final = "one carrier's own default alphabet; a table for it belongs to that carrier's profile"
STRIP: Final = "é è ñ ò are in the default alphabet and stay; this peer strips them"
GUESS: Final = "we refuse what the alphabet lacks, or replace it on request with a report; never ? or nothing"
STRICT: Final = "received octets are shown, not refused: U+FFFD where they mean nothing"
CR_PAD: Final = (
    "zero bits are SMS padding; CR is for USSD, and `packed-cr` cuts a septet earlier to have room"
)

NOT_OURS: Final[dict[str, str]] = {
    **dict.fromkeys(
        [f"text_charset-{n:03}" for n in (36, 44, 45, 64, 65, 66, 67, 69, 70, 71, 72, *range(161, 171))],
        VENDOR,
    ),
    **dict.fromkeys(["text_charset-086", "text_charset-087"], STRIP),
    **dict.fromkeys([f"text_charset-{n}" for n in (122, 123, 126, 127, 155)], GUESS),
    **dict.fromkeys(["text_charset-131", "text_charset-132"], STRICT),
    "text_charset-143": "a lone escape at the end is dropped, as by AOSP, not shown as a space",
    "text_charset-154": "a few keys differ: ÷ is also a range or a minus, combining marks belong to a letter",
    "text_charset-158": "Greek capitals are not replaced by Latin look-alikes unless `el-upper` is asked for",
    "text_charset-159": "ç would arrive as Ç",
    "gsm7_packed-055": "without a count the eighth septet stays: a trailing @ may be the text's own",
    "national_text-008": "^ \\ | ~ take the plain codes of the Portuguese locking table: one septet, not two",
    **dict.fromkeys([f"segmentation-{n}" for n in (114, 115, 116, 118)], CR_PAD),
}
"""Vectors of ``policy`` and ``vendor`` that do not hold here, each with the reason."""

MISJUDGED: Final = {
    "text_charset-031": "ISO 8859-1 has no euro sign; the peer puts a question mark there, we refuse",
}
"""Marked ``agrees``, but no standard says so: our answer is asserted in the test."""

BY_STANDARD: Final[dict[str, dict[str, Any]]] = {
    "text_charset-150": {"text": "PinvalidP"},
    "text_charset-160": {"text": "Ç"},
    "segmentation-111": {"split": False},
    "segmentation-119": {"segments": 1},
    "udh-027": {"concat": {"ref": 4, "total": 2, "seq": 1}},
    "udh-035": {"language": "ur", "hex": ["0325010d68656c6c6f2007"]},
    "udh-036": {"language": "ur", "hex": ["0324010d68656c6c6f201b2a"]},
    "udh-037": {"language": "ur", "hex": ["0625010d24010d68656c6c6f20071b2a"]},
    "udh-038": {
        "language": "tr",
        "hex": ["032501015468697320697320612054651d74", "032401015468697320697320612054651b7374"],
    },
    "udh-039": {"language": "es", "hex": ["0324010254686973201b697320612054057374"]},
    "udh-040": {"language": "pt", "hex": []},
}
"""What the standard says where the peer of a vector ``differs``."""


def gsm7(text: str, plan_language: str = "", **options: Any) -> Segmented:
    """Return a text in GSM 7-bit with exactly these language tables."""
    language = plan_language.partition("-")[0]
    made = encoder(allow=("gsm7",), languages=(language,) if language else (), **options)
    plan = next(plan for plan in made.plans if plan.language == plan_language)
    return Encoder(
        (plan,), max_segments=255, method=made.method, clusters=True, reference_max=made.reference_max
    ).segment(text, reference=options.get("reference", 0))


def tables_of(given: dict[str, int]) -> str:
    """Return our name of a pair of language tables."""
    locking = LANGUAGE[given.get("locking_table", 0)]
    single = LANGUAGE[given.get("single_shift_table", 0)]
    assert not locking or not single or locking == single
    if locking and single:
        return locking
    return f"{locking}-locking" if locking else f"{single}-single" if single else ""


def body(message: Segmented) -> bytes:
    """Return all segments without their headers."""
    return b"".join(part.body for part in message.segments)


def header_of(octets: str) -> tuple[UserDataHeader | None, bytes]:
    """Split hex user data."""
    return split_header(bytes.fromhex(octets))


# ---- one function a kind: asserts what the vector expects -------------------------------------------------


def char_table(vector: Vector, expect: Any) -> None:
    """Each character of a map encodes to its septets."""
    for char, octets in expect["map"].items():
        if octets == "1b":  # how this peer shows a bad escape: never produced
            continue
        assert body(gsm7(char)).hex() == octets


def charset(vector: Vector, expect: Any) -> None:
    """Octets of the alphabets beside GSM 7-bit, both ways where we have both."""
    text, octets = vector.input["text"], bytes.fromhex(expect["hex"])
    name = vector.more["alphabet"]
    ours = {"latin1": ("latin1", 3), "ucs2be": ("ucs2", 8), "ia5": ("ascii", 1)}
    received = {"iso-8859-5": 6, "iso-8859-8": 7}
    if name in ours:
        alphabet, coding = ours[name]
        message = segment(text, alphabet=alphabet)  # type: ignore[arg-type]
        assert (body(message), message.data_coding) == (octets, coding)
        assert decode(octets, data_coding=coding) == text
    elif name in received:
        assert decode(octets, data_coding=received[name]) == text
    else:
        assert name in {"ucs2le", "utf8", "latin9"}, "never valid in SMPP, or not offered"
        with pytest.raises(ConfigError):
            encoder(alphabet=name)
        assert name != "ucs2le" or body(segment(text, alphabet="ucs2")) != octets


def detect(vector: Vector, expect: Any) -> None:
    """The cheapest of the alphabets of the peer."""
    assert count(vector.input["text"], allow=("gsm7", "latin1", "ucs2")).alphabet == expect["encoding"]


def gsm7_decode(vector: Vector, expect: Any) -> None:
    """Septets, packed or not, to text."""
    given = vector.input
    if "packed_hex" in given:
        shown = decode(bytes.fromhex(given["packed_hex"]), packed=True, septets=given["septets"])
    else:
        shown = decode(bytes.fromhex(given["hex"]))
    assert shown == expect["text"]


def gsm7_decode_invalid(vector: Vector, expect: Any) -> None:
    """The peer refuses, or shows U+FFFD."""
    assert decode(bytes.fromhex(vector.input["hex"])) == expect.get("text")


def gsm7_membership(vector: Vector, expect: Any) -> None:
    """Whether GSM 7-bit carries a text."""
    assert (count(vector.input["text"]).alphabet == "gsm7") is expect["is_gsm7"]


def gsm7_reject(vector: Vector, expect: Any) -> None:
    """GSM 7-bit alone refuses a text."""
    with pytest.raises(UnencodableError):
        segment(vector.input["text"], alphabet="gsm7")


def gsm7_unpacked(vector: Vector, expect: Any) -> None:
    """Text to one septet an octet, and back."""
    text, octets = vector.input["text"], bytes.fromhex(expect["hex"])
    assert body(segment(text, alphabet="gsm7", max_segments=255)) == octets
    if vector.more["direction"] == "both":
        assert decode(octets) == text


def gsm7_validate_bytes(vector: Vector, expect: Any) -> None:
    """Octets are valid where text and back gives them again."""
    octets = bytes.fromhex(vector.input["hex"])
    try:
        same = body(segment(decode(octets), alphabet="gsm7")) == octets
    except UnencodableError:
        same = False
    assert same is (expect["invalid_hex"] == "")


def smart_replace(vector: Vector, expect: Any) -> None:
    """Typography and accents replaced on request."""
    text = vector.input["text"]
    assert expect["text"] in (replace_smart(text).text, strip_accents(replace_smart(text).text).text)


def smart_replace_table(vector: Vector, expect: Any) -> None:
    """Every key of the peer's map replaced alike."""
    assert all(replace_smart(key).text == value for key, value in expect["map"].items())


def vendor_charset(vector: Vector, expect: Any) -> None:
    """A carrier's default alphabet, taken for GSM 7-bit."""
    octets = bytes.fromhex(expect["hex"] if "hex" in expect else vector.input["hex"])
    text = vector.input["text"] if "text" in vector.input else expect["text"]
    assert decode(octets) == text
    if vector.more["direction"] == "both":
        assert body(segment(text, alphabet="gsm7")) == octets


def gsm7_packed(vector: Vector, expect: Any) -> None:
    """Text to packed septets, and back."""
    fill_bits = vector.more["fill_bits"]
    septets = body(segment(vector.input["text"], alphabet="gsm7", max_segments=255))
    assert pack(septets, fill_bits=fill_bits).hex() == expect["packed_hex"]
    assert len(septets) == expect["septets"]
    packed = bytes.fromhex(expect["packed_hex"])
    assert table().decode(unpack(packed, len(septets), fill_bits=fill_bits)) == vector.input["text"]
    if not fill_bits and len(septets) <= 160:
        (part,) = segment(vector.input["text"], alphabet="gsm7", packing="packed").segments
        assert part.user_data == packed


def gsm7_pack_octets(vector: Vector, expect: Any) -> None:
    """Septets to packed octets, and back."""
    septets, fill_bits = bytes.fromhex(vector.input["septets_hex"]), vector.more["fill_bits"]
    assert pack(septets, fill_bits=fill_bits).hex() == expect["packed_hex"]
    assert unpack(bytes.fromhex(expect["packed_hex"]), expect["septets"], fill_bits=fill_bits) == septets


def gsm7_packed_crpad(vector: Vector, expect: Any) -> None:
    """Seven spare bits carry a CR."""
    given = vector.input
    if "text" in given:
        (part,) = segment(given["text"], alphabet="gsm7", packing="packed-cr").segments
        assert part.user_data.hex() == expect["packed_hex"]
        septets = body(segment(given["text"], alphabet="gsm7"))
    else:
        septets = bytes.fromhex(given["septets_hex"])
    packed = pack(septets, fill_bits=vector.more["fill_bits"], pad_cr=given["cr_padding"])
    assert packed.hex() == expect["packed_hex"]


def gsm7_crpad_roundtrip(vector: Vector, expect: Any) -> None:
    """Packed and unpacked without a count of septets, by the peer's flags."""
    given = vector.input
    septets = body(segment(given["text"], alphabet="gsm7"))
    packed = pack(septets, pad_cr=given["cr_padding"])
    assert table().decode(unpack(packed, strip_cr=given["strip_padding"])) == expect["text"]


def gsm7_udh_packed(vector: Vector, expect: Any) -> None:
    """Packed septets behind a header."""
    given = vector.input
    reference = bytes.fromhex(given["udh_hex"])[3]
    part = segment(given["text"], packing="packed", reference=reference).segments[given["part"] - 1]
    assert (part.text, part.user_data.hex()) == (expect["segment_text"], expect["ud_hex"])
    assert 7 + part.units == expect["udl_septets"]


def gsm7_unpack_no_count(vector: Vector, expect: Any) -> None:
    """As many septets as fit."""
    assert unpack(bytes.fromhex(vector.input["packed_hex"])).hex() == expect["septets_hex"]


def capacity(vector: Vector, expect: Any) -> None:
    """Units, and the capacity of one segment with these tables."""
    given = vector.input
    name = tables_of(given)
    alphabet = "gsm7" if name or count(given["text"]).alphabet == "gsm7" else "ucs2"
    plans = encoder(languages=(name.partition("-")[0],) if name else ()).plans
    plan = next(plan for plan in plans if (plan.alphabet, plan.language) == (alphabet, name))
    assert plan.single_units == expect["single_segment_capacity"]
    message = gsm7(given["text"], name) if alphabet == "gsm7" else segment(given["text"])
    assert message.units == expect["units"]


def message_for(given: dict[str, Any]) -> Segmented:
    """Return a vector's text under its options."""
    if given.get("single_shift_table"):
        return gsm7(given["text"], tables_of(given))
    forced = given.get("force_data_coding")
    alphabet = {None: None, 0: "gsm7", 8: "ucs2"}[forced]
    return segment(given["text"], max_segments=255, **({"alphabet": alphabet} if alphabet else {}))  # type: ignore[arg-type]


def needs_split(vector: Vector, expect: Any) -> None:
    """Whether a text needs more than one segment."""
    message = message_for(vector.input)
    assert (len(message) > 1) is expect["split"]
    assert vector.derived is None or message.units == vector.derived["units"]


def segment_count(vector: Vector, expect: Any) -> None:
    """Segments, alphabet, units, and where the text is cut."""
    message = message_for(vector.input)
    derived = vector.derived or {}
    assert len(message) == expect["segments"]
    for told in (expect, derived):
        if told.get("encoding"):
            assert message.alphabet == ENCODINGS[told["encoding"]]
        if told.get("units") is not None:
            assert message.units == told["units"]
        if told.get("segment_lengths_chars"):
            assert [len(part.text) for part in message.segments] == told["segment_lengths_chars"]
        if told.get("segment_units"):
            assert [part.units for part in message.segments] == told["segment_units"]
    if expect.get("units_remaining") is not None:
        assert explain(vector.input["text"], max_segments=255).free == expect["units_remaining"]


def segments_8bit(vector: Vector, expect: Any) -> None:
    """Octets cut: as Latin-1, which is one octet a character."""
    text = bytes.fromhex(vector.input["octets_hex"]).decode("latin1")
    message = segment(text, alphabet="latin1", clusters=False, reference=vector.input.get("ref8", 0))
    if "segment_octets" in expect:
        assert [len(part.body) for part in message.segments] == expect["segment_octets"]
    else:
        wanted = expect["segments_hex"] or [vector.input["octets_hex"]]
        assert [part.user_data.hex() for part in message.segments] == wanted


def segments_exact(vector: Vector, expect: Any) -> None:
    """The octets of every segment."""
    message = segment(vector.input["text"], reference=vector.input.get("ref8", 0))
    shown = [part.body if vector.input.get("no_udh") else part.user_data for part in message.segments]
    assert [each.hex() for each in shown] == expect["segments_hex"]
    if "segment_texts" in expect:
        assert [part.text for part in message.segments] == expect["segment_texts"]
    if "data_coding" in expect:
        assert message.data_coding == expect["data_coding"]
        assert (message.esm_class == 0x40) is expect["esm_class_udhi"]


def segments_extra_udh(vector: Vector, expect: Any) -> None:
    """Room for elements of the caller's own."""
    elements = bytes.fromhex(vector.input["other_udh_ie_hex"])
    message = segment(vector.input["text"], elements=elements)
    assert [part.text for part in message.segments] == expect["segment_texts"]


def segments_packed(vector: Vector, expect: Any) -> None:
    """Packed bodies; where they are cut is never in doubt."""
    message = segment(vector.input["text"], alphabet="gsm7", packing="packed")
    assert [part.text for part in message.segments] == vector.derived["segment_texts"]
    bodies = [part.body.hex() for part in message.segments]
    assert bodies == vector.derived["segments_hex_zero_padded"]
    assert bodies == expect["segments_hex"]


def split_octets(vector: Vector, expect: Any) -> None:
    """A splitter of octets is not ours, but what it wrote joins again."""
    parts = [Part(bytes.fromhex(each), data_coding=4) for each in expect["segments_hex"]]
    joined = reassemble(reversed(parts))
    assert joined.text == bytes.fromhex(vector.input["octets_hex"]).decode("latin1")
    assert (joined.reference, joined.total) == (vector.input["ref8"], len(parts))


def reassemble_parts(vector: Vector, expect: Any) -> None:
    """Segments with headers in any order, or with SAR values."""
    given = vector.input
    if "sar" in given:
        parts = [
            Part(text.encode(), esm_class=0, sar=tuple(sar))
            for text, sar in zip(given["short_messages"], given["sar"], strict=True)
        ]
    else:
        parts = [Part(bytes.fromhex(given["short_messages_hex"][at])) for at in given["arrival_order"]]
    assert reassemble(parts).text == expect["text"]


def reassemble_pdus(vector: Vector, expect: Any) -> None:
    """Segments as they came in deliver_sm, and our segments of the same text."""
    parts = [part_of(bytes.fromhex(pdu)) for pdu in vector.input["pdus_hex"]]
    joined = reassemble(parts)
    assert (joined.reference, joined.total) == (expect["ref8"], expect["segments"])
    assert joined.text == vector.derived["text"]
    assert [decode(part.user_data, data_coding=8, esm_class=0x40) for part in parts] == vector.derived[
        "texts"
    ]
    assert joined.text is not None
    ours = segment(joined.text, reference=expect["ref8"])
    assert [part.user_data for part in ours.segments] == [part.user_data for part in parts]


def part_of(pdu: bytes) -> Part:
    """Take the fields of interest out of a deliver_sm (SMPP 3.4, 4.6.1)."""
    rest = pdu[16:].split(b"\0", 1)[1][2:].split(b"\0", 1)[1][2:].split(b"\0", 1)[1]
    esm_class, rest = rest[0], rest[3:].split(b"\0", 1)[1].split(b"\0", 1)[1]
    return Part(rest[5 : 5 + rest[4]], data_coding=rest[2], esm_class=esm_class)


def ie(vector: Vector, expect: Any) -> None:
    """One information element."""
    octets = bytes.fromhex(vector.input["hex"])
    elements, error = parse_elements(octets)
    if vector.kind == "ie-00-data":
        elements, error = ((0, octets),), None
    elif vector.kind == "ie-08-data":
        elements, error = ((8, octets),), None
    found = UserDataHeader(elements, len(octets) + 1, error).concatenation
    if expect.get("ignored"):
        assert (found, error) == (None, None)
    elif "error" in expect:
        assert found is None
        assert error is not None
    else:
        assert found is not None
        assert (found.reference, found.total, found.number) == (expect["ref"], expect["total"], expect["seq"])
        assert elements[0][0] == expect.get("iei", elements[0][0])


def udh_decode(vector: Vector, expect: Any) -> None:
    """A header and what stands behind it."""
    octets = bytes.fromhex(vector.input["hex"])
    if vector.kind == "udh-ies-no-udhl":
        octets = bytes([len(octets)]) + octets
    header, payload = split_header(octets)
    if "UDHL" in expect.get("error", "") and "exceeds data" in expect["error"]:
        assert (header, payload) == (None, octets)
        return
    assert header is not None
    if "error" in expect:
        assert header.error is not None
    if "concat" in expect:
        found, wanted = header.concatenation, expect["concat"]
        assert (found is None) is (wanted is None)
        if found is not None:
            assert (found.reference, found.total, found.number) == tuple(
                wanted[k] for k in ("ref", "total", "seq")
            )
    if "ports" in expect:
        assert header.ports == (expect["ports"]["dest"], expect["ports"]["orig"])
    if "ies" in expect:
        assert [[iei, data.hex()] for iei, data in header.elements] == expect["ies"]
    if "payload" in expect:
        assert payload == expect["payload"].encode()
    if "payload_hex" in expect:
        assert payload.hex() == expect["payload_hex"]
    if "udh_hex" in expect:
        assert octets[: header.octets].hex() == expect["udh_hex"]


def national_udh(vector: Vector, expect: Any) -> None:
    """A text with language tables: header and septets."""
    message = segment(vector.input["text"], allow=("gsm7",), languages=(expect["language"],))
    (part,) = message.segments
    assert part.user_data.hex() in expect["hex"]
    assert decode(part.user_data, esm_class=0x40) == vector.input["text"]


def national_text(vector: Vector, expect: Any) -> None:
    """Text to septets of given tables, and back."""
    given = vector.input
    octets = bytes.fromhex(expect["hex"])
    locking, single = LANGUAGE[given["locking_table"]], LANGUAGE[given["single_shift_table"]]
    assert table(locking, single).decode(octets) == given["text"]
    if vector.more["direction"] in ("both", "encode"):
        assert body(gsm7(given["text"], tables_of(given))) == octets


def national_table(vector: Vector, expect: Any) -> None:
    """One table, code by code: what stands in it, what each code shows, and nothing else."""
    language = LANGUAGE[vector.input["language_id"]]
    wanted = {int(code, 16): char for code, char in expect["map"].items()}
    if vector.input["table"] == "locking":
        ours = {code: char for code, char in enumerate(LOCKING[language]) if char != "\ufffd"}
        own, prefix = table(language, DEFAULT), b""
    else:
        ours = dict(SINGLE_SHIFT[language])
        own, prefix = table(DEFAULT, language), b"\x1b"
    assert ours == wanted
    for code in range(128):
        if code == 0x1B:
            continue
        plain = LOCKING[DEFAULT][code] if prefix else "\ufffd"
        assert own.decode(prefix + bytes([code])) == wanted.get(code, plain)


HANDLERS: Final[dict[str, Callable[[Vector, Any], None]]] = {
    "char-table": char_table,
    "charset": charset,
    "detect": detect,
    "gsm7-decode": gsm7_decode,
    "gsm7-decode-invalid": gsm7_decode_invalid,
    "gsm7-membership": gsm7_membership,
    "gsm7-reject": gsm7_reject,
    "gsm7-unpacked": gsm7_unpacked,
    "gsm7-validate-bytes": gsm7_validate_bytes,
    "smart-replace": smart_replace,
    "smart-replace-table": smart_replace_table,
    "vendor-charset": vendor_charset,
    "gsm7-packed": gsm7_packed,
    "gsm7-pack-octets": gsm7_pack_octets,
    "gsm7-packed-crpad": gsm7_packed_crpad,
    "gsm7-crpad-roundtrip": gsm7_crpad_roundtrip,
    "gsm7-udh-packed": gsm7_udh_packed,
    "gsm7-unpack-no-count": gsm7_unpack_no_count,
    "capacity": capacity,
    "needs-split": needs_split,
    "segment-count": segment_count,
    "segments-8bit": segments_8bit,
    "segments-exact": segments_exact,
    "segments-extra-udh": segments_extra_udh,
    "segments-packed": segments_packed,
    "split-octets": split_octets,
    "reassemble": reassemble_parts,
    "reassemble-pdus": reassemble_pdus,
    "ie": ie,
    "ie-00-data": ie,
    "ie-08-data": ie,
    "udh-decode": udh_decode,
    "udh-ies-no-udhl": udh_decode,
    "national-udh": national_udh,
    "national-text": national_text,
    "table": national_table,
}


# ---- the tests --------------------------------------------------------------------------------------------


def of(*stds: str) -> list[Vector]:
    """Return the vectors of these judgements."""
    return [vector for vector in VECTORS if vector.std in stds]


@pytest.mark.parametrize("vector", [each for each in of("agrees") if each.id not in MISJUDGED], ids=str)
def test_what_agrees_with_the_standard_holds(vector: Vector) -> None:
    """A peer's expectation that the standard confirms."""
    HANDLERS[vector.kind](vector, vector.expect)


def test_the_euro_sign_in_latin1() -> None:
    """ISO 8859-1 lacks it: refused, not replaced."""
    (vector,) = [each for each in VECTORS if each.id in MISJUDGED]
    with pytest.raises(UnencodableError):
        segment(vector.input["text"], alphabet="latin1")


@pytest.mark.parametrize("vector", of("differs"), ids=str)
def test_where_a_peer_contradicts_the_standard_the_standard_holds(vector: Vector) -> None:
    """The value of the standard is ours, the peer's is not."""
    if vector.id == "udh-040":
        wrong_shift(vector)
        return
    HANDLERS[vector.kind](vector, BY_STANDARD[vector.id])
    with pytest.raises((AssertionError, KeyError)):
        HANDLERS[vector.kind](vector, vector.expect)
    if vector.derived and "udh_ies_by_standard" in vector.derived:
        assert (
            vector.derived["udh_ies_by_standard"]
            == BY_STANDARD[vector.id]["hex"][0][
                2 : 2 + 2 * bytes.fromhex(BY_STANDARD[vector.id]["hex"][0])[0]
            ]
        )


def wrong_shift(vector: Vector) -> None:
    """Assert that a single shift code needs its element: behind the locking one it shows something else."""
    assert decode(bytes.fromhex(vector.expect["hex"]), esm_class=0x40) != vector.input["text"]
    message = segment(vector.input["text"], allow=("gsm7",), languages=("pt",))
    (part,) = message.segments
    assert decode(part.user_data, esm_class=0x40) == vector.input["text"]
    assert 0x24 in [iei for iei, _ in parse_elements(part.udh[1:])[0]] or b"\x1b" not in part.body


@pytest.mark.parametrize("vector", of("policy", "vendor"), ids=str)
def test_what_is_open_is_decided(vector: Vector) -> None:
    """It holds, or stands in NOT_OURS and really does not hold."""
    if vector.id in NOT_OURS:
        with pytest.raises((AssertionError, EncodingError)):
            HANDLERS[vector.kind](vector, vector.expect)
    else:
        HANDLERS[vector.kind](vector, vector.expect)


def test_every_vector_is_covered() -> None:
    """No kind is passed over, no handler is idle, and the tables name only vectors of their judgement."""
    assert {vector.kind for vector in VECTORS} == set(HANDLERS)
    assert set(NOT_OURS) <= {vector.id for vector in of("policy", "vendor")}
    assert set(BY_STANDARD) == {vector.id for vector in of("differs")}
    assert set(MISJUDGED) <= {vector.id for vector in of("agrees")}
    assert len({vector.id for vector in VECTORS}) == len(VECTORS)
    assert all(NOT_OURS.values())


def test_the_whole_files_were_read() -> None:
    """As many vectors of each judgement as the index says."""
    listed = json.loads((vectors.FOLDER / "INDEX.json").read_text("utf-8"))["files"]
    for name in FILES:
        told = listed[f"{name}.json"]["std"]
        assert Counter(vector.std for vector in vectors.load(name)) == told, name


# ---- where peers disagree with each other -----------------------------------------------------------------


def code_09() -> None:
    """Ç, and so ç forces UCS-2."""
    assert body(gsm7("Ç")) == b"\x09"
    assert count("ç").alphabet == "ucs2"


def unknown_escape() -> None:
    """The plain character; ESC ESC a space; a lone ESC nothing."""
    assert [decode(octets) for octets in (b"\x1bP", b"\x1b\x1b", b"a\x1b")] == ["P", " ", "a"]


def turkish_s() -> None:
    """1D belongs to the locking table; the single shift code is ESC 73."""
    assert decode(b"\x03\x24\x01\x01\x1d", esm_class=0x40) == "æ"
    assert decode(b"\x03\x24\x01\x01\x1bs", esm_class=0x40) == "ş"
    assert decode(b"\x03\x25\x01\x01\x1d", esm_class=0x40) == "ş"


def spanish_locking() -> None:
    """There is no such table: never written, and read as the default."""
    assert {plan.language for plan in encoder(languages=("es",)).plans} == {"", "es-single"}
    assert decode(b"\x03\x25\x01\x02\x09", esm_class=0x40) == "Ç"


def portuguese_shift() -> None:
    """ESC 18 is Σ with the single shift element only."""
    assert decode(b"\x03\x25\x01\x03\x1b\x18", esm_class=0x40) == LOCKING["pt"][0x18]
    assert decode(b"\x03\x24\x01\x03\x1b\x18", esm_class=0x40) == "Σ"


def language_elements() -> None:
    """24 and 25 are hexadecimal."""
    by_language = {plan.language: plan.header.hex() for plan in encoder(languages=("ur",)).plans}
    assert by_language == {"": "", "ur-single": "0324010d", "ur-locking": "0325010d", "ur": "0625010d24010d"}


def hindi_vowels() -> None:
    """Devanagari, not Bengali."""
    assert LOCKING["hi"][:3] == "\u0901\u0902\u0903"


def full_segment() -> None:
    """160 septets fit, 161 do not."""
    assert [count("a" * n).segments for n in (141, 160, 161)] == [1, 1, 2]


def escape_at_the_cut() -> None:
    """A pair is not parted."""
    assert [count(text).segments for text in ("€" * 153, "€" * 229 + "x")] == [3, 4]


def form_feed() -> None:
    """It is in the extension table."""
    assert list(count("\f" * 80)) == ["gsm7", 160, 1]
    assert body(gsm7("\f")) == b"\x1b\x0a"


def spare_bits() -> None:
    """Zero for SMS, CR where the carrier asks for it."""
    assert pack(b"1234567") == bytes.fromhex("31d98c56b3dd00")
    assert pack(b"1234567", pad_cr=True) == bytes.fromhex("31d98c56b3dd1a")


def trailing_at() -> None:
    """The count decides."""
    assert decode(pack(b"1234567\0"), packed=True, septets=8) == "1234567@"
    assert decode(pack(b"1234567\0"), packed=True, septets=7) == "1234567"


def two_concatenations() -> None:
    """The last one counts."""
    header, _ = header_of("0b0003030201080400040201")
    assert header is not None
    assert header.concatenation == (4, 2, 1, 16)


def default_alphabet() -> None:
    """data_coding 0 is what the carrier says."""
    assert decode(b"@$", default="latin1") == "@$"
    assert decode(b"@$") == "¡¤"


DISAGREEMENTS: Final[dict[str, Callable[[], None]]] = {
    "dis-01": code_09,
    "dis-02": unknown_escape,
    "dis-03": turkish_s,
    "dis-04": spanish_locking,
    "dis-05": portuguese_shift,
    "dis-06": language_elements,
    "dis-07": hindi_vowels,
    "dis-08": full_segment,
    "dis-09": escape_at_the_cut,
    "dis-10": form_feed,
    "dis-11": spare_bits,
    "dis-12": trailing_at,
    "dis-14": two_concatenations,
    "dis-32": default_alphabet,
}
AREAS: Final = {"charset", "national", "segmentation", "packing", "udh", "data_coding"}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_where_peers_disagree_the_standard_decides(name: str) -> None:
    """Who is right was read in the standard; ours is that."""
    DISAGREEMENTS[name]()


def test_every_disagreement_is_decided() -> None:
    """Each of these areas has its check."""
    told = json.loads((vectors.FOLDER / "disagreements.json").read_text("utf-8"))["disagreements"]
    assert {each["id"] for each in told if each["area"] in AREAS} == set(DISAGREEMENTS)
