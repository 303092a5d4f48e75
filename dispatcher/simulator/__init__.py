"""A simulated SMSC on loopback, with a script of misbehaviour and a ledger: see `smsc.py`.

In reading order: behaviour (what can be asked of it), settings, smsc, connection, account, receipts, post,
operations, mischief, stage, wire, tls, ledger, control, actions.
"""

from dispatcher.simulator.behaviour import (
    Behaviour,
    Binding,
    Constant,
    Dialect,
    Lognormal,
    MessageId,
    Normal,
    Percentiles,
    Receipts,
    Rule,
    Uniform,
)
from dispatcher.simulator.ledger import Copy, Ledger
from dispatcher.simulator.settings import Settings, load
from dispatcher.simulator.smsc import Simulator
from dispatcher.simulator.tls import Tls

__all__ = [
    "Behaviour",
    "Binding",
    "Constant",
    "Copy",
    "Dialect",
    "Ledger",
    "Lognormal",
    "MessageId",
    "Normal",
    "Percentiles",
    "Receipts",
    "Rule",
    "Settings",
    "Simulator",
    "Tls",
    "Uniform",
    "load",
]
