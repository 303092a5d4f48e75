"""Other people's encoders against ours: every disagreement is known by name, or a test fails.

The calculator keeps grapheme clusters whole, as we do; the others know nothing of clusters and are compared
with `clusters=False`. gsm0338 does not segment: its octets are compared with all of ours joined.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

import pytest

from bench.peers import PEERS, Absent, Peer, aiosmpplib, calculator, smpp34
from bench.reference import Cut, reference
from dispatcher.encoding import segment
from tests.peers.disagreements import Case, Known, our_cut, outdated, unexplained
from tests.peers.known import KNOWN_PEER_BUGS
from tests.peers.texts import TOO_MANY, texts

SHOWN: Final = 5
ENCODERS: Final[dict[str, Peer]] = {peer.NAME.split()[0]: peer for peer in PEERS if peer is not smpp34}


def answers(peer: Peer) -> list[Cut | None]:
    """Return the peer's cut of every text, None where it refuses; skip where the peer is absent."""
    call = peer.prepare()
    if isinstance(call, Absent):
        pytest.skip(f"{peer.NAME}: {call.reason}")
    if peer is calculator:
        results = calculator.segments(texts())
        return [peer.cut(text, result) for text, result in zip(texts(), results, strict=True)]
    return [_answer(peer, call, text) for text in texts()]


def _answer(peer: Peer, call: Callable[[str], object], text: str) -> Cut | None:
    try:
        return peer.cut(text, call(text))
    except ValueError:  # UnicodeError is one, and so is smpplib's MessageTooLong
        return None


@cache
def cases(name: str) -> tuple[Case, ...]:
    """Return all texts with both answers."""
    peer = ENCODERS[name]
    theirs = answers(peer)
    ours = [our_cut(text, peer.KEEPS_CLUSTERS) for text in texts()]
    if not peer.SEGMENTS:
        ours = [_joined(cut, text) for cut, text in zip(ours, texts(), strict=True)]
    return tuple(map(Case, texts(), ours, theirs))


def _joined(cut: Cut | None, text: str) -> Cut | None:
    if text == TOO_MANY:  # ours is a refusal to segment, and there are no segments here
        cut = Cut("ucs2", (text.encode("utf-16-be"),))
    return cut and Cut(cut.alphabet, (b"".join(cut.bodies),))


def shown(found: list[Case]) -> str:
    """Describe a few of the cases found."""
    return "\n".join(
        [f"{len(found)} unexplained:"]
        + [
            f"  {case.kind}: {case.text[:40]!r} ({len(case.text)} characters): ours {_short(case.ours)}, "
            f"theirs {_short(case.theirs)}"
            for case in found[:SHOWN]
        ]
    )


def _short(cut: Cut | None) -> str:
    if cut is None:
        return "refused"
    return f"{cut.alphabet} {[len(body) for body in cut.bodies]} {cut.bodies[0][:12].hex()}"


@pytest.mark.parametrize("name", ENCODERS)
def test_every_disagreement_is_known_by_name(name: str) -> None:
    """Alphabet, number of segments and every octet agree, or KNOWN_PEER_BUGS says why not."""
    found = unexplained(ENCODERS[name].NAME, cases(name), KNOWN_PEER_BUGS)
    assert not found, shown(found)


@pytest.mark.parametrize("name", ENCODERS)
def test_no_known_bug_is_outdated(name: str) -> None:
    """A bug that no longer occurs leaves the table."""
    assert outdated(ENCODERS[name].NAME, cases(name), KNOWN_PEER_BUGS) == []


@pytest.mark.parametrize("clusters", [False, True])
def test_we_agree_with_the_slow_reference(clusters: bool) -> None:
    """What the benchmarks judge all sides by agrees with us, but for what cannot be sent at all."""
    differing = [
        text
        for text in texts()
        if (ours := our_cut(text, clusters)) is not None and ours != reference(text, clusters)
    ]
    assert differing == []
    refused = [text for text in texts() if our_cut(text, clusters) is None]
    assert all(text == TOO_MANY or any("\ud800" <= char <= "\udfff" for char in text) for text in refused)


def test_smpp34_carries_our_segments_unchanged() -> None:
    """Every segment fits a submit_sm of another implementation, and comes out of it as it went in."""
    smpp = pytest.importorskip("smpp34", reason="smpp34 is not installed: pip install smpp34")
    sent = 0
    for text in texts()[:4000]:
        if our_cut(text, clusters=True) is None:
            continue
        message = segment(text, max_segments=255, reference=sent % 256)
        for part in message.segments:
            pdu = smpp.SubmitSm(
                "Bank",
                "79990000000",
                part.user_data,
                esm_class=message.esm_class,
                data_coding=message.data_coding,
            )
            back = smpp.decode(pdu.encode())
            assert bytes(back.short_message) == part.user_data
            assert (back.esm_class, back.data_coding) == (message.esm_class, message.data_coding)
            sent += 1
    assert sent > 4000


def test_aiosmpplib_counts_characters_in_sm_length() -> None:
    """A lone result of aiosmpplib begins with sm_length, and it is wrong with escapes: adapters drop it."""
    call = aiosmpplib.prepare()
    if isinstance(call, Absent):
        pytest.skip(f"{aiosmpplib.NAME}: {call.reason}")
    assert call("ab") == [bytes([2]) + b"ab"]
    assert call("€") == [bytes([1]) + b"\x1b\x65"]


# ---- the two checks above have been seen to fail ----

RIGHT: Final = Case("abc", Cut("gsm7", (b"abc",)), Cut("gsm7", (b"abc",)))
WRONG: Final = {
    "refusal": RIGHT._replace(theirs=None),
    "alphabet": RIGHT._replace(theirs=Cut("ucs2", (b"\0a\0b\0c",))),
    "segments": RIGHT._replace(theirs=Cut("gsm7", (b"ab", b"c"))),
    "octets": RIGHT._replace(theirs=Cut("gsm7", (b"abd",))),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_disagreement_of_any_kind_is_seen(kind: str) -> None:
    """A peer that differs in one thing only is reported, one that agrees is not."""
    assert WRONG[kind].kind == kind
    assert unexplained("somebody", [RIGHT, WRONG[kind]], KNOWN_PEER_BUGS) == [WRONG[kind]]


@pytest.mark.parametrize("row", KNOWN_PEER_BUGS, ids=lambda row: f"{row.peer.split()[0]}: {row.name}")
def test_no_row_excuses_an_arbitrary_mistake(row: Known) -> None:
    """A row recognises its own bug, not any answer that differs."""
    assert not any(row.recognise(case) for case in (RIGHT, *WRONG.values()) if case.kind in row.kinds)


def test_a_bug_that_never_occurs_is_outdated() -> None:
    """A row whose peer agrees about everything is reported."""
    row = Known("somebody", "invented", ("octets",), lambda case: True, "it is not true")
    assert outdated("somebody", [RIGHT], [row]) == ["invented"]
    assert outdated("somebody", [RIGHT, WRONG["octets"]], [row]) == []
