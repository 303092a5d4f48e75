"""Countries: calling codes (ITU-T E.164), and how national numbers are written where we accept them.

Law: a table says nothing that it does not know. The countries of +1 are told apart by nobody here: NANP.
"""

from typing import Final, NamedTuple


class National(NamedTuple):
    """How people of a country write its numbers."""

    code: str
    """Calling code."""
    trunk: str
    """What stands before a national number; empty: nothing does."""
    least: int
    most: int
    """Digits of a national number, without the trunk prefix."""
    mobile: str
    """First digits of the numbers that are understood; empty: any, as where the trunk prefix is 0: no
    international number begins so. Others could be another country's."""
    bare: bool
    """Whether national numbers are written without the trunk prefix too."""


NATIONAL: Final[dict[str, National]] = {
    # Digits beginning with 8 are ambiguous in Russia: 8 491 2... is Ryazan, 84 912... is Viet Nam.
    "RU": National("7", "8", 10, 10, "9", True),
    "KZ": National("7", "8", 10, 10, "7", True),
    "BY": National("375", "80", 9, 9, "234", False),
    "UA": National("380", "0", 9, 9, "", False),
    "UZ": National("998", "", 9, 9, "23456789", True),
    "AM": National("374", "0", 8, 8, "", False),
    "AZ": National("994", "0", 9, 9, "", False),
    "GE": National("995", "0", 9, 9, "", False),
    "KG": National("996", "0", 9, 9, "", False),
    "TJ": National("992", "", 9, 9, "123456789", True),
    "MD": National("373", "0", 8, 8, "", False),
    "TR": National("90", "0", 10, 10, "", False),
    "DE": National("49", "0", 10, 11, "", False),
    "FR": National("33", "0", 9, 9, "", False),
    "GB": National("44", "0", 10, 10, "", False),
    "IN": National("91", "0", 10, 10, "6789", True),
    "US": National("1", "1", 10, 10, "23456789", True),
    "PL": National("48", "", 9, 9, "45678", True),
    "ES": National("34", "", 9, 9, "67", True),
}
"""By ISO 3166 code: what `default_country` may be."""

_CALLING_CODES: Final = """\
1 NANP  20 EG  211 SS  212 MA  213 DZ  216 TN  218 LY  220 GM  221 SN  222 MR  223 ML  224 GN  225 CI
226 BF  227 NE  228 TG  229 BJ  230 MU  231 LR  232 SL  233 GH  234 NG  235 TD  236 CF  237 CM  238 CV
239 ST  240 GQ  241 GA  242 CG  243 CD  244 AO  245 GW  246 IO  248 SC  249 SD  250 RW  251 ET  252 SO
253 DJ  254 KE  255 TZ  256 UG  257 BI  258 MZ  260 ZM  261 MG  262 RE  263 ZW  264 NA  265 MW  266 LS
267 BW  268 SZ  269 KM  27 ZA  290 SH  291 ER  297 AW  298 FO  299 GL  30 GR  31 NL  32 BE  33 FR  34 ES
350 GI  351 PT  352 LU  353 IE  354 IS  355 AL  356 MT  357 CY  358 FI  359 BG  36 HU  370 LT  371 LV
372 EE  373 MD  374 AM  375 BY  376 AD  377 MC  378 SM  380 UA  381 RS  382 ME  383 XK  385 HR  386 SI
387 BA  389 MK  39 IT  40 RO  41 CH  420 CZ  421 SK  423 LI  43 AT  44 GB  45 DK  46 SE  47 NO  48 PL
49 DE  500 FK  501 BZ  502 GT  503 SV  504 HN  505 NI  506 CR  507 PA  508 PM  509 HT  51 PE  52 MX  53 CU
54 AR  55 BR  56 CL  57 CO  58 VE  590 GP  591 BO  592 GY  593 EC  594 GF  595 PY  596 MQ  597 SR  598 UY
599 CW  60 MY  61 AU  62 ID  63 PH  64 NZ  65 SG  66 TH  670 TL  672 NF  673 BN  674 NR  675 PG  676 TO
677 SB  678 VU  679 FJ  680 PW  681 WF  682 CK  683 NU  685 WS  686 KI  687 NC  688 TV  689 PF  690 TK
691 FM  692 MH  7 RU  76 KZ  77 KZ  81 JP  82 KR  84 VN  850 KP  852 HK  853 MO  855 KH  856 LA  86 CN
880 BD  886 TW  90 TR  91 IN  92 PK  93 AF  94 LK  95 MM  960 MV  961 LB  962 JO  963 SY  964 IQ  965 KW
966 SA  967 YE  968 OM  970 PS  971 AE  972 IL  973 BH  974 QA  975 BT  976 MN  977 NP  98 IR  992 TJ
993 TM  994 AZ  995 GE  996 KG  998 UZ
"""

_WORDS: Final = _CALLING_CODES.split()

CALLING_CODES: Final[dict[str, str]] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
"""First digits to the country; of two that fit the longer counts (+77 is Kazakhstan)."""

COUNTRIES: Final = frozenset(CALLING_CODES.values())
_DIGITS_MAX: Final = max(map(len, CALLING_CODES))


def country_of(number: str) -> str | None:
    """Return the country of the digits of an E.164 number; None: no such code."""
    for length in range(_DIGITS_MAX, 0, -1):
        if found := CALLING_CODES.get(number[:length]):
            return found
    return None
