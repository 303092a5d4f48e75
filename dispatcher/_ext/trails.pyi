"""Trails: the events of one message, taken out of bodies that hold those of many."""

def add_trails(body: bytes, trails: dict[int, bytes]) -> None:
    """Append each event of a body to the trail of its message: trails[n] is all of them, back to back.

    Events without a message (n = 0) are left out. StoreError: the body is cut, or holds an unknown kind; the
    events before that place have been added.
    """

def last_state(trail: bytes) -> tuple[int, int, int]:
    """Return (carrier, code, at_ms) of a trail.

    `carrier` is that of the last event that names one, else 0; `code` (outcome << 16 | reason) and `at_ms`
    are those of the last FINISHED or CORRECTED, else 0. StoreError: as add_trails.
    """
