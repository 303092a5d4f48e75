"""The ledger of the simulator: tokens, segments, totals, limits."""

import json

import pytest

from dispatcher._ext.pdu import SubmitTemplate
from dispatcher._ext.session import Exchange, Incoming
from dispatcher._ext.smsc import Receipt
from dispatcher.simulator.ledger import Copy, Ledger


def submit(
    text: bytes,
    *,
    to: bytes = b"79001234567",
    esm_class: int = 0,
    data_coding: int = 0,
    sar: tuple[int, ...] = (),
) -> Incoming:
    """Return one submit_sm as an SMSC gets it."""
    exchange = Exchange(smsc=True)
    exchange.receives = True
    tlvs = list(zip((0x020C, 0x020E, 0x020F), sar, strict=False))
    exchange.feed(
        SubmitTemplate().encode(
            1, b"bank", to, text, esm_class=esm_class, data_coding=data_coding, tlvs=tlvs
        ),
        0,
    )
    return exchange.take_incoming()[0]


def take(ledger: Ledger, *pdus: Incoming) -> list[Copy]:
    """Have the ledger take submits."""
    copies = ledger.submitted("bank", 1, pdus)
    assert copies is not None
    return copies


def segment(reference: int, number: int, total: int, text: bytes, to: bytes = b"79001234567") -> Incoming:
    """Return one segment of a long message."""
    return submit(bytes([5, 0, 3, reference, total, number]) + text, esm_class=0x40, to=to)


@pytest.mark.parametrize(
    ("text", "data_coding", "token"),
    [
        (b"Your code is abc-1", 0, "abc-1"),
        (b"abc-1", 3, "abc-1"),
        (b"two\nlines\r\nabc-1 ", 0, "abc-1"),
        ("код abc-1".encode("utf-16-be"), 8, "abc-1"),
        ("код-1".encode("utf-16-be"), 8, "код-1"),
        (b"", 0, ""),
        (b"  ", 0, ""),
        (b"\xd8\x00", 8, "\ufffd"),
    ],
)
def test_the_last_word_is_the_token(text: bytes, data_coding: int, token: str) -> None:
    """In every coding; a text without words has the token ""."""
    ledger = Ledger()
    take(ledger, submit(text, data_coding=data_coding))
    assert ledger.tokens == [token]


def test_a_pattern_finds_the_token() -> None:
    """The first group, or the whole match; "" where it does not match."""
    for pattern in (r"\[(\w+)\]", r"(?<=\[)\w+"):
        ledger = Ledger(token=pattern)
        take(
            ledger,
            submit(b"[t1] hello"),
            submit("[t1] привет".encode("utf-16-be"), data_coding=8),
            submit(b"x"),
        )
        assert {token: len(ledger.copies(token)) for token in ledger.tokens} == {"t1": 2, "": 1}


def test_segments_are_joined() -> None:
    """In any order; unfinished ones are named so; a token cut in two is whole again."""
    ledger = Ledger()
    take(ledger, segment(7, 2, 2, b"ken-1"))
    assert ledger.tokens == ["unfinished:79001234567:7/2"]
    take(ledger, segment(7, 1, 2, b"hello to"))
    assert ledger.tokens == ["token-1"]
    assert [copy.segment for copy in ledger.copies("token-1")] == [(7, 2, 2), (7, 1, 2)]
    take(ledger, segment(7, 2, 2, b"ken-1"))
    assert len(ledger.copies("token-1")) == 3


def test_a_reference_is_used_again() -> None:
    """The same reference with another text, or to another number, is another message."""
    ledger = Ledger()
    for text in (b"1", b"2"):
        take(ledger, segment(7, 1, 2, b"hello t"), segment(7, 2, 2, text))
    take(ledger, segment(7, 1, 2, b"hello t", to=b"1"), segment(7, 2, 2, b"3", to=b"1"))
    assert sorted(token for token in ledger.tokens if not token.startswith("unfinished")) == [
        "t1",
        "t2",
        "t3",
    ]


def test_sar_and_bad_headers() -> None:
    """SAR TLVs join too; a header that is none leaves a single message."""
    ledger = Ledger()
    take(ledger, submit(b"hello t", sar=(9, 2, 1)), submit(b"4", sar=(9, 2, 2)))
    assert [copy.segment for copy in ledger.copies("t4")] == [(9, 1, 2), (9, 2, 2)]
    take(ledger, submit(b"\x05\x00\x03\x01\x00\x00x y", esm_class=0x40), submit(b"\xffz", esm_class=0x40))
    assert ledger.copies("y")[0].segment is None


def test_totals_and_json() -> None:
    """Responses, receipts and acknowledgements are counted by number; JSON has it all."""
    ledger = Ledger(seed=3)
    copies = take(ledger, submit(b"a t1"), submit(b"a t2"))
    copies[0].message_id = b"0001"
    ledger.responded("bank", 0, 1, copies[:1])
    ledger.responded("bank", 0x58, 1, copies[1:])
    receipts = [Receipt(b"", copies[0], 2), Receipt(b"", copies[0], 2), Receipt(b"", None, 5)]
    ledger.delivered("bank", receipts)
    ledger.acknowledged("bank", [0, 0x64], receipts[:2])
    totals = ledger.of("bank")
    assert (totals.submits, totals.responses, totals.accepted) == (2, {0: 1, 0x58: 1}, 1)
    assert (totals.receipts, totals.acknowledged) == ({2: 2, 5: 1}, {0: 1, 0x64: 1})
    plain = json.loads(ledger.json())
    assert (plain["seed"], plain["complete"]) == (3, True)
    assert plain["tokens"]["t1"] == {
        "submits": 1,
        "responses": 1,
        "accepted": 1,
        "receipts": 2,
        "acknowledged": 2,
        "copies": [
            {
                "account": "bank",
                "bind": 1,
                "message_id": "0001",
                "segment": None,
                "statuses": [0],
                "receipts": [2, 2],
                "acknowledged": [0, 0x64],
            }
        ],
    }
    assert list(json.loads(ledger.json("t2"))["tokens"]) == ["t2"]
    assert json.loads(ledger.json("none"))["tokens"]["none"]["copies"] == []


def test_it_says_when_it_is_not_complete() -> None:
    """Above copies_max nothing is remembered but the number; a copy without a place does no harm."""
    ledger = Ledger(copies_max=2)
    copies = take(ledger, *(submit(b"t%d" % number) for number in range(5)))
    ledger.responded("bank", 0, 5, copies)
    assert (ledger.tokens, ledger.unrecorded, ledger.of("bank").submits) == (["t0", "t1"], 3, 5)
    assert ledger.plain()["complete"] is False
    ledger.reset()
    assert (ledger.tokens, ledger.unrecorded, ledger.of("bank").responses) == ([], 0, {})
    assert ledger.plain()["complete"] is True


def test_counts_only() -> None:
    """In the mode "counts" there are no copies and no tokens."""
    ledger = Ledger(mode="counts")
    assert ledger.submitted("bank", 1, [submit(b"t")]) is None
    ledger.responded("bank", 0, 1, None)
    assert (ledger.tokens, ledger.of("bank").responses, ledger.plain()["complete"]) == ([], {0: 1}, False)
