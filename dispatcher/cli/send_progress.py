"""How the sending of a file goes: a line that is drawn over on a terminal, else one now and then."""

from collections.abc import Callable
from typing import Final, TextIO

from dispatcher.cli.send_state import State

TERMINAL_S: Final = 0.2
LOG_S: Final = 10.0
AVERAGE_S: Final = 10.0
"""The rate is that of the last seconds: what was an hour ago says little about the end."""


class Progress:
    """Draws; `read` returns the octets of the file that were read, `size` is 0 where it is not known."""

    def __init__(
        self, out: TextIO, state: State, read: Callable[[], int], size: int, clock: Callable[[], float]
    ) -> None:
        self._out = out
        self._state = state
        self._read = read
        self._size = size
        self._clock = clock
        self._live = out.isatty()
        self._drawn_s = clock()
        self._marks: list[tuple[float, int, int]] = [(self._drawn_s, self._done, read())]
        """Time, messages answered, octets read: the first and those of the last seconds."""

    def look(self) -> None:
        """Draw, if it is time."""
        now = self._clock()
        if now - self._drawn_s < (TERMINAL_S if self._live else LOG_S):
            return
        self._drawn_s = now
        self._marks.append((now, self._done, self._read()))
        while len(self._marks) > 2 and now - self._marks[1][0] > AVERAGE_S:
            del self._marks[0]
        line = described(self._state)
        then, done, octets = self._marks[0]
        seconds = max(now - then, 0.001)
        line += f", {(self._done - done) / seconds:,.0f}/s"
        speed = (self._read() - octets) / seconds
        if self._size and speed > 0:
            left = round((self._size - self._read()) / speed)
            line += f", {100 * self._read() // self._size} %, {left // 60}:{left % 60:02} left"
        self._out.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
        self._out.flush()

    def clear(self) -> None:
        """Take the drawn line away: something else is written."""
        if self._live:
            self._out.write("\r\x1b[K")
            self._out.flush()

    @property
    def _done(self) -> int:
        return self._state.accepted + self._state.refused + self._state.postponed


def described(state: State) -> str:
    """Return what has come of a file so far, in one line."""
    sent = state.accepted + state.refused + state.postponed
    said = f"{sent:,} messages, {state.accepted:,} accepted"
    if state.repeated:
        said += f" ({state.repeated:,} of them again)"
    if state.refused:
        said += f", {state.refused:,} refused"
    if state.postponed:
        said += f", {state.postponed:,} refused for now"
    return said
