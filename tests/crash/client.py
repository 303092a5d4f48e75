"""The client's ledger: what was asked, before it was; what was answered, after it was. kill -9 spares it."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dispatcher.model import Accepted, Refused

FILE: Final = "client.ledger"


class Client:
    """Lines of words: "asked TOKEN", "accepted TOKEN MESSAGE_ID", "refused TOKEN CODE"."""

    def __init__(self, folder: Path) -> None:
        self.asked: set[str] = set()
        self.accepted: dict[str, set[str]] = defaultdict(set)
        """Token -> every message_id that was answered; more than one is a fault."""
        self.refused: dict[str, list[str]] = defaultdict(list)
        path = folder / FILE
        if path.exists():
            for line in path.read_text("ascii").splitlines(keepends=True):
                if line.endswith("\n"):  # the last one may be torn
                    self._take(*line.split())
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def ask(self, tokens: Iterable[str]) -> None:
        """Note what is about to be sent."""
        self._write([f"asked {token}" for token in tokens])

    def hear(self, tokens: Iterable[str], verdicts: Iterable[Accepted | Refused]) -> None:
        """Note what was answered."""
        self._write(
            [
                f"accepted {token} {verdict.message_id}"
                if isinstance(verdict, Accepted)
                else f"refused {token} {verdict.code}"
                for token, verdict in zip(tokens, verdicts, strict=True)
            ]
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, lines: list[str]) -> None:
        for line in lines:
            self._take(*line.split())
        os.write(
            self._file, "".join(f"{line}\n" for line in lines).encode()
        )  # the kernel has it: kill -9 cannot undo it

    def _take(self, what: str, token: str, value: str = "") -> None:
        if what == "asked":
            self.asked.add(token)
        elif what == "accepted":
            self.accepted[token].add(value)
        else:
            self.refused[token].append(value)
