from collections.abc import Sequence
from typing import final

from dispatcher._ext.segment import Encoder

STATUS: tuple[str, ...]

class Source:
    def __len__(self) -> int: ...

@final
class StrSource(Source):
    def __new__(cls, texts: Sequence[str]) -> StrSource: ...

@final
class Utf8Source(Source):
    def __new__(cls, offsets: object, data: object) -> Utf8Source: ...

def count_into(encoder: Encoder, source: Source, columns: tuple[object, ...]) -> None: ...
def segment_into(
    encoder: Encoder, source: Source, columns: tuple[object, ...], references: object = None
) -> tuple[bytearray, ...]: ...
