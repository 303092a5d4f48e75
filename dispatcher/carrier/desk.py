"""What a lane asks of those who know messages and operators: the desk that it reports to, and its switch."""

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from dispatcher._ext.book import Submission
from dispatcher._ext.session import Incoming
from dispatcher.carrier.queue import ClassQueue
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.pool import Alarm

if TYPE_CHECKING:
    from dispatcher.carrier.lane import Lane


class Switch(IntEnum):
    """What the operator wants of a carrier; the value stands in the journal."""

    ON = 0
    PAUSED = 1
    """Nothing is sent; binds stay, receipts come. What has another carrier goes there."""
    DRAINING = 2
    """The same, and it unbinds once everything is answered."""


class Desk(Protocol):
    """Who knows messages: the pipeline. Nothing here may raise."""

    def may_send(self) -> bool:
        """Whether anything may be claimed and written now; who says no says later that lanes should look."""

    def claim(self, lane: "Lane", queue: ClassQueue, batch: list[Submission]) -> None:
        """Commit that these may be written, then call `lane.claimed`."""

    def answered(
        self,
        lane: "Lane",
        batch: list[Submission],
        statuses: list[int],
        ids: list[bytes | None],
        done: Callable[[], None],
    ) -> None:
        """Take answers; call `done` when they are committed."""

    def late(self, lane: "Lane", late: list[tuple[Submission, int, bytes | None]]) -> None:
        """Take answers to what was unanswered."""

    def unanswered(self, lane: "Lane", batch: list[Submission]) -> None:
        """Take what has an unknown outcome."""

    def unsent(self, lane: "Lane", batch: list[Submission]) -> None:
        """Take what never left."""

    def dropped(self, lane: "Lane", batch: list[Submission]) -> None:
        """Take what was cancelled or is past its deadline."""

    def incoming(self, lane: "Lane", source: Connection, incoming: list[Incoming]) -> None:
        """Take receipts and messages, to be acknowledged through the lane's pool."""

    def load(self, lane: "Lane", queue: ClassQueue) -> None:
        """Fill the head of a queue from the journal."""

    def alarm(self, lane: "Lane", kind: Alarm, detail: str | None) -> None:
        """Learn of trouble with a carrier; None: it is over."""


class Worker(Protocol):
    """What the path asks where several workers share messages, each of which is one worker's at a time."""

    def may_send(self) -> bool:
        """Whether what is ours is ours beyond doubt, so that it may be claimed and written."""

    def ours(self, batch: list[Submission]) -> list[Submission]:
        """Return those whose message is ours still."""

    def answered(
        self, batch: list[Submission], statuses: list[int], ids: list[bytes | None]
    ) -> tuple[list[Submission], list[int], list[bytes | None]]:
        """Return the answers to those."""
