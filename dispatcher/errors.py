"""Every exception of the house, as one tree.

::

    DispatcherError                      retryable = False
    ├── ConfigError                      an option or setting: what was expected, and a hint
    └── EncodingError                    a text that cannot be sent as asked
        ├── UnencodableError             which character, where, in which alphabets
        └── TooManySegmentsError         how many segments it needs, how many are allowed

The class says whom to blame; attributes carry what a program needs to decide. Texts and numbers never stand
in a message (law 11): one offending character may.
"""

import unicodedata
from collections.abc import Sequence


class DispatcherError(Exception):
    """The root: catch it to catch whatever this package raises on purpose."""

    retryable = False


class ConfigError(DispatcherError, ValueError):
    """An option or a setting is wrong: the message says which, what was expected and what comes close."""


class EncodingError(DispatcherError, ValueError):
    """A text cannot be encoded as asked."""


class UnencodableError(EncodingError):
    """No allowed alphabet carries the text: it holds a character that they lack.

    Attributes: ``position`` (index into the text, from 0), ``character``, ``alphabets`` (those that lack it:
    all that were allowed, unless each lacks another character).
    """

    def __init__(self, position: int, character: str, alphabets: Sequence[str]) -> None:
        self.position = position
        self.character = character
        self.alphabets = tuple(alphabets)
        super().__init__(position, character, self.alphabets)

    def __str__(self) -> str:
        code = ord(self.character)
        name = unicodedata.name(self.character, "unnamed")
        if 0xD800 <= code <= 0xDFFF:
            return (
                f"position {self.position}: U+{code:04X} is half of a surrogate pair, not a character; "
                "the text was cut or decoded wrongly before it came here"
            )
        hint = "" if "ucs2" in self.alphabets else "; allow 'ucs2', or replace the character"
        return (
            f"position {self.position}: {self.character!r} (U+{code:04X} {name}) is not in "
            f"{' or '.join(self.alphabets)}{hint}"
        )


class TooManySegmentsError(EncodingError):
    """The text needs more segments than allowed; nothing was cut.

    Attributes: ``segments`` (needed), ``exact`` (False where counting stopped early: then ``segments`` is a
    lower bound), ``max_segments`` (allowed).
    """

    def __init__(self, segments: int, max_segments: int, exact: bool = True) -> None:
        self.segments = segments
        self.max_segments = max_segments
        self.exact = exact
        super().__init__(segments, max_segments, exact)

    def __str__(self) -> str:
        least = "" if self.exact else "at least "
        return (
            f"the text needs {least}{self.segments} segments, {self.max_segments} are allowed; "
            "shorten it or raise max_segments (at most 255)"
        )
