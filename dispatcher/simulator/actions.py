"""What can be done to an account at once, from the control port or from a test: one small function each.

===================  =========================================  ==============================================
action               parameters (all optional)
===================  =========================================  ==============================================
disconnect           how = rst | fin, bind                      close its binds
unbind               bind                                       ask them to unbind
stall, resume                                                   answer nothing; answer again, late
stop-reading         bind                                       let the TCP window close
half-open            bind                                       neither read nor write, never close
enquire-flood        count, bind                                so many enquire_link in one go
send-mo              source, destination, text, count,          a message of a subscriber; `force`: even to a
                     esm_class, data_coding, force, bind        transmitter too
send-receipt         message_id, state, count, bind             a receipt out of nowhere
flush-receipts                                                  deliver now what is pending
drop-receipts                                                   never deliver what is pending or waiting
send-raw             octets (hexadecimal), bind                 any octets
===================  =========================================  ==============================================

`bind` is the number of one bind of the account, from 1 in the order in which they came; 0 or absent: all.
"""

import difflib
import struct
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from dispatcher._ext.pdu import Pdu, encode
from dispatcher._ext.smsc import Receipt
from dispatcher.errors import ConfigError, LocalProtocolError
from dispatcher.simulator.mischief import Act
from dispatcher.simulator.receipts import message
from dispatcher.simulator.stage import told_receipts
from dispatcher.smpp.constants import Command, EsmClass, Tlv
from dispatcher.smpp.dialect import STATE_WORDS

if TYPE_CHECKING:
    from dispatcher.simulator.account import Account
    from dispatcher.simulator.connection import Connection

COUNT_MAX: Final = 100_000
"""Of one action: more is a flood of several."""

Done: TypeAlias = dict[str, Any]
Action: TypeAlias = Callable[["Account", Mapping[str, Any]], Done]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every parameter that some action takes."""

    bind: int = 0
    how: str = "rst"
    count: int = 1
    source: str = "79000000001"
    destination: str = "1234"
    text: str = "hello"
    esm_class: int = 0
    data_coding: int = 0
    force: bool = False
    message_id: str = "0000000000"
    state: str = "DELIVRD"
    octets: str = ""


def perform(account: "Account", action: str, parameters: Mapping[str, Any]) -> Done:
    """Do it; ConfigError for an unknown action or a bad parameter."""
    if action not in ACTIONS:
        close = difflib.get_close_matches(action, ACTIONS, 1, 0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(ACTIONS)}"
        raise ConfigError(f"unknown action {action!r}; {hint}")
    try:
        given = msgspec.convert(parameters, Parameters)
        if not 0 <= given.count <= COUNT_MAX:
            raise ValueError(f"count is 0 to {COUNT_MAX}")
        return ACTIONS[action](account, msgspec.structs.asdict(given))
    except (msgspec.ValidationError, LocalProtocolError, ValueError) as error:
        raise ConfigError(f"{action}: {error}") from None


def _binds(account: "Account", given: Mapping[str, Any]) -> "list[Connection]":
    return [each for each in account.connections if given["bind"] in (0, each.number)]


def _each(
    account: "Account", given: Mapping[str, Any], do: "Callable[[Connection], object]", key: str = "binds"
) -> Done:
    binds = _binds(account, given)
    for connection in binds:
        do(connection)
    return {key: len(binds)}


def _disconnect(account: "Account", given: Mapping[str, Any]) -> Done:
    if given["how"] not in ("rst", "fin"):
        raise ValueError("how is rst or fin")
    return _each(
        account, given, lambda each: (each.wire.reset if given["how"] == "rst" else each.wire.close)()
    )


def _stall(account: "Account", given: Mapping[str, Any]) -> Done:
    account.change(msgspec.structs.replace(account.behaviour, stall=True))
    return {}


def _resume(account: "Account", given: Mapping[str, Any]) -> Done:
    """Take back every switch that holds something up."""
    for connection in account.connections:
        connection.resume()
    account.change(msgspec.structs.replace(account.behaviour, stall=True))
    account.change(msgspec.structs.replace(account.behaviour, stall=False, reading=True, half_open=False))
    return {}


def _send_mo(account: "Account", given: Mapping[str, Any]) -> Done:
    text = given["text"].encode("utf-16-be" if given["data_coding"] == 8 else "latin-1", "replace")
    made = [
        message(
            given["source"],
            given["destination"],
            text,
            esm_class=given["esm_class"],
            data_coding=given["data_coding"],
        )
        for _ in range(given["count"])
    ]
    return _deliver(account, given, made)


def _send_receipt(account: "Account", given: Mapping[str, Any]) -> Done:
    if given["state"] not in STATE_WORDS:
        raise ValueError(f"state is one of {', '.join(STATE_WORDS)}")
    state = STATE_WORDS[given["state"]]
    message_id = given["message_id"].encode("ascii")
    text = b"id:%s sub:001 dlvrd:001 stat:%s err:000 text:" % (message_id, given["state"].encode("ascii"))
    frame = encode(
        Pdu(
            Command.DELIVER_SM,
            1,
            0,
            [(Tlv.RECEIPTED_MESSAGE_ID, message_id), (Tlv.MESSAGE_STATE, state)],
            source_addr=given["source"].encode("ascii"),
            destination_addr=given["destination"].encode("ascii"),
            esm_class=EsmClass.DELIVERY_RECEIPT,
            short_message=text,
        )
    )
    return _deliver(account, given, [Receipt(frame, None, state) for _ in range(given["count"])])


def _deliver(account: "Account", given: Mapping[str, Any], receipts: list[Receipt]) -> Done:
    if given["force"]:
        for connection in _binds(account, given):
            for number, receipt in enumerate(receipts):
                frame = receipt.frame[:12] + struct.pack(">I", 0x7000_0000 + number) + receipt.frame[16:]
                connection.push_anywhere(frame, partial(told_receipts, account, [receipt]))
    elif given["bind"]:
        for connection in _binds(account, given):
            connection.deliver(receipts)
    else:
        account.post.deliver(receipts, None)
    return {"sent": len(receipts)}


def _send_raw(account: "Account", given: Mapping[str, Any]) -> Done:
    octets = bytes.fromhex(given["octets"])
    return _each(account, given, lambda each: each.push_anywhere(octets))


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        "disconnect": _disconnect,
        "unbind": lambda account, given: _each(account, given, lambda each: each.unbind()),
        "stall": _stall,
        "resume": _resume,
        "stop-reading": lambda account, given: _each(account, given, lambda each: each.act(Act.STOP_READING)),
        "half-open": lambda account, given: _each(account, given, lambda each: each.act(Act.HALF_OPEN)),
        "enquire-flood": lambda account, given: _each(
            account, given, lambda each: each.enquire(given["count"])
        ),
        "send-mo": _send_mo,
        "send-receipt": _send_receipt,
        "flush-receipts": lambda account, given: {"receipts": account.post.flush()},
        "drop-receipts": lambda account, given: {"receipts": account.post.drop()},
        "send-raw": _send_raw,
    }
)
