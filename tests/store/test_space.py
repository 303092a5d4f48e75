"""The reserve and the watermarks, on a disk that is a number."""

from pathlib import Path

from dispatcher.store.space import ALL, NONE, RESERVE, Space

RESERVE_OCTETS = 10_000


class Disk:
    """So many octets, less the reserve."""

    def __init__(self, folder: Path, octets: int) -> None:
        self.folder = folder
        self.octets = octets

    def free(self) -> int:
        """What is left."""
        return self.octets - self.held

    @property
    def held(self) -> int:
        """By the reserve."""
        path = self.folder / RESERVE
        return path.stat().st_size if path.exists() else 0


def test_the_reserve_is_not_made_of_what_it_gave_up(tmp_path: Path) -> None:
    """F19: given up, it stays so until there is half as much again, or it would be full at once."""
    disk = Disk(tmp_path, 100_000)
    space = Space(tmp_path, RESERVE_OCTETS, 0, disk.free)
    assert (disk.held, space.is_full, space.classes, space.free) == (RESERVE_OCTETS, False, ALL, 90_000)
    disk.octets = RESERVE_OCTETS
    space.give_up()
    for _ in range(3):
        assert (disk.held, space.is_full, space.classes) == (0, True, NONE)
        space.look()
    disk.octets = RESERVE_OCTETS * 3 // 2 - 1
    space.look()
    assert (disk.held, space.is_full) == (0, True)
    disk.octets += 1
    space.look()
    assert (disk.held, space.is_full, space.classes) == (RESERVE_OCTETS, False, ALL)


def test_without_room_for_the_reserve_a_store_opens_full(tmp_path: Path) -> None:
    """F19: a start on a full disk accepts nothing, until there is room."""
    disk = Disk(tmp_path, RESERVE_OCTETS)
    space = Space(tmp_path, RESERVE_OCTETS, 0, disk.free)
    assert (disk.held, space.is_full, space.classes) == (0, True, NONE)
    disk.octets *= 2
    space.look()
    assert (disk.held, space.is_full, space.classes) == (RESERVE_OCTETS, False, ALL)


def test_no_reserve_is_a_choice(tmp_path: Path) -> None:
    """With none, a full disk is full until a look finds a quarter of the mark."""
    disk = Disk(tmp_path, 0)
    space = Space(tmp_path, 0, 400, disk.free)
    assert (space.is_full, space.classes) == (False, NONE)
    space.give_up()
    disk.octets = 99
    space.look()
    assert space.is_full
    disk.octets = 100
    space.look()
    assert (space.is_full, space.classes) == (False, 1)
