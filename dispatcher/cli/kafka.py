"""``dispatcher kafka``: make the topics, look whether they keep what they acknowledge, print the schema."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli.exits import CommandError, Exit, fail

if TYPE_CHECKING:
    from dispatcher.files import Loaded
    from dispatcher.kafka.client import Access

LIMIT_S: Final = 60.0
"""For all that is asked of the brokers: they answer within a second, or are not there."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "kafka",
        help="make and check the topics of Kafka, print the schema of their records",
        description="What goes with [kafka] of the configuration. Exit codes: 69: no broker is reached; 78: "
        "topics are missing, or break the promise that what was acknowledged is kept.",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, said in (
        ("init", "make the topics that are missing; those that are there stay as they are"),
        ("check", "say what is wrong with the topics; the daemon looks at the same when it starts"),
    ):
        action = actions.add_parser(name, help=said, description=f"{said.capitalize()}.")
        action.add_argument("--config", metavar="FILE", type=Path, help="as `dispatcher serve` takes it")
        action.add_argument("--json", action="store_true", help="JSON for programs")
    actions.add_parser("schema", help="print the JSON Schema of records, in and out", description="Print it.")


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    if given.action == "schema":
        print(json.dumps(_schema(), indent=1))
        return Exit.OK
    from dispatcher.errors import ConfigError
    from dispatcher.files import default_path, load

    try:
        loaded = load((given.config or default_path()).absolute())
        if loaded.config.kafka is None:
            raise ConfigError(f"{loaded.path}: it has no section [kafka]")
        return {"init": _init, "check": _check}[given.action](given, loaded)
    except ConfigError as error:
        return fail("kafka", str(error), Exit.CONFIG)
    except CommandError as error:
        return fail("kafka", str(error), error.code)


def _schema() -> dict[str, Any]:
    from dispatcher.api import EventOut
    from dispatcher.ingest.bodies import MessageIn
    from dispatcher.kafka.schema import schema

    return schema(MessageIn, EventOut)


def _init(given: argparse.Namespace, loaded: Loaded) -> int:
    from dispatcher.kafka.topics import create, wanted

    access = _access(loaded)

    async def make() -> dict[str, str]:
        async with asyncio.timeout(LIMIT_S):
            admin = access.admin()
            try:
                await admin.start()
                return await create(admin, wanted(access.kafka))
            finally:
                await admin.close()

    made = _asked(make())
    if given.json:
        print(json.dumps(made, indent=1))
    else:
        print("\n".join(f"{name}: {said}" for name, said in made.items()))
    return Exit.OK if set(made.values()) <= {"made", "there"} else Exit.NO


def _check(given: argparse.Namespace, loaded: Loaded) -> int:
    from dispatcher.kafka.topics import look, missing, odd, unsafe, wanted

    access = _access(loaded)
    topics = wanted(access.kafka)

    async def find() -> tuple[list[str], list[str]]:
        async with asyncio.timeout(LIMIT_S):
            admin = access.admin()
            try:
                await admin.start()
                found = await look(admin, [each.name for each in topics])
            finally:
                await admin.close()
        wrong = [*missing(topics, found)]
        dangers = [*unsafe(access.kafka, topics, found)]
        warnings = [*odd(access.kafka, topics, found)]
        return (
            ([*wrong], [*dangers, *warnings]) if access.kafka.allow_unsafe else ([*wrong, *dangers], warnings)
        )

    wrong, warnings = _asked(find())
    if given.json:
        print(json.dumps({"is_right": not wrong, "problems": wrong, "warnings": warnings}, indent=1))
    else:
        for each in wrong:
            print(f"wrong: {each}")
        for each in warnings:
            print(f"warning: {each}")
        if not wrong:
            print(f"{len(topics)} topics are as they should be")
    return Exit.CONFIG if wrong else Exit.OK


def _access(loaded: Loaded) -> Access:
    from dispatcher.kafka.client import access_of

    assert loaded.config.kafka is not None
    return access_of(loaded.config.kafka, loaded.folder)


def _asked(work: Coroutine[Any, Any, Any]) -> Any:
    from aiokafka.errors import KafkaError

    from dispatcher.kafka.outbox import said

    try:
        return asyncio.run(work)
    except (KafkaError, OSError, TimeoutError) as error:
        raise CommandError(f"the brokers: {said(error)}", Exit.UNAVAILABLE) from None
