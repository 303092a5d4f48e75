"""Every limit, with the reason for its value."""

from typing import Final

SEGMENTS_MAX: Final = 255
"""Segments of one message: the concatenation element has one octet for the total (TS 23.040, 9.2.3.24.1)."""

SEGMENTS_DEFAULT: Final = 10
"""What `segment` allows unless told otherwise: 1,530 GSM characters, more than any real notice needs, and the
most that many handsets join again."""

USER_DATA_OCTETS: Final = 140
"""Octets of user data in one short message, the header included (TS 23.040, 9.2.3.16)."""

HEADER_OCTETS_MAX: Final = 100
"""User data header of one segment: leaves room for 40 octets of text, so that any character fits."""
