"""``dispatcher config``: check a configuration, show what it adds up to, print its schema.

Secrets are never printed, whatever is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from dispatcher.faces import Webhook
    from dispatcher.files import Loaded

SECRET_KEYS: Final = frozenset({"password"})
PRIVATE_KEYS: Final = frozenset(
    {"host", "system_id", "url", "senders", "default_sender", "forced_sender", "brokers", "username"}
)
"""What --redact hides as well: whom a bank works with, and under which names."""
HIDDEN: Final = "***"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "config",
        help="check a configuration, show what it adds up to, or its schema",
        description="Look at a configuration without running it.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="find everything that is wrong with it; exit code 78: something")
    check.set_defaults(run=run_check)
    show = actions.add_parser("show", help="print it with its defaults, and where each value comes from")
    show.set_defaults(run=run_show)
    show.add_argument("--redact", action="store_true", help="hide hosts, accounts and senders, too")
    for action in (check, show):
        action.add_argument("--config", metavar="FILE", type=Path, help="as `dispatcher serve` takes it")
        action.add_argument("--json", action="store_true", help="JSON for programs")
    schema = actions.add_parser("schema", help="print the JSON Schema of the file")
    schema.set_defaults(run=run_schema)


# ---- check ----


def run_check(given: argparse.Namespace) -> int:
    """Print all that is wrong, one problem a line."""
    from dispatcher.files import default_path

    path = (given.config or default_path()).absolute()
    problems = all_problems(path)
    if given.json:
        print(json.dumps({"file": str(path), "is_right": not problems, "problems": problems}, indent=1))
    elif problems:
        print("\n".join(problems), file=sys.stderr)
    else:
        print(f"{path}: all is right")
    return Exit.CONFIG if problems else Exit.OK


def all_problems(path: Path) -> list[str]:
    """Return what is wrong with a configuration and with the files that it names."""
    from dispatcher.errors import ConfigError
    from dispatcher.files import load, located

    try:
        loaded = load(path)
    except ConfigError as error:
        return str(error).splitlines()
    return [located(problem, loaded.places, loaded.path) for problem in _problems_of_files(loaded)]


def _problems_of_files(loaded: Loaded) -> Iterator[str]:
    """Yield what would be found only at the start: profiles, secrets, certificates, plans of numbers."""
    from functools import partial
    from urllib.parse import urlsplit

    from dispatcher.accounts import account_of
    from dispatcher.carrier.profile import load as profile_of
    from dispatcher.credentials import secret_of_env, secret_of_file
    from dispatcher.errors import ConfigError
    from dispatcher.ingest.tls import context_of
    from dispatcher.kafka.client import access_of
    from dispatcher.outcomes.address import is_inside
    from dispatcher.outcomes.secrets import secrets_of
    from dispatcher.routing.plan import parse as numbering_plan
    from dispatcher.routing.ported import parse_ported
    from dispatcher.smpp.dial import tls_context

    config, folder = loaded.config, loaded.folder

    def account(name: str) -> None:
        if (tls := account_of(name, config.carriers[name], folder).tls) is not None:
            try:
                tls_context(tls)
            except ConfigError as error:
                raise ConfigError(f"carriers.{name}.{error}") from None

    def plan(key: str, name: str, parse: Callable[[Iterable[str]], tuple[object, list[Any]]]) -> None:
        try:
            with (folder / name).open(encoding="utf-8") as lines:
                complaints = parse(lines)[1]
        except OSError as error:
            raise ConfigError(f"{key}: {folder / name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{key}: {folder / name} is not UTF-8") from None
        if complaints:
            raise ConfigError(f"{key}: {folder / name}: {complaints[0]} (of {len(complaints)})")

    def address(name: str, webhook: Webhook) -> None:
        if not webhook.allow_private and is_inside(urlsplit(webhook.url).hostname or ""):
            inside = "the address is not public, and is not called without allow_private = true"
            raise ConfigError(f"webhooks.{name}.url: {inside}")

    checks: list[Callable[[], object]] = []
    if config.numbering_plan is not None:
        checks.append(partial(plan, "numbering_plan", config.numbering_plan, numbering_plan))
    if config.ported_numbers is not None:
        checks.append(partial(plan, "ported_numbers", config.ported_numbers, parse_ported))
    for name, carrier in config.carriers.items():
        checks += [partial(profile_of, carrier, f"carriers.{name}"), partial(account, name)]
    for name, user in config.http.kannel.items():
        at = f"http.kannel.{name}"
        if user.password_file is not None:
            checks.append(partial(secret_of_file, f"{at}.password_file", user.password_file, folder))
        if user.password_env is not None:
            checks.append(partial(secret_of_env, f"{at}.password_env", user.password_env))
    for at, section in (("http.tls", config.http.tls), ("admin.tls", config.admin.tls)):
        if section is not None:
            checks.append(partial(context_of, at, section, folder))
    if config.kafka is not None:
        checks.append(partial(access_of, config.kafka, folder))
    for name, webhook in config.webhooks.items():
        checks += [partial(secrets_of, {name: webhook}, folder), partial(address, name, webhook)]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            yield str(error)


# ---- show ----


def run_show(given: argparse.Namespace) -> int:
    """Print what is in force: what was given, and the defaults."""
    import msgspec

    from dispatcher.errors import ConfigError
    from dispatcher.files import default_path, load

    try:
        loaded = load((given.config or default_path()).absolute())
    except ConfigError as error:
        raise CommandError(str(error), Exit.CONFIG) from None
    hidden = SECRET_KEYS | (PRIVATE_KEYS if given.redact else frozenset())
    plain = hide(msgspec.to_builtins(loaded.config), hidden)
    if given.json:
        print(json.dumps({"config": plain, "from": loaded.places}, indent=1))
    else:
        print("\n".join(toml_lines(plain, loaded.places)))
    return Exit.OK


def hide(plain: Any, keys: frozenset[str], at_key: str = "") -> Any:
    """Return plain values with those of some keys hidden, wherever they stand."""
    if isinstance(plain, Mapping):
        return {key: hide(value, keys, key) for key, value in plain.items()}
    if at_key in keys and plain not in (None, "", []):
        return HIDDEN if isinstance(plain, str) else [HIDDEN for _ in plain]
    if isinstance(plain, list | tuple):
        return [hide(value, keys) for value in plain]
    return plain


def toml_lines(
    table: Mapping[str, Any], places: Mapping[str, str] | None = None, *, at: str = "", header: str = ""
) -> Iterator[str]:
    """Yield a table as TOML, None left out; with `places`, each given value says where it comes from.

    `at` is its path as `places` has it, `header` the same as TOML writes it.
    """
    for key, value in table.items():
        if value is not None and not _is_inner(value):
            place = (places or {}).get(f"{at}{key}")
            yield f"{_key(key)} = {_value(value)}" + (f"  # {place}" if place else "")
    for key, value in table.items():
        inner, name = f"{at}{key}", f"{header}{_key(key)}"
        if isinstance(value, Mapping) and value:
            if not all(map(_is_inner, value.values())):
                yield f"\n[{name}]"
            yield from toml_lines(value, places, at=f"{inner}.", header=f"{name}.")
        elif isinstance(value, list) and _is_inner(value):
            for index, each in enumerate(value):
                yield f"\n[[{name}]]"
                yield from toml_lines(each, places, at=f"{inner}[{index}].", header=f"{name}.")


def _is_inner(value: object) -> bool:
    """Tell whether it is a table or a list of tables, which stand below plain values."""
    is_list = isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)
    return isinstance(value, Mapping) or is_list


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)  # a text, a number, true or false: TOML writes them alike


# ---- schema ----


def run_schema(given: argparse.Namespace) -> int:
    """Print the JSON Schema."""
    import msgspec

    from dispatcher.config import Config

    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Dispatcher's configuration"}
    print(json.dumps(about | msgspec.json.schema(Config), indent=1))
    return Exit.OK
