from collections.abc import Callable
from typing import final

from dispatcher._ext.segment import Encoder
from dispatcher.model import Message

@final
class SubmitBuilder:
    """Builds whole submit_sm. `source` gives the octets from service_type to source_addr; b"": impossible.

    validity: 0 none, 1 relative, 2 absolute (UTC). registered_delivery_before is that of all segments but
    the last. ValueError: a value out of range.
    """

    def __new__(
        cls,
        encoder: Encoder,
        source: Callable[[str], bytes],
        *,
        senders_max: int,
        tlvs: bytes,
        validity: int,
        validity_max_s: int,
        dest_addr_ton: int,
        dest_addr_npi: int,
        esm_class: int,
        protocol_id: int,
        priority_flag: int,
        registered_delivery: int,
        registered_delivery_before: int,
    ) -> SubmitBuilder: ...
    def frames(self, message: Message, now_ms: int) -> list[bytes]:
        """Return one submit_sm a segment, in order, sequence_number 0; none where the sender, the number or
        the text cannot be sent so. The validity period is what remains until the deadline at `now_ms`."""

    def __len__(self) -> int: ...
