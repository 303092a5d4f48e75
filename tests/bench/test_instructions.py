"""The hottest functions take no more instructions than is committed: no clock, no neighbour disturbs it."""

import pytest

from bench import instructions


def test_no_step_takes_more_than_expected() -> None:
    """Counted under valgrind; after a change that is worth it: python -m bench.instructions --write."""
    if lacking := instructions.missing():
        pytest.skip(lacking)
    said = instructions.wrong(instructions.measure(), instructions.expected(), instructions.build())
    assert not said, "\n".join(said)


def test_what_is_wrong() -> None:
    """More than the tolerance of the build, what is gone, what is new; fewer is well."""
    wanted = {"build": "here", "instructions": {"a": 100.0, "b": 100.0}}
    assert instructions.wrong({"a": 50.0, "b": 109.0}, wanted, "here") == []
    assert instructions.wrong({"a": 111.0, "b": 100.0}, wanted, "here")
    assert instructions.wrong({"a": 149.0, "b": 100.0}, wanted, "elsewhere") == []
    assert instructions.wrong({"a": 151.0, "b": 100.0}, wanted, "elsewhere")
    assert len(instructions.wrong({"a": 100.0, "c": 1.0}, wanted, "here")) == 2
