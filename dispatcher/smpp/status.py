"""What every command_status means and what the dispatcher does about it: one table, no ifs.

The law: a status is never an exception. A number that no row names has the disposition ``unknown``, and so
has the vendors' range (0x400 to 0x4FF) until a carrier's overrides say more: one other carrier, then finish
as failed, and an alert at first sight. ``throttle`` and ``session`` never count as attempts; ``config``
pauses or re-profiles the carrier instead of burning its queue. The same code in a bind_resp is judged by the
pool.

The 48 codes of SMPP 3.4 (5.1.3) and the 19 that 5.0 adds (from 0x100 on).
"""

import difflib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from dispatcher.errors import ConfigError
from dispatcher.smpp.constants import VENDOR_STATUS_FIRST, VENDOR_STATUS_LAST, CommandStatus


class Disposition(StrEnum):
    """What happens to the segment that got the status. A closed list: the retry table has a row for each."""

    OK = "ok"
    RETRY_LATER = "retry_later"
    OTHER_ROUTE = "other_route"
    PERMANENT = "permanent"
    CONFIG = "config"
    THROTTLE = "throttle"
    SESSION = "session"
    OUR_BUG = "our_bug"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """What a status says something about."""

    NONE = "-"
    MESSAGE = "message"
    SENDER = "sender"
    ROUTE = "route"
    BIND = "bind"
    SESSION = "session"
    OPERATION = "operation"


NOT_AN_ATTEMPT: Final = frozenset({Disposition.THROTTLE, Disposition.SESSION})
"""After these a segment goes again as if it had never gone."""


class Status(NamedTuple):
    """One row."""

    command_status: int
    name: str
    disposition: Disposition
    scope: Scope
    meaning: str
    action: str


_NAMES: Final[dict[int, str]] = {
    value: name for name, value in vars(CommandStatus).items() if name.startswith("ESME_")
}


_TABLE: Final = """\
0x000  ok              -          no error
       accepted; without a message_id no receipt can be matched: count it
0x001  our_bug         message    invalid message length
       finish as rejected and page: our segmentation or size limit is wrong
0x002  our_bug         session    invalid command length
       in a generic_nack the stream is out of step: close the bind, what is in flight is unknown; page
0x003  config          route      invalid command id
       this SMSC lacks the operation: switch it off in the carrier's profile, requeue
0x004  session         session    wrong bind status for this command
       requeue, unbind, bind again; twice in a row: alert
0x005  config          bind       already bound
       the old session still lives, or no bind is left: wait out the SMSC's inactivity timer (60-300 s)
0x006  config          route      invalid priority flag
       set priority_flag to 0 in the profile
0x007  config          route      invalid registered_delivery flag
       set registered_delivery to 0, 1 or 2 in the profile
0x008  retry_later     route      system error
       again after 30 s, 2 or 3 times, then another carrier; in a bind_resp: back off exponentially
0x00a  config          sender     invalid source address
       another carrier where the sender is registered, else finish as rejected; alert per carrier and sender
0x00b  permanent       message    invalid destination address
       finish as rejected; where a carrier covers only some numbers, try one other first
0x00c  not_applicable  operation  invalid message id
       answer to query, cancel, replace: the id is unknown (hex or decimal?)
0x00d  config          bind       bind failed
       back off exponentially to 60 s and more; alert after 3
0x00e  config          bind       invalid password
       stop fast reconnects, 60 s growing to 15 min, page at once: accounts get locked
0x00f  config          bind       invalid system id
       as a wrong password
0x011  not_applicable  operation  cancel_sm failed
       the message has already gone
0x013  not_applicable  operation  replace_sm failed
       the message has already gone
0x014  throttle        route      message queue full
       back off this message 5 to 60 s, slow the carrier if over 1 % are answered so; no attempt
0x015  config          route      invalid service type
       set service_type in the profile
0x033  not_applicable  operation  invalid number of destinations
       only in answer to submit_multi
0x034  not_applicable  operation  invalid distribution list name
       only in answer to submit_multi
0x040  not_applicable  operation  invalid destination flag
       only in answer to submit_multi
0x042  config          route      submit with replace not supported or not allowed
       switch replace_if_present_flag off in the profile
0x043  config          route      invalid esm_class
       choose SAR TLVs or message_payload instead of UDHI in the profile
0x044  not_applicable  operation  cannot submit to distribution list
       only in answer to submit_multi
0x045  other_route     message    submit_sm or submit_multi failed
       once again after a pause, then another carrier, then finish as failed; meaning is the vendor's
0x048  config          route      invalid source TON
       correct the TON/NPI rows of the profile
0x049  config          route      invalid source NPI
       correct the TON/NPI rows of the profile
0x050  config          route      invalid destination TON
       correct the TON/NPI rows of the profile
0x051  config          route      invalid destination NPI
       correct the TON/NPI rows of the profile
0x053  config          bind       invalid system_type
       stop fast reconnects, alert: system_type of the bind is wrong
0x054  config          route      invalid replace_if_present flag
       set replace_if_present_flag to 0 in the profile
0x055  not_applicable  operation  invalid number of messages
       only in answer to query_last_msgs of SMPP 3.3
0x058  throttle        bind       throttled: the allowed rate was exceeded
       pause the account about 1 s, cut its rate, recover step by step; requeue at the head, no attempt
0x061  our_bug         message    invalid scheduled delivery time
       never repeat the PDU: our scheduler holds the message, schedule_delivery_time stays empty
0x062  config          route      invalid validity period
       once again with the profile's default validity; alert
0x063  our_bug         message    predefined message invalid or not found
       sm_default_msg_id must be 0: page
0x064  retry_later     message    receiving application: temporary error
       again after a pause
0x065  permanent       message    receiving application: permanent error
       finish as failed
0x066  permanent       message    receiving application: message rejected
       finish as rejected
0x067  not_applicable  operation  query_sm failed
       only in answer to query_sm; some vendors say it for an exhausted quota: override
0x0c0  our_bug         message    error in the optional part of the body
       finish as rejected and page: our TLVs are wrong
0x0c1  config          route      optional parameter not allowed
       switch the TLV off in the profile
0x0c2  our_bug         message    invalid length of an optional parameter
       finish as rejected and page: our TLVs are wrong
0x0c3  config          route      expected optional parameter missing
       the carrier demands a TLV (a template or entity id): profile, alert
0x0c4  config          route      invalid value of an optional parameter
       correct the TLV in the profile, or register the sender or template
0x0fe  other_route     message    delivery failed
       look at delivery_failure_reason; one other carrier, then finish as failed
0x0ff  retry_later     route      unknown error
       once again, then another carrier, then finish as failed; alert on the rate
0x100  config          route      not authorised to use the service type
       the account lacks the service_type: profile, alert
0x101  config          route      operation prohibited
       stop the carrier, page: the account may not do this
0x102  retry_later     route      service type unavailable
       again after a pause, then another carrier
0x103  config          route      service type denied
       stop the carrier, page: often the balance or the contract
0x104  config          route      invalid data_coding
       correct the alphabet's data_coding in the profile
0x105  our_bug         message    invalid source address subunit
       finish as rejected and page: our TLV is wrong
0x106  our_bug         message    invalid destination address subunit
       finish as rejected and page: our TLV is wrong
0x107  not_applicable  operation  invalid broadcast frequency interval
       only in answer to broadcast operations: we never broadcast
0x108  not_applicable  operation  invalid broadcast alias name
       only in answer to broadcast operations: we never broadcast
0x109  not_applicable  operation  invalid broadcast area format
       only in answer to broadcast operations: we never broadcast
0x10a  not_applicable  operation  invalid number of broadcast areas
       only in answer to broadcast operations: we never broadcast
0x10b  not_applicable  operation  invalid broadcast content type
       only in answer to broadcast operations: we never broadcast
0x10c  not_applicable  operation  invalid broadcast message class
       only in answer to broadcast operations: we never broadcast
0x10d  not_applicable  operation  broadcast_sm failed
       only in answer to broadcast operations: we never broadcast
0x10e  not_applicable  operation  query_broadcast_sm failed
       only in answer to broadcast operations: we never broadcast
0x10f  not_applicable  operation  cancel_broadcast_sm failed
       only in answer to broadcast operations: we never broadcast
0x110  not_applicable  operation  invalid number of repeated broadcasts
       only in answer to broadcast operations: we never broadcast
0x111  not_applicable  operation  invalid broadcast service group
       only in answer to broadcast operations: we never broadcast
0x112  not_applicable  operation  invalid broadcast channel indicator
       only in answer to broadcast operations: we never broadcast
"""
"""command_status, disposition, scope, meaning; under it what the dispatcher does."""


def _row(line: str, action: str) -> Status:
    code, disposition, scope, meaning = line.split(None, 3)
    command_status = int(code, 16)
    return Status(
        command_status,
        _NAMES[command_status],
        Disposition(disposition),
        Scope(scope),
        meaning,
        action.strip(),
    )


_LINES: Final = _TABLE.splitlines()

STATUSES: Final[dict[int, Status]] = {row.command_status: row for row in map(_row, _LINES[::2], _LINES[1::2])}
"""By command_status."""

_UNKNOWN_ACTION: Final = "one other carrier, then finish as failed; alert at first sight"


def status(command_status: int) -> Status:
    """Return the row of a status; a number that no row names gets one made up: nothing is raised."""
    row = STATUSES.get(command_status)
    if row is not None:
        return row
    vendor = VENDOR_STATUS_FIRST <= command_status <= VENDOR_STATUS_LAST
    meaning = f"{'vendor-specific' if vendor else 'unknown'} status 0x{command_status:08x}"
    return Status(
        command_status,
        f"0x{command_status:08x}",
        Disposition.UNKNOWN,
        Scope.MESSAGE,
        meaning,
        f"{_UNKNOWN_ACTION}; read additional_status_info_text" if vendor else _UNKNOWN_ACTION,
    )


def disposition(command_status: int, overrides: Mapping[int, Disposition] | None = None) -> Disposition:
    """Return what to do, a carrier's overrides (from :func:`check_overrides`) first."""
    if overrides:
        found = overrides.get(command_status)
        if found is not None:
            return found
    row = STATUSES.get(command_status)
    return Disposition.UNKNOWN if row is None else row.disposition


def check_overrides(overrides: Mapping[int | str, str]) -> dict[int, Disposition]:
    """Check a carrier's overrides, once, when its profile is loaded.

    Keys are numbers or names (``0x45``, ``"0x45"``, ``"ESME_RSUBMITFAIL"``), values are dispositions
    (``"permanent"``). Raises :class:`~dispatcher.errors.ConfigError`.
    """
    checked: dict[int, Disposition] = {}
    for key, value in overrides.items():
        code = _code(key)
        if code in checked:
            raise ConfigError(f"status override {key!r}: 0x{code:08x} is there twice")
        try:
            wanted = Disposition(value)
        except ValueError:
            close = _close(str(value), [entry.value for entry in Disposition])
            raise ConfigError(
                f"status override {key!r}: {value!r} is not a disposition{close}; "
                f"possible are {', '.join(entry.value for entry in Disposition)}"
            ) from None
        if (code == CommandStatus.ESME_ROK) != (wanted is Disposition.OK):
            raise ConfigError(
                f"status override {key!r}: ESME_ROK is 'ok' and nothing else is: "
                "a refused segment must not be counted as accepted"
            )
        checked[code] = wanted
    return checked


def _code(key: int | str) -> int:
    if isinstance(key, str):
        by_name = {name: code for code, name in _NAMES.items()}
        name = key.upper()
        if name in by_name:
            return by_name[name]
        try:
            key = int(key, 0)
        except ValueError:
            close = _close(name, list(by_name))
            raise ConfigError(
                f"status override {key!r}: neither a number (0x45) nor a name (ESME_RSUBMITFAIL){close}"
            ) from None
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key <= 0xFFFFFFFF:
        raise ConfigError(f"status override {key!r}: a command_status is 0 to 0xffffffff")
    return key


def _close(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
