"""Write ext/grapheme_tables.h: what UAX #29 needs to know of every code point, as a two-stage table.

Run it with a newer ``regex`` to follow a new Unicode version::

    python ext/make_grapheme_tables.py

One octet a code point: bits 0-3 Grapheme_Cluster_Break, bit 4 Extended_Pictographic, bits 5-6
Indic_Conjunct_Break. ``stage1[code >> 8]`` names the page, ``stage2[page * 256 + (code & 255)]`` the octet.
"""

from pathlib import Path

import regex

BREAKS = (
    "Other", "CR", "LF", "Control", "Extend", "ZWJ", "Regional_Indicator", "Prepend", "SpacingMark",
    "L", "V", "T", "LV", "LVT",
)  # fmt: skip
CONJUNCTS = ("None", "Consonant", "Linker", "Extend")
SURROGATES = range(0xD800, 0xE000)


def properties() -> bytearray:
    """Return the octet of each of the 0x110000 code points; surrogates are Control, as the standard says."""
    everything = "".join(chr(code) for code in range(0x110000) if code not in SURROGATES)
    octets = bytearray(0x110000)
    octets[SURROGATES.start : SURROGATES.stop] = bytes([BREAKS.index("Control")]) * len(SURROGATES)
    for value, name in enumerate(BREAKS[1:], 1):
        for char in regex.findall(rf"\p{{GCB={name}}}", everything):
            octets[ord(char)] |= value
    for char in regex.findall(r"\p{Extended_Pictographic}", everything):
        octets[ord(char)] |= 0x10
    for value, name in enumerate(CONJUNCTS[1:], 1):
        for char in regex.findall(rf"\p{{InCB={name}}}", everything):
            octets[ord(char)] |= value << 5
    return octets


def array(name: str, values: list[int]) -> str:
    """Return a C definition of ``values``, 32 a line."""
    lines = [",".join(map(str, values[at : at + 32])) for at in range(0, len(values), 32)]
    body = ",\n".join(lines)
    return f"static const unsigned char {name}[{len(values)}] = {{\n{body}\n}};\n"


def main() -> None:
    """Build the table and write the header beside this file."""
    octets = bytes(properties())
    pages: dict[bytes, int] = {}
    stage1 = [pages.setdefault(octets[at : at + 256], len(pages)) for at in range(0, 0x110000, 256)]
    stage2 = [octet for page in pages for octet in page]
    header = Path(__file__).with_name("grapheme_tables.h")
    header.write_text(
        "/* Written by ext/make_grapheme_tables.py from the Unicode Character Database"
        f" (regex {regex.__version__}). Do not edit. */\n"
        + array("grapheme_stage1", stage1)
        + array("grapheme_stage2", stage2)
    )
    print(f"{header.name}: {len(pages)} pages, {len(stage1) + len(stage2)} octets")  # noqa: T201


if __name__ == "__main__":
    main()
