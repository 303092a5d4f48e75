"""A configuration made ready: all that can be wrong with it is found here, before anything is changed.

Files are read and tables compiled in another thread: a numbering plan takes a second.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import TypeVar

from dispatcher._ext.numbers import Normaliser
from dispatcher.accounts import account_of
from dispatcher.carrier.profile import Profile, load
from dispatcher.config import Config
from dispatcher.convert import join
from dispatcher.errors import ConfigError
from dispatcher.routing.numbers import normaliser
from dispatcher.routing.plan import Complaint, NumberingPlan
from dispatcher.routing.plan import parse as plan_lines
from dispatcher.routing.ported import PortedNumbers, parse_ported
from dispatcher.routing.rules import Router
from dispatcher.smpp.account import Account
from dispatcher.smpp.dial import tls_context

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that follows from a configuration, by number of the carrier where it is a carrier's."""

    config: Config
    numbers: dict[str, int]
    """Of its carriers, by name; those of new ones are the next that the journal will give."""
    profiles: dict[int, Profile]
    accounts: dict[int, Account]
    contexts: dict[int, SSLContext | None]
    router: Router
    normalise: Normaliser


async def prepare(config: Config, folder: Path, known: Mapping[str, int]) -> Prepared:
    """Read and compile all that a configuration names, files relative to `folder`.

    `known`: the numbers of all carriers that there ever were. ConfigError: it cannot work.
    """
    return await asyncio.get_running_loop().run_in_executor(None, _prepare, config, folder, dict(known))


def _prepare(config: Config, folder: Path, known: dict[str, int]) -> Prepared:
    for name in config.carriers:
        known.setdefault(name, len(known) + 1)
    numbers = {name: known[name] for name in config.carriers}
    profiles: dict[int, Profile] = {}
    accounts: dict[int, Account] = {}
    contexts: dict[int, SSLContext | None] = {}
    for name, carrier in config.carriers.items():
        at, number = f"carriers.{name}", numbers[name]
        profiles[number] = load(carrier, at, config.limits.senders_max)
        try:
            account = accounts[number] = account_of(name, carrier, folder)
            contexts[number] = tls_context(account.tls) if account.tls is not None else None
        except ConfigError as error:
            message = str(error)
            raise (error if message.startswith(at) else ConfigError(join(at, message))) from None
    router = Router(config.routes, numbers, *_plan(config, folder))
    return Prepared(config, numbers, profiles, accounts, contexts, router, normaliser(config.default_country))


def _plan(config: Config, folder: Path) -> tuple[NumberingPlan | None, PortedNumbers | None]:
    plan = ported = None
    if (name := config.numbering_plan) is not None:
        plan = NumberingPlan(_read("numbering_plan", folder / name, plan_lines))
    if (name := config.ported_numbers) is not None:
        ported = _read("ported_numbers", folder / name, parse_ported)
    return plan, ported


def _read(key: str, path: Path, parse: Callable[[Iterable[str]], tuple[_T, list[Complaint]]]) -> _T:
    try:
        with path.open(encoding="utf-8") as lines:
            found, complaints = parse(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key}: {error}") from None
    if complaints:
        raise ConfigError(f"{key}: {path}: {complaints[0]} (and {len(complaints) - 1} more)")
    return found
