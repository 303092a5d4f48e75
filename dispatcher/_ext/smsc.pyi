"""What a simulated SMSC makes by the million."""

from typing import Any, Final, final

from dispatcher._ext.session import Incoming

ID: Final[int]
TEXT: Final[int]

def message_ids(
    first: int, count: int, base: int = 10, width: int = 0, upper: bool = False
) -> list[bytes]: ...

@final
class Receipt:
    def __init__(self, frame: bytes, record: Any = None, state: int = -1) -> None: ...
    @property
    def frame(self) -> bytes: ...
    @property
    def state(self) -> int: ...
    record: Any
    tries: int
    rules: tuple[Any, ...]

class ReceiptForm:
    def __init__(
        self,
        pieces: tuple[bytes | int, ...],
        *,
        state: int = 2,
        tlvs: bytes = b"",
        esm_class: int = 4,
        id_tlv: bool = True,
        swap: bool = True,
        payload: bool = False,
        text_octets: int = 20,
    ) -> None: ...
    @property
    def state(self) -> int: ...
    def make(
        self,
        incoming: list[Incoming],
        text_ids: list[bytes],
        tlv_ids: list[bytes],
        records: list[Any] | None = None,
    ) -> list[Receipt]: ...
