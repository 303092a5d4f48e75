"""What a record's message is known by, whoever reads the record, and however often."""

from dispatcher.ingest.kafka_records import Fetched
from dispatcher.worker.wire import MESSAGE_ID, Place, id_of_place

_ID_DIGITS = 32


def given_of(record: Fetched, place: Place) -> tuple[bytes, int]:
    """Return message_id and time of acceptance: as the HTTP door told them, else by the record's place."""
    at_ms = max(record.timestamp, 0)
    for name, value in record.headers or ():
        if name == MESSAGE_ID and len(value) == _ID_DIGITS:
            try:
                return bytes.fromhex(value.decode("ascii")), at_ms
            except ValueError:
                break
    return id_of_place(place, at_ms, record.topic), at_ms
