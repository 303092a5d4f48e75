"""The status table, and a carrier's overrides of it."""

from typing import Any

import pytest

from dispatcher.errors import ConfigError
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.status import (
    NOT_AN_ATTEMPT,
    STATUSES,
    Disposition,
    check_overrides,
    disposition,
    status,
)


def test_the_table_is_complete() -> None:
    """48 codes of 3.4 and 19 of 5.0, each with a name, a meaning and an action of one line."""
    assert set(STATUSES) == {v for k, v in vars(CommandStatus).items() if k.startswith("ESME_")}
    assert (sum(code < 0x100 for code in STATUSES), len(STATUSES)) == (48, 67)
    for code, row in STATUSES.items():
        assert row.command_status == code
        assert row.name.startswith("ESME_R")
        assert row.meaning
        assert row.action
        assert "\n" not in row.action


@pytest.mark.parametrize("code", [0x09, 0x16, 0x400, 0x42E, 0x4FF, 0x500, 0x2000, 0xFFFFFFFF])
def test_a_number_that_nobody_knows_is_a_value(code: int) -> None:
    """It has a row like any other, its number kept; the vendors' range says where to read more."""
    row = status(code)
    assert row.disposition is disposition(code) is Disposition.UNKNOWN
    assert f"0x{code:08x}" in row.meaning
    assert ("additional_status_info_text" in row.action) == (0x400 <= code <= 0x4FF)


def test_throttling_and_session_trouble_are_no_attempts() -> None:
    """A segment that met them goes again as if it had never gone."""
    free = {code for code, row in STATUSES.items() if row.disposition in NOT_AN_ATTEMPT}
    assert free == {0x04, 0x14, 0x58}


def test_a_carrier_may_override_any_refusal() -> None:
    """By number, by number as text, or by name; other statuses keep their row."""
    overrides = check_overrides(
        {
            "ESME_RSUBMITFAIL": "permanent",
            "0x67": "config",
            0x42E: Disposition.CONFIG,
            "esme_rsyserr": "throttle",
        }
    )
    assert overrides == {0x45: "permanent", 0x67: "config", 0x42E: "config", 0x08: "throttle"}
    assert disposition(0x45, overrides) is Disposition.PERMANENT
    assert disposition(0x45) is Disposition.OTHER_ROUTE
    assert disposition(0x58, overrides) is Disposition.THROTTLE


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ESME_RSUBMITFAL": "permanent"}, "did you mean 'ESME_RSUBMITFAIL'"),
        ({"0x45": "permanet"}, "did you mean 'permanent'"),
        ({"0x45": "retry"}, "possible are ok, retry_later"),
        ({"0x45": "ok"}, "must not be counted as accepted"),
        ({0: "permanent"}, "ESME_ROK is 'ok'"),
        ({"0x45": "config", 0x45: "permanent"}, "0x00000045 is there twice"),
        ({-1: "config"}, "0 to 0xffffffff"),
        ({True: "config"}, "0 to 0xffffffff"),
        ({"0x1ffffffff": "config"}, "0 to 0xffffffff"),
    ],
)
def test_a_wrong_override_is_refused(overrides: dict[Any, str], message: str) -> None:
    """The error says which, what is possible, and what comes close."""
    with pytest.raises(ConfigError) as caught:
        check_overrides(overrides)
    assert message in str(caught.value)
