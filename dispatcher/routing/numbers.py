"""Destination numbers: what senders write to the digits of E.164, or to a refusal.

Law: with ``+`` nothing is rewritten; national forms are understood only where the configuration names the
country, and only where they can mean nothing else (PITFALLS 97 and 98). The reading is in ext/numbers.pyx.
"""

from typing import Final

from dispatcher._ext.numbers import Normaliser
from dispatcher.convert import did_you_mean
from dispatcher.errors import ConfigError
from dispatcher.refusal import Code, Refusal
from dispatcher.routing.countries import NATIONAL


def normaliser(default_country: str | None = None) -> Normaliser:
    """Return what leads from a number as written to its E.164 digits, or to why not.

    The digits are the argument itself where it is nothing but them. ConfigError: an unknown country.
    """
    if default_country is None:
        return Normaliser(_REFUSALS)
    if default_country not in NATIONAL:
        raise ConfigError(
            f"default_country: the national forms of {default_country!r} are not known here"
            f"{did_you_mean(default_country, NATIONAL)}"
        )
    country = NATIONAL[default_country]
    return Normaliser(
        _REFUSALS,
        code=country.code.encode(),
        trunk=country.trunk.encode(),
        mobile=country.mobile.encode(),
        least=country.least,
        most=country.most,
        bare=country.bare,
    )


def _malformed(reason: str) -> Refusal:
    return Refusal(Code.NUMBER_MALFORMED, reason, "to")


_REFUSALS: Final = (
    _malformed(
        "a number is digits, with + in front or nothing; blanks, hyphens, brackets and dots may divide it"
    ),
    _malformed("an international number has 7 to 15 digits"),
    _malformed("an international number does not begin with 0: write it with + and the country code"),
    _malformed(
        "blanks, hyphens, brackets and dots are understood only where a default_country is configured"
    ),
    Refusal(
        Code.NUMBER_AMBIGUOUS,
        "it could be a national or an international number: write it with + and the country code",
        "to",
    ),
)
"""In the order that ext/numbers.pyx names."""
