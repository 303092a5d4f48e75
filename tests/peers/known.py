"""KNOWN_PEER_BUGS: every disagreement with a peer, by name, and why the standard is with us.

"dis" numbers are those of the outside vectors' list of disagreements.
"""

from typing import Final

from bench.peers import aiosmpplib, calculator, gsm0338, smpplib, smsutil
from tests.peers.disagreements import (
    Known,
    blind_cut,
    counts_beyond_255,
    cut_by_characters,
    divides,
    empty,
    lacks,
    never_cuts_a_cluster,
    sends_lone_surrogates,
    takes_for_gsm7,
)

ESC: Final = "\x1b"
NO_ESC: Final = (
    "TS 23.038, 6.2.1: 0x1B is no character but the escape to the extension table; sent as one it swallows "
    "or changes its neighbour"
)
PAIRS: Final = "TS 23.040, 9.2.3.24.1: an escape pair is not divided between segments"

KNOWN_PEER_BUGS: Final[tuple[Known, ...]] = (
    Known(smpplib.NAME, "cuts within a pair", ("segments", "octets"), blind_cut,
          f"{PAIRS} (dis-09); no more may a surrogate pair be: the handset shows two boxes"),
    Known(smpplib.NAME, "lacks form feed", ("alphabet",), lacks("\f"),
          "TS 23.038, 6.2.1.1: form feed is extension 0x0A (dis-10); it costs two septets, not UCS-2"),
    Known(smpplib.NAME, "lacks the section sign", ("alphabet",), lacks("§"),
          "TS 23.038, 6.2.1: 0x5F is the section sign; its table has a backtick there"),
    Known(smpplib.NAME, "sends the backtick as a section sign", ("alphabet",), takes_for_gsm7("`", 0x5F),
          "TS 23.038, 6.2.1: there is no backtick; the handset shows a section sign"),
    Known(smpplib.NAME, "takes ESC for a character", ("alphabet",), takes_for_gsm7(ESC, 0x1B), NO_ESC),
    Known(aiosmpplib.NAME, "counts escaped characters as one septet", ("segments", "octets"),
          cut_by_characters,
          "TS 23.038, 6.2.1.1: an extension character is two septets; its segments exceed 140 octets"),
    Known(smsutil.NAME, "takes ESC for a character", ("alphabet",), takes_for_gsm7(ESC, 0x1B), NO_ESC),
    Known(smsutil.NAME, "takes the empty text for UCS-2", ("alphabet",), empty,
          "any alphabet carries nothing; the default alphabet is the one to fall back to, not from"),
    Known(smsutil.NAME, "cuts into more than 255 segments", ("refusal",), counts_beyond_255,
          "TS 23.040, 9.2.3.24.1: the number of segments is one octet"),
    Known(gsm0338.NAME, "takes ESC for a character", ("alphabet",), takes_for_gsm7(ESC, 0x1B), NO_ESC),
    Known(calculator.NAME, "sends lone surrogates", ("refusal",), sends_lone_surrogates,
          "half a pair is no character in UCS-2 or UTF-16; we say where it stands"),
    Known(calculator.NAME, "cuts into more than 255 segments", ("refusal",), counts_beyond_255,
          "TS 23.040, 9.2.3.24.1: the number of segments is one octet"),
    Known(calculator.NAME, "divides CR LF", ("segments", "octets"), divides("\r\n"),
          "UAX 29, GB3: one line break is one cluster; it is harmless, but not what a cluster-keeper does"),
    Known(calculator.NAME, "divides Indic conjuncts", ("segments", "octets"), divides("\u094d."),
          "UAX 29, GB9c, new since its Unicode 10: half a conjunct shows a dangling virama"),
    Known(calculator.NAME, "divides emoji younger than Unicode 10", ("segments", "octets"),
          divides("[\U0001faf0-\U0001faf8\U0001f3fb-\U0001f3ff\u200d]."),
          "UAX 29, GB9 and GB11, with today's data: a skin tone or a joined half shows alone"),
    Known(calculator.NAME, "never cuts a cluster", ("segments", "octets"), never_cuts_a_cluster,
          "TS 23.040, 9.2.3.24: 140 octets are the most, so a longer cluster must be cut"),
)  # fmt: skip
