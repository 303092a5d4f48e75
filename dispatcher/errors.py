"""Every exception of the house, as one tree.

::

    DispatcherError                      retryable = False
    ├── ConfigError                      an option or setting: what was expected, and a hint
    ├── EncodingError                    a text that cannot be sent as asked
    │   ├── UnencodableError             which character, where, in which alphabets
    │   └── TooManySegmentsError         how many segments it needs, how many are allowed
    ├── OverloadedError                  retryable: refused at the door, and how long to wait
    ├── StoreError                       what is stored cannot be read, or could not be written
    │   ├── StoreInUseError              retryable: another process has it
    │   └── MovedError                   retryable: the messages that it is about are another worker's by now
    └── SmppError
        ├── LocalProtocolError           we were asked to send something SMPP forbids: a bug on our side
        └── RemoteProtocolError          the SMSC broke SMPP
            ├── Recoverable              the frame is intact: refuse this PDU, keep the session
            └── Unrecoverable            framing is lost: close and bind again

The class says whom to blame; attributes carry what a program needs to decide. Texts and numbers never stand
in a message (law 11): one offending character may.
"""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatcher._ext.pdu import Pdu


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
        if code < 0x20:
            return (
                f"position {self.position}: U+{code:04X} is a control code, which phones do not show; a NUL "
                "may end the text there: take it out"
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
        advice = "shorten it or raise max_segments (at most 255)" if self.segments <= 255 else "shorten it"
        return f"the text needs {least}{self.segments:,} segments, {self.max_segments} are allowed; {advice}"


class OverloadedError(DispatcherError):
    """Nothing was taken, because a limit is reached: come again later. Only at the door.

    Attributes: ``retry_after_ms``, how long to wait first.
    """

    retryable = True

    def __init__(self, message: str, retry_after_ms: int) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(message, retry_after_ms)

    def __str__(self) -> str:
        return str(self.args[0])


class StoreError(DispatcherError):
    """What is stored cannot be read (cut, overwritten, made by a newer version), or could not be written."""


class StoreInUseError(StoreError):
    """Another process works on the store: it is one's at a time."""

    retryable = True


class MovedError(StoreError):
    """What was to be written is about messages that are another worker's by now: he writes it."""

    retryable = True


class SmppError(DispatcherError):
    """SMPP was broken, by us or by the SMSC."""


class LocalProtocolError(SmppError, ValueError):
    """We were asked to send something that SMPP forbids; nothing was sent and nothing was cut.

    Attributes: ``field`` (spelled as in SMPP 3.4).
    """

    def __init__(self, message: str, field: str = "") -> None:
        self.field = field
        super().__init__(message, field)

    def __str__(self) -> str:
        return str(self.args[0])


class RemoteProtocolError(SmppError):
    """The SMSC broke SMPP. Any bytes from a peer give PDUs or one of the two below, nothing else."""


class Recoverable(RemoteProtocolError):  # noqa: N818 - the name is the decision, as drawn above
    """One PDU is broken, its frame is intact: refuse the PDU, go on with the next.

    Attributes, all of them plain values:

    ``command_id``, ``sequence_number``
        of the broken PDU.
    ``command_status``
        what the negative response says.
    ``response_id``
        the ``command_id`` of the negative response; 0 where SMPP allows no answer (responses,
        alert_notification, outbind).
    ``partial``
        the :class:`~dispatcher._ext.pdu.Pdu` as far as it could be read, unread fields ``None``; None
        where the command is unknown. A receipt whose last TLV lies is still a receipt.
    """

    def __init__(
        self,
        message: str,
        command_id: int,
        command_status: int,
        sequence_number: int,
        response_id: int = 0,
        partial: "Pdu | None" = None,
    ) -> None:
        self.command_id = command_id
        self.command_status = command_status
        self.sequence_number = sequence_number
        self.response_id = response_id
        self.partial = partial
        super().__init__(message, command_id, command_status, sequence_number, response_id, partial)

    def __str__(self) -> str:
        return str(self.args[0])


class Unrecoverable(RemoteProtocolError):  # noqa: N818 - see Recoverable
    """Nobody knows where the next PDU begins: send generic_nack, close, bind again.

    Attributes: ``command_status`` for the generic_nack, ``command_length`` as received.
    """

    def __init__(self, message: str, command_status: int, command_length: int) -> None:
        self.command_status = command_status
        self.command_length = command_length
        super().__init__(message, command_status, command_length)

    def __str__(self) -> str:
        return str(self.args[0])
