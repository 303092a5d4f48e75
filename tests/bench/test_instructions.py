"""The hottest functions take no more instructions than is committed: no clock, no neighbour disturbs it."""

import re
from pathlib import Path

import pytest

from bench import anatomy, instructions


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


DUMP = """\
# callgrind format
version: 1
creator: by hand
events: Ir

fl=loop.c
fn=uv_run
1 100
cfi=admit.c
cfn=__pyx_pw_10dispatcher_4_ext_5admit_5Judge_5admit
calls=1 1
1 700

fl=admit.c
fn=__pyx_pw_10dispatcher_4_ext_5admit_5Judge_5admit
1 700

totals: 800
"""


def test_anatomy(tmp_path: Path) -> None:
    """A thread is known by what it calls, a stage by its functions; the rest of the loop is its own."""
    if lacking := instructions.missing():
        pytest.skip(lacking)
    (tmp_path / "out.1-01").write_text(DUMP, "ascii")
    told = anatomy.tables([tmp_path / "out.1-01"], 10)
    found = dict(re.findall(r"^\| (.+?) +\| ([\d,]+) +\|$", told, re.M))
    stages = dict.fromkeys(anatomy.STAGES, "0") | {"admit: judge, encode, pack": "70"}
    assert found == {"loop": "80", "all": "80", **stages, "loop, Python, letting go": "10"}
