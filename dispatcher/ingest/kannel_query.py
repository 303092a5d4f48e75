"""What a request to Kannel's sendsms asks for: fields in, requests or Kannel's own words of refusal out.

Pure: no socket, no clock. The oracle is Debian's Kannel 1.4.5 with a simulated SMSC; the order of the checks
is its own. Where it cuts, replaces or drops silently, this refuses (law 9). Of each field:

============== ============================================================================================
username, user who asks; as Kannel, a wrong `username` is not helped by a right `user`. password, pass: same
to             numbers, separated by spaces; twice the same is one. What cannot be a number is left out if
               another can: as Kannel, but the answer says which
from           else the user's default_sender; forced_sender wins (Kannel's faked-sender)
text           empty: refused (Kannel sends an empty message); too long: refused (Kannel cuts it)
charset        of the text. Not decodable: refused (Kannel drops the rest of the text)
coding         0: the text is UTF-8, 2: UTF-16BE, where no charset is given. The alphabet on the wire is the
               profile's choice: Cyrillic with coding 0 arrives as it is (Kannel makes question marks of it).
               1, octets: refused, a message here has a text
udh            refused: concatenation is ours, and nothing else of it is supported
validity       minutes from now, of the traffic class's limits. 0 is over at once: refused
deferred       minutes from now. It waits here, not at the SMSC
dlr-mask, -url a Callback of this message; also dlrmask, dlrurl. See dispatcher/dlr_url.py
mclass         1 is where messages go anyway; 0 (flash), 2 and 3 would be shown otherwise: refused
mwi, compress  refused but for compress=0: such data codings are not made
pid, rpi       refused but for 0
alt-dcs        ignored: how a data_coding is written is the profile's business
binfo          refused: the service_type is the profile's, and it may change the price
meta-data      refused: TLVs are the profile's, and one that a regulator asks for must not get lost
priority       checked, then ignored: the order is that of the user's traffic class
account        checked, then ignored: Kannel's access log alone has it
smsc           ignored: the routes of the configuration decide
flash          ignored, as Kannel 1.4.5 does
============== ============================================================================================
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from dispatcher.dlr_url import MASK_MAX, SOURCE
from dispatcher.faces import KannelUser
from dispatcher.model import Callback, SendRequest, TrafficClass

Fields = dict[str, bytes]
"""By the names of the query, whichever way they came."""

MINUTE_MS: Final = 60_000
ACCOUNT_MAX: Final = 64
"""Characters, as Kannel has it."""
URL_MAX: Final = 2_000
"""Characters of a dlr-url: it stands in the journal with its message; browsers' limit, and nobody's need."""
NUMBER: Final = re.compile(rb"\s*([+-]?[0-9]{1,18})")
"""What C's %d reads: digits at the beginning; 18 are beyond every range here."""


class Answer(NamedTuple):
    """What is answered: Kannel's status and text."""

    status: int
    text: str


class Asked(NamedTuple):
    """What to accept, each with its place in `to`, from 1; and the places of what cannot be a number."""

    requests: list[SendRequest]
    places: list[int]
    denied: list[int]


class Range(NamedTuple):
    """One number among the fields: what Kannel takes, and what of it can be done here."""

    name: str
    title: str
    """In Kannel's words of refusal."""
    most: int
    taken: frozenset[int] | None = None
    """Of Kannel's range, beside -1; None: all of it."""
    reason: str = ""
    least: int = -1


RANGES: Final = (
    Range("dlr-mask", "DLR-Mask", MASK_MAX),
    Range("mclass", "MClass", 3, frozenset({1}), "only MClass 1 is supported"),
    Range("pid", "PID", 255, frozenset({0}), "only PID 0 is supported"),
    Range("rpi", "RPI", 2, frozenset({0}), "only RPI 0 is supported"),
    Range("alt-dcs", "Alt-DCS", 1),
    Range("mwi", "MWI", 7, frozenset(), "MWI is not supported"),
    Range("coding", "Coding", 2, frozenset({0, 2}), "only Coding 0 and 2 are supported"),
    Range("compress", "Compress", 1, frozenset({0}), "only Compress 0 is supported"),
    Range("validity", "Validity", 1 << 31, None),
    Range("deferred", "Deferred", 1 << 31, None),
    Range("priority", "Priority", 3, None),
)
"""In the order in which Kannel looks at them."""

REFUSED: Final = {"binfo": "BInfo", "meta-data": "Meta-Data", "udh": "UDH"}
"""Fields that are refused unless they are empty."""

_CHARSETS: Final = {
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))},
    **{f"{front}125{page}": f"cp125{page}" for front in ("windows-", "cp") for page in range(9)},
    **{name: name for name in ("utf-8", "utf-16be", "utf-16le", "utf-16", "koi8-r", "koi8-u", "cp866")},
    **{name: name for name in ("big5", "gbk", "gb2312", "gb18030", "euc-jp", "euc-kr", "shift-jis")},
    "utf8": "utf-8",
    "ucs-2": "utf-16be",
    "ucs-2be": "utf-16be",
    "ucs2": "utf-16be",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "latin1": "latin-1",
    "latin-1": "latin-1",
}
"""Names that iconv knows, in lower case with hyphens, and Python's. A closed list: Python's codecs are more
than character sets, some slow."""

_MISFORMED: Final = Answer(400, "Charset or body misformed, rejected")
_BAD_URL: Final = Answer(400, "DLR-URL field misformed, rejected")
DENIED: Final = Answer(400, "Number(s) has/have been denied by white- and/or black-lists.")


def from_query(query: str) -> Fields:
    """Return the fields of a query, or of a form, each as it came first; octets that are encoded wrongly
    stay as they are."""
    fields: Fields = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        fields.setdefault(
            unquote_to_bytes(name.replace("+", " ")).decode("latin-1"),
            unquote_to_bytes(value.replace("+", " ")),
        )
    return fields


def from_headers(headers: Mapping[str, str], media_type: str, charset: str | None, body: bytes) -> Fields:
    """Return the fields of a POST: headers X-Kannel-..., named in lower case; its body is the text."""
    front = "x-kannel-"
    fields = {
        name.removeprefix(front): value.strip().encode("utf-8", "surrogateescape")
        for name, value in headers.items()
        if name.startswith(front)
    }
    fields.pop("charset", None)
    fields["text"] = body
    if charset:
        fields["charset"] = charset.encode("utf-8", "surrogateescape")
    if media_type != "text/plain" and _number(fields.get("coding")) is None:
        fields["coding"] = b"1"  # octets
    if fields.get("udh"):
        try:
            fields["udh"] = bytes.fromhex(fields["udh"].decode("latin-1"))
        except ValueError:
            fields["udh"] = b"\xff"  # no UDH either
    return fields


def read(fields: Fields, username: str, user: KannelUser, now_ms: int, missing: str) -> Asked | Answer:
    """Return what a user asks for, or why not. `missing` is answered where there is no `to`."""
    if "to" not in fields:
        return Answer(400, missing)
    if not fields["to"]:
        return Answer(400, "Empty receiver number not allowed, rejected")
    udh = fields.get("udh", b"")
    if udh and len(udh) != udh[0] + 1:
        return Answer(400, "UDH field misformed, rejected")
    words = fields["to"].decode("latin-1").split()
    receivers: dict[str, int] = {}
    denied = []
    for place, word in enumerate(words, 1):
        if set(word) <= set("0123456789+-"):
            receivers.setdefault(word, place)
        else:
            denied.append(place)
    if not receivers:
        return DENIED
    sender = _utf8(fields.get("from", b""))
    sender = user.forced_sender or sender or (user.default_sender if sender == "" else None)
    if sender is None:
        return Answer(400, "Sender missing and no global set, rejected")
    account = fields.get("account", b"")
    if len(account) > ACCOUNT_MAX or set(account) & set(b"[]\n\r"):
        return Answer(400, "Account field misformed or too long, rejected")
    url = _url(fields)
    if isinstance(url, Answer):
        return url
    numbers = _numbers(fields)
    if isinstance(numbers, Answer):
        return numbers
    text = _text(fields, numbers["coding"])
    if text is None:
        return _MISFORMED
    times = _times(numbers, now_ms)
    if isinstance(times, Answer):
        return times
    mask = numbers["dlr-mask"] or 0
    callback = Callback(url, mask) if url and mask > 0 else None
    requests = [
        SendRequest(
            to=to,
            text=text,
            sender=sender,
            traffic_class=TrafficClass[user.traffic_class.upper()],
            ttl_ms=times[0],
            send_after_ms=times[1],
            source=SOURCE + username,
            callback=callback,
        )
        for to in receivers
    ]
    return Asked(requests, list(receivers.values()), denied)


def _numbers(fields: Fields) -> dict[str, int | None] | Answer:
    found: dict[str, int | None] = {}
    for row in RANGES:
        octets = fields.get(row.name)
        if octets is None and row.name == "dlr-mask":
            octets = fields.get("dlrmask")
        value = _number(octets)
        if value is not None and not row.least <= value <= row.most:
            return Answer(400, f"{row.title} field misformed, rejected")
        found[row.name] = value = None if value == -1 else value
        if value is not None and row.taken is not None and value not in row.taken:
            return Answer(400, f"{row.reason}, rejected")
    for name, title in REFUSED.items():
        if fields.get(name):
            return Answer(400, f"{title} is not supported, rejected")
    return found


def _number(octets: bytes | None) -> int | None:
    found = NUMBER.match(octets or b"")
    return int(found[1]) if found else None


def _url(fields: Fields) -> str | Answer:
    """Return where to tell of it; "" for nowhere."""
    octets = fields.get("dlr-url", fields.get("dlrurl", b""))
    if not octets:
        return ""
    url = _utf8(octets)
    if url is None or not 8 <= len(url) <= URL_MAX or not url.lower().startswith(("http://", "https://")):
        return _BAD_URL
    return _BAD_URL if re.search(r"[\x00-\x20\x7f]", url) else url


def _text(fields: Fields, coding: int | None) -> str | None:
    """Return the text; None: its octets are not of its charset, or nobody knows that."""
    charset = fields.get("charset") or (b"utf-16be" if coding == 2 else b"utf-8")
    codec = _CHARSETS.get(charset.decode("latin-1").lower().replace("_", "-"))
    try:
        return fields.get("text", b"").decode(codec) if codec else None
    except UnicodeDecodeError:
        return None


def _times(numbers: Mapping[str, int | None], now_ms: int) -> tuple[int, int] | Answer:
    """Return ttl_ms and send_after_ms: a validity counts from now on, a ttl from the time of sending."""
    validity, deferred = numbers["validity"], numbers["deferred"] or 0
    sends_ms = now_ms + deferred * MINUTE_MS if deferred else 0
    if validity is None:
        return 0, sends_ms
    if validity <= deferred:
        return Answer(400, "Validity ends before the message could go, rejected")
    return (validity - deferred) * MINUTE_MS, sends_ms


def _utf8(octets: bytes) -> str | None:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None
