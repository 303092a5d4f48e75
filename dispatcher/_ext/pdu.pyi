"""SMPP 3.4 PDUs: octets to values and back."""

from collections.abc import Iterable, Mapping
from typing import Any, final

from _typeshed import ReadableBuffer

from dispatcher.errors import Recoverable, Unrecoverable

@final
class Pdu:
    """One PDU, never changed.

    Mandatory and optional parameters are attributes, spelled as in SMPP 3.4: ``pdu.source_addr``,
    ``pdu.receipted_message_id``. Strings are ``bytes`` without their NUL, numbers ``int``; lists are tuples
    of ``SmeAddress``, ``DistributionList`` and ``UnsuccessSme`` (see ``dispatcher.smpp.spec``). A mandatory
    parameter that a response left out, and a TLV that is not there, is ``None``. Where a name is both
    (``message_state`` of query_sm_resp) the mandatory one wins.

    Building one takes the same names as keywords; what is not given is 0, ``b""`` or ``()``. A response with
    an error status and none of its fields has no body. Values are checked when they are encoded.
    """

    def __init__(
        self,
        command_id: int,
        sequence_number: int,
        command_status: int = 0,
        tlvs: Iterable[tuple[int, int | bytes]] = (),
        **fields: Any,
    ) -> None: ...
    @property
    def command_id(self) -> int: ...
    @property
    def command_status(self) -> int: ...
    @property
    def sequence_number(self) -> int: ...
    @property
    def tlvs(self) -> tuple[tuple[int, int | bytes], ...]:
        """Every TLV in wire order: known ones typed, unknown ones raw."""

    @property
    def flaws(self) -> tuple[str, ...]:
        """What the decoder tolerated, for counters and logs; no part of the value."""

    @property
    def name(self) -> str:
        """``submit_sm``."""

    @property
    def fields(self) -> dict[str, Any]:
        """The mandatory parameters, a new dict each time."""

    @property
    def is_response(self) -> bool: ...
    def tlv(self, tag: int, default: Any = None) -> Any:
        """Return the first TLV with a tag."""

    def response(self, command_status: int = 0, **fields: Any) -> Pdu:
        """Return the response to this request; raise LocalProtocolError if SMPP has none."""

    def __getattribute__(self, name: str, /) -> Any: ...  # the parameters
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Framer:
    """Reads of any size in, whole PDUs out. It never raises for what a peer sent.

    ``limit`` is the greatest command_length. All its memory (``limit + read_octets``) is taken at once.
    """

    def __new__(cls, limit: int = 70_000, read_octets: int = 65_536) -> Framer: ...
    def feed(self, data: ReadableBuffer) -> list[Pdu | Recoverable | Unrecoverable]:
        """Return the PDUs that ``data`` completes, in order; a broken one as the Recoverable that refuses it.

        An Unrecoverable is the last entry of its list, and the only one of every later call.
        """

    @property
    def pending(self) -> int:
        """Octets of a PDU begun but not yet whole: over 0 for long calls for a read timeout."""

@final
class SubmitTemplate:
    """What every submit_sm of a carrier has in common, checked once."""

    def __init__(
        self,
        service_type: bytes = b"",
        protocol_id: int = 0,
        priority_flag: int = 0,
        replace_if_present_flag: int = 0,
        sm_default_msg_id: int = 0,
        tlvs: Iterable[tuple[int, int | bytes]] = (),
    ) -> None: ...
    @property
    def tlv_octets(self) -> bytes: ...
    def encode(
        self,
        sequence_number: int,
        source_addr: bytes,
        destination_addr: bytes,
        short_message: bytes,
        *,
        source_addr_ton: int = 0,
        source_addr_npi: int = 0,
        dest_addr_ton: int = 1,
        dest_addr_npi: int = 1,
        esm_class: int = 0,
        registered_delivery: int = 0,
        data_coding: int = 0,
        validity_period: bytes = b"",
        message_payload: bytes = b"",
        tlvs: Iterable[tuple[int, int | bytes]] = (),
    ) -> bytes:
        """Return the octets of one submit_sm; raise LocalProtocolError."""

def decode(data: ReadableBuffer, limit: int = 70_000) -> Pdu:
    """Return the one PDU that fills ``data``; raise Recoverable or Unrecoverable."""

def encode(pdu: Pdu) -> bytes:
    """Return the octets of a PDU; raise LocalProtocolError."""

def write_responses(command_id: int, rows: Iterable[tuple[int, int]]) -> bytes:
    """Return bodyless responses (deliver_sm_resp: an empty id) to (sequence_number, status) rows."""

def read_submit_sm_resps(data: ReadableBuffer, limit: int = 70_000) -> list[tuple[int, int, bytes | None]]:
    """Return (sequence_number, command_status, message_id) of PDUs that are all submit_sm_resp."""

def read_deliver_sm(data: ReadableBuffer) -> tuple[int, Mapping[str, int | bytes | None]]:
    """Return the status to answer (0: fine) and what a deliver_sm says; ValueError if it is no whole PDU."""
