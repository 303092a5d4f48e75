"""A disk that can fail, be slow, be full, and lose power: an apsw VFS over the ordinary one.

Everything that SQLite asks of a file is written into a log, beside marks of the test. `after_power_cut` makes
the files as they may be found when the power goes at a point of the log: what was synced is there; of what
was written later, any part may be, whole or torn.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

SECTOR = 512


class Step(NamedTuple):
    """One entry of the log: "write", "truncate", "sync", "delete" of a file, or "mark" of the test."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""


class Disk(apsw.VFS):
    """Register by constructing; `name` is what connections are opened with.

    `fault(kind, file)` is called before each step is done, and may raise or wait.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: list[Step] = []
        self.fault: Callable[[str, str], None] = lambda kind, file: None
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "DiskFile":  # noqa: N802 - the name is SQLite's
        """Open through the base."""
        return DiskFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - the name is SQLite's
        """Delete, durably if so asked."""
        self.step("delete", filename)
        super().xDelete(filename, syncdir)
        if syncdir:
            self.step("sync", filename)

    def step(self, kind: str, file: str, offset: int = 0, data: bytes = b"") -> None:
        """Note one step, unless it fails."""
        self.fault(kind, Path(file).name)
        self.log.append(Step(kind, Path(file).name, offset, data))

    def mark(self, value: int) -> None:
        """Note that the test was told something."""
        self.log.append(Step("mark", "", value))


class DiskFile(apsw.VFSFile):
    """One file of it."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary"
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - the name is SQLite's
        """Write."""
        self._disk.step("write", self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - the name is SQLite's
        """Truncate."""
        self._disk.step("truncate", self._name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - the name is SQLite's
        """Sync."""
        self._disk.step("sync", self._name)
        super().xSync(flags)


def after_power_cut(log: list[Step], at: int, random: Random, folder: Path) -> None:
    """Write the files as they may be found after a cut before step `at`."""
    files: dict[str, bytearray] = {}
    unsynced: dict[str, list[Step]] = {}
    for step in log[:at]:
        if step.kind == "sync":
            for each in unsynced.pop(step.file, []):
                apply(files, each)
        elif step.kind != "mark":
            unsynced.setdefault(step.file, []).append(step)
    for steps in unsynced.values():
        for step in random.sample(steps, random.randint(0, len(steps))):  # in any order
            apply(files, torn(step, random))
    for name, content in files.items():
        (folder / name).write_bytes(content)


def torn(step: Step, random: Random) -> Step:
    """Return the step, or one that got through for some sectors only."""
    if step.kind != "write" or random.random() < 0.5:
        return step
    return step._replace(data=step.data[: random.randrange(len(step.data) + 1) // SECTOR * SECTOR])


def apply(files: dict[str, bytearray], step: Step) -> None:
    """Do a step to the contents of the files."""
    content = files.setdefault(step.file, bytearray())
    if step.kind == "delete":
        del files[step.file]
    elif step.kind == "truncate":
        del content[step.offset :]
    else:
        if len(content) < step.offset:
            content.extend(bytes(step.offset - len(content)))
        content[step.offset : step.offset + len(step.data)] = step.data
